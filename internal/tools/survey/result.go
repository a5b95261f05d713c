package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// limits is the gate's check of Lambda's 250 MiB. A layer of the survey may be larger: the page
// lists it, and nothing is broken.
const limits = "limits"

// Name is the distribution's.
func (r result) Name() string { return r.Entry.Name }

// Summary is for the line of progress.
func (r result) Summary() string {
	return fmt.Sprintf("%s: %d broken", r.Entry.Name, len(r.Problems()))
}

// Problems are what pruning broke, and mistakes of the survey itself, sorted.
func (r result) Problems() []string {
	if r.Failed != "" {
		return []string{"not built: " + r.Failed}
	}

	out := slices.Concat(r.newFindings(), r.newFailures())
	for _, h := range r.Pruned.Healed {
		rules := strings.Join(h.Rules, ", ")
		out = append(out, fmt.Sprintf("healed: %s had to come back, %s: %s", h.Match, rules, h.Why))
	}

	for _, name := range r.Differ {
		out = append(out, "not as shipped: "+name)
	}

	slices.Sort(out)

	return out
}

// newFindings are findings of the gate that the unpruned layer does not have.
func (r result) newFindings() []string {
	type subject struct{ check, name string }
	asShipped := map[subject]bool{}
	for _, f := range r.Shipped.Gate {
		asShipped[subject{f.Check, f.Subject}] = true
	}

	var out []string
	for _, f := range r.findings() {
		if !asShipped[subject{f.Check, f.Subject}] {
			out = append(out, "gate: "+f.String())
		}
	}

	return out
}

// findings are those of the gate in the pruned layer, but for its size.
func (r result) findings() (out []gate.Finding) {
	for _, f := range r.Pruned.Gate {
		if f.Check != limits {
			out = append(out, f)
		}
	}

	return out
}

// newFailures are failures of the probe that the unpruned layer does not have, and all of scripts.
func (r result) newFailures() []string {
	var out []string
	if r.Pruned.Probe.Status == report.NotProbed {
		out = append(out, "not probed: "+r.Pruned.Probe.Reason)
	}

	for _, f := range r.Pruned.Probe.Failures {
		switch {
		case !f.Inherited:
			out = append(out, describe(f))
		case f.Kind == probe.Script:
			out = append(out, describe(f)+" (as shipped too: the script or the package is wrong)")
		}
	}

	return out
}

// inherited is what fails as shipped too, sorted: mostly modules that need an optional
// distribution.
func (r result) inherited() []string {
	var out []string
	for _, f := range r.findings() {
		out = append(out, "gate: "+f.String())
	}

	for _, f := range r.Pruned.Probe.Failures {
		if f.Inherited && f.Kind != probe.Script {
			out = append(out, describe(f))
		}
	}

	slices.Sort(out)

	return out
}

// bothProbed reports whether the unpruned layer was probed in full too.
func (r result) bothProbed() bool { return r.Shipped.Probe.Status != report.NotProbed }

// describe is a failure with the last line of its traceback.
func describe(f probe.Result) string {
	detail := strings.TrimSpace(f.Detail)
	return fmt.Sprintf("%s %s: %s", f.Kind, f.Name, detail[strings.LastIndexByte(detail, '\n')+1:])
}

// version is that of the distribution itself.
func (r result) version() string { return onelayer.Version(r.Pruned, r.Entry.Name) }

// bare is the size of the pruned layer without bytecode.
func (r result) bare() measure.Size { return onelayer.WithoutBytecode(r.Pruned) }

// overLimit is the size if Lambda would refuse the layer even pruned and without bytecode.
func (r result) overLimit() []string {
	size := r.bare().Unzipped
	if size <= measure.MaxUnzippedBytes {
		return nil
	}

	return []string{size.String()}
}

// imports are import times in seconds: without bytecode, of the unpruned layer if it was measured,
// and of the pruned layer with bytecode.
func (r result) imports() (without, with float64, ok bool) {
	pruned := r.Pruned.Probe.Import
	if pruned == nil {
		return 0, 0, false
	}

	if shipped := r.Shipped.Probe.Import; shipped != nil {
		return shipped.WithoutSeconds, pruned.WithSeconds, true
	}

	return pruned.WithoutSeconds, pruned.WithSeconds, true
}
