package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	for name, c := range map[string]struct {
		change func(t *testing.T, f *factory)
		want   bool
	}{
		"nothing": {func(*testing.T, *factory) {}, false},
		"the zip is gone": {func(t *testing.T, f *factory) {
			o := f.outputs
			f.outputs = &memport.Outputs{}
			b, _ := o.Read(context.Background(), engine.ReportName)
			f.outputs.Set(engine.ReportName, b)
		}, true},
		"the zip is longer": {
			func(t *testing.T, f *factory) { f.outputs.Set(zip, append(read(t, f, zip), 0)) },
			true,
		},
		"the zip has other bytes": {
			func(t *testing.T, f *factory) { b := read(t, f, zip); b[len(b)/2] ^= 1; f.outputs.Set(zip, b) },
			true,
		},
		"the report is damaged": {
			func(t *testing.T, f *factory) { f.outputs.Set(engine.ReportName, []byte("{")) },
			true,
		},
		"the report is of another version": {func(t *testing.T, f *factory) {
			f.outputs.Set(engine.ReportName,
				bytes.Replace(read(t, f, engine.ReportName), []byte(`"schemaVersion": `), []byte(`"schemaVersion": 9`),
					1))
		}, true},
		"the layer's spec": {
			func(t *testing.T, f *factory) { f.ws.Layers[0].Digest = digest.Of([]byte("other")) },
			true,
		},
		"the budget": {func(t *testing.T, f *factory) { f.ws.Total-- }, true},
		"a wheel": {func(t *testing.T, f *factory) {
			other := newFactory(t, map[string][]string{"alpha": {"alpha/__init__.py=y = 2\n"}})
			f.lock = other.lock
			f.wheels = other.wheels
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactory(t, map[string][]string{"alpha": source})
			first, changed := f.run(t)
			if !changed {
				t.Fatal("the first build changed nothing")
			}

			was := read(t, f, zip)
			c.change(t, f)
			again, changed := f.run(t)
			if changed != c.want {
				t.Errorf("changed %v, want %v", changed, c.want)
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
	if rep, _, err := f.build().
		Run(context.Background(), in); err != nil ||
		rep.Layers[0].Probe.Status != report.NotProbed {
		t.Fatalf("%v, %v", rep.Layers, err)
	}

	if rep, changed := f.run(t); !changed || rep.Layers[0].Probe.Status != report.ProbePassed {
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
	if !changed || len(rep.Layers) != 2 || rep.Layers[0].Name != "alpha" || rep.Layers[1].Name != "beta" ||
		len(rep.Stacks) != 3 {
		t.Errorf("changed %v, %d layers, %d stacks", changed, len(rep.Layers), len(rep.Stacks))
	}

	_, _, err := f.build().Run(context.Background(), f.input("no-such"))
	wantFault(t, err, fault.BadInput, "no-such")
}

func TestReportIsCompleteThoughTheProbeSaysNo(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}})
	f.python.fails = func(j probe.Job, _ func(string) bool) string {
		if j.Kind == probe.Metadata {
			return "PackageNotFoundError: alpha"
		}

		return ""
	}
	in := f.input()
	_, changed, err := f.build().Run(context.Background(), in)
	if !changed && err == nil {
		t.Fatal("it passes")
	}

	var stored report.Report
	if err := json.Unmarshal(read(t, f, engine.ReportName), &stored); err != nil || len(stored.Layers) != 1 ||
		len(stored.Layers[0].Probe.Failures) != 1 {
		t.Errorf("stored %+v, %v", stored.Layers, err)
	}
}
