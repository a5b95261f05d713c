package workflow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestUnreleasedCodeIsNotReleasedWithTheLayers(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.account.SetCode(t, functionName, zipOf(t, map[string]string{"main.py": "import unfinished\n"}))
	before := f.state()
	end := f.must("first", `{}`, release.FailedClean)
	if !strings.Contains(end.Message, "$LATEST differs from version 1") {
		t.Errorf("message %q", end.Message)
	}

	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}
}

// A consumer that cannot be changed, or whose change could not be undone, is refused before
// anything is published.
func TestConsumersThatCannotMoveAreRefused(t *testing.T) {
	t.Parallel()
	const (
		plain = "consumers:\n  - { function: orders, layers: base }\n"
		live  = "consumers:\n  - { function: orders, layers: base, alias: live }\n"
		watch = "consumers:\n  - { function: orders, layers: base, health: { alarm: \"{function}-errors\" } }\n"
		tags  = "consumers:\n  - { tag: { stage: live }, layers: base, alias: live }\n" +
			"  - { tag: { team: shop }, layers: base }\n"

		refuse = "record arn:aws:lambda:us-east-1:123456789012:function:orders"
		addIt  = "Hint: add the target to layers/workspace.yaml, or remove the function from layers/consumers.yaml"
	)
	code := zipOf(t, map[string]string{"main.py": "import small\n"})
	onARM := memport.NewFunction{Target: arm, Zip: code}
	version := func(f *flow) {
		v, err := f.account.Functions().Get(f.t.Context(), "orders", "")
		if err == nil {
			_, err = f.account.Functions().PublishVersion(f.t.Context(), "orders", "by hand", v.RevisionID)
		}

		if err != nil {
			f.t.Fatal(err)
		}
	}
	alias := func(f *flow, version string, weights map[string]float64) {
		f.account.AddAlias(f.t, "orders", workflow.Alias{Name: "live", Version: version, Weights: weights})
	}
	for sentence, tt := range map[string]struct {
		consumers string
		function  memport.NewFunction
		prepare   func(*flow)
		code      fault.Code
		want      string
	}{
		"a function that does not exist": {
			consumers: strings.ReplaceAll(plain, "orders", "gone"),
			code:      fault.NotFound,
			want:      "Functions.Get gone: there is no such function. Hint: ",
		},
		"an alias that does not exist": {
			consumers: live,
			code:      fault.NotFound,
			want:      "Functions.Alias orders:live: there is no such alias. Hint: ",
		},
		"an alarm that does not exist": {
			consumers: watch,
			code:      fault.NotFound,
			want:      "read alarm orders-errors: there is no such alarm. Hint: ",
		},
		"a container image": {
			consumers: plain,
			function:  memport.NewFunction{Target: target},
			code:      fault.BadInput,
			want: refuse + ": it runs a container image on x86_64, the workspace builds for python3.13-x86_64. " +
				addIt,
		},
		"another architecture": {
			consumers: plain,
			function:  onARM,
			code:      fault.BadInput,
			want:      refuse + ": it runs python3.13 on arm64, the workspace builds for python3.13-x86_64. " + addIt,
		},
		"a target that the build did not make": {
			consumers: plain,
			function:  onARM,
			prepare: func(f *flow) {
				f.push("workspace.yaml", "targets: [python3.13-x86_64, python3.13-arm64]\n")
			},
			code: fault.BadInput,
			want: refuse + ": it needs layer base, which is neither released for python3.13-arm64 nor part of this " +
				`run. Hint: start again with {"force": true}`,
		},
		"five other layers": {
			consumers: plain,
			function: memport.NewFunction{
				Target: target,
				Zip:    code,
				Layers: []string{"a", "b", "c", "d", "e"},
			},
			code: fault.OverLimit,
			want: refuse + ": it would have 6 layers, Lambda allows 5. " +
				"Hint: remove a layer from the function, or merge two in the workspace",
		},
		"an alias that points to $LATEST": {
			consumers: live,
			prepare:   func(f *flow) { alias(f, "$LATEST", nil) },
			code:      fault.BadInput,
			want: refuse + ":live: the alias points to $LATEST, so it cannot be moved back. " +
				"Hint: publish a version and point the alias to it, or remove alias from layers/consumers.yaml",
		},
		"an alias in the middle of a deployment": {
			consumers: live,
			prepare: func(f *flow) {
				version(f)
				f.account.SetMemory(f.t, "orders", 256)
				version(f)
				alias(f, "1", map[string]float64{"2": 0.1})
			},
			code: fault.Changed,
			want: refuse + ":live: the alias is in the middle of a weighted deployment. " +
				"Hint: finish it, then start again",
		},
		"a setting that is not released": {
			consumers: live,
			prepare: func(f *flow) {
				version(f)
				alias(f, "1", nil)
				f.account.SetMemory(f.t, "orders", 256)
			},
			code: fault.Changed,
			want: refuse + ":live: $LATEST differs from version 1: " +
				"moving the alias would release more than the layers. " +
				"Hint: publish $LATEST and move the alias to it, or revert the differences, then start again",
		},
		"an alarm that is raised already": {
			consumers: watch,
			prepare: func(f *flow) {
				f.alarms.Set("orders-errors",
					workflow.Alarm{State: workflow.AlarmRaised, Reason: "12 errors in 5 minutes"})
			},
			code: fault.Unhealthy,
			want: refuse + ": alarm orders-errors is raised already: 12 errors in 5 minutes. " +
				"Hint: repair the function first, then start again",
		},
		"two tags with different settings": {
			consumers: tags,
			prepare: func(f *flow) {
				version(f)
				alias(f, "1", nil)
			},
			code: fault.BadInput,
			want: refuse + ": it has the tags of lines 2 and 3 of layers/consumers.yaml, " +
				"which have different settings. Hint: add an entry for it: function: orders",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			function := tt.function
			if function.Target == (pydist.Target{}) {
				function = memport.NewFunction{Target: target, Zip: code}
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

			const vendorBytes = 200 << 20
			vendor := f.vendor("vendor", vendorBytes)
			f.account.AddFunction(t, memport.NewFunction{
				Name:   "large",
				Target: target,
				Zip:    heavy(t, measure.MaxUnzippedBytes-vendorBytes-int64(layer)+tt.over),
				Layers: []string{vendor},
			})
			f.push("consumers.yaml", "consumers:\n  - { function: large, layers: base }\n")
			want := []string{vendor, arnOf(1)}
			message := "Released: 1 function moved to the released layers."
			if tt.over > 0 {
				want = want[:1]
				message = "FailedClean: record arn:aws:lambda:us-east-1:123456789012:function:large: " +
					"its code (52.4 MB) and its layers would be 262.1 MB unzipped, " +
					"1 B more than Lambda's 262.1 MB; Nothing was published and no function was touched."
			}

			f.mustSay("second", `{}`, tt.end, message)
			latest, err := f.account.Functions().Get(t.Context(), "large", "")
			if err != nil {
				t.Fatal(err)
			}

			if got := layersOf(latest); !slices.Equal(got, want) {
				t.Errorf("it has %v, want %v: other layers keep their position", got, want)
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

		f.account.AddFunction(t, memport.NewFunction{
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
	f.mustSay("first", `{}`, release.Promoted, "Released: 1 layer (layersmith-base:1), 2 functions moved.")

	var changes []string
	for n := range 2 {
		var c release.Change
		f.read(release.ChangeName("first", n+1), &c)
		name := c.Function[strings.LastIndexByte(c.Function, ':')+1:]
		changes = append(changes, fmt.Sprintf("%d %s %s %d", c.Sequence, name, c.Alarm, c.WindowSeconds))
	}

	if want := []string{"1 prices prices-errors 60", "2 orders orders-errors 120"}; !slices.Equal(changes, want) {
		t.Errorf("changes %q, want %q", changes, want)
	}

	for _, v := range f.account.Versions() {
		moved := v.Name == "orders" || v.Name == "prices"
		if (len(v.Layers) > 0) != moved || v.Name != functionName && v.Version != "$LATEST" {
			t.Errorf("%s %s has layers %v", v.Name, v.Version, layersOf(v.Function))
		}
	}

	if end := f.must("second", `{}`, release.Unchanged); len(f.names) != 2 {
		t.Errorf("the next run: %s, %v", end.Message, f.names)
	}
}

// Without consumers.yaml, no function is changed.
func TestAWorkspaceWithoutConsumersMovesNobody(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	if err := f.sources.Delete(t.Context(), "consumers.yaml"); err != nil {
		t.Fatal(err)
	}

	before := f.state()
	f.mustSay("first", `{}`, release.Promoted, "Released: 1 layer (layersmith-base:1), 0 functions moved.")

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
		f.account.AddFunction(t, memport.NewFunction{
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
	out, err := f.record("first", layers)
	if err != nil || out.Summary != "299 functions to move" || len(out.Consumers) != 299 ||
		out.Consumers[298].Change != "runs/first/changes/299.json" {
		t.Errorf("%q %v", out.Summary, err)
	}

	add(299)
	_, err = f.record("first", layers)
	refusedAs(t, err, fault.OverLimit,
		"record the run: 1 layer and 300 consumers, at most 300 of both fit into one execution. "+
			"Hint: release some layers at a time, or split the workspace into two stacks")
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
