package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// healCase is a job that pruning broke, and what healing writes.
type healCase struct {
	files []string
	fails func(probe.Job, func(string) bool) string
	runs  int    // of the interpreter while healing, at most
	want  string // layer.yaml
	told  string // "" where it is like that of another case
}

func TestHeal(t *testing.T) {
	for sentence, c := range map[string]healCase{
		"a file that the error names takes one run": {
			many(300), needs(byPath, "alpha/sub/tests/data.txt"), 1,
			keepList(atCore, "alpha/sub/tests/data.txt"),
			"alpha kept alpha/sub/tests/data.txt (5 B, rule tests): script probe.py fails without it " +
				"(alpha/core.py:7); written to layers/alpha/layer.yaml",
		},
		"a module that the error names": {
			many(300), needs(byModule, "alpha/tests/test_123.py"), 1,
			keepList("", "alpha/tests/test_123.py"), "",
		},
		"files that errors name one after the other": {
			many(300), needs(byPath, "alpha/sub/tests/data.txt", "alpha/tests/test_007.py"), 4,
			keepList(atCore, "alpha/sub/tests/data.txt", "alpha/tests/test_007.py"), "",
		},
		"a file that no error names is found by halving": {
			many(300), needs(silently, "alpha/tests/test_123.py"), 34,
			keepList("", "alpha/tests/test_123.py"), "",
		},
		"two files of one folder that no error names": {
			many(60), needs(silently, "alpha/tests/test_023.py", "alpha/tests/test_042.py"), 38,
			keepList("", "alpha/tests/test_023.py", "alpha/tests/test_042.py"), "",
		},
		"files of two rules": {
			many(20), needs(silently, "alpha/a.pyi", "alpha/sub/tests/data.txt"), 38,
			keepList("", "alpha/a.pyi", "alpha/sub/tests/data.txt"), "",
		},
		"a folder all of which is needed is one entry": {
			append(many(20), "alpha/tests/set/1.bin=1", "alpha/tests/set/2.bin=2", "alpha/tests/set/3/x.bin=3"),
			needs(silently, "alpha/tests/set/1.bin", "alpha/tests/set/2.bin", "alpha/tests/set/3/x.bin"), 40,
			keepList("", "alpha/tests/set/**"),
			"alpha kept alpha/tests/set/** (3 files, 3 B, rule tests): script probe.py fails without it; written to " +
				"layers/alpha/layer.yaml",
		},
		"an odd name is matched literally": {
			append(many(3), "alpha/tests/a[1]*.txt=1", "alpha/tests/a1b.txt=2"),
			needs(silently, "alpha/tests/a[1]*.txt"), 20,
			keepList("", `alpha/tests/a\\[1\\]\\*.txt`), "",
		},
	} {
		t.Run(sentence, func(t *testing.T) { c.run(t) })
	}
}

func (c healCase) run(t *testing.T) {
	f := newAlphaClinic(t, c.files)
	f.python.fails = c.fails
	rep, changed, err := f.heal()
	if err != nil || !changed {
		t.Fatal(changed, err)
	}

	if d := cmp.Diff(c.want, f.written["alpha/layer.yaml"]); d != "" {
		t.Error(d)
	}

	if c.told != "" && strings.Join(f.told, "\n") != c.told {
		t.Errorf("told %q", f.told)
	}

	l := rep.Layers[0]
	c.checkReport(t, l, f)
	next := c.buildAgain(t, f.written["alpha/layer.yaml"], l)

	// The same build has nothing left to do.
	f.ws = next.ws
	if _, changed, err := f.heal(); changed || err != nil || f.writes != 1 {
		t.Errorf("asked again: changed %v, %v, %d writes", changed, err, f.writes)
	}
}

func (c healCase) checkReport(t *testing.T, l report.Layer, f *clinic) {
	t.Helper()
	if l.Probe.Status != report.ProbePassed || len(l.Healed) == 0 || l.Probe.Healing == nil ||
		l.Probe.Healing.Why != "" {
		t.Fatalf("probe %+v, healed %+v", l.Probe, l.Healed)
	}

	// The probe runs the script before and after, and once on the unpruned layer.
	if n := f.scriptRuns() - 3; n != l.Probe.Healing.Runs || n > c.runs {
		t.Errorf("%d runs, the report says %d, want at most %d", n, l.Probe.Healing.Runs, c.runs)
	}

	if len(f.python.mounts) != 0 {
		t.Errorf("%d mounts are left", len(f.python.mounts))
	}
}

// buildAgain builds with the layer.yaml that was written: there is nothing to heal, and the zip is
// the same.
func (c healCase) buildAgain(t *testing.T, layerYAML string, l report.Layer) *clinic {
	t.Helper()
	f := newAlphaClinic(t, c.files, "alpha/layer.yaml="+layerYAML)
	f.python.fails = c.fails
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	same := rep.Layers[0].Zip.SHA256 == l.Zip.SHA256 && rep.Layers[0].Key == l.Key
	if f.writes != 0 || f.scriptRuns() != 1 || !same {
		t.Errorf("built again: %d writes, %d runs, the same zip: %v", f.writes, f.scriptRuns(), same)
	}

	return f
}

func TestHealKeepsWhatTheFileSays(t *testing.T) {
	const was = "# ours\nkeep:\n  - { match: \"alpha/a.pyi\", reason: we read it } # really\nbytecode: none\n"
	f := newAlphaClinic(t, many(3), "alpha/layer.yaml="+was)
	f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
	if _, _, err := f.heal(); err != nil {
		t.Fatal(err)
	}

	added := strings.TrimPrefix(keepList(atCore, "alpha/sub/tests/data.txt"), "keep:\n")
	want := strings.Replace(was, "# really\n", "# really\n"+added, 1)
	if d := cmp.Diff(want, f.written["alpha/layer.yaml"]); d != "" {
		t.Error(d)
	}
}

func TestHealOfSeveralJobs(t *testing.T) {
	f := newAlphaClinic(t, many(30))
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		switch {
		case j.Kind == probe.Module && !has("python/alpha/tests/test_001.py"):
			return silently("")
		case j.Kind == probe.Script && !has("python/alpha/tests/test_001.py"): // the same cause
			return silently("")
		case j.Kind == probe.Metadata && !has("python/alpha/b.pyi"):
			return byPath("alpha/b.pyi")
		}

		return ""
	}
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	want := "keep:\n" +
		`  - { match: "alpha/b.pyi", reason: "metadata alpha fails without it` + atCore + healedMark +
		`  - { match: "alpha/tests/test_001.py", reason: "import alpha fails without it` + healedMark
	if d := cmp.Diff(want, f.written["alpha/layer.yaml"]); d != "" {
		t.Error(d)
	}

	if n := f.scriptRuns() - 3; n != 1 {
		t.Errorf("the script was tried %d times, want once: it needs the same file as the module", n)
	}

	if rep.Layers[0].Probe.Status != report.ProbePassed {
		t.Errorf("%+v", rep.Layers[0].Probe)
	}
}

func TestHealUndoesATransform(t *testing.T) {
	const model = "botocore/data/s3/2006-03-01/service-2.json"
	content := `{"version": "2.0", "documentation": "` + strings.Repeat("long ", 100) + `", "operations": {}}`
	f := newClinic(t, map[string][]string{"botocore": {"botocore/__init__.py=", model + "=" + content}},
		"botocore/probe.py=import botocore\n", "botocore/layer.yaml=description: x\n")
	python := &seeing{machine: f.python}
	f.python.fails = func(j probe.Job, _ func(string) bool) string {
		e, _ := python.mounts[python.mount][0].Lookup("python/" + model)
		if b, err := e.Bytes(1 << 20); j.Name == "probe.py" && (err != nil || string(b) != content) {
			return "KeyError: 'documentation'"
		}

		return ""
	}
	b := f.build()
	b.Python = python
	b.Heal = &engine.Heal{Now: time.Now, Write: f.write}
	rep, _, err := f.healWith(b, f.input())
	if err != nil {
		t.Fatal(err)
	}

	want := `- { match: "` + model + `", reason: "script probe.py fails without it; healed `
	if !strings.Contains(f.written["botocore/layer.yaml"], want) ||
		fmt.Sprint(rep.Layers[0].Healed[0].Rules) != "[botocore-docs]" {
		t.Errorf("%q, healed %+v", f.written, rep.Layers[0].Healed)
	}
}

func TestHealFindsTheLayerOfTheStack(t *testing.T) {
	for sentence, c := range map[string]struct {
		ask  []string
		says func(string) string
	}{
		"of all layers":                        {nil, silently},
		"when the error names the file":        {nil, byPath},
		"when only the upper one is asked for": {[]string{"beta"}, silently},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := stacked(t)
			f.python.fails = needs(c.says, "alpha/sub/tests/data.txt")
			b := f.build()
			b.Heal = &engine.Heal{Now: time.Now, Write: f.write}
			rep, _, err := f.healWith(b, f.input(c.ask...))
			if err != nil {
				t.Fatal(err)
			}

			if len(f.written) != 1 || !strings.Contains(f.written["alpha/layer.yaml"], `"alpha/sub/tests/data.txt"`) {
				t.Errorf("written %q", f.written)
			}

			if len(rep.Layers) != 2 {
				t.Fatalf("%+v", rep.Layers)
			}

			lower, upper := rep.Layers[0], rep.Layers[1]
			if len(lower.Healed) != 1 || len(upper.Healed) != 0 || upper.Probe.Healing == nil ||
				upper.Probe.Status != report.ProbePassed {
				t.Errorf("%+v", rep.Layers)
			}
		})
	}
}

func TestHealOfAnEarlierBuild(t *testing.T) {
	f := newAlphaClinic(t, many(3))
	f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
	if _, _, err := f.build().Run(context.Background(), f.input()); fault.CodeOf(err) != fault.ProbeFailed {
		t.Fatal(err)
	}

	rep, changed, err := f.heal()
	if err != nil || !changed || f.writes != 1 || rep.Layers[0].Probe.Status != report.ProbePassed {
		t.Errorf("changed %v, %v, %d writes", changed, err, f.writes)
	}
}

// The entries that healing writes, loaded again, give the layer that passed.
func TestHealedLayersAreLoadedAsTheyWereBuilt(t *testing.T) {
	f := newAlphaClinic(t, many(3), "alpha/layer.yaml=description: x\n")
	f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	ws, _ := load(t, "alpha/requirements.txt=alpha\n", "alpha/probe.py=import alpha\n",
		"alpha/layer.yaml="+f.written["alpha/layer.yaml"])
	l, _ := ws.Layer("alpha")
	if rep.Layers[0].Inputs.LayerSpec != l.Digest {
		t.Error("the report has the digest of another layer.yaml")
	}

	healed := rep.Layers[0].Healed[0]
	want := []policy.Choice{{Match: healed.Match, Reason: healed.Reason}}
	if !cmp.Equal(l.Policy.Keep, want) || l.Bytecode != workspace.Auto {
		t.Errorf("%+v, want %+v; bytecode %s", l.Policy.Keep, want, l.Bytecode)
	}
}
