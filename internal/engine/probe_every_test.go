package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// "Fails unpruned too" is no acquittal of a direct requirement none of whose modules can be
// imported.
func TestProbeOfUselessRequirements(t *testing.T) {
	t.Parallel()
	tree := porttest.Tree(t, "python/a.py=", "python/b.py=", "python/c.py=")
	dists := []wheel.Distribution{
		{Name: name(t, "one"), Files: []string{"a.py", "b.py"}},
		{Name: name(t, "two"), Files: []string{"c.py"}},
	}
	for sentence, c := range map[string]struct {
		broken, direct string
		status         report.ProbeStatus
		fatal          string
	}{
		"all modules of a direct requirement":     {"a b", "one", report.ProbeFailed, "[a b]"},
		"one of two modules":                      {"a", "one", report.ProbePassed, "[]"},
		"all of one that is not asked for itself": {"c", "one", report.ProbePassed, "[]"},
		"without a list, what nothing requires":   {"c", "", report.ProbeFailed, "[c]"},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := &machine{target: testTarget(t), fails: func(j probe.Job, _ func(string) bool) string {
				if j.Kind == probe.Module && slices.Contains(strings.Fields(c.broken), j.Name) {
					return "ModuleNotFoundError: No module named 'telnetlib'"
				}

				return ""
			}}
			q := engine.Question{
				Name: "m", Stack: []string{"m"}, Trees: []ziptree.Tree{tree}, Unpruned: []ziptree.Tree{tree},
				Place: place.Layer, Distributions: dists,
			}
			if c.direct != "" {
				q.Direct = []pydist.Name{name(t, c.direct)}
			}

			got, err := prober(m).Run(context.Background(), q)
			if err != nil || got.Status != c.status {
				t.Fatalf("%+v, %v", got, err)
			}

			fatal := []string{}
			for _, f := range got.Failures {
				if f.Fatal {
					fatal = append(fatal, f.Name)
				}

				if !strings.Contains(f.Advice(), "standard-telnetlib") {
					t.Errorf("advice %q", f.Advice())
				}
			}

			if fmt.Sprint(fatal) != c.fatal {
				t.Errorf("fatal %v", fatal)
			}
		})
	}
}

// Every module of a distribution that lost a source is imported, and compared with the unpruned
// layer: what fails there too is only counted.
func TestProbeImportsEveryModuleOfWhatPruningChanged(t *testing.T) {
	t.Parallel()
	f := newClinic(t, map[string][]string{"alpha": {
		"alpha/__init__.py=", "alpha/deep/__init__.py=", "alpha/deep/_private.py=", "alpha/deep/optional.py=",
		"alpha/deep/__main__.py=", "alpha/tests/__init__.py=", "alpha/tests/test_a.py=", "alpha/tests/util.py=",
	}})
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		switch {
		case j.Name == "alpha.deep._private" && !has("python/alpha/tests/util.py"):
			return byModule("alpha/tests/util.py")
		case j.Name == "alpha.deep.optional":
			return "ModuleNotFoundError: No module named 'torch'"
		}

		return ""
	}
	rep, _, err := f.build().Run(context.Background(), f.input())
	wantFault(t, err, fault.ProbeFailed, "module alpha.deep._private: ")
	p := rep.Layers[0].Probe
	if p.Swept != 2 || fmt.Sprint(p.Broken) != "[alpha.deep.optional]" || len(p.Failures) != 1 {
		t.Errorf("%d further modules, broken %v, %+v", p.Swept, p.Broken, p.Failures)
	}

	if slices.Contains(f.python.probed, "module alpha.deep.__main__") {
		t.Error("a program was imported")
	}

	if _, _, err := f.heal(); err != nil || !strings.Contains(f.written["alpha/layer.yaml"], "alpha/tests/util.py") {
		t.Errorf("%v, %q", err, f.written)
	}
}

// A copy of the workspace with the same cache does not ask again what passed, and asks again what
// failed.
func TestVerdictsAreShared(t *testing.T) {
	t.Parallel()
	files := map[string][]string{"alpha": {"alpha/__init__.py=", "alpha/old/__init__.py="}}
	first := newClinic(t, files)
	first.python.fails = func(j probe.Job, _ func(string) bool) string {
		if j.Name == "alpha.old" {
			return "ImportError: it never worked"
		}

		return ""
	}
	if _, _, err := first.build().Run(context.Background(), first.input()); err != nil {
		t.Fatal(err)
	}

	second := newClinic(t, files)
	second.cache = first.cache
	second.python.fails = first.python.fails
	rep, _, err := second.build().Run(context.Background(), second.input())
	if err != nil {
		t.Fatal(err)
	}

	// On the pruned layer, and on the unpruned one.
	if got := fmt.Sprint(second.python.probed); got != "[module alpha.old module alpha.old]" {
		t.Errorf("asked %v", got)
	}

	if p := rep.Layers[0].Probe; p.Modules != 2 || p.Import == nil || len(second.python.imported) != 0 {
		t.Errorf("%+v, imported %v", p, second.python.imported)
	}
}
