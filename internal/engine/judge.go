package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// judge returns the most important fault of a complete report; nil for none. Findings of the gate
// come first, since they explain most failures of the probe. strict makes a layer that was not
// probed a fault.
func judge(rep report.Report, strict bool) error {
	for _, check := range []func(report.Layer) error{gateFault, probeFault, budgetFault} {
		for _, l := range rep.Layers {
			if err := check(l); err != nil {
				return err
			}
		}
	}

	for _, st := range rep.Stacks {
		if err := stackFault(rep, st); err != nil {
			return err
		}
	}

	if !strict {
		return nil
	}

	for _, l := range rep.Layers {
		if l.Probe.Status == report.NotProbed {
			return fault.New(fault.NotProbed, "probe", l.Name, errors.New(l.Probe.Reason)).
				WithHint("name the target's interpreter with --python, or build without --strict")
		}
	}

	return nil
}

// stackFault is the size of a stack over its budget; nil when it is within.
func stackFault(rep report.Report, st measure.Stack) error {
	if st.Verdict == measure.Within {
		return nil
	}

	err := fmt.Errorf("%s: %s unzipped, budget %s, Lambda's limit %s", st.Verdict, st.Unzipped, st.Budget,
		measure.Bytes(measure.MaxUnzippedBytes))
	layers := slices.DeleteFunc(slices.Clone(rep.Layers), func(l report.Layer) bool {
		return !slices.Contains(st.Layers, l.Name)
	})
	hint := makeSmaller(layers)
	if st.Verdict == measure.OverBudget {
		hint += "; or raise budget.total in workspace.yaml"
	}

	return fault.New(fault.OverLimit, "measure", "the stack "+strings.Join(st.Layers, " + "), err).WithHint(hint)
}

// makeSmaller says what makes layers smaller.
func makeSmaller(layers []report.Layer) string {
	return cmp.Or(largestLevers(layers), "carry less: run: layersmith report")
}

// Judge is the fault of a single layer's report; nil for none.
func Judge(l report.Layer, strict bool) error {
	return judge(report.Report{Layers: []report.Layer{l}}, strict)
}

// gateFault is a layer's most important finding; nil for none.
func gateFault(l report.Layer) error {
	if len(l.Gate) == 0 {
		return nil
	}

	f := l.Gate[0]
	if i := slices.IndexFunc(l.Gate, func(f gate.Finding) bool {
		return f.Check == "platform" || f.Check == "python-abi" || f.Check == "layout"
	}); i >= 0 {
		f = l.Gate[i] // explains most of the others
	}

	text := f.Message
	if f.Subject != l.Name {
		text = f.Subject + ": " + text
	}

	if n := len(l.Gate) - 1; n > 0 {
		text += " (and " + report.Count(n, "more finding") + ")"
	}

	hint := f.Hint
	if f.Check == "limits" && l.After.Files > 0 {
		hint = makeSmaller([]report.Layer{l})
	}

	return fault.New(fault.GateFailed, "check", l.Name, errors.New(text)).WithHint(hint)
}

// budgetFault is a layer's size over its budget; nil when it is within.
func budgetFault(l report.Layer) error {
	if l.Verdict == measure.Within || l.Verdict == "" {
		return nil
	}

	err := fmt.Errorf("%s: %s unzipped, %s zipped; budget %s unzipped, %s zipped", l.Verdict,
		l.After.Unzipped, l.Zip.Bytes, orNone(l.Budget.Unzipped), orNone(l.Budget.Zipped))
	return fault.New(fault.OverLimit, "measure", l.Name, err).
		WithHint(makeSmaller([]report.Layer{l}) + "; or raise the budget in " + l.Name + "/layer.yaml")
}

func orNone(b measure.Bytes) string {
	if b == 0 {
		return "none"
	}

	return b.String()
}

// probeFault is the failure that fails a layer's probe; nil when the probe did not fail.
func probeFault(l report.Layer) error {
	if l.Probe.Status != report.ProbeFailed {
		return nil
	}

	f := decisive(l.Probe.Failures)
	return fault.New(fault.ProbeFailed, "probe", l.Name, fmt.Errorf("%s %s: %s", f.Kind, f.Name, lastLine(f.Detail))).
		WithHint(probeHint(l, f))
}

// decisive is the failure that fails a probe: one that pruning causes, else one that counts
// whatever causes it. Imports that are timed are the last of all and count too.
func decisive(failures []probe.Result) probe.Result {
	if i := slices.IndexFunc(failures, func(f probe.Result) bool { return !f.Inherited }); i >= 0 {
		return failures[i]
	}

	fatal := func(f probe.Result) bool { return f.Fatal }
	for _, fails := range []func(probe.Result) bool{fatal, probe.Result.Decides} {
		if i := slices.IndexFunc(failures, fails); i >= 0 {
			return failures[i]
		}
	}

	return failures[len(failures)-1]
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// probeHint says what to do about a failure.
func probeHint(l report.Layer, f probe.Result) string {
	if f.Fatal {
		return "nothing of it can be imported as published, pruned or not: " + f.Advice()
	}

	if f.Inherited {
		from := "the package"
		if c := l.Probe.Cause(f); c != "" {
			from = c
		}

		return "it fails on the unpruned layer too: " + from + ", or a requirement that it does not declare, is at " +
			"fault"
	}

	if h := l.Probe.Healing; h != nil && h.Cause != "" {
		return h.Cause
	}

	hint := "run: layersmith explain on the file that is missing, and keep it in " + l.Name + "/layer.yaml"
	switch l.Bytecode.Mode {
	case string(workspace.Sourceless):
		hint += "; if it reads sources (inspect.getsource), docstrings or asserts, bytecode: sourceless is the cause"
	case string(workspace.Lean):
		hint += "; if it needs docstrings or asserts, bytecode: lean is the cause"
	}

	return hint
}
