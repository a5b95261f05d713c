package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

func TestHealGivesUp(t *testing.T) {
	const unhelped = "script probe.py fails even with all restored that rules stubs, tests removed or changed"
	for sentence, c := range map[string]struct {
		files []string
		fails func(probe.Job, func(string) bool) string
		limit int
		runs  int
		why   string
		hint  string // its beginning
	}{
		"at the limit, with what it tried": {
			nil, needs(silently, "alpha/tests/test_023.py"), 1, 1,
			"script probe.py: the limit of 1 run of the interpreter is reached; tried all rules: rules stubs, tests",
			"run: layersmith explain",
		},
		"at the limit, with what it found out": {
			nil, needs(silently, "alpha/tests/test_023.py"), 8, 8,
			"script probe.py: the limit of 8 runs of the interpreter is reached; it needs some of 63 files of rule " +
				"tests",
			"run: layersmith explain",
		},
		"where the layer chose": {
			[]string{"alpha/layer.yaml=drop:\n  - { match: alpha/sub/tests/data.txt, reason: no }\n"},
			needs(byPath, "alpha/sub/tests/data.txt"), 0, 2,
			unhelped,
			"it passes unpruned only: something that layer.yaml itself drops or leaves out (drop " +
				"alpha/sub/tests/data.txt) is needed",
		},
		"where the bytecode is in the way": {
			[]string{"alpha/layer.yaml=bytecode: sourceless\n"},
			needs(silently, "alpha/__init__.py"), 0, 2,
			unhelped,
			"it needs the sources, docstrings or asserts that bytecode: sourceless in alpha/layer.yaml takes away; " +
				"set bytecode: unchecked-hash or auto there",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			f := newAlphaClinic(t, many(30), c.files...)
			f.python.fails = c.fails
			f.limit = c.limit
			rep, changed, err := f.heal()
			wantFault(t, err, fault.ProbeFailed, "probe alpha: script probe.py: ")
			if !changed || f.writes != 0 || len(rep.Layers) != 1 {
				t.Fatalf("changed %v, %d writes, %d layers", changed, f.writes, len(rep.Layers))
			}

			p := rep.Layers[0].Probe
			if p.Status != report.ProbeFailed || p.Healing == nil {
				t.Fatalf("%+v", p)
			}

			if p.Healing.Runs != c.runs || p.Healing.Why != c.why {
				t.Errorf("%+v", p.Healing)
			}

			if got := fault.HintOf(err); !strings.HasPrefix(got, c.hint) {
				t.Errorf("hint %q", got)
			}

			// The next build does not try again.
			before := len(f.python.probed)
			if _, changed, err := f.heal(); changed || fault.CodeOf(err) != fault.ProbeFailed ||
				len(f.python.probed) != before {
				t.Errorf("asked again: changed %v, %v", changed, err)
			}
		})
	}
}

func TestHealLeavesAloneWhatFailsUnprunedToo(t *testing.T) {
	f := newAlphaClinic(t, many(3))
	f.python.fails = failing(probe.Script, `Traceback
  File "/tmp/script.py", line 1, in <module>
  File "/opt/python/alpha/__init__.py", line 3, in <module>
TypeError: it never worked`)
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "TypeError: it never worked")
	want := "it fails on the unpruned layer too: alpha 1.0, or a requirement that it does not declare, is at fault"
	if got := fault.HintOf(err); got != want {
		t.Errorf("hint %q, want %q", got, want)
	}

	p := rep.Layers[0].Probe
	if f.writes != 0 || f.scriptRuns() != 2 || p.Healing != nil ||
		p.Causes["script probe.py"] != "alpha 1.0" {
		t.Errorf("%d writes, %+v", f.writes, p)
	}
}

func TestHealWritesNothingWhen(t *testing.T) {
	denied := errors.New("permission denied")
	for sentence, c := range map[string]struct {
		change func(*clinic, *engine.Build, *engine.BuildInput)
		code   fault.Code
		text   string
	}{
		"layer.yaml was changed meanwhile": {
			func(f *clinic, _ *engine.Build, _ *engine.BuildInput) {
				f.written["alpha/layer.yaml"] = "description: new\n"
			},
			fault.BadInput,
			"heal alpha/layer.yaml: the file was edited during the build",
		},
		"layer.yaml cannot be written": {
			func(_ *clinic, b *engine.Build, _ *engine.BuildInput) {
				b.Heal.Write = func(string, []byte) error { return denied }
			},
			fault.BadInput,
			"write alpha/layer.yaml: permission denied",
		},
		"layer.yaml cannot be read": {
			func(f *clinic, _ *engine.Build, _ *engine.BuildInput) {
				read := f.read
				f.read = func(name string) ([]byte, error) {
					if name == "alpha/layer.yaml" {
						return nil, denied
					}

					return read(name)
				}
			},
			fault.BadInput,
			"read alpha/layer.yaml: permission denied",
		},
		"it is not asked to": {
			func(_ *clinic, b *engine.Build, _ *engine.BuildInput) { b.Heal = nil },
			fault.ProbeFailed,
			"FileNotFoundError",
		},
		"the probe is off": {
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
			f := newAlphaClinic(t, many(3))
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

			noReport := c.code == fault.BadInput || in.PlanOnly
			_, err = f.outputs.Read(context.Background(), engine.ReportName)
			if errors.Is(err, fs.ErrNotExist) != noReport {
				t.Errorf("the report: %v", err)
			}
		})
	}
}
