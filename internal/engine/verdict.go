package engine

import (
	"errors"
	"slices"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Judged is a report with the verdicts of today's workspace: the sizes are those that were
// measured, the budgets those of the workspace as it is now. Build, check, status and report all
// print what it says. Layers that the workspace does not have any more are left out.
func Judged(ws workspace.Workspace, rep report.Report) report.Report {
	var layers []report.Layer
	for _, spec := range ws.Layers {
		i := indexOf(rep.Layers, spec.Name)
		if i < 0 {
			continue
		}

		l := rep.Layers[i]
		l.Budget = spec.Budget
		if l.Zip.Name != "" {
			l.Verdict = measure.Judge(l.After.Unzipped, l.Zip.Bytes, l.Budget)
		}

		layers = append(layers, l)
	}

	rep.Layers = layers
	rep.Stacks = Stacks(ws, layers)
	return rep
}

// JudgeReport returns the most important fault of a complete report; nil for none. strict makes a
// layer that was not probed a fault.
func JudgeReport(rep report.Report, strict bool) error { return judge(rep, strict) }

// JudgeAll returns the most important fault of each layer and those of the stacks, joined; nil for
// none.
func JudgeAll(rep report.Report, strict bool) error {
	var faults []error
	for _, l := range rep.Layers {
		faults = append(faults, Judge(l, strict))
	}

	for _, st := range rep.Stacks {
		faults = append(faults, stackFault(rep, st))
	}

	return errors.Join(faults...)
}

// StacksOf are the stacks that have at least one of the layers of a report. Layers that the report
// does not have are taken from another, such as that of the last build.
func StacksOf(ws workspace.Workspace, rep, other report.Report) []measure.Stack {
	layers := rep.Layers
	for _, l := range other.Layers {
		if other.Target == rep.Target && indexOf(layers, l.Name) < 0 {
			layers = append(slices.Clip(layers), l)
		}
	}

	return slices.DeleteFunc(Stacks(ws, layers), func(s measure.Stack) bool {
		return !slices.ContainsFunc(s.Layers, func(name string) bool { return indexOf(rep.Layers, name) >= 0 })
	})
}
