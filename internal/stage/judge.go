package stage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// stackNames lists the stacks of layers that the workspace is judged by: each layer that nothing
// extends with what it lies on, and all together, which is what a function may use.
func stackNames(ws workspace.Workspace) [][]string {
	extended := map[string]bool{}
	for _, l := range ws.Layers {
		for _, e := range l.Extends {
			extended[e] = true
		}
	}

	var stacks [][]string
	for _, l := range ws.Layers {
		if !extended[l.Name] {
			stacks = append(stacks, append(ws.Below(l.Name), l.Name))
		}
	}

	if all := ws.Names(); len(stacks) > 1 && len(all) <= workspace.MaxLayers {
		stacks = append(stacks, all)
	}

	return stacks
}

// Stacks judges the stacks of a workspace, of those layers that have been built.
func Stacks(ws workspace.Workspace, layers []report.Layer) []measure.Stack {
	var out []measure.Stack
	for _, names := range stackNames(ws) {
		var sum measure.Bytes
		complete := true
		for _, n := range names {
			i := indexOf(layers, n)
			if i < 0 {
				complete = false
				break
			}

			sum += layers[i].After.Unzipped
		}

		if complete {
			out = append(out, measure.JudgeStack(names, sum, ws.Total))
		}
	}

	return out
}

// judge turns a complete report into a fault when it says no. The gate comes first, since it
// explains most probes that fail.
func judge(rep report.Report, in BuildInput) error {
	for _, l := range rep.Layers {
		if len(l.Gate) > 0 {
			f := l.Gate[0]
			more := ""
			if n := len(l.Gate) - 1; n > 0 {
				more = fmt.Sprintf(" (and %d more findings)", n)
			}

			what := f.Subject + ": "
			if f.Subject == l.Name {
				what = ""
			}

			return fault.New(fault.GateFailed, "check", l.Name, fmt.Errorf("%s%s%s", what, f.Message, more)).
				WithHint(f.Hint)
		}
	}

	for _, l := range rep.Layers {
		if l.Probe.Status == report.ProbeFailed {
			return probeFault(l)
		}
	}

	for _, l := range rep.Layers {
		if l.Verdict != measure.Within && l.Verdict != "" {
			return fault.New(fault.OverLimit, "measure", l.Name,
				fmt.Errorf("%s: %s unzipped, %s zipped; budget %s unzipped, %s zipped", l.Verdict, l.After.Unzipped,
					l.Zip.Bytes, orNone(l.Budget.Unzipped), orNone(l.Budget.Zipped))).
				WithHint("run: layersmith report, then raise the budget, name submodules (modules), or set bytecode: " +
					"none in " + l.Name + "/layer.yaml")
		}
	}

	for _, st := range rep.Stacks {
		if st.Verdict != measure.Within {
			return fault.New(fault.OverLimit, "measure", "the stack "+strings.Join(st.Layers, " + "),
				fmt.Errorf("%s: %s unzipped, budget %s, Lambda's limit 262,144,000 bytes", st.Verdict, st.Unzipped,
					st.Budget)).
				WithHint("let layers extend each other so that nothing is carried twice, or raise budget.total in " +
					"workspace.yaml")
		}
	}

	if in.Strict {
		for _, l := range rep.Layers {
			if l.Probe.Status == report.NotProbed {
				return fault.New(fault.NotProbed, "probe", l.Name, errors.New(l.Probe.Reason)).
					WithHint("name the target's interpreter with --python, or build without --strict")
			}
		}
	}

	return nil
}

func orNone(b measure.Bytes) string {
	if b == 0 {
		return "none"
	}

	return b.String()
}

func probeFault(l report.Layer) error {
	f := l.Probe.Failures[0]
	for _, x := range l.Probe.Failures {
		if !x.Inherited {
			f = x
			break
		}
	}

	return fault.New(fault.ProbeFailed, "probe", l.Name, fmt.Errorf("%s %s: %s", f.Kind, f.Name, lastLine(f.Detail))).
		WithHint(probeHint(l, f))
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// probeHint says what to do about a failure.
func probeHint(l report.Layer, f probe.Result) string {
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
