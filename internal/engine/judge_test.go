package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

// Each step makes the report worse, and judge returns the fault of the step.
func TestJudgeNamesTheDeepestReasonFirst(t *testing.T) {
	own := probe.Result{Job: probe.Job{Kind: probe.Module, Name: "own"}, Detail: "Traceback\nImportError: ours"}
	theirs := probe.Result{
		Job:       probe.Job{Kind: probe.Script, Name: "theirs"},
		Detail:    "ImportError: theirs",
		Inherited: true,
	}
	steps := []struct {
		name   string
		worse  func(r *report.Report)
		strict bool
		code   fault.Code
		err    string
	}{
		{name: "everything passes", worse: func(*report.Report) {}},
		{name: "not probed passes", worse: func(r *report.Report) {
			r.Layers[1].Probe = report.Probe{Status: report.NotProbed, Reason: "no interpreter"}
		}},
		{
			name:   "not probed fails when strict",
			worse:  func(*report.Report) {},
			strict: true,
			code:   fault.NotProbed,
			err:    "probe b: no interpreter",
		},
		{
			name:   "a stack before that",
			strict: true,
			code:   fault.OverLimit,
			err:    "measure the stack a + b: over budget: ",
			worse: func(r *report.Report) {
				r.Stacks = []measure.Stack{measure.JudgeStack([]string{"a", "b"}, 200_000_000, 100_000_000)}
			},
		},
		{
			name:  "a layer before its stack",
			worse: func(r *report.Report) { r.Layers[1].Verdict = measure.OverBudget },
			code:  fault.OverLimit,
			err:   "measure b: over budget: ",
		},
		{
			name: "an inherited failure of a script before sizes",
			code: fault.ProbeFailed,
			err:  "probe b: script theirs: ImportError: theirs",
			worse: func(r *report.Report) {
				r.Layers[1].Probe = report.Probe{Status: report.ProbeFailed, Failures: []probe.Result{theirs}}
			},
		},
		{
			name:  "our own failure before an inherited one",
			code:  fault.ProbeFailed,
			err:   "probe b: module own: ImportError: ours",
			worse: func(r *report.Report) { r.Layers[1].Probe.Failures = []probe.Result{theirs, own} },
		},
		{
			name: "the gate before probes",
			code: fault.GateFailed,
			err:  "check b: x.so: is not aligned (and 1 more finding)",
			worse: func(r *report.Report) {
				r.Layers[1].Gate = []gate.Finding{{Subject: "x.so", Message: "is not aligned"}, {Subject: "y.so"}}
			},
		},
		{
			name: "layers in order",
			code: fault.GateFailed,
			err:  "check a: z.so: is broken",
			worse: func(r *report.Report) {
				r.Layers[0].Gate = []gate.Finding{{Subject: "z.so", Message: "is broken"}}
			},
		},
	}
	rep := report.Report{Layers: []report.Layer{
		{Name: "a", Verdict: measure.Within, Probe: report.Probe{Status: report.ProbePassed}},
		{Name: "b", Verdict: measure.Within, Probe: report.Probe{Status: report.ProbePassed}},
	}}
	for _, s := range steps {
		s.worse(&rep)
		err := judge(rep, s.strict)
		var f *fault.Error
		switch {
		case s.code == "":
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		case !errors.As(err, &f) || f.Code != s.code || !strings.HasPrefix(err.Error(), s.err):
			t.Errorf("%s: %v, want %v %q", s.name, err, s.code, s.err)
		}
	}
}

func TestEveryFaultOfJudgeHasAHint(t *testing.T) {
	for _, l := range []report.Layer{
		{Name: "a", Verdict: measure.OverLimit},
		{Name: "a", Probe: report.Probe{Status: report.ProbeFailed, Failures: []probe.Result{{}}}},
	} {
		if err := Judge(l, false); fault.HintOf(err) == "" {
			t.Errorf("no hint: %v", err)
		}
	}

	err := Judge(report.Layer{Probe: report.Probe{Status: report.NotProbed, Reason: "x"}}, true)
	if fault.CodeOf(err) != fault.NotProbed || fault.HintOf(err) == "" {
		t.Errorf("strict: %v", err)
	}
}
