package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// clinic is a factory whose builds heal.
type clinic struct {
	*factory
	written map[string]string // layer.yaml files, as they were written last
	writes  int
	told    []string
	limit   int
}

func newClinic(t *testing.T, wheels map[string][]string, files ...string) *clinic {
	return &clinic{factory: newFactory(t, wheels, files...), written: map[string]string{}}
}

func (c *clinic) heal() (report.Report, bool, error) {
	b := c.build()
	b.Heal = &engine.Heal{Now: func() time.Time { return time.Date(2026, 11, 23, 23, 0, 0, 0, time.UTC) }, Runs: c.limit,
		Write: func(name string, text []byte) error {
			c.written[name] = string(text)
			c.writes++
			return nil
		},
		Told: func(layer string, h report.Healed) {
			c.told = append(c.told, report.HealedText(layer, h, "layers/"+h.File))
		}}
	in := c.input()
	return c.healWith(b, in)
}

func (c *clinic) healWith(b engine.Build, in engine.BuildInput) (report.Report, bool, error) {
	in.ReadFile = func(name string) ([]byte, error) {
		if text, ok := c.written[name]; ok {
			return []byte(text), nil
		}

		return c.read(name)
	}
	return b.Run(context.Background(), in)
}

// runs counts how often a script was tried.
func (c *clinic) runs(job string) int {
	n := 0
	for _, p := range c.python.probed {
		if p == job {
			n++
		}
	}

	return n
}

// needs is a script that wants all of these files, and says what it wants only when it is told to.
func needs(says func(missing string) string, files ...string) func(probe.Job, func(string) bool) string {
	return func(j probe.Job, has func(string) bool) string {
		if j.Kind != probe.Script {
			return ""
		}

		for _, f := range files {
			if !has("python/" + f) {
				return says(f)
			}
		}

		return ""
	}
}

func silently(string) string {
	return "Traceback\n  File \"/tmp/script.py\", line 1, in <module>\nRuntimeError: something is missing"
}

func byPath(f string) string {
	return "Traceback\n  File \"/opt/python/alpha/core.py\", line 7, in load\nFileNotFoundError: [Errno 2] No such " +
		"file or directory: '/opt/python/" + f + "'"
}

func byModule(f string) string {
	return "ModuleNotFoundError: No module named '" + strings.ReplaceAll(
		strings.TrimSuffix(strings.TrimSuffix(f, "/__init__.py"), ".py"),
		"/",
		".",
	) + "'"
}

// many is a package with n files in its tests, some stubs, and docs.
func many(n int) []string {
	files := []string{
		"alpha/__init__.py=x = 1\n",
		"alpha/a.pyi=x: int\n",
		"alpha/b.pyi=y: int\n",
		"alpha/sub/tests/__init__.py=",
		"alpha/sub/tests/data.txt=data\n",
		"alpha/sub/tests/more.txt=more\n",
	}
	for i := range n {
		files = append(files, fmt.Sprintf("alpha/tests/test_%03d.py=t = %d\n", i, i),
			fmt.Sprintf("alpha/tests/deep%d/x.txt=d\n", i%7*1000+i))
	}

	return files
}

const mark = ` fails without it (alpha/core.py:7); healed 2026-11-23" }` + "\n"

func TestHeal(t *testing.T) {
	for sentence, c := range map[string]struct {
		files []string
		fails func(probe.Job, func(string) bool) string
		runs  int // at most, of the interpreter, while healing
		want  string
		told  string
	}{
		"a file that the error names takes one run": {many(300), needs(byPath, "alpha/sub/tests/data.txt"), 1,
			"keep:\n" + `  - { match: "alpha/sub/tests/data.txt", reason: "script probe.py` + mark,
			"alpha kept alpha/sub/tests/data.txt (5 B, rule tests): script probe.py fails without it " +
				"(alpha/core.py:7); written to layers/alpha/layer.yaml"},
		"a module that the error names": {many(300), needs(byModule, "alpha/tests/test_123.py"), 1,
			"keep:\n" + `  - { match: "alpha/tests/test_123.py", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n", ""},
		"files that errors name one after the other": {
			many(300),
			needs(byPath, "alpha/sub/tests/data.txt", "alpha/tests/test_007.py"),
			4,
			"keep:\n" + `  - { match: "alpha/sub/tests/data.txt", reason: "script probe.py` + mark +
				`  - { match: "alpha/tests/test_007.py", reason: "script probe.py` + mark,
			"",
		},
		"a file that no error names is found by halving": {many(300), needs(silently, "alpha/tests/test_123.py"), 34,
			"keep:\n" + `  - { match: "alpha/tests/test_123.py", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n", ""},
		"two files of one folder that no error names": {
			many(60),
			needs(silently, "alpha/tests/test_023.py", "alpha/tests/test_042.py"),
			38,
			"keep:\n" + `  - { match: "alpha/tests/test_023.py", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n" +
				`  - { match: "alpha/tests/test_042.py", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n",
			"",
		},
		"files of two rules": {many(20), needs(silently, "alpha/a.pyi", "alpha/sub/tests/data.txt"), 38,
			"keep:\n" + `  - { match: "alpha/a.pyi", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n" +
				`  - { match: "alpha/sub/tests/data.txt", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n", ""},
		"a folder all of which is needed is one entry": {
			append(many(20), "alpha/tests/set/1.bin=1", "alpha/tests/set/2.bin=2", "alpha/tests/set/3/x.bin=3"),
			needs(silently, "alpha/tests/set/1.bin", "alpha/tests/set/2.bin", "alpha/tests/set/3/x.bin"),
			40,
			"keep:\n" + `  - { match: "alpha/tests/set/**", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n",
			"alpha kept alpha/tests/set/** (3 files, 3 B, rule tests): script probe.py fails without it; written to " +
				"layers/alpha/layer.yaml",
		},
		"an odd name is matched literally": {
			append(many(3), "alpha/tests/a[1]*.txt=1", "alpha/tests/a1b.txt=2"),
			needs(silently, "alpha/tests/a[1]*.txt"),
			20,
			"keep:\n" + `  - { match: "alpha/tests/a\\[1\\]\\*.txt", reason: "script probe.py fails without it; healed 2026-11-23" }` + "\n",
			"",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := newClinic(t, map[string][]string{"alpha": c.files}, "alpha/probe.py=import alpha\n")
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
			if l.Probe.Status != report.ProbePassed || len(l.Healed) == 0 || l.Probe.Healing == nil ||
				l.Probe.Healing.Why != "" {
				t.Errorf("probe %+v, healed %+v", l.Probe, l.Healed)
			}

			// The probe runs it before and after, and once on the unpruned layer.
			if n := f.runs("script probe.py") - 3; n != l.Probe.Healing.Runs || n > c.runs {
				t.Errorf("%d runs, the report says %d, want at most %d", n, l.Probe.Healing.Runs, c.runs)
			}

			if len(f.python.mounts) != 0 {
				t.Errorf("%d mounts are left", len(f.python.mounts))
			}

			// With what was written, another build has nothing to heal and makes the same zip.
			again := newClinic(t, map[string][]string{"alpha": c.files}, "alpha/probe.py=import alpha\n",
				"alpha/layer.yaml="+f.written["alpha/layer.yaml"])
			again.python.fails = c.fails
			rep2, _, err := again.heal()
			if err != nil || again.writes != 0 || again.runs("script probe.py") != 1 ||
				rep2.Layers[0].Zip.SHA256 != l.Zip.SHA256 ||
				rep2.Layers[0].Key != l.Key {
				t.Errorf("built again: %d writes, %d runs, %v", again.writes, again.runs("script probe.py"), err)
			}

			// And nothing has to be done at all when the same build is asked for again.
			f.ws = again.ws
			if _, changed, err := f.heal(); changed || err != nil || f.writes != 1 {
				t.Errorf("asked again: changed %v, %v, %d writes", changed, err, f.writes)
			}
		})
	}
}

func TestHealKeepsWhatTheFileSays(t *testing.T) {
	const was = "# ours\nkeep:\n  - { match: \"alpha/a.pyi\", reason: we read it } # really\nbytecode: none\n"
	f := newClinic(t, map[string][]string{"alpha": many(3)}, "alpha/probe.py=import alpha\n", "alpha/layer.yaml="+was)
	f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
	if _, _, err := f.heal(); err != nil {
		t.Fatal(err)
	}

	want := strings.Replace(was, "# really\n",
		"# really\n"+`  - { match: "alpha/sub/tests/data.txt", reason: "script probe.py`+mark, 1)
	if d := cmp.Diff(want, f.written["alpha/layer.yaml"]); d != "" {
		t.Error(d)
	}
}

func TestHealOfSeveralJobs(t *testing.T) {
	f := newClinic(t, map[string][]string{"alpha": many(30)}, "alpha/probe.py=import alpha\n")
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

	want := "keep:\n" + `  - { match: "alpha/b.pyi", reason: "metadata alpha` + mark +
		`  - { match: "alpha/tests/test_001.py", reason: "import alpha fails without it; healed 2026-11-23" }` + "\n"
	if d := cmp.Diff(want, f.written["alpha/layer.yaml"]); d != "" {
		t.Error(d)
	}

	if n := f.runs("script probe.py") - 3; n != 1 {
		t.Errorf("the script was tried %d times; what the module needed was all that it needed", n)
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
	eyes := &seeing{machine: f.python}
	f.python.fails = func(j probe.Job, _ func(string) bool) string {
		e, _ := f.python.mounts[eyes.mount][0].Lookup("python/" + model)
		if b, err := e.Bytes(1 << 20); j.Name == "probe.py" && (err != nil || string(b) != content) {
			return "KeyError: 'documentation'"
		}

		return ""
	}
	b := f.build()
	b.Python = eyes
	b.Heal = &engine.Heal{
		Now:   time.Now,
		Write: func(name string, text []byte) error { f.written[name] = string(text); return nil },
	}
	rep, _, err := f.healWith(b, f.input())
	if err != nil ||
		!strings.Contains(f.written["botocore/layer.yaml"],
			`- { match: "`+model+`", reason: "script probe.py fails without it; healed `) ||
		fmt.Sprint(rep.Layers[0].Healed[0].Rules) != "[botocore-docs]" {
		t.Errorf("%q, %v", f.written, err)
	}
}

// seeing is a machine that remembers what it looks at.
type seeing struct {
	*machine
	mount string
}

func (s *seeing) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	s.mount = mount
	return s.machine.Probe(ctx, mount, jobs, done)
}

// stacked is a workspace where high extends low; each carries one distribution.
func stacked(t *testing.T) *clinic {
	c := newClinic(t,
		map[string][]string{"alpha": many(30), "beta": {"beta/__init__.py=import alpha\n", "beta/tests/x.txt=x\n"}},
		"beta/layer.yaml=extends: alpha\n", "beta/probe.py=import beta\n")
	c.lock = must[lock.Lock](t)(
		lock.New(testTarget(t), digest.Of(nil), c.lock.Distributions,
			map[string][]pydist.Name{"alpha": {name(t, "alpha")}, "beta": {name(t, "beta"), name(t, "alpha")}}),
	)
	return c
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
			b.Heal = &engine.Heal{
				Now:   func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) },
				Write: func(name string, text []byte) error { f.written[name] = string(text); return nil },
			}
			rep, _, err := f.healWith(b, f.input(c.ask...))
			if err != nil {
				t.Fatal(err)
			}

			if len(f.written) != 1 || !strings.Contains(f.written["alpha/layer.yaml"], `"alpha/sub/tests/data.txt"`) {
				t.Errorf("written %q", f.written)
			}

			if len(rep.Layers) != 2 || len(rep.Layers[0].Healed) != 1 || len(rep.Layers[1].Healed) != 0 ||
				rep.Layers[1].Probe.Healing == nil ||
				rep.Layers[1].Probe.Status != report.ProbePassed {
				t.Errorf("%+v", rep.Layers)
			}
		})
	}
}

func TestHealGivesUp(t *testing.T) {
	for sentence, c := range map[string]struct {
		files  []string
		fails  func(probe.Job, func(string) bool) string
		limit  int
		runs   int
		why    string
		hint   string
		status report.ProbeStatus
	}{
		"at the limit, with what it tried": {nil, needs(silently, "alpha/tests/test_023.py"), 1, 1,
			"script probe.py: the limit of 1 run of the interpreter is reached; tried all rules: rules stubs, tests", "run: layersmith explain", report.ProbeFailed},
		"at the limit, with what it found out": {nil, needs(silently, "alpha/tests/test_023.py"), 8, 8,
			"script probe.py: the limit of 8 runs of the interpreter is reached; it needs some of 63 files of rule " +
				"tests", "run: layersmith explain", report.ProbeFailed},
		"where the layer chose": {
			[]string{"alpha/layer.yaml=drop:\n  - { match: alpha/sub/tests/data.txt, reason: no }\n"},
			needs(byPath, "alpha/sub/tests/data.txt"),
			0,
			2,
			"script probe.py fails even with all restored that rules stubs, tests removed or changed",
			"it passes unpruned only: something that layer.yaml itself drops or leaves out (drop " +
				"alpha/sub/tests/data.txt) is needed",
			report.ProbeFailed,
		},
		"where the bytecode is in the way": {
			[]string{"alpha/layer.yaml=bytecode: sourceless\n"},
			needs(silently, "alpha/__init__.py"),
			0,
			2,
			"script probe.py fails even with all restored that rules stubs, tests removed or changed",
			"it needs the sources, docstrings or asserts that bytecode: sourceless in alpha/layer.yaml takes away; " +
				"set bytecode: unchecked-hash or auto there",
			report.ProbeFailed,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := newClinic(
				t,
				map[string][]string{"alpha": many(30)},
				append(c.files, "alpha/probe.py=import alpha\n")...)
			f.python.fails = c.fails
			f.limit = c.limit
			rep, changed, err := f.heal()
			wantFault(t, err, fault.ProbeFailed, "probe alpha: script probe.py: ")
			if !changed || f.writes != 0 || len(rep.Layers) != 1 {
				t.Fatalf("changed %v, %d writes, %d layers", changed, f.writes, len(rep.Layers))
			}

			p := rep.Layers[0].Probe
			if p.Status != c.status || p.Healing == nil || p.Healing.Runs != c.runs || p.Healing.Why != c.why ||
				!strings.HasPrefix(fault.HintOf(err), c.hint) {
				t.Errorf("%s, %+v, hint %q", p.Status, p.Healing, fault.HintOf(err))
			}

			// It does not try again what it tried in vain.
			before := len(f.python.probed)
			if _, changed, err := f.heal(); changed || fault.CodeOf(err) != fault.ProbeFailed ||
				len(f.python.probed) != before {
				t.Errorf("asked again: changed %v, %v", changed, err)
			}
		})
	}
}

func TestHealLeavesAloneWhatFailsUnprunedToo(t *testing.T) {
	f := newClinic(t, map[string][]string{"alpha": many(3)}, "alpha/probe.py=import alpha\n")
	f.python.fails = func(j probe.Job, _ func(string) bool) string {
		if j.Kind == probe.Script {
			return "Traceback\n  File \"/tmp/script.py\", line 1, in <module>\n  File " +
				"\"/opt/python/alpha/__init__.py\", line 3, in <module>\nTypeError: it never worked"
		}

		return ""
	}
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "TypeError: it never worked")
	if want := "it fails on the unpruned layer too: alpha 1.0, or a requirement that it does not declare, is at fault"; fault.HintOf(
		err,
	) != want {
		t.Errorf("hint %q, want %q", fault.HintOf(err), want)
	}

	p := rep.Layers[0].Probe
	if f.writes != 0 || f.runs("script probe.py") != 2 || p.Healing != nil ||
		p.Causes["script probe.py"] != "alpha 1.0" {
		t.Errorf("%d writes, %+v", f.writes, p)
	}
}

func TestHealOfAnEarlierBuild(t *testing.T) {
	f := newClinic(t, map[string][]string{"alpha": many(3)}, "alpha/probe.py=import alpha\n")
	f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
	if _, _, err := f.build().Run(context.Background(), f.input()); fault.CodeOf(err) != fault.ProbeFailed {
		t.Fatal(err)
	}

	rep, changed, err := f.heal()
	if err != nil || !changed || f.writes != 1 || rep.Layers[0].Probe.Status != report.ProbePassed {
		t.Errorf("changed %v, %v, %d writes", changed, err, f.writes)
	}
}

func TestHealWritesNothingWhen(t *testing.T) {
	denied := errors.New("permission denied")
	for sentence, c := range map[string]struct {
		change func(*clinic, *engine.Build, *engine.BuildInput)
		code   fault.Code
		text   string
	}{
		"layer.yaml was changed meanwhile": {func(f *clinic, _ *engine.Build, _ *engine.BuildInput) {
			f.written["alpha/layer.yaml"] = "description: new\n"
		}, fault.BadInput, "heal alpha/layer.yaml: the file was edited during the build"},
		"layer.yaml cannot be written": {func(_ *clinic, b *engine.Build, _ *engine.BuildInput) {
			b.Heal.Write = func(string, []byte) error { return denied }
		}, fault.BadInput, "write alpha/layer.yaml: permission denied"},
		"layer.yaml cannot be read": {func(f *clinic, _ *engine.Build, _ *engine.BuildInput) {
			read := f.read
			f.read = func(name string) ([]byte, error) {
				if name == "alpha/layer.yaml" {
					return nil, denied
				}

				return read(name)
			}
		}, fault.BadInput, "read alpha/layer.yaml: permission denied"},
		"it is not asked to": {
			func(_ *clinic, b *engine.Build, _ *engine.BuildInput) { b.Heal = nil },
			fault.ProbeFailed,
			"FileNotFoundError",
		},
		"nobody probes": {
			func(_ *clinic, _ *engine.Build, in *engine.BuildInput) { in.NoProbe = "not now" },
			"",
			"",
		},
		"only the artifacts are wanted": {
			func(_ *clinic, _ *engine.Build, in *engine.BuildInput) { in.PlanOnly = true },
			"",
			"",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := newClinic(t, map[string][]string{"alpha": many(3)}, "alpha/probe.py=import alpha\n")
			f.python.fails = needs(byPath, "alpha/sub/tests/data.txt")
			b := f.build()
			in := f.input()
			b.Heal = &engine.Heal{Now: time.Now, Write: func(string, []byte) error { f.writes++; return nil }}
			c.change(f, &b, &in)
			_, _, err := f.healWith(b, in)
			if c.code != "" {
				wantFault(t, err, c.code, c.text)
			} else if err != nil {
				t.Error(err)
			}

			if f.writes != 0 {
				t.Errorf("%d writes", f.writes)
			}

			if _, err := f.outputs.Read(context.Background(),
				engine.ReportName); (c.code == fault.BadInput || in.PlanOnly) != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the report: %v", err)
			}
		})
	}
}

// What is restored in a trial is what a build restores: the entries, loaded again, give the tree
// that passed.
func TestHealedLayersAreLoadedAsTheyWereBuilt(t *testing.T) {
	f := newClinic(t, map[string][]string{"alpha": many(3)}, "alpha/probe.py=import alpha\n",
		"alpha/layer.yaml=description: x\n")
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

	if want := []policy.Choice{
		{Match: rep.Layers[0].Healed[0].Match, Reason: rep.Layers[0].Healed[0].Reason},
	}; !cmp.Equal(l.Policy.Keep, want) ||
		l.Bytecode != workspace.Auto {
		t.Errorf("%+v, want %+v", l.Policy.Keep, want)
	}
}
