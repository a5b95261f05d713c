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
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
)

// made is a layer that a build makes, with one distribution of the same name.
type made struct {
	layer   string
	target  pydist.Target // zero for target
	extends []string      // lowest first
	version string        // of the distribution; "" for "1.0"
}

// makes adds the layers to the workspace. Builds from now on make them.
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

// replaceBuilt changes the result of each build from now on, before a stage reads it.
func (f *flow) replaceBuilt(change func(*release.Built)) {
	seen := map[string]bool{}
	f.registers.before = func() {
		names, err := f.registers.Registers.List(context.Background(), "runs/")
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

// store stores an object, without a call of a port.
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
	b, _, err := f.registers.Registers.Load(f.t.Context(), name)
	if err == nil {
		err = release.Decode(b, into)
	}

	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
}

// document reads a document, without a call of a port.
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

// write writes a register, without a call of a port.
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

// heavy is a zip with one file, whose header has that unzipped size.
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

// vendor publishes a layer of somebody else, and returns the ARN of its version.
func (f *flow) vendor(layer string, unzipped int64) string {
	f.t.Helper()
	v, err := f.account.LayerVersions().Publish(f.t.Context(), workflow.NewLayerVersion{
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

// intakeStage is Intake without a settling time.
func (f *flow) intakeStage() workflow.Intake {
	return workflow.Intake{
		Ledger:  f.ledger(),
		Sources: f.sources,
		Runs:    func(_ context.Context, arn string) (bool, error) { return f.running[arn], nil },
		Tool:    engine.Tool,
	}
}

func (f *flow) selectLayers(run string) (workflow.SelectOutput, error) {
	return workflow.Select{Ledger: f.ledger()}.Run(f.t.Context(), workflow.RunInput{Run: run})
}

func (f *flow) prune(run string, layer workflow.Item) (workflow.Item, error) {
	stage := workflow.Prune{Ledger: f.ledger(), Cache: &memport.Cache{}}
	return stage.Run(f.t.Context(), workflow.LayerInput{Run: run, Layer: layer})
}

func (f *flow) measure(run string, layer workflow.Item, all []workflow.Item) (workflow.Item, error) {
	stage := workflow.Measure{Ledger: f.ledger(), Cache: &memport.Cache{}}
	return stage.Run(f.t.Context(), workflow.StackInput{Run: run, Layer: layer, Layers: all})
}

func (f *flow) record(run string, layers []workflow.Item) (workflow.RecordOutput, error) {
	stage := workflow.Record{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Alarms:    f.alarms.Get,
	}
	return stage.Run(f.t.Context(), workflow.RecordInput{Run: run, Layers: layers})
}

func (f *flow) publish(
	run string, layer workflow.Item, versions workflow.LayerVersions, share ...string,
) (workflow.Item, error) {
	stage := workflow.Publish{Ledger: f.ledger(), Versions: versions, Account: workflow.Account{Share: share}}
	return stage.Run(f.t.Context(), workflow.LayerInput{Run: run, Layer: layer})
}

func (f *flow) verify(run string, layer workflow.Item, all []workflow.Item) (workflow.Item, error) {
	stage := workflow.Verify{
		Ledger:    f.ledger(),
		Sandboxes: f.account.Sandboxes(),
		Versions:  f.account.LayerVersions(),
		Probes:    "probe-",
		Memory:    512,
	}
	return stage.Run(f.t.Context(), workflow.StackInput{Run: run, Layer: layer, Layers: all})
}

func (f *flow) update(run string, c workflow.Consumer) (workflow.UpdateOutput, error) {
	stage := workflow.Update{Ledger: f.ledger(), Functions: f.account.Functions()}
	return stage.Run(f.t.Context(), workflow.ConsumerInput{Run: run, Consumer: c})
}

func (f *flow) promote(run string, layers []workflow.Item) (release.Ending, error) {
	stage := workflow.Promote{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Account:   workflow.Account{Keep: 2},
	}
	return stage.Run(f.t.Context(), workflow.RecordInput{Run: run, Layers: layers})
}

func (f *flow) rollback(run string) (release.Ending, error) {
	stage := workflow.Rollback{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Sandboxes: f.account.Sandboxes(),
		Probes:    "probe-",
	}
	return stage.Run(f.t.Context(), workflow.RunInput{Run: run})
}

// reportStage is Report with an address of the console, "" for none.
func (f *flow) reportStage(console string) workflow.Report {
	return workflow.Report{
		Ledger:  f.ledger(),
		Metrics: f.metrics.Put,
		Notify:  f.notices.Send,
		Account: workflow.Account{Stack: "Layersmith", Console: console},
	}
}

// begun runs the stages up to the build.
func (f *flow) begun(run, input string) {
	f.t.Helper()
	out, err := f.intakeStage().Run(f.t.Context(),
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

// measured runs the stages up to Measure.
func (f *flow) measured(run, input string) []workflow.Item {
	f.t.Helper()
	f.begun(run, input)
	selected, err := f.selectLayers(run)
	if err != nil {
		f.t.Fatal(err)
	}

	layers, err := execution{flow: f, name: run}.pruneAndMeasure(selected.Layers)
	if err != nil {
		f.t.Fatal(err)
	}

	return layers
}

// said is an error with its hint, as people see it.
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

// arnsOf are the ARNs of versions: "base:1".
func arnsOf(versions ...string) (arns []string) {
	for _, v := range versions {
		arns = append(arns, layerARN+v)
	}

	return arns
}

// published lists the published versions of layers of the workspace: "base:1".
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
