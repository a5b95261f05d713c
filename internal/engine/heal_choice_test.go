package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

// What layer.yaml leaves out is never restored, whether the error names it or not.
func TestHealDoesNotUndoWhatTheLayerChose(t *testing.T) {
	const model = "botocore/data/ec2/2016-11-15/service-2.json"
	for sentence, c := range map[string]struct {
		dist, layerYAML string
		files           []string
		needs, choice   string
	}{
		"by a rule that it switches on": {
			"scikit-learn", "rules:\n  sklearn-datasets: { enabled: true, reason: small }\n",
			[]string{"sklearn/__init__.py=", "sklearn/a.pyi=", "sklearn/datasets/data/iris.csv=1"},
			"sklearn/datasets/data/iris.csv", "rule sklearn-datasets",
		},
		"by the services that it lists": {
			"botocore", "services: [s3]\n",
			[]string{"botocore/__init__.py=", "botocore/a.pyi=", model + "={}", "botocore/data/s3/1/service-2.json={}"},
			model, "services",
		},
		"by the modules that it lists": {
			"demo", "modules: { demo: [core] }\n",
			[]string{"demo/__init__.py=", "demo/a.pyi=", "demo/core/__init__.py=", "demo/other/data.txt=1"},
			"demo/other/data.txt", "modules",
		},
		"by its drop list": {
			"demo", "drop:\n  - { match: demo/data.txt, reason: no }\n",
			[]string{"demo/__init__.py=", "demo/a.pyi=", "demo/data.txt=1"},
			"demo/data.txt", "drop demo/data.txt",
		},
	} {
		for kind, says := range map[string]func(string) string{"named": byPath, "not named": silently} {
			t.Run(sentence+", "+kind, func(t *testing.T) {
				t.Parallel()
				f := newClinic(t, map[string][]string{c.dist: c.files},
					c.dist+"/layer.yaml="+c.layerYAML, c.dist+"/probe.py=pass\n")
				ours := needs(says, c.needs)
				f.python.fails = func(j probe.Job, has func(string) bool) string {
					if j.Name != "probe.py" {
						return "" // a built-in script
					}

					return ours(j, has)
				}
				rep, _, err := f.heal()
				wantFault(t, err, fault.ProbeFailed, "script probe.py")
				h := rep.Layers[0].Probe.Healing
				if f.writes != 0 || h == nil || !strings.Contains(h.Cause, "("+c.choice+")") {
					t.Errorf("%d writes, %+v; want the cause %q", f.writes, h, c.choice)
				}

				// Only the default rule is one to undo.
				const why = "script probe.py fails even with all restored that rule stubs removed or changed"
				if h != nil && h.Why != why {
					t.Errorf("why: %s", h.Why)
				}
			})
		}
	}
}

// A job that fails for want of a module that layer.yaml leaves out is skipped. A module that it
// keeps, or that a default rule removes, is not left out.
func TestJobsThatNeedWhatTheLayerChoseAreSkipped(t *testing.T) {
	const alpha = "alpha/__init__.py= alpha/extra.py= alpha/core/__init__.py= alpha/other/__init__.py= " +
		"alpha/tests/__init__.py= alpha/tests/test_a.py="
	for sentence, c := range map[string]struct {
		dist, files, layerYAML, missing string
		skipped                         bool
	}{
		"dropped by the layer": {
			"alpha", alpha, "drop:\n  - { match: alpha/extra.py, reason: no }\n", "alpha.extra", true,
		},
		"dropped by a rule that the layer switches on": {
			"jmespath", "jmespath/__init__.py= jmespath/parser.py=",
			"rules:\n  boto-runtime: { enabled: true, reason: theirs }\n", "jmespath.parser", true,
		},
		"not in the list of modules": {"alpha", alpha, "modules: { alpha: [core] }\n", "alpha.other", true},
		"dropped by a default rule":  {"alpha", alpha, "bytecode: none\n", "alpha.tests.test_a", false},
		"kept by the layer": {
			"alpha", alpha, "keep:\n  - { match: alpha/tests/test_a.py, reason: we run it }\n",
			"alpha.tests.test_a", false,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newClinic(t, map[string][]string{c.dist: strings.Fields(c.files)},
				c.dist+"/layer.yaml="+c.layerYAML, c.dist+"/probe.py=pass\n")
			f.python.fails = func(j probe.Job, _ func(string) bool) string {
				if j.Name != "probe.py" {
					return "" // a built-in script
				}

				return "ModuleNotFoundError: No module named '" + c.missing + "'"
			}
			rep, _, err := f.build().Run(t.Context(), f.input())
			if c.skipped != (err == nil) {
				t.Fatal(err)
			}

			if p := rep.Layers[0].Probe; len(p.Skipped) == 1 != c.skipped || len(p.Failures) == 0 != c.skipped {
				t.Errorf("skipped %+v, failures %+v", p.Skipped, p.Failures)
			}
		})
	}
}

// A trial that comes as far as a module that layer.yaml leaves out has passed: the probe skips the
// job there.
func TestHealGoesAsFarAsTheLayerChose(t *testing.T) {
	t.Parallel()
	f := newAlphaClinic(t, append(many(3), "alpha/extra.py="),
		"alpha/layer.yaml=drop:\n  - { match: alpha/extra.py, reason: no }\n")
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		switch {
		case j.Kind == probe.Script && !has("python/alpha/tests/test_001.py"):
			return byModule("alpha/tests/test_001.py")
		case j.Kind == probe.Script && !has("python/alpha/extra.py"):
			return byModule("alpha/extra.py")
		}

		return ""
	}
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	l := rep.Layers[0]
	if len(l.Healed) != 1 || l.Healed[0].Match != "alpha/tests/test_001.py" || len(l.Probe.Skipped) != 1 {
		t.Errorf("healed %+v, skipped %+v", l.Healed, l.Probe.Skipped)
	}
}

// Files that are kept because something refers to them are not restored: nothing was undone.
func TestHealDoesNotTryWhatIsKept(t *testing.T) {
	t.Parallel()
	f := newAlphaClinic(t, []string{
		"alpha/__init__.py=import alpha.tests.used\n", "alpha/a.pyi=", "alpha/data.txt=1",
		"alpha/tests/__init__.py=", "alpha/tests/used.py=",
	}, "alpha/layer.yaml=drop:\n  - { match: alpha/data.txt, reason: no }\n")
	f.python.fails = needs(silently, "alpha/data.txt")
	rep, _, _ := f.heal()
	const why = "script probe.py fails even with all restored that rule stubs removed or changed"
	if h := rep.Layers[0].Probe.Healing; h == nil || h.Why != why {
		t.Errorf("%+v", h)
	}
}

// Bytecode whose source was removed with it comes back with its source, which is what keep names.
func TestHealRestoresBytecodeWithItsSource(t *testing.T) {
	t.Parallel()
	const bytecode = "alpha/tests/__pycache__/test_a.cpython-313.pyc"
	f := newAlphaClinic(t, []string{
		"alpha/__init__.py=", "alpha/tests/__init__.py=", "alpha/tests/test_a.py=", bytecode + "=" + uncheckedHeader,
	}, "alpha/layer.yaml=bytecode: none\n")
	f.python.fails = needs(silently, bytecode)
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	var kept []string
	for _, h := range rep.Layers[0].Healed {
		kept = append(kept, h.Match)
	}

	if !slices.Equal(kept, []string{"alpha/tests/test_a.py"}) {
		t.Errorf("kept %v", kept)
	}
}

// uncheckedHeader is bytecode of CPython 3.13 that its source does not have to match (PEP 552).
const uncheckedHeader = "\xf3\x0d\x0d\x0a\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// Either all failures of a layer are healed, or none.
func TestHealKeepsNothingWhenAJobCannotBeHealed(t *testing.T) {
	t.Parallel()
	f := newAlphaClinic(t, append(many(3), "alpha/data.txt=1"),
		"alpha/layer.yaml=drop:\n  - { match: alpha/data.txt, reason: no }\n")
	script := needs(byPath, "alpha/data.txt")
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		if j.Kind == probe.Metadata && !has("python/alpha/b.pyi") {
			return byPath("alpha/b.pyi") // this one could be healed
		}

		return script(j, has)
	}
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "probe alpha: ")
	if f.writes != 0 || len(rep.Layers[0].Healed) != 0 {
		t.Errorf("%d writes, healed %+v", f.writes, rep.Layers[0].Healed)
	}
}

// A job may need more of what a rule does than files that keep can name: here bytecode whose source
// is in the layer.
func TestHealKeepsNothingThatDoesNotSuffice(t *testing.T) {
	t.Parallel()
	const stale = "alpha/__pycache__/__init__.cpython-312.pyc"
	f := newAlphaClinic(t, []string{
		"alpha/__init__.py=", stale + "=1", "alpha/__pycache__/gone.cpython-313.pyc=" + uncheckedHeader,
	},
		"alpha/layer.yaml=bytecode: none\n")
	f.python.fails = needs(silently, stale)
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "something is missing")
	const why = "script probe.py passes without rule stale-bytecode, but not with their files kept"
	if h := healings(rep)["alpha"]; f.writes != 0 || h.Why != why {
		t.Errorf("%d writes, %+v", f.writes, h)
	}
}

// healings are the reports of healing, by layer.
func healings(rep report.Report) map[string]report.Healing {
	out := map[string]report.Healing{}
	for _, l := range rep.Layers {
		if l.Probe.Healing != nil {
			out[l.Name] = *l.Probe.Healing
		}
	}

	return out
}
