package workflow_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
)

// What the stages decide besides the way through: which layers go, which functions move and which
// are refused, what is found again after a lost answer, what stays.

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

func TestAWishForSomeLayersTakesThoseBelowAndAbove(t *testing.T) {
	t.Parallel()
	all := []made{
		{layer: "base"},
		{layer: "science", extends: []string{"base"}},
		{layer: "ml", extends: []string{"base", "science"}},
		{layer: "web"},
	}
	for sentence, tt := range map[string]struct {
		input   string
		layers  []string
		summary string
	}{
		"no wish is all": {
			`{}`,
			[]string{"base", "science", "ml", "web"},
			"base new; science new; ml new; web new",
		},
		"one on its own goes alone": {`{"layers": ["web"]}`, []string{"web"}, "web new"},
		"what it lies on goes with it": {
			`{"layers": ["ml"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"what lies on it follows": {
			`{"layers": ["base"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"in the middle, what lies below and above": {
			`{"layers": ["science"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"two wishes": {
			`{"layers": ["web", "ml"]}`,
			[]string{"base", "science", "ml", "web"},
			"base new; science new; ml new; web new",
		},
		"force does not reach further": {`{"layers": ["web"], "force": true}`, []string{"web"}, "web new"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.makes(all...)
			f.begun("first", tt.input)
			out, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			if err != nil {
				t.Fatal(err)
			}

			if d := cmp.Diff(tt.layers, namesOf(out.Layers)); d != "" || out.Summary != tt.summary || !out.Changed {
				t.Errorf("%q, changed %v (-want +got):\n%s", out.Summary, out.Changed, d)
			}
		})
	}
}

func TestLayersThatLieOnOthersAreReleasedWithThem(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	stack := func(science string) {
		f.makes(made{layer: "base"}, made{layer: "science", extends: []string{"base"}, version: science},
			made{layer: "ml", extends: []string{"base", "science"}}, made{layer: "web"})
	}
	stack("1.0")
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: ml, alias: live }\n")
	var asked []string
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		asked = append(asked, strings.ReplaceAll(strings.Join(s.Layers, " "), layerARN, ""))
		return answer(payload, func(probe.SentJob) string { return "" })
	}
	if end := f.must("first", `{}`,
		release.Promoted); end.Message != "Released: 4 layers (layersmith-base:1, layersmith-ml:1, layersmith-science:1, "+
		"layersmith-web:1), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if want := []string{"base:1", "base:1 science:1", "base:1 science:1 ml:1", "web:1"}; !slices.Equal(asked, want) {
		t.Errorf("probed on\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}

	if got, want := layersOf(f.function("")), []string{
		layerARN + "base:1",
		layerARN + "science:1",
		layerARN + "ml:1",
	}; !slices.Equal(got, want) {
		t.Errorf("the function has %v, want %v", got, want)
	}

	// In the middle of the stack something is new: what lies below stays, what lies above follows.
	stack("1.1")
	asked = nil
	if end := f.must("second", `{"refresh": true, "layers": ["science"]}`,
		release.Promoted); end.Message != "Released: 2 layers (layersmith-ml:2, layersmith-science:2), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if want := []string{"base:1 science:2", "base:1 science:2 ml:2"}; !slices.Equal(asked, want) {
		t.Errorf("probed on\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}

	if got, want := layersOf(f.function("3")), []string{
		layerARN + "base:1",
		layerARN + "science:2",
		layerARN + "ml:2",
	}; !slices.Equal(
		got,
		want,
	) {
		t.Errorf("the function has %v, want %v", got, want)
	}

	// Force is for what was named, whatever lies on it: its bytes are the same.
	if end := f.must("third", `{"force": true, "layers": ["science"]}`,
		release.Promoted); end.Message != "Released: 1 layer (layersmith-science:3), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if got, want := f.published("base", "science", "ml", "web"), []string{
		"base:1",
		"science:3",
		"science:2",
		"science:1",
		"ml:2",
		"ml:1",
		"web:1",
	}; !slices.Equal(
		got,
		want,
	) {
		t.Errorf("published are %v, want %v", got, want)
	}

	if got := f.function("4"); !slices.Equal(layersOf(got),
		[]string{layerARN + "base:1", layerARN + "science:3", layerARN + "ml:2"}) {
		t.Errorf("the function has %v", layersOf(got))
	}
}

// What was not asked for stays stale: the next look must not think that all is well.
func TestWhatWasLeftOutIsReleasedByTheNextRun(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.push("consumers.yaml", "consumers: []\n")
	f.must("first", `{"layers": ["base"]}`, release.Promoted)
	if end := f.must("again", `{"layers": ["base"]}`, release.Unchanged); end.Message != "Unchanged: base fresh" {
		t.Errorf("message %q", end.Message)
	}

	if end := f.must("second", `{}`,
		release.Promoted); end.Message != "Released: 1 layer (layersmith-web:1), 0 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	f.must("third", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("a run after all was released went through %v", f.names)
	}
}

func TestEachTargetHasLayersOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	arm, err := pydist.ParseTarget("python3.13-arm64")
	if err != nil {
		t.Fatal(err)
	}

	f.push("workspace.yaml", "targets: [python3.13-x86_64, python3.13-arm64]\n")
	f.makes(made{layer: "base"}, made{layer: "base", target: arm},
		made{layer: "web", target: arm, extends: []string{"base"}})
	f.account.AddFunction(t,
		porttest.NewFunction{Name: "graviton", Target: arm, Zip: zipOf(t, map[string]string{"main.py": ""})})
	f.push("consumers.yaml",
		"consumers:\n  - { function: graviton, layers: web }\n  - { function: "+functionName+", layers: base }\n")
	var boxes []string
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		boxes = append(boxes, s.Target.String()+" "+strings.ReplaceAll(strings.Join(s.Layers, " "), layerARN, ""))
		return answer(payload, func(probe.SentJob) string { return "" })
	}
	if end := f.must(
		"first",
		`{}`,
		release.Promoted,
	); end.Message != "Released: 3 layers (layersmith-base:1, layersmith-base-python3_13-arm64:1, "+
		"layersmith-web-python3_13-arm64:1), 2 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	if want := []string{
		"python3.13-x86_64 base:1",
		"python3.13-arm64 base-python3_13-arm64:1",
		"python3.13-arm64 base-python3_13-arm64:1 web-python3_13-arm64:1",
	}; !slices.Equal(boxes, want) {
		t.Errorf("probed on %q, want %q", boxes, want)
	}

	got := map[string][]string{}
	for _, v := range f.account.Versions() {
		if v.Version == "$LATEST" {
			got[v.Name] = layersOf(v.Function)
		}
	}

	if d := cmp.Diff(
		map[string][]string{
			"graviton":   {layerARN + "base-python3_13-arm64:1", layerARN + "web-python3_13-arm64:1"},
			functionName: {layerARN + "base:1"},
		},
		got,
	); d != "" {
		t.Errorf("layers of functions (-want +got):\n%s", d)
	}

	if r := f.released(); len(r.Locks) != 2 || r.Locks[0].Since.IsZero() {
		t.Errorf("locks %+v, want one of each target", r.Locks)
	}

	// The workspace gives up a target: it is forgotten, its versions stay for who has them.
	f.push("workspace.yaml", "targets: [python3.13-x86_64]\n")
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: base }\n")
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.must("second", `{}`, release.Promoted)
	var names []string
	for _, l := range f.released().Layers {
		names = append(names, l.LayerName)
	}

	if !slices.Equal(names, []string{"layersmith-base", "layersmith-web"}) {
		t.Errorf("released are %v", names)
	}

	if got := f.published("base-python3_13-arm64"); len(got) != 1 {
		t.Errorf("of the target that was given up there are %v", got)
	}
}

// A run finds the functions that it moves, and refuses before anything is published what could not
// be moved or not be moved back.
func TestConsumersThatCannotMoveAreRefused(t *testing.T) {
	t.Parallel()
	const (
		arn   = "arn:aws:lambda:us-east-1:123456789012:function:orders"
		plain = "consumers:\n  - { function: orders, layers: base }\n"
		live  = "consumers:\n  - { function: orders, layers: base, alias: live }\n"
		watch = "consumers:\n  - { function: orders, layers: base, health: { alarm: \"{function}-errors\" } }\n"
	)
	arm, err := pydist.ParseTarget("python3.13-arm64")
	if err != nil {
		t.Fatal(err)
	}

	code := zipOf(t, map[string]string{"main.py": "import small\n"})
	version := func(f *flow) {
		v, err := f.account.Functions().Get(f.t.Context(), "orders", "")
		if err == nil {
			_, err = f.account.Functions().PublishVersion(f.t.Context(), "orders", "by hand", v.RevisionID)
		}

		if err != nil {
			f.t.Fatal(err)
		}
	}
	for sentence, tt := range map[string]struct {
		consumers string
		function  porttest.NewFunction
		prepare   func(*flow)
		code      fault.Code
		want      string
	}{
		"a function that is not there": {consumers: strings.ReplaceAll(plain, "orders", "gone"), code: fault.NotFound,
			want: "Functions.Get gone: there is no such function. Hint: "},
		"an alias that is not there": {consumers: live, code: fault.NotFound,
			want: "Functions.Alias orders:live: there is no such alias. Hint: "},
		"an alarm that is not there": {consumers: watch, code: fault.NotFound,
			want: "read alarm orders-errors: there is no such alarm. Hint: "},
		"a container image": {consumers: plain, function: porttest.NewFunction{Target: target}, code: fault.BadInput,
			want: "record " + arn + ": it runs a container image on x86_64, the workspace builds for " +
				"python3.13-x86_64. " +
				"Hint: add the target to layers/workspace.yaml, or remove the function from layers/consumers.yaml"},
		"another architecture": {
			consumers: plain,
			function:  porttest.NewFunction{Target: arm, Zip: code},
			code:      fault.BadInput,
			want: "record " + arn + ": it runs python3.13 on arm64, the workspace builds for python3.13-x86_64. " +
				"Hint: add the target to layers/workspace.yaml, or remove the function from layers/consumers.yaml",
		},
		"a target that the build did not make": {
			consumers: plain,
			function:  porttest.NewFunction{Target: arm, Zip: code},
			prepare: func(f *flow) {
				f.push("workspace.yaml", "targets: [python3.13-x86_64, python3.13-arm64]\n")
			},
			code: fault.BadInput,
			want: "record " + arn + `: it needs layer base, which is neither released for python3.13-arm64 nor part of this run. Hint: start again with {"force": true}`,
		},
		"five layers of others": {
			consumers: plain,
			function:  porttest.NewFunction{Target: target, Zip: code, Layers: []string{"a", "b", "c", "d", "e"}},
			code:      fault.OverLimit,
			want: "record " + arn + ": it would have 6 layers, Lambda allows 5. Hint: remove a layer from the function, " +
				"or merge two in the workspace",
		},
		"an alias that points to $LATEST": {consumers: live, prepare: func(f *flow) {
			f.account.AddAlias(f.t, "orders", workflow.Alias{Name: "live", Version: "$LATEST"})
		}, code: fault.BadInput, want: "record " + arn + ":live: the alias points to $LATEST, so it cannot be " +
			"moved back. " +
			"Hint: publish a version and point the alias to it, or remove alias from layers/consumers.yaml"},
		"an alias in the middle of a deployment": {consumers: live, prepare: func(f *flow) {
			version(f)
			f.account.SetMemory(f.t, "orders", 256)
			version(f)
			f.account.AddAlias(f.t, "orders",
				workflow.Alias{Name: "live", Version: "1", Weights: map[string]float64{"2": 0.1}})
		}, code: fault.Changed, want: "record " + arn + ":live: the alias is in the middle of a weighted deployment. " +
			"Hint: finish it, then start again"},
		"a setting that is not released": {consumers: live, prepare: func(f *flow) {
			version(f)
			f.account.AddAlias(f.t, "orders", workflow.Alias{Name: "live", Version: "1"})
			f.account.SetMemory(f.t, "orders", 256)
		}, code: fault.Changed, want: "record " + arn + ":live: $LATEST differs from version 1: moving the alias " +
			"would release more than the layers. " +
			"Hint: publish $LATEST and move the alias to it, or revert the differences, then start again"},
		"an alarm that is raised already": {consumers: watch, prepare: func(f *flow) {
			f.alarms.Set("orders-errors", workflow.Alarm{State: workflow.AlarmRaised, Reason: "12 errors in 5 minutes"})
		}, code: fault.Unhealthy, want: "record " + arn + ": alarm orders-errors is raised already: 12 errors in 5 " +
			"minutes. Hint: repair the function first, then start again"},
		"two tags that want different things of it": {
			consumers: "consumers:\n  - { tag: { stage: live }, layers: base, alias: live }\n  - { tag: { team: shop " +
				"}, layers: base }\n",
			prepare: func(f *flow) {
				version(f)
				f.account.AddAlias(f.t, "orders", workflow.Alias{Name: "live", Version: "1"})
			},
			code: fault.BadInput,
			want: "record " + arn + ": it has the tags of lines 2 and 3 of layers/consumers.yaml, which have different " +
				"settings. Hint: add an entry for it: function: orders",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			function := tt.function
			if function.Target == (pydist.Target{}) {
				function = porttest.NewFunction{Target: target, Zip: code}
			}

			function.Name = "orders"
			function.Tags = map[string]string{"team": "shop", "stage": "live"}
			for i, name := range function.Layers {
				function.Layers[i] = f.vendor(name, 1000)
			}

			f.account.AddFunction(t, function)
			f.push("consumers.yaml", tt.consumers)
			if tt.prepare != nil {
				tt.prepare(f)
			}

			layers := f.measured("first", `{}`)
			calls := len(f.account.Calls())
			_, err := f.record("first", layers)
			refusedAs(t, err, tt.code, tt.want)
			if did := f.account.Calls()[calls:]; len(did) > 0 {
				t.Errorf("it did %v", did)
			}
		})
	}
}

func TestAFunctionIsFilledToTheLastByteAndNotFurther(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		over int64
		end  release.Outcome
	}{
		"exactly Lambda's limit": {0, release.Promoted},
		"one byte more":          {1, release.FailedClean},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.push("consumers.yaml", "consumers: []\n")
			f.must("first", `{}`, release.Promoted)
			layer, err := f.account.LayerVersions().Unzipped(t.Context(), arnOf(1))
			if err != nil {
				t.Fatal(err)
			}

			const foreign = 200 << 20
			vendor := f.vendor("vendor", foreign)
			f.account.AddFunction(t, porttest.NewFunction{
				Name:   "large",
				Target: target,
				Zip:    heavy(t, measure.MaxUnzippedBytes-foreign-int64(layer)+tt.over),
				Layers: []string{vendor},
			})
			f.push("consumers.yaml", "consumers:\n  - { function: large, layers: base }\n")
			end := f.must("second", `{}`, tt.end)
			latest, err := f.account.Functions().Get(t.Context(), "large", "")
			if err != nil {
				t.Fatal(err)
			}

			want := []string{vendor, arnOf(1)}
			message := "Released: 1 function moved to the released layers."
			if tt.over > 0 {
				want = want[:1]
				message = "FailedClean: record arn:aws:lambda:us-east-1:123456789012:function:large: " +
					"its code (52.4 MB) and its layers would have 262144001 bytes unzipped, Lambda's limit is " +
					"262144000; " +
					"Nothing was published and no function was touched."
			}

			if end.Message != message {
				t.Errorf("message\n%q, want\n%q", end.Message, message)
			}

			if got := layersOf(latest); !slices.Equal(got, want) {
				t.Errorf("it has %v, want %v: others' layers stay where they are", got, want)
			}
		})
	}
}

func TestAFunctionByNameAndByTagMovesOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	for _, name := range []string{"orders", "prices", "stock"} {
		tags := map[string]string{"team": "shop", "stage": "live"}
		if name == "stock" {
			tags = map[string]string{"team": "shop"}
		}

		f.account.AddFunction(t, porttest.NewFunction{
			Name:   name,
			Target: target,
			Zip:    zipOf(t, map[string]string{"main.py": name}),
			Tags:   tags,
		})
		f.alarms.Set(name+"-errors", workflow.Alarm{State: workflow.AlarmNoData})
	}

	f.push("consumers.yaml", `consumers:
  - { function: prices, layers: base, health: { alarm: prices-errors, window: 1m } }
  - { tag: { team: shop, stage: live }, layers: base, health: { alarm: "{function}-errors", window: 2m } }
  - { tag: { team: nobody }, layers: base }
`)
	if end := f.must(
		"first",
		`{}`,
		release.Promoted,
	); end.Message != "Released: 1 layer (layersmith-base:1), 2 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	var changes []string
	for n := range 2 {
		var c release.Change
		f.read(release.ChangeName("first", n+1), &c)
		changes = append(
			changes,
			fmt.Sprintf("%d %s %s %d", c.Sequence, c.Function[strings.LastIndexByte(c.Function, ':')+1:], c.Alarm,
				c.WindowSeconds),
		)
	}

	if want := []string{"1 prices prices-errors 60", "2 orders orders-errors 120"}; !slices.Equal(changes, want) {
		t.Errorf("changes %q, want %q", changes, want)
	}

	for _, v := range f.account.Versions() {
		if want := v.Name == "orders" ||
			v.Name == "prices"; (len(v.Layers) > 0) != want ||
			v.Name != functionName && v.Version != "$LATEST" {
			t.Errorf("%s %s has layers %v", v.Name, v.Version, layersOf(v.Function))
		}
	}

	if end := f.must("second", `{}`, release.Unchanged); len(f.names) != 2 {
		t.Errorf("the next run: %s, %v", end.Message, f.names)
	}
}

// Without an alias only $LATEST moves: no version is published, and going back needs none.
func TestAConsumerWithoutAnAliasGoesBackToo(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml",
		"consumers:\n  - { function: "+functionName+", layers: base, health: { alarm: errors, window: 1m } }\n")
	f.must("first", `{}`, release.Promoted)
	want := state{Layers: []string{arnOf(1)}, Alias: "1", Versions: []string{"1 "}, Layer: []string{arnOf(1)}}
	if d := cmp.Diff(want, f.state()); d != "" {
		t.Errorf("after the release (-want +got):\n%s", d)
	}

	f.version = "2.0"
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmRaised, Reason: "timeouts"})
	end := f.must("second", `{"refresh": true}`, release.RolledBack)
	if end.Message != "RolledBack: watch "+functionARN+": alarm errors was raised 1m0s after the update: timeouts; "+
		"1 function restored (data-validation), candidates deleted." {
		t.Errorf("message %q", end.Message)
	}

	if d := cmp.Diff(want, f.state()); d != "" {
		t.Errorf("after going back (-want +got):\n%s", d)
	}
}

// Two versions are kept, and of the older ones those that a function has.
func TestOldVersionsGoUnlessSomebodyUsesThem(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: base }\n")
	release1to := func(last int) {
		t.Helper()
		for n := len(f.published("base")) + 1; n <= last; n++ {
			f.version = fmt.Sprintf("%d.0", n)
			f.must("release-"+f.version, `{"refresh": true}`, release.Promoted)
		}
	}
	release1to(2)
	f.account.AddFunction(t, porttest.NewFunction{
		Name:   "elsewhere",
		Target: target,
		Zip:    zipOf(t, map[string]string{"main.py": ""}),
		Layers: []string{arnOf(1)},
	})
	release1to(3)
	f.version = "4.0"
	if end := f.must("release-4.0", `{"refresh": true}`,
		release.Promoted); end.Message != "Released: 1 layer (layersmith-base:4), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if got, want := f.published("base"), []string{"base:4", "base:3", "base:1"}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}

	if l := f.released().Layers[0]; l.Current.Version != 4 || l.Versions() != "3, 1" {
		t.Errorf("released is %d, back to %s", l.Current.Version, l.Versions())
	}

	end := f.must("back-2", `{"rollback": {"layer": "base", "to": 2}}`, release.FailedClean)
	if end.Message != "FailedClean: roll back base: version 2 was not released, or is not kept any more; Nothing was "+
		"published and no function was touched." {
		t.Errorf("message %q", end.Message)
	}

	if end := f.must("back-1", `{"rollback": {"layer": "base", "to": 1}}`,
		release.Promoted); end.Message != "Released: 1 layer (back to layersmith-base:1), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if got := layersOf(f.function("")); !slices.Equal(got, []string{arnOf(1)}) {
		t.Errorf("the function has %v", got)
	}

	if l := f.released().Layers[0]; l.Current.Version != 1 || l.Versions() != "4" || len(f.published("base")) != 2 {
		t.Errorf("released is %d, back to %s, there are %v", l.Current.Version, l.Versions(), f.published("base"))
	}

	end = f.must("back-1-again", `{"rollback": {"layer": "base", "to": 1}}`, release.FailedClean)
	if end.Message != "FailedClean: roll back base: version 1 is the current one; Nothing was published and no "+
		"function was touched." {
		t.Errorf("message %q", end.Message)
	}
}

// Cleaning up is not what a release is for: it is done when the new versions are.
func TestAReleaseStandsWhenOldVersionsCannotGo(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers: []\n")
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true}`, release.Promoted)
	f.account.Fail = func(method, _ string) error {
		if method == "Functions.LayersInUse" {
			return fault.New(fault.Throttled, "list", "functions", errors.New("slow down"))
		}

		return nil
	}
	f.version = "3.0"
	if end := f.must("third", `{"refresh": true}`,
		release.Promoted); end.Message != "Released: 1 layer (layersmith-base:3), 0 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	if l := f.released().Layers[0]; l.Versions() != "2, 1" || len(f.published("base")) != 3 {
		t.Errorf("when nobody knows what is used: back to %s, there are %v", l.Versions(), f.published("base"))
	}

	f.account.Fail = func(method, subject string) error {
		if method == "LayerVersions.Delete" && strings.HasPrefix(subject, layerARN) {
			return fault.New(fault.NotAllowed, "delete", subject, errors.New("no"))
		}

		return nil
	}
	f.version = "4.0"
	end := f.must("fourth", `{"refresh": true}`, release.Promoted)
	want := "Released: 1 layer (layersmith-base:4), 0 functions moved. version " + arnOf(
		2,
	) + " could not be deleted: delete " + arnOf(
		2,
	) + ": no " +
		"version " + arnOf(1) + " could not be deleted: delete " + arnOf(
		1,
	) + ": no"
	if end.Message != want {
		t.Errorf("message\n%q, want\n%q", end.Message, want)
	}

	if l := f.released().Layers[0]; l.Current.Version != 4 || l.Versions() != "3" {
		t.Errorf("released is %d, back to %s", l.Current.Version, l.Versions())
	}
}

// lost publishes, and its answer never comes.
type lost struct{ workflow.LayerVersions }

func (l lost) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	if _, err := l.LayerVersions.Publish(ctx, v); err != nil {
		return workflow.LayerVersion{}, err
	}

	return workflow.LayerVersion{}, fault.New(fault.Unreachable, "publish", v.LayerName, io.ErrUnexpectedEOF)
}

func TestAVersionWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	candidate := func(run string) (c release.Candidate) {
		t.Helper()
		f.read(release.CandidateName(run, "layersmith-base"), &c)
		return c
	}
	if _, err := f.publish("first", layer, lost{f.account.LayerVersions()}); fault.CodeOf(err) != fault.Unreachable {
		t.Fatalf("%v, want Unreachable", err)
	}

	if c := candidate("first"); c.ARN != "" || c.Key != digest.Of([]byte("key of 1.0")) {
		t.Errorf("before the answer it is written down as %+v", c)
	}

	for range 2 { // and once more when all is written down
		item, err := f.publish("first", layer, f.account.LayerVersions())
		if err != nil || item.Summary != "layersmith-base:1" {
			t.Fatalf("%+v %v", item, err)
		}

		var c release.Candidate
		f.document(item.Doc, &c)
		if d := cmp.Diff(candidate("first"), c,
			cmp.AllowUnexported(digest.SHA256{}, pydist.Target{})); d != "" || c.ARN != arnOf(1) || c.Version != 1 ||
			c.Reused {
			t.Errorf("found as %+v; register against document:\n%s", c, d)
		}
	}

	if got := f.published("base"); !slices.Equal(got, []string{"base:1"}) {
		t.Errorf("there are %v", got)
	}
}

func TestPublishReusesOnlyWhatIsTheSame(t *testing.T) {
	t.Parallel()
	key := digest.Of([]byte("key of 1.0"))
	for sentence, tt := range map[string]struct {
		description string
		other       bool // bytes
		input       string
		want        string
		reused      bool
	}{
		"the same key and bytes, of an earlier run": {
			workflow.Description(key, "before"),
			false,
			`{}`,
			"layersmith-base:1",
			true,
		},
		"the same key, but other bytes": {
			workflow.Description(key, "before"),
			true,
			`{}`,
			"layersmith-base:2",
			false,
		},
		"the same bytes, but another key": {
			workflow.Description(digest.Of([]byte("x")), "before"),
			false,
			`{}`,
			"layersmith-base:2",
			false,
		},
		"the same bytes, published by hand": {"numpy and friends", false, `{}`, "layersmith-base:2", false},
		"forced, what was there is not what is meant": {
			workflow.Description(key, "before"),
			false,
			`{"force": true}`,
			"layersmith-base:2",
			false,
		},
		"forced, one's own after a lost answer is": {
			workflow.Description(key, "first"),
			false,
			`{"force": true}`,
			"layersmith-base:1",
			false,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			layer := f.measured("first", tt.input)[0]
			var m release.Measured
			f.document(layer.Doc, &m)
			there := m.Zip
			if tt.other {
				there = f.store("other/", zipOf(t, map[string]string{"python/other.py": ""}))
			}

			if _, err := f.account.LayerVersions().
				Publish(t.Context(),
					workflow.NewLayerVersion{
						LayerName:   "layersmith-base",
						Description: tt.description,
						Target:      target,
						Zip:         there,
					}); err != nil {
				t.Fatal(err)
			}

			item, err := f.publish("first", layer, f.account.LayerVersions())
			if err != nil {
				t.Fatal(err)
			}

			var c release.Candidate
			f.document(item.Doc, &c)
			if item.Summary != tt.want || c.Reused != tt.reused {
				t.Errorf("%s, reused %v; want %s, %v", item.Summary, c.Reused, tt.want, tt.reused)
			}
		})
	}
}

// A version that was there before is nobody's to delete, whatever becomes of the run.
func TestAReusedVersionOutlivesTheRun(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	if _, err := f.publish("first", layer, f.account.LayerVersions()); err != nil {
		t.Fatal(err)
	}

	f.registers.Set(release.RunName("first"), nil) // nobody knows of that run any more, so it is not undone
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
	f.must("second", `{}`, release.RolledBack)
	if got := f.published("base"); !slices.Equal(got, []string{"base:1"}) {
		t.Errorf("there are %v, want the version that was there before", got)
	}
}

func TestVersionsAreSharedWithEverybodyWhoMayUseThem(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("whole", `{}`, release.Promoted)
	if got := f.account.Grants(arnOf(1)); !slices.Equal(got, []string{"o-abcdefghij"}) {
		t.Errorf("shared with %v", got)
	}

	f = newFlow(t)
	layer := f.measured("first", `{}`)[0]
	f.account.Fail = func(method, subject string) error {
		if method == "LayerVersions.Share" && strings.HasSuffix(subject, " 210987654321") {
			return fault.New(fault.Throttled, "share", subject, errors.New("slow down"))
		}

		return nil
	}
	share := []string{"o-abcdefghij", "210987654321"}
	if _, err := f.publish("first", layer, f.account.LayerVersions(), share...); fault.CodeOf(err) != fault.Throttled {
		t.Fatalf("%v, want Throttled", err)
	}

	f.account.Fail = nil
	if _, err := f.publish("first", layer, f.account.LayerVersions(), share...); err != nil {
		t.Fatal(err)
	}

	if got := f.account.Grants(arnOf(1)); !slices.Equal(got, []string{"210987654321", "o-abcdefghij"}) ||
		len(f.published("base")) != 1 {
		t.Errorf("shared with %v, there are %v", got, f.published("base"))
	}
}

// verified runs one layer up to its probe.
func (f *flow) verified(run string) (workflow.Item, error) {
	f.t.Helper()
	layer, err := f.publish(run, f.measured(run, `{}`)[0], f.account.LayerVersions())
	if err != nil {
		f.t.Fatal(err)
	}

	return workflow.Verify{
		Ledger:    f.ledger(),
		Sandboxes: f.account.Sandboxes(),
		Versions:  f.account.LayerVersions(),
		Probes:    "probe-",
		Memory:    512,
	}.
		Run(f.t.Context(), workflow.StackInput{Run: run, Layer: layer, Layers: []workflow.Item{layer}})
}

func (f *flow) boxes() (names []string) {
	for _, v := range f.account.Versions() {
		if strings.HasPrefix(v.Name, "probe-") {
			names = append(names, v.Name)
		}
	}

	return names
}

func TestAProbeGoesOnUntilNothingRemains(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("base/probe.py", "import small\n")
	var asked []string
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		var q probe.Request
		if err := json.Unmarshal(payload, &q); err != nil {
			return workflow.Invocation{}, err
		}

		part := q
		part.Jobs = q.Jobs[:min(1, len(q.Jobs))]
		var said []string
		for _, j := range part.Jobs {
			said = append(said, string(j.Kind)+" "+j.Name+" "+j.Source)
		}

		if len(q.Jobs) > 1 {
			part.Imports = nil // there was time for one job
		}

		b, err := json.Marshal(part)
		if err != nil {
			return workflow.Invocation{}, err
		}

		out, err := answer(b, func(probe.SentJob) string { return "" })
		if err != nil {
			return workflow.Invocation{}, err
		}

		var a probe.Response
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			return workflow.Invocation{}, err
		}

		a.Remaining = len(q.Jobs) - len(part.Jobs)
		out.Payload, err = json.Marshal(a)
		asked = append(asked, strings.Join(append(said, part.Imports...), " + "))
		out.InitSeconds = 0
		out.MaxMemoryMiB = int64(50 + len(asked)) // only the first has a cold start
		if len(asked) == 1 {
			out.InitSeconds = 0.4
		}

		return out, err
	}
	item, err := f.verified("first")
	if err != nil {
		t.Fatal(err)
	}

	if want := []string{
		"metadata small ",
		"module small ",
		"script probe.py import small\n + small",
	}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	var v release.Verified
	f.document(item.Doc, &v)
	p := v.Probe
	if p.Status != report.ProbePassed || p.Modules != 1 || p.Metadata != 1 || p.Scripts != 1 ||
		p.Interpreter != "cpython-3.13.7" ||
		!slices.Equal(p.Stack, []string{"base"}) {
		t.Errorf("probe %+v", p)
	}

	if v.InitSeconds != 0.4 || v.MaxMemoryMiB != 53 || p.Import == nil || p.Import.WithSeconds != 0.25 {
		t.Errorf("cold start %v s, %d MiB, imports %+v", v.InitSeconds, v.MaxMemoryMiB, p.Import)
	}

	if item.Summary != "base: 1 module, 1 script; import 0.25 s" {
		t.Errorf("summary %q", item.Summary)
	}

	if left := f.boxes(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

func TestAThrowAwayFunctionThatDoesNotAnswerIsAFault(t *testing.T) {
	t.Parallel()
	const check = "check the response of the probe function: "
	for sentence, tt := range map[string]struct {
		answer workflow.Invocation
		want   string // behind the name of the function
	}{
		"it does not start": {
			workflow.Invocation{
				Error: "Runtime.ImportModuleError",
				LogTail: "INIT_START\n[ERROR] Unable to import module 'handler': No module named 'json'\nEND " +
					"RequestId: 8f5\nREPORT RequestId: 8f5\tDuration: 1.51 ms\n\n",
			},
			"the probe function failed with Runtime.ImportModuleError: [ERROR] Unable to import module " +
				"'handler': No module named 'json'. " +
				"Hint: its runtime cannot start with these layers; check which modules of theirs hide modules of the runtime",
		},
		"it runs out of time": {
			workflow.Invocation{
				Error:   "Sandbox.Timedout",
				Payload: []byte(`{"errorMessage": "Task timed out after 900.00 seconds", "errorType": "Sandbox.Timedout"}`),
			},
			"the probe function failed with Sandbox.Timedout: Task timed out after 900.00 seconds. Hint: " +
				"importing a module, or the layer's own probe, took more than Lambda's 15 minutes",
		},
		"it runs out of memory": {
			workflow.Invocation{
				Error:        "Runtime.ExitError",
				MaxMemoryMiB: 512,
				Payload:      []byte(`{"errorMessage": "Runtime exited with error: signal: killed"}`),
			},
			"the probe function failed with Runtime.ExitError: Runtime exited with error: signal: killed. Hint: " +
				"the probe needs more than the function's 512 MiB of memory",
		},
		"it answers nothing": {
			workflow.Invocation{Payload: []byte("null")},
			check + "no interpreter is named. Hint: ",
		},
		"it answers no JSON": {
			workflow.Invocation{Payload: []byte("<html>")},
			"read the response of the probe function: invalid character '<' looking for beginning of value. Hint: ",
		},
		"it answers less than it says": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [], "remaining": 1, "import": null}`),
			},
			check + "0 results and 1 remaining for 2 jobs. Hint: ",
		},
		"it never begins": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [], "remaining": 2, "import": null}`),
			},
			check + "no job was run. Hint: ",
		},
		"it answers what nobody asked for": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [{"kind": "module", "name": "evil", "ok": true}], "remaining": 1, "import": null}`),
			},
			check + "result 0 is of module evil, requested was metadata small. Hint: ",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			invoked := 0
			f.account.Run = func(context.Context, workflow.Sandbox, []byte) (workflow.Invocation, error) {
				invoked++
				return tt.answer, nil
			}
			_, err := f.verified("first")
			name := "probe-" + digest.Of([]byte("first layersmith-base")).Short()
			refusedAs(t, err, fault.ProbeFailed, "probe "+name+": "+tt.want)
			if left := f.boxes(); len(left) > 0 || invoked != 1 {
				t.Errorf("invoked %d times, left are %v", invoked, left)
			}
		})
	}
}

// reported is the report of a run that failed, with the notification.
func (f *flow) reported(in workflow.ReportInput) (release.Ending, error) {
	account := workflow.Account{Stack: "Layersmith", Console: "https://console.example/executions/"}
	return workflow.Report{
		Ledger:  f.ledger(),
		Metrics: f.metrics.Put,
		Notify:  f.notices.Send,
		Account: account,
	}.Run(f.t.Context(), in)
}

// as the state machine says it
const nothingTouched = `Nothing was published and no function was touched. {"Error":"States.TaskFailed","Cause":"..."}`

func TestAReportSaysWhyInOneSentence(t *testing.T) {
	t.Parallel()
	build := `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "FAILED", "BuildComplete": true, "Logs": {"DeepLink": "https://console.example/logs/8a7f"}}}`
	clean := release.Ending{Outcome: release.FailedClean, Message: nothingTouched}
	conflict := &release.Failure{
		Code:    "LockConflict",
		Message: "lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and small<2",
		Hint:    "relax one of the two",
	}
	for sentence, tt := range map[string]struct {
		left *release.Failure // by the build
		in   workflow.ReportInput
		want string
		code string
	}{
		"a build that said why": {
			left: conflict,
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.TaskFailed", Cause: build}},
			code: "LockConflict",
			want: "FailedClean: lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and " +
				"small<2; Nothing was published and no function was touched. Relax one of the two.",
		},
		"a build that said nothing": {
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.TaskFailed", Cause: build}},
			code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: failed; Nothing was published and no function was touched. " +
				"Read its log https://console.example/logs/8a7f.",
		},
		"a build that was stopped before it had a log": {in: workflow.ReportInput{Ending: clean,
			Error: &workflow.Caught{
				Error: "States.TaskFailed",
				Cause: `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "STOPPED"}}`,
			}}, code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: stopped; Nothing was published and no function was touched. " +
				"Read its log."},
		"a fault of a function, with its hint": {left: conflict, in: workflow.ReportInput{Ending: clean,
			Error: &workflow.Caught{
				Error: "OverLimit",
				Cause: `{"errorMessage": "measure base: over limit. Hint: raise the budget", "errorType": "OverLimit"}`,
			}}, code: "OverLimit",
			want: "FailedClean: measure base: over limit; Nothing was published and no function was touched. Raise " +
				"the budget."},
		"a deadline of the state machine": {
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.Timeout"}},
			code: "States.Timeout",
			want: "FailedClean: States.Timeout; Nothing was published and no function was touched.",
		},
		"a cause that is no JSON": {in: workflow.ReportInput{Ending: release.Ending{Outcome: release.FailedClean},
			Error: &workflow.Caught{
				Error: "Lambda.Unknown",
				Cause: "The cause could not be determined.",
			}}, code: "Lambda.Unknown",
			want: "FailedClean: The cause could not be determined."},
		"a failure and a rollback that failed": {
			in: workflow.ReportInput{
				Ending: release.Ending{
					Outcome: release.FailedDirty,
					Message: "FailedDirty: taking the changes back failed {...}",
				},
				Error: &workflow.Caught{
					Error: "Unhealthy",
					Cause: `{"errorMessage": "watch f: alarm a was raised. Hint: look at its log"}`,
				},
				RollbackError: &workflow.Caught{
					Error: "NotAllowed",
					Cause: `{"errorMessage": "undo f: denied. Hint: grant it"}`,
				},
			},
			code: "Unhealthy",
			want: "FailedDirty: watch f: alarm a was raised; undo f: denied; taking the changes back failed. Look at " +
				"its log. Grant it.",
		},
		"no failure": {
			in: workflow.ReportInput{
				Ending: release.Ending{
					Outcome: release.Promoted,
					Message: "Released: 1 layer (layersmith-base:1), 1 function moved.",
				},
			},
			want: "Released: 1 layer (layersmith-base:1), 1 function moved.",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			if tt.left != nil {
				f.write(release.FailureName("first"), *tt.left)
			}

			tt.in.Run = "first"
			tt.in.Execution = "arn:first"
			tt.in.StartedAt = f.now.Add(-time.Minute)
			end, err := f.reported(tt.in)
			if err != nil || end.Message != tt.want || end.Outcome != tt.in.Ending.Outcome {
				t.Errorf("%s %v\n%q, want\n%q", end.Outcome, err, end.Message, tt.want)
			}

			var r release.RunReport
			f.read(release.ReportName("first"), &r)
			if code := r.Failure; (code == nil) != (tt.code == "") || code != nil && code.Code != tt.code {
				t.Errorf("failure %+v, want %s", code, tt.code)
			}

			want := porttest.Notice{
				Subject: "Layersmith: " + string(end.Outcome),
				Text: tt.want + "\n\nexecution https://console.example/executions/arn:first\nreport    " +
					"runs/first/report.json\n",
			}
			if d := cmp.Diff([]porttest.Notice{want}, f.notices.Sent()); d != "" {
				t.Errorf("notices (-want +got):\n%s", d)
			}
		})
	}
}

func TestNoticeOfAReleaseSaysWhatChanged(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true, "trigger": "schedule"}`, release.Promoted)
	weight, err := f.account.LayerVersions().Unzipped(t.Context(), arnOf(2))
	if err != nil {
		t.Fatal(err)
	}

	zipped := measure.Bytes(len(f.account.LayerZip(arnOf(2))))
	was := measure.Bytes(len(f.account.LayerZip(arnOf(1))))
	want := porttest.Notice{
		Subject: "Layersmith: Released (schedule)",
		Text: "Released: 1 layer (layersmith-base:2), 1 function moved.\n" +
			fmt.Sprintf("\nlayersmith-base:2  %s unzipped, %s zipped, within its budget (version 1: %s, %s)\n", weight,
				zipped, weight, was) +
			"  small 1.0 -> 2.0\n\nfunctions\n  " + functionARN + ": live 2 -> 3\nreport    runs/second/report.json\n",
	}
	if d := cmp.Diff(want, f.notices.Sent()[1]); d != "" {
		t.Errorf("notice (-want +got):\n%s", d)
	}
}

func TestAReportThatIsMadeAgainNotifiesOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	in := workflow.ReportInput{
		Run:       "first",
		Execution: "arn:first",
		StartedAt: f.now,
		Ending: release.Ending{
			Outcome: release.FailedClean,
			Message: nothingTouched,
		},
		Error: &workflow.Caught{Error: "States.Timeout"},
	}
	down := workflow.Report{Ledger: f.ledger(), Metrics: f.metrics.Put, Account: workflow.Account{Stack: "Layersmith"},
		Notify: func(context.Context, string, string) error {
			return fault.New(fault.Throttled, "notify", "", errors.New("slow down"))
		}}
	end, err := down.Run(t.Context(), in)
	if fault.CodeOf(err) != fault.Throttled ||
		end.Message != "FailedClean: States.Timeout; Nothing was published and no function was touched." {
		t.Fatalf("%+v %v", end, err)
	}

	for n := range 3 {
		f.now = f.now.Add(time.Second)
		again, err := f.reported(in)
		if err != nil || again != end {
			t.Errorf("time %d: %+v %v, want %+v", n, again, err, end)
		}

		if sent := f.notices.Sent(); len(sent) != 1 {
			t.Errorf("time %d: %d notices, want 1", n, len(sent))
		}
	}

	// An outcome that nobody waits for is no news.
	in = workflow.ReportInput{
		Run:       "second",
		Execution: "arn:second",
		Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: nothing changed"},
	}
	if _, err := f.reported(in); err != nil || len(f.notices.Sent()) != 1 {
		t.Errorf("%v, %d notices", err, len(f.notices.Sent()))
	}
}

// What another version of the program wrote is not half understood, and not overwritten.
func TestDocumentsOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	const hint = ". Hint: it was written by another version of Layersmith, or by hand; restore an earlier version of " +
		"the object"
	newer := []byte(`{"schemaVersion": 1, "run": "future", "waves": 3}` + "\n")
	f := newFlow(t)
	layers := f.measured("first", `{}`)
	stages := map[string]func() error{
		"Select": func() error {
			_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			return err
		},
		"Record": func() error { _, err := f.record("first", layers); return err },
		"Promote": func() error {
			_, err := workflow.Promote{
				Ledger:    f.ledger(),
				Functions: f.account.Functions(),
				Versions:  f.account.LayerVersions(),
			}.Run(t.Context(), workflow.RecordInput{Run: "first", Layers: layers})
			return err
		},
	}
	f.registers.Set(release.ReleasedName, newer)
	for name, run := range stages {
		t.Run(name, func(t *testing.T) {
			refusedAs(t, run(), fault.ProvenanceMismatch, `read state/released.json: json: unknown field "waves"`+hint)
		})
	}

	if now, _, err := f.registers.MemoryRegisters.Load(t.Context(), release.ReleasedName); err != nil ||
		!bytes.Equal(now, newer) {
		t.Errorf("state/released.json is now %s %v", now, err)
	}

	f.registers.Set(release.ReleasedName, nil)
	for name, run := range map[string]func() error{
		"Publish": func() error { _, err := f.publish("first", layers[0], f.account.LayerVersions()); return err },
		"Record":  stages["Record"],
	} {
		t.Run(name+" and the lease", func(t *testing.T) {
			lease, _, err := f.registers.MemoryRegisters.Load(t.Context(), release.LeaseName)
			if err != nil {
				t.Fatal(err)
			}
			defer f.registers.Set(release.LeaseName, lease)
			f.registers.Set(release.LeaseName, []byte("{}\n{}"))
			refusedAs(t, run(), fault.ProvenanceMismatch, "read state/lease.json: the JSON document is followed by something"+hint)
		})
	}
}

func TestABuildOfAnotherRunIsRefused(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		change func(f *flow)
		want   string
	}{
		"it left nothing": {func(f *flow) { f.registers.Set(release.BuiltName("first"), nil) },
			"read runs/first/built.json: the build stored no result. Hint: read the build's log in CodeBuild"},
		"it is another run's": {func(f *flow) { f.replaceBuilt(func(b *release.Built) { b.Run = "other" }) },
			"read runs/first/built.json: it was built from another workspace. Hint: start a new execution"},
		"it was made of another workspace": {
			func(f *flow) { f.replaceBuilt(func(b *release.Built) { b.Workspace = digest.Of([]byte("other")) }) },
			"read runs/first/built.json: it was built from another workspace. Hint: start a new execution",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.begun("first", `{}`)
			tt.change(f)
			_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			refusedAs(t, err, fault.ProvenanceMismatch, tt.want)
		})
	}
}

func TestWhatAStageIsGivenMustBelongToItsLayer(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	layers := f.measured("first", `{}`)
	mixed := workflow.Item{Layer: "web", Target: target, Doc: layers[0].Doc}
	_, err := f.publish("first", mixed, f.account.LayerVersions())
	refusedAs(t, err, fault.ProvenanceMismatch,
		"read web python3.13-x86_64: its document belongs to base on python3.13-x86_64. Hint: start a new execution")
	item, err := f.publish("first", layers[0], f.account.LayerVersions())
	if err != nil {
		t.Fatal(err)
	}

	mixed.Doc = item.Doc
	_, err = workflow.Verify{
		Ledger:    f.ledger(),
		Sandboxes: f.account.Sandboxes(),
		Versions:  f.account.LayerVersions(),
		Probes:    "probe-",
	}.Run(t.Context(), workflow.StackInput{Run: "first", Layer: mixed})
	refusedAs(
		t,
		err,
		fault.ProvenanceMismatch,
		"read web python3.13-x86_64: its document belongs to base on python3.13-x86_64. Hint: start a new execution",
	)

	// A candidate of another run is not promoted.
	var c release.Candidate
	f.document(item.Doc, &c)
	c.Run = "other"
	b, err := release.Encode(release.Verified{SchemaVersion: 1, Candidate: c})
	if err != nil {
		t.Fatal(err)
	}

	_, err = workflow.Promote{Ledger: f.ledger(), Functions: f.account.Functions(), Versions: f.account.LayerVersions()}.
		Run(t.Context(), workflow.RecordInput{
			Run:    "first",
			Layers: []workflow.Item{{Layer: "base", Target: target, Doc: f.store("documents/", b)}},
		})
	refusedAs(t, err, fault.ProvenanceMismatch,
		"promote base: its candidate belongs to run other. Hint: start a new execution")
}

// racing is a register that somebody else writes to between our reading and our writing.
type racing struct {
	workflow.Registers
	store func(name string)
}

func (r racing) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	r.store(name)
	return r.Registers.Store(ctx, name, doc, tag)
}

func TestALeaseThatIsRacedForHasOneHolder(t *testing.T) {
	t.Parallel()
	raced := func(f *flow, lease release.Lease) workflow.Ledger {
		l := f.ledger()
		l.Registers = racing{f.registers, func(name string) {
			if name == release.LeaseName {
				f.write(name, lease)
			}
		}}
		return l
	}
	lease := func(f *flow) (l release.Lease) { f.read(release.LeaseName, &l); return l }

	t.Run("of two that begin at once one waits", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
		}
		out, err := workflow.Intake{
			Ledger:  raced(f, other),
			Sources: f.sources,
			Tool:    engine.Tool,
		}.Run(t.Context(), workflow.IntakeInput{Run: "first", Execution: "arn:first", Input: json.RawMessage(`{}`)})
		if err != nil || out.Next != workflow.NextWait || out.Summary != "another execution took the lease first" ||
			out.WaitSeconds < 1 {
			t.Errorf("%+v %v, want it to wait", out, err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("a neighbour in the same Map renews it", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		f.now = f.now.Add(release.LeaseFor/2 + time.Minute)
		renewed := release.Lease{
			SchemaVersion: 1,
			Run:           "first",
			Execution:     "arn:first",
			Until:         f.now.Add(release.LeaseFor),
		}
		if _, err := (workflow.Select{Ledger: raced(f, renewed)}).Run(t.Context(),
			workflow.RunInput{Run: "first"}); err != nil {
			t.Errorf("%v: the run still has it", err)
		}

		if d := cmp.Diff(renewed, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("somebody has taken over", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
			Recovers:      "first",
		}
		f.write(release.LeaseName, other)
		_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
		refusedAs(t, err, fault.LeaseLost,
			`continue first: execution "other" has taken over. Hint: wait for that execution, then start a new one if anything is left to do`)
	})

	t.Run("somebody takes over", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		f.now = f.now.Add(release.LeaseFor + time.Minute)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
			Recovers:      "first",
		}
		_, err := workflow.Select{Ledger: raced(f, other)}.Run(t.Context(), workflow.RunInput{Run: "first"})
		if fault.CodeOf(err) != fault.LeaseLost {
			t.Errorf("%v, want LeaseLost", err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("somebody has it by the time that it is given back", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		other := release.Lease{
			SchemaVersion: 1,
			Run:           "other",
			Execution:     "arn:other",
			Until:         f.now.Add(release.LeaseFor),
		}
		_, err := workflow.Report{
			Ledger:  raced(f, other),
			Metrics: f.metrics.Put,
			Notify:  f.notices.Send,
			Account: workflow.Account{Stack: "Layersmith"},
		}.
			Run(t.Context(), workflow.ReportInput{
				Run:       "first",
				Execution: "arn:first",
				Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: x"},
			})
		if err != nil {
			t.Error(err)
		}

		if d := cmp.Diff(other, lease(f)); d != "" {
			t.Errorf("the lease (-want +got):\n%s", d)
		}
	})

	t.Run("it is renewed before half of it is over, and no earlier", func(t *testing.T) {
		t.Parallel()
		f := newFlow(t)
		f.begun("first", `{}`)
		began := f.now
		for _, tt := range []struct{ after, until time.Duration }{
			{release.LeaseFor/2 - time.Second, release.LeaseFor},
			{release.LeaseFor / 2, release.LeaseFor/2 + release.LeaseFor},
		} {
			f.now = began.Add(tt.after)
			if _, err := (workflow.Select{Ledger: f.ledger()}).Run(t.Context(), workflow.RunInput{Run: "first"}); err != nil {
				t.Fatal(err)
			}

			if got := lease(f).Until.Sub(began); got != tt.until {
				t.Errorf("after %s it holds until %s, want %s", tt.after, got, tt.until)
			}
		}
	})
}

func TestGoingBackWithOneLayerLeavesTheOthers(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: [base, web] }\n")
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.must("first", `{}`, release.Promoted)
	f.makes(made{layer: "base", version: "2.0"}, made{layer: "web", version: "2.0"})
	f.must("second", `{"refresh": true}`, release.Promoted)
	// Somebody went back with base by hand: that is not undone either.
	latest := f.function("")
	if _, err := f.account.Functions().
		SetLayers(t.Context(), functionName, []string{
			layerARN + "base:1",
			layerARN + "web:2",
		}, latest.RevisionID); err != nil {
		t.Fatal(err)
	}

	if end := f.must("third", `{"rollback": {"layer": "web", "to": 1}}`,
		release.Promoted); end.Message != "Released: 1 layer (back to layersmith-web:1), 1 function moved." {
		t.Errorf("message %q", end.Message)
	}

	if got, want := layersOf(
		f.function(""),
	), []string{
		layerARN + "base:1",
		layerARN + "web:1",
	}; !slices.Equal(
		got,
		want,
	) {
		t.Errorf("the function has %v, want %v", got, want)
	}

	var now []string
	for _, l := range f.released().Layers {
		now = append(now, fmt.Sprintf("%s %d back to %s", l.Layer, l.Current.Version, l.Versions()))
	}

	if want := []string{"base 2 back to 1", "web 1 back to 2"}; !slices.Equal(now, want) {
		t.Errorf("released %q, want %q", now, want)
	}
}

// Taking consumers.yaml away moves nobody any more.
func TestAWorkspaceWithoutConsumersMovesNobody(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	if err := f.sources.Delete(t.Context(), "consumers.yaml"); err != nil {
		t.Fatal(err)
	}

	before := f.state()
	if end := f.must(
		"first",
		`{}`,
		release.Promoted,
	); end.Message != "Released: 1 layer (layersmith-base:1), 0 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	before.Layer = []string{arnOf(1)}
	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("a function was touched (-want +got):\n%s", d)
	}

	f.must("second", `{}`, release.Unchanged)
	if len(f.names) != 2 {
		t.Errorf("the second run went through %v", f.names)
	}
}

func TestAnExecutionCarriesSoManyAndNoMore(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	code := zipOf(t, map[string]string{"main.py": ""})
	add := func(n int) {
		f.account.AddFunction(t, porttest.NewFunction{
			Name:   fmt.Sprintf("f%d", n),
			Target: target,
			Zip:    code,
			Tags:   map[string]string{"team": "shop"},
		})
	}
	for n := range 299 {
		add(n)
	}

	f.push("consumers.yaml", "consumers:\n  - { tag: { team: shop }, layers: base }\n")
	layers := f.measured("first", `{}`)
	if out, err := f.record("first",
		layers); err != nil || out.Summary != "299 functions to move" || len(out.Consumers) != 299 ||
		out.Consumers[298].Change != "runs/first/changes/299.json" {
		t.Errorf("%q %v", out.Summary, err)
	}

	add(299)
	_, err := f.record("first", layers)
	refusedAs(
		t,
		err,
		fault.OverLimit,
		"record the run: 1 layer and 300 consumers, at most 300 of both fit into one execution. "+
			"Hint: release some layers at a time, or split the workspace into two stacks",
	)
}

func TestRecordingAgainStopsWhereSomethingWasTouched(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layers := f.measured("first", `{}`)
	first, err := f.record("first", layers)
	if err != nil {
		t.Fatal(err)
	}

	again, err := f.record("first", layers)
	if d := cmp.Diff(first, again); err != nil || d != "" {
		t.Errorf("recorded again: %v\n%s", err, d)
	}

	var c release.Change
	f.read(first.Consumers[0].Change, &c)
	if c.After != nil || c.Before.AliasVersion != "1" || len(c.Before.Layers) != 0 || c.Alarm != "errors" {
		t.Errorf("recorded is %+v", c)
	}

	c.After = &release.State{Layers: []string{arnOf(1)}, CodeSHA256: c.Before.CodeSHA256}
	f.write(first.Consumers[0].Change, c)
	_, err = f.record("first", layers)
	refusedAs(t, err, fault.LeaseLost,
		"record "+functionARN+": the run has changed it already. Hint: start a new execution")
}

// swapped publishes bytes that are not those that it was given.
type swapped struct {
	workflow.LayerVersions
	zip blob.Ref
}

func (s swapped) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	v.Zip = s.zip
	return s.LayerVersions.Publish(ctx, v)
}

func TestAVersionWithOtherBytesIsNotACandidate(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	other := f.store("other/", zipOf(t, map[string]string{"python/other.py": ""}))
	_, err := f.publish("first", layer, swapped{f.account.LayerVersions(), other})
	if fault.CodeOf(err) != fault.HashMismatch ||
		!strings.HasPrefix(err.Error(), "publish "+arnOf(1)+": its bytes have sha256 ") {
		t.Errorf("%v, want HashMismatch", err)
	}

	if _, err := (workflow.Rollback{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Sandboxes: f.account.Sandboxes(),
		Probes:    "probe-",
	}).
		Run(t.Context(), workflow.RunInput{Run: "first"}); err != nil {
		t.Fatal(err)
	}

	if got := f.published("base"); len(got) > 0 {
		t.Errorf("left are %v", got)
	}
}

func TestWhatAProbeSaysDecidesAboutTheCandidate(t *testing.T) {
	t.Parallel()
	onlyPruned := func(why string) func(workflow.Sandbox, probe.SentJob) string {
		return func(s workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module && strings.HasPrefix(s.Layers[len(s.Layers)-1], layerARN) {
				return why
			}

			return ""
		}
	}
	const noModule = "Traceback (most recent call last):\n  File \"x\", line 1\nModuleNotFoundError: No module named " +
		"'small.tests.test_small'"
	for sentence, tt := range map[string]struct {
		spec    string
		fails   func(workflow.Sandbox, probe.SentJob) string
		imports string // why what is timed cannot be imported
		refuse  string // what an unpruned layer is refused as
		want    string // the error, "" for none
		boxes   int
		check   func(report.Probe) bool
	}{
		"all is well": {
			boxes: 1,
			check: func(p report.Probe) bool { return len(p.Failures) == 0 && p.Modules == 1 && p.Metadata == 1 },
		},
		"what fails only when it is pruned": {fails: onlyPruned(noModule), boxes: 2,
			want: "probe base: module small: ModuleNotFoundError: No module named 'small.tests.test_small'"},
		"what fails before pruning too is the package's": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module {
				return "ImportError: needs a display"
			}

			return ""
		}, boxes: 2, check: func(p report.Probe) bool { return len(p.Failures) == 1 && p.Failures[0].Inherited }},
		"a script that fails must pass, whoever is at fault": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Script {
				return "AssertionError: 1 != 2"
			}

			return ""
		}, boxes: 2, want: "probe base: script probe.py: AssertionError: 1 != 2"},
		"what the layer chose to leave out is skipped": {
			spec:  "drop:\n  - { match: small/tests/**, reason: not used }\n",
			fails: onlyPruned(noModule),
			boxes: 1,
			check: func(p report.Probe) bool {
				return len(p.Failures) == 0 && len(p.Skipped) == 1 &&
					p.Skipped[0].Chosen == "small.tests.test_small" && p.Modules == 0
			},
		},
		"what cannot be imported together": {
			imports: "ImportError: circular",
			boxes:   2,
			want:    "probe base: module small: ImportError: circular",
		},
		"what cannot be compared is not excused": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module {
				return "ImportError: needs a display"
			}

			return ""
		}, refuse: "LayerVersions.Publish", boxes: 1, want: "probe base: module small: ImportError: needs a display"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.push("base/probe.py", "import small\n")
			if tt.spec != "" {
				f.push("base/layer.yaml", tt.spec)
			}

			boxes := 0
			f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
				boxes++
				out, err := answer(payload, func(j probe.SentJob) string {
					if tt.fails == nil {
						return ""
					}

					return tt.fails(s, j)
				})
				if tt.imports == "" || err != nil {
					return out, err
				}

				var a probe.Response
				if err := json.Unmarshal(out.Payload, &a); err != nil {
					return out, err
				}

				if a.Import != nil { // not asked of the unpruned layer, which is asked for the same as a job
					a.Import.Detail = tt.imports
				}

				out.Payload, err = json.Marshal(a)
				return out, err
			}
			f.account.Fail = func(method, subject string) error {
				if method == tt.refuse && strings.HasPrefix(subject, "probe-") {
					return fault.New(fault.BadInput, "publish", subject, errors.New("too large"))
				}

				return nil
			}
			item, err := f.verified("first")
			if text := fmt.Sprint(err); tt.want != "" && (text != tt.want || fault.CodeOf(err) != fault.ProbeFailed) ||
				tt.want == "" && err != nil {
				t.Fatalf("error %s, want %q", text, tt.want)
			}

			if tt.check != nil {
				var v release.Verified
				f.document(item.Doc, &v)
				if !tt.check(v.Probe) || v.Probe.Status != report.ProbePassed {
					t.Errorf("probe %+v", v.Probe)
				}
			}

			if boxes != tt.boxes || len(f.boxes()) > 0 {
				t.Errorf("%d invocations, want %d; left are %v", boxes, tt.boxes, f.boxes())
			}

			if left, err := f.account.LayerVersions().
				List(t.Context(), "probe-"+digest.Of([]byte("first layersmith-base")).Short()); err != nil ||
				len(left) > 0 {
				t.Errorf("of the unpruned layer %v is left, %v", left, err)
			}
		})
	}
}

func TestVersionsAreComparedForPeople(t *testing.T) {
	t.Parallel()
	wheels := func(s ...string) (all []report.Wheel) {
		for _, w := range s {
			name, version, _ := strings.Cut(w, " ")
			all = append(all, report.Wheel{Name: name, Version: version})
		}

		return all
	}
	for sentence, tt := range map[string]struct{ before, after, want []string }{
		"the same":    {[]string{"numpy 2.1", "six 1.0"}, []string{"numpy 2.1", "six 1.0"}, nil},
		"the first":   {nil, []string{"numpy 2.1"}, []string{"+ numpy 2.1"}},
		"another one": {[]string{"numpy 2.1"}, []string{"numpy 2.2"}, []string{"numpy 2.1 -> 2.2"}},
		"all at once": {
			[]string{"six 1.0", "numpy 2.1", "idna 3"},
			[]string{"numpy 2.0", "pandas 3.0"},
			[]string{"numpy 2.1 -> 2.0", "+ pandas 3.0", "- idna 3", "- six 1.0"},
		},
		"nothing is in": {[]string{"six 1.0"}, nil, []string{"- six 1.0"}},
	} {
		if got := workflow.Versions(wheels(tt.before...), wheels(tt.after...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", sentence, got, tt.want)
		}
	}
}
