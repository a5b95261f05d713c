package engine

import (
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

func TestJudgedUsesTodaysBudgets(t *testing.T) {
	t.Parallel()
	old := report.Report{Layers: []report.Layer{
		{Name: "gone", Zip: report.File{Name: "gone.zip"}, Verdict: measure.OverLimit},
		{
			Name: "a", Zip: report.File{Name: "a.zip", Bytes: 50}, After: measure.Size{Unzipped: 100},
			Budget: measure.Budget{Unzipped: 10}, Verdict: measure.OverBudget,
		},
		{Name: "b", Zip: report.File{Name: "b.zip"}, After: measure.Size{Unzipped: 30}, Verdict: measure.Within},
	}}
	ws := workspace.Workspace{Total: 120, Layers: []workspace.Layer{
		{Name: "a", Budget: measure.Budget{Zipped: 50}},
		{Name: "b", Budget: measure.Budget{Unzipped: 29}},
	}}
	rep := Judged(ws, old)
	if len(rep.Layers) != 2 || rep.Layers[0].Verdict != measure.Within || rep.Layers[1].Verdict != measure.OverBudget {
		t.Errorf("%+v", rep.Layers)
	}

	if n := len(rep.Stacks); n != 3 || rep.Stacks[2].Verdict != measure.OverBudget {
		t.Errorf("%+v", rep.Stacks)
	}

	if old.Layers[1].Verdict != measure.OverBudget {
		t.Error("the old report was changed")
	}

	alone := report.Report{Layers: rep.Layers[1:]}
	if got := StacksOf(ws, alone, rep); len(got) != 2 || got[1].Unzipped != 130 {
		t.Errorf("%+v", got)
	}
}

// The error names the failure that fails the build, not the first of the list.
func TestTheErrorNamesWhatFailsTheBuild(t *testing.T) {
	t.Parallel()
	module := probe.Result{Job: probe.Job{Kind: probe.Module, Name: "noted"}, Detail: "x", Inherited: true}
	script := probe.Result{Job: probe.Job{Kind: probe.Script, Name: "counts"}, Detail: "y", Inherited: true}
	imports := probe.Result{Job: ImportsJob([]string{"a", "b"}), Detail: "z", Inherited: true}
	for want, failures := range map[string][]probe.Result{
		"probe l: script counts: y": {module, script},
		"probe l: module a, b: z":   {module, imports},
		"probe l: module noted: x":  {module},
	} {
		l := report.Layer{Name: "l", Probe: report.Probe{Status: report.ProbeFailed, Failures: failures}}
		err := Judge(l, false)
		if err == nil || err.Error() != want || fault.CodeOf(err) != fault.ProbeFailed {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
