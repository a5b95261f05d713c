package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

// limits is the gate's check of Lambda's 250 MiB. A survey's layer may be larger: that is said, and
// breaks nothing.
const limits = "limits"

// broken says what pruning broke, and what the survey itself got wrong; nothing is what everybody
// wants.
func (r result) broken() []string {
	if r.Failed != "" {
		return []string{"not built: " + r.Failed}
	}

	var out []string
	asShipped := map[[2]string]bool{}
	for _, f := range r.Shipped.Gate {
		asShipped[[2]string{f.Check, f.Subject}] = true
	}

	for _, f := range r.Pruned.Gate {
		if f.Check != limits && !asShipped[[2]string{f.Check, f.Subject}] {
			out = append(out, "gate: "+f.String())
		}
	}

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

	for _, h := range r.Pruned.Healed {
		out = append(
			out,
			fmt.Sprintf("healed: %s had to come back, %s: %s", h.Match, strings.Join(h.Rules, ", "), h.Why),
		)
	}

	for _, name := range r.Differ {
		out = append(out, "not as shipped: "+name)
	}

	sort.Strings(out)
	return out
}

// bare is the pruned layer without the bytecode that was added, and without what RECORD says of it.
func (r result) bare() measure.Size {
	out := r.Pruned.Before
	for _, s := range r.Pruned.Removed {
		out.Unzipped = out.Unzipped - s.Unzipped
		out.Zipped = out.Zipped - s.Zipped
	}

	out.Files = r.Pruned.After.Files - r.Pruned.Bytecode.Size.Files // rules that transform remove no file
	return out
}

// inherited says what fails as shipped too: the package's own business, mostly parts that need
// something optional.
func (r result) inherited() []string {
	var out []string
	for _, f := range r.Pruned.Gate {
		if f.Check != limits {
			out = append(out, "gate: "+f.String())
		}
	}

	for _, f := range r.Pruned.Probe.Failures {
		if f.Inherited && f.Kind != probe.Script {
			out = append(out, describe(f))
		}
	}

	sort.Strings(out)
	return out
}

// both reports whether every job was asked of the unpruned layer too.
func (r result) both() bool { return r.Shipped.Probe.Status != report.NotProbed }

func describe(f probe.Result) string {
	detail := strings.TrimSpace(f.Detail)
	return fmt.Sprintf("%s %s: %s", f.Kind, f.Name, detail[strings.LastIndexByte(detail, '\n')+1:])
}

// version is that of the distribution itself.
func (r result) version() string {
	for _, w := range r.Pruned.Inputs.Wheels {
		if w.Name == r.Entry.Name {
			return w.Version
		}
	}

	return ""
}

// overLimit reports whether Lambda would refuse the layer even pruned and without bytecode.
func (r result) overLimit() bool { return r.bare().Unzipped > measure.MaxUnzippedBytes }

// imports are seconds: as shipped without bytecode, where that was measured, or else pruned without
// it; and pruned with it.
func (r result) imports() (without, with float64, ok bool) {
	p := r.Pruned.Probe.Import
	if p == nil {
		return 0, 0, false
	}

	if s := r.Shipped.Probe.Import; s != nil {
		return s.WithoutSeconds, p.WithSeconds, true
	}

	return p.WithoutSeconds, p.WithSeconds, true
}
