package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// failing makes jobs of one kind fail with an error.
func failing(kind probe.Kind, detail string) func(probe.Job, func(string) bool) string {
	return func(j probe.Job, _ func(string) bool) string {
		if j.Kind == kind {
			return detail
		}

		return ""
	}
}

func prober(m *machine) engine.Prober { return engine.Prober{Python: m, Mounts: m, Progress: silent{}} }

func TestProbeBlame(t *testing.T) {
	pruned := porttest.Tree(t, "python/m.py=x")
	unpruned := []ziptree.Tree{porttest.Tree(t, "python/m.py=x", "python/data.txt=y")}
	needsData := func(j probe.Job, has func(string) bool) string {
		if j.Kind == probe.Module && !has("python/data.txt") {
			return "FileNotFoundError: data.txt"
		}

		return ""
	}
	modulesFail := failing(probe.Module, "ImportError: cannot")
	scriptsFail := failing(probe.Script, "ImportError: cannot")
	const (
		passed = report.ProbePassed
		failed = report.ProbeFailed
	)
	for sentence, c := range map[string]struct {
		fails     func(probe.Job, func(string) bool) string
		unpruned  []ziptree.Tree
		status    report.ProbeStatus
		inherited bool
		failures  int
		imported  string // modules whose import was timed
	}{
		"nothing fails":                                    {nil, unpruned, passed, false, 0, "[[m json]]"},
		"what fails pruned only is ours":                   {needsData, unpruned, failed, false, 1, "[]"},
		"what fails unpruned too is inherited":             {modulesFail, unpruned, passed, true, 1, "[[json]]"},
		"a script that fails unpruned too is a failure":    {scriptsFail, unpruned, failed, true, 1, "[]"},
		"without an unpruned layer, all failures are ours": {modulesFail, nil, failed, false, 1, "[]"},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := &machine{target: testTarget(t), fails: c.fails}
			got, err := prober(m).Run(context.Background(), engine.Question{
				Name:          "m",
				Stack:         []string{"m"},
				Trees:         []ziptree.Tree{pruned},
				Unpruned:      c.unpruned,
				Place:         place.Layer,
				Distributions: []wheel.Distribution{{Name: name(t, "m"), Files: []string{"m.py"}}},
				Own:           "pass",
				Imports:       []string{"m", "json"},
				Direct:        []pydist.Name{name(t, "other")},
			})
			if err != nil || got.Status != c.status || len(got.Failures) != c.failures ||
				got.Modules != 1 || got.Metadata != 1 || got.Scripts != 1 {
				t.Fatalf("%+v, %v", got, err)
			}

			for _, f := range got.Failures {
				if f.Inherited != c.inherited {
					t.Errorf("%s %s: inherited %v", f.Kind, f.Name, f.Inherited)
				}
			}

			if fmt.Sprint(m.imported) != c.imported {
				t.Errorf("import time of %v, want %s", m.imported, c.imported)
			}

			if len(m.mounts) != 0 {
				t.Errorf("%d mounts are left", len(m.mounts))
			}
		})
	}
}

func TestProbeSkipsWhatTheLayerChoseToLeaveOut(t *testing.T) {
	m := &machine{
		target: testTarget(t),
		fails:  failing(probe.Module, "ModuleNotFoundError: No module named 'gone'"),
	}
	got, err := prober(m).Run(context.Background(), engine.Question{
		Name:   "m",
		Trees:  []ziptree.Tree{porttest.Tree(t, "python/m.py=x")},
		Place:  place.Layer,
		Chosen: func(module string) bool { return module == "gone" },
	})
	if err != nil || got.Status != report.ProbePassed || len(got.Skipped) != 1 || len(got.Failures) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
