package engine

import (
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
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

// Where nobody sets a budget, auto leaves room for the function's own code, in prune too.
func TestAutoLeavesRoomForCode(t *testing.T) {
	t.Parallel()
	ws := workspace.Workspace{Total: measure.MaxUnzippedBytes, Layers: []workspace.Layer{{Name: "a"}}}
	limit := measure.Bytes(225 << 20)
	for size, want := range map[measure.Bytes]bool{limit: true, limit + 1: false} {
		r := room{ws: ws, stacks: stackNames(ws), sizes: map[string]measure.Size{"a": {Unzipped: size}}}
		if got := r.fits("a"); got != want {
			t.Errorf("%s: %v", size, got)
		}
	}

	below, err := ziptree.New([]ziptree.Entry{ziptree.File("a", make([]byte, 1000), "")})
	if err != nil {
		t.Fatal(err)
	}

	in := PruneInput{Total: 5000, Below: []ziptree.Tree{below, below}}
	if got := in.room(); got != 3000 {
		t.Error(got)
	}

	in.Total = 1000
	if got := in.room(); got != 1 {
		t.Error(got)
	}
}

func TestLargestLevers(t *testing.T) {
	t.Parallel()
	l := report.Layer{
		Name:     "ml",
		Bytecode: report.Bytecode{Mode: "unchecked-hash", Size: measure.Size{Unzipped: 30e6}},
		Packages: measure.Sizes{"scipy": {Unzipped: 90e6}, "botocore": {Unzipped: 20e6}, "boto3": {Unzipped: 1e6}},
		Parts:    []report.Sized{{Name: "scipy/stats", Unzipped: 25e6}, {Name: "botocore/data", Unzipped: 19e6}},
	}
	const want = "what saves most: 90.0 MB with scipy in a layer of its own, for the functions that need it; " +
		"30.0 MB with `bytecode: none` in ml/layer.yaml (about 2.1 s more at a cold start); " +
		"25.0 MB with `drop: [{ match: \"scipy/stats/**\", reason: not used }]` in ml/layer.yaml"
	if got := largestLevers([]report.Layer{l}); got != want {
		t.Error(got)
	}

	l.Parts = nil
	l.Bytecode.Mode = "sourceless"
	if got := largestLevers([]report.Layer{l}); !strings.Contains(got, "21.0 MB with `rules: { boto-runtime: ") {
		t.Error(got)
	}

	if got := largestLevers([]report.Layer{{}}); got != "" {
		t.Error(got)
	}
}
