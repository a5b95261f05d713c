package engine_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

func TestBuildIsUnchangedOnlyWhenAllIs(t *testing.T) {
	source := []string{"alpha/__init__.py=" + strings.Repeat("x = 1\n", 100)}
	const zip = "alpha-" + targetName + ".zip"
	for name, change := range map[string]func(t *testing.T, f *factory){
		"nothing": func(*testing.T, *factory) {},
		"the zip is gone": func(t *testing.T, f *factory) {
			b := read(t, f, engine.ReportName)
			f.outputs = &memport.Outputs{}
			f.outputs.Set(engine.ReportName, b)
		},
		"the zip is longer": func(t *testing.T, f *factory) {
			f.outputs.Set(zip, append(read(t, f, zip), 0))
		},
		"the zip has other bytes": func(t *testing.T, f *factory) {
			b := read(t, f, zip)
			b[len(b)/2] ^= 1
			f.outputs.Set(zip, b)
		},
		"the report is damaged": func(_ *testing.T, f *factory) {
			f.outputs.Set(engine.ReportName, []byte("{"))
		},
		"the report is of another version": func(t *testing.T, f *factory) {
			was, is := []byte(`"schemaVersion": `), []byte(`"schemaVersion": 9`)
			f.outputs.Set(engine.ReportName, bytes.Replace(read(t, f, engine.ReportName), was, is, 1))
		},
		"the layer's spec": func(_ *testing.T, f *factory) {
			f.ws.Layers[0].Digest = digest.Of([]byte("other"))
		},
		"the budget": func(_ *testing.T, f *factory) { f.ws.Total-- },
		"a wheel": func(t *testing.T, f *factory) {
			other := newFactory(t, map[string][]string{"alpha": {"alpha/__init__.py=y = 2\n"}})
			f.lock = other.lock
			f.wheels = other.wheels
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactory(t, map[string][]string{"alpha": source})
			first, changed := f.run(t)
			if !changed {
				t.Fatal("the first build changed nothing")
			}

			was := read(t, f, zip)
			change(t, f)
			again, changed := f.run(t)
			same := []string{"nothing", "the layer's spec", "the budget"} // and so are the bytes
			if want := !slices.Contains(same, name); changed != want {
				t.Errorf("changed %v, want %v", changed, want)
			}

			if sum := digest.Of(read(t, f, zip)); again.Layers[0].Zip.SHA256 != sum {
				t.Errorf("the report says %s, the zip is %s", again.Layers[0].Zip.SHA256.Short(), sum.Short())
			}

			if name != "a wheel" && !bytes.Equal(was, read(t, f, zip)) {
				t.Errorf("the same inputs gave other bytes (%s, %s)", first.Layers[0].Zip.SHA256.Short(),
					again.Layers[0].Zip.SHA256.Short())
			}
		})
	}
}

func TestBuildProbesWhenItWasNotProbed(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}})
	in := f.input()
	in.NoProbe = "not now"
	rep, _, err := f.build().Run(context.Background(), in)
	if err != nil || rep.Layers[0].Probe.Status != report.NotProbed {
		t.Fatalf("%v, %v", rep.Layers, err)
	}

	if rep, changed := f.run(t); changed || rep.Layers[0].Probe.Status != report.ProbePassed {
		t.Errorf("changed %v, %v", changed, rep.Layers[0].Probe.Status)
	}

	probed := len(f.python.probed)
	if _, changed := f.run(t); changed || len(f.python.probed) != probed {
		t.Error("probed again though nothing changed")
	}
}

func TestBuildOfOneLayerKeepsTheOthersInTheReport(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}, "beta": {"beta.py=x = 1\n"}})
	f.run(t)
	f.ws.Layers[0].Digest = digest.Of([]byte("other"))
	rep, changed := f.run(t, "alpha")
	if changed || len(rep.Layers) != 2 || rep.Layers[0].Name != "alpha" || rep.Layers[1].Name != "beta" ||
		len(rep.Stacks) != 3 {
		t.Errorf("changed %v, %d layers, %d stacks", changed, len(rep.Layers), len(rep.Stacks))
	}

	_, _, err := f.build().Run(context.Background(), f.input("no-such"))
	wantFault(t, err, fault.BadInput, "no-such")
}

func TestReportIsCompleteThoughTheProbeFails(t *testing.T) {
	for kind, code := range map[probe.Kind]fault.Code{
		probe.Metadata: "", // it fails on the unpruned layer too
		probe.Script:   fault.ProbeFailed,
	} {
		f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}}, "alpha/probe.py=import alpha\n")
		f.python.fails = failing(kind, "PackageNotFoundError: alpha")
		_, changed, err := f.build().Run(context.Background(), f.input())
		if !changed {
			t.Errorf("%s: nothing changed", kind)
		}

		if code == "" && err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if code != "" {
			wantFault(t, err, code, "PackageNotFoundError: alpha")
		}

		var stored report.Report
		err = json.Unmarshal(read(t, f, engine.ReportName), &stored)
		if err != nil || len(stored.Layers) != 1 || len(stored.Layers[0].Probe.Failures) != 1 {
			t.Errorf("%s: stored %+v, %v", kind, stored.Layers, err)
		}
	}
}

// The report's sizes of files are those that the zip has.
func TestLargestFilesHaveTheSizesOfTheZip(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {
		"alpha/__init__.py=" + strings.Repeat("x = 1\n", 100),
		"alpha/data.txt=" + strings.Repeat("many words\n", 50),
	}})
	rep, _ := f.run(t)
	b := read(t, f, "alpha-"+targetName+".zip")
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}

	largest := rep.Layers[0].Largest
	if len(largest) != len(z.File) {
		t.Fatalf("%d files in the report, %d in the zip", len(largest), len(z.File))
	}

	for _, l := range largest {
		i := slices.IndexFunc(z.File, func(e *zip.File) bool { return e.Name == l.Name })
		if i < 0 || int64(l.Unzipped) != int64(z.File[i].UncompressedSize64) ||
			int64(l.Zipped) != int64(z.File[i].CompressedSize64) {
			t.Errorf("%s: %d and %d bytes in the report", l.Name, l.Unzipped, l.Zipped)
		}
	}
}

// One layer of several is bumped: only its zip is written, and the others are up to date before and
// after, although bytecode auto shares the stacks' budget among them.
func TestABumpedLayerLeavesTheOthersAlone(t *testing.T) {
	content := map[string][]string{
		"alpha": {"alpha.py=x = 1\n"},
		"beta":  {"beta.py=x = 1\n"},
		"gamma": {"gamma.py=x = 1\n"},
	}
	f := newFactory(t, content)
	before, _ := f.run(t)
	content["beta"] = []string{"beta.py=y = 2\n"}
	bumped := newFactory(t, content)
	f.lock = bumped.lock
	f.wheels = bumped.wheels
	states, err := f.build().States(context.Background(), f.input())
	if err != nil || states["alpha"] != "up to date" || states["gamma"] != "up to date" ||
		states["beta"] != "stale: lock: beta 1.0 has another file" {
		t.Errorf("%v, %v", states, err)
	}

	after, changed := f.run(t)
	if !changed || after.Written != 1 {
		t.Errorf("changed %v, %d written", changed, after.Written)
	}

	for i, l := range after.Layers {
		same := l.Zip.SHA256 == before.Layers[i].Zip.SHA256 && l.Key == before.Layers[i].Key
		if same != (l.Name != "beta") {
			t.Errorf("%s: same %v", l.Name, same)
		}
	}

	if _, changed := f.run(t); changed {
		t.Error("changed again")
	}
}

func TestStatesSayWhy(t *testing.T) {
	for want, change := range map[string]func(f *factory, b *engine.Build){
		"up to date": func(*factory, *engine.Build) {},
		"stale: layer.yaml changed": func(f *factory, _ *engine.Build) {
			f.ws.Layers[0].Digest = digest.Of([]byte("other"))
		},
		"stale: the tool changed: layersmith test -> other": func(_ *factory, b *engine.Build) {
			b.Tool = "other"
		},
		"stale: the interpreter changed: cpython-3.13.0 -> none": func(_ *factory, b *engine.Build) { b.Python = nil },
		"stale: budget.total changed to 10 B":                    func(f *factory, _ *engine.Build) { f.ws.Total = 10 },
		"up to date ": func(f *factory, _ *engine.Build) {
			f.ws.Total-- // there is room all the same
		},
		"stale: the zip is not what was built": func(f *factory, _ *engine.Build) {
			f.outputs.Set("alpha-"+targetName+".zip", nil)
		},
		"not built": func(f *factory, _ *engine.Build) { f.outputs = &memport.Outputs{} },
	} {
		f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}})
		f.run(t)
		b := f.build()
		change(f, &b)
		b.Outputs = f.outputs
		states, err := b.States(context.Background(), f.input())
		if err != nil || states["alpha"] != strings.TrimSpace(want) {
			t.Errorf("%v, %v, want %s", states, err, want)
		}
	}
}
