package workflow_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
)

// made is one layer that a build makes: one distribution of the layer's name.
type made struct {
	layer   string
	target  pydist.Target // the zero target is the first
	extends []string      // lowest first
	version string        // of its distribution; "1.0" when it is not said
}

// makes gives the workspace these layers and lets the builds from now on make them.
func (f *flow) makes(layers ...made) {
	f.t.Helper()
	for _, l := range layers {
		f.push(l.layer+"/requirements.txt", l.layer+"\n")
		if len(l.extends) > 0 {
			f.push(l.layer+"/layer.yaml", "extends: ["+strings.Join(l.extends, ", ")+"]\n")
		}
	}

	f.replaceBuilt(func(b *release.Built) {
		b.Layers = nil
		b.Locks = nil
		keys := map[string]digest.SHA256{}
		for _, l := range layers {
			if l.target == (pydist.Target{}) {
				l.target = target
			}

			if l.version == "" {
				l.version = "1.0"
			}

			key := fmt.Sprint(l.layer, l.target, l.version)
			for _, below := range l.extends {
				key += keys[below+l.target.String()].String()
			}

			keys[l.layer+l.target.String()] = digest.Of([]byte(key))
			artifact := f.store("artifacts/", distribution(f.t, l.layer, l.version))
			if !slices.ContainsFunc(b.Locks, func(o release.LockFile) bool { return o.Target == l.target }) {
				b.Locks = append(b.Locks, release.LockFile{Target: l.target, File: artifact})
			}

			b.Layers = append(b.Layers, release.BuiltLayer{
				Layer:     l.layer,
				Target:    l.target,
				LayerName: release.LayerName("layersmith-", l.layer, l.target, target),
				Key:       keys[l.layer+l.target.String()],
				Below:     l.extends,
				Artifact:  artifact,
				Before:    measure.Size{Files: 4, Unzipped: 300, Zipped: 400},
				Wheels:    []report.Wheel{{Name: l.layer, Version: l.version}},
				Bytecode:  report.Bytecode{Mode: "none"},
			})
		}
	})
}

// replaceBuilt changes what each build from now on left, before anybody reads it.
func (f *flow) replaceBuilt(change func(*release.Built)) {
	seen := map[string]bool{}
	f.registers.before = func() {
		names, err := f.registers.MemoryRegisters.List(context.Background(), "runs/")
		if err != nil {
			f.t.Error(err)
		}

		for _, name := range names {
			if !strings.HasSuffix(name, "/built.json") || seen[name] {
				continue
			}

			seen[name] = true
			var b release.Built
			f.read(name, &b)
			change(&b)
			f.write(name, b)
		}
	}
}

// store puts an object there without a call of a port.
func (f *flow) store(prefix string, content []byte) blob.Ref {
	f.t.Helper()
	ref, err := f.registers.blobs.Put(f.t.Context(), prefix, ".zip",
		func(w io.Writer) error { _, err := w.Write(content); return err })
	if err != nil {
		f.t.Fatal(err)
	}

	return ref
}

// read reads a register without a call of a port.
func (f *flow) read(name string, into any) {
	f.t.Helper()
	b, _, err := f.registers.MemoryRegisters.Load(f.t.Context(), name)
	if err == nil {
		err = release.Decode(b, into)
	}

	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
}

// document reads what a reference refers to.
func (f *flow) document(ref blob.Ref, into any) {
	f.t.Helper()
	b, err := f.account.Objects(f.t.Context(), ref)
	if err == nil {
		err = release.Decode(b, into)
	}

	if err != nil {
		f.t.Fatalf("%s: %v", ref, err)
	}
}

// write puts a register there, as somebody who does not go through the port.
func (f *flow) write(name string, doc any) {
	f.t.Helper()
	b, err := release.Encode(doc)
	if err != nil {
		f.t.Fatal(err)
	}

	f.registers.Set(name, b)
}

func (f *flow) released() (r release.Released) {
	f.t.Helper()
	f.read(release.ReleasedName, &r)
	return r
}

// distribution is an installed distribution below python/.
func distribution(t testing.TB, name, version string) []byte {
	info := "python/" + name + "-" + version + ".dist-info/"
	return zipOf(t, map[string]string{
		"python/" + name + "/__init__.py": "version = '" + version + "'\n",
		info + "METADATA":                 "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":                    "Wheel-Version: 1.0\n",
		info + "RECORD": name + "/__init__.py,,\n" + info[7:] + "METADATA,,\n" + info[7:] +
			"WHEEL,,\n" + info[7:] + "RECORD,,\n",
	})
}

// heavy is a zip that says of its only file that it weighs so much.
func heavy(t testing.TB, unzipped int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{
		Name:               "model.bin",
		Method:             zip.Deflate,
		CompressedSize64:   1,
		UncompressedSize64: uint64(unzipped),
	})
	if err == nil {
		_, err = w.Write([]byte{0})
	}

	if err == nil {
		err = z.Close()
	}

	if err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// vendor publishes a layer that is not ours.
func (f *flow) vendor(layer string, unzipped int64) string {
	f.t.Helper()
	v, err := f.account.LayerVersions().
		Publish(f.t.Context(),
			workflow.NewLayerVersion{
				LayerName:   layer,
				Description: "by the vendor",
				Target:      target,
				Zip:         f.store("vendor/", heavy(f.t, unzipped)),
			})
	if err != nil {
		f.t.Fatal(err)
	}

	return v.ARN
}

// begun is a run up to its build.
func (f *flow) begun(run, input string) {
	f.t.Helper()
	out, err := workflow.Intake{
		Ledger:  f.ledger(),
		Sources: f.sources,
		Runs:    func(context.Context, string) (bool, error) { return false, nil },
		Tool:    engine.Tool,
	}.
		Run(f.t.Context(),
			workflow.IntakeInput{Run: run, Execution: "arn:" + run, StartedAt: f.now, Input: json.RawMessage(input)})
	if err == nil && out.Next != workflow.NextBuild {
		err = fmt.Errorf("%s: %s", out.Next, out.Summary)
	}

	if err == nil {
		err = f.build(f.t.Context(), run)
	}

	if err != nil {
		f.t.Fatal(err)
	}
}

// measured is a run up to its measured layers.
func (f *flow) measured(run, input string) []workflow.Item {
	f.t.Helper()
	f.begun(run, input)
	ctx := f.t.Context()
	selected, err := workflow.Select{Ledger: f.ledger()}.Run(ctx, workflow.RunInput{Run: run})
	layers := selected.Layers
	if err == nil {
		layers, err = each(layers, func(i workflow.Item, _ []workflow.Item) (workflow.Item, error) {
			return workflow.Prune{
				Ledger: f.ledger(),
				Cache:  &porttest.MemoryCache{},
			}.Run(ctx, workflow.LayerInput{Run: run, Layer: i})
		})
	}

	if err == nil {
		layers, err = each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
			return workflow.Measure{
				Ledger: f.ledger(),
				Cache:  &porttest.MemoryCache{},
			}.Run(ctx, workflow.StackInput{Run: run, Layer: i, Layers: all})
		})
	}

	if err != nil {
		f.t.Fatal(err)
	}

	return layers
}

func (f *flow) record(run string, layers []workflow.Item) (workflow.RecordOutput, error) {
	return workflow.Record{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Alarms:    f.alarms.Get,
	}.
		Run(f.t.Context(), workflow.RecordInput{Run: run, Layers: layers})
}

func (f *flow) publish(
	run string,
	layer workflow.Item,
	versions workflow.LayerVersions,
	share ...string,
) (workflow.Item, error) {
	return workflow.Publish{
		Ledger:   f.ledger(),
		Versions: versions,
		Account:  workflow.Account{Share: share},
	}.Run(f.t.Context(), workflow.LayerInput{Run: run, Layer: layer})
}

// said is an error as a person reads it: sentence and hint.
func said(err error) string {
	if err == nil {
		return ""
	}

	return err.Error() + fault.HintMark + fault.HintOf(err)
}

func refusedAs(t *testing.T, err error, code fault.Code, want string) {
	t.Helper()
	if fault.CodeOf(err) != code || said(err) != want {
		t.Errorf("%s\n%s\nwant %s\n%s", fault.CodeOf(err), said(err), code, want)
	}
}

const layerARN = "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-"

// published lists what is published of our layers.
func (f *flow) published(layers ...string) (all []string) {
	f.t.Helper()
	for _, l := range layers {
		versions, err := f.account.LayerVersions().List(f.t.Context(), "layersmith-"+l)
		if err != nil {
			f.t.Fatal(err)
		}

		for _, v := range versions {
			all = append(all, strings.TrimPrefix(v.ARN, layerARN))
		}
	}

	return all
}

func namesOf(items []workflow.Item) (names []string) {
	for _, i := range items {
		names = append(names, i.Layer)
	}

	return names
}
