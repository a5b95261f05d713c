package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestUploadIsReleasedOnceAndRedeliveredEventsChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	end := f.must("first", `{}`, release.Promoted)
	if want := "Released: 1 layer (layersmith-base:1), 1 function moved."; end.Message != want {
		t.Errorf("message %q, want %q", end.Message, want)
	}

	want := state{
		Layers:   []string{arnOf(1)},
		Alias:    "2",
		Versions: []string{"1 ", "2 " + arnOf(1)},
		Layer:    []string{arnOf(1)},
	}
	if d := cmp.Diff(want, f.state()); d != "" {
		t.Errorf("after the release (-want +got):\n%s", d)
	}

	calls := len(f.account.Calls())
	f.must("second", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("the second run went through %v", f.names)
	}

	f.push("consumers.yaml", "# a comment\n"+oneConsumer)
	f.must("third", `{}`, release.Unchanged)
	f.push("base/requirements.txt", "small # the same\n")
	f.must("fourth", `{}`, release.Unchanged)
	f.must("fifth", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("a run on what gave the same layers went through %v", f.names)
	}

	if got := f.account.Calls(); len(got) != calls {
		t.Errorf("runs that changed nothing did %v", got[calls:])
	}

	if sent := f.notices.Sent(); len(sent) != 1 || !strings.HasPrefix(sent[0].Subject, "Layersmith: Released") {
		t.Errorf("notices %v, want one of the release", sent)
	}
}

func TestDryRunPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	before := f.state()
	end := f.must("first", `{"dryRun": true}`, release.Unchanged)
	if d := cmp.Diff(before, f.state()); d != "" ||
		end.Message != "Unchanged: Dry run: nothing was published. 1 function to move" {
		t.Errorf("%q\n%s", end.Message, d)
	}

	f.must("second", `{}`, release.Promoted)
}

// An execution may be killed at any moment. The next one undoes it, and then releases.
func TestKilledAtAnyMomentTheNextRunFinishes(t *testing.T) {
	t.Parallel()
	whole := newFlow(t)
	whole.must("whole", `{}`, release.Promoted)
	for n := range whole.registers.calls {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.registers.left = n
			if _, err := f.run("killed", `{}`); !errors.Is(err, errKilled) {
				return // the calls after the last one of the store are not counted
			}

			at := f.names[len(f.names)-1]
			f.registers.left = -1
			end, err := f.run("next", `{}`)
			if err != nil || end.Outcome != release.Promoted && end.Outcome != release.Unchanged {
				t.Fatalf("killed in %s: %v %+v, states %v", at, err, end, f.names)
			}

			got := f.state()
			if len(got.Layers) != 1 || got.Layers[0] != got.Layer[0] {
				t.Errorf("killed in %s: the function has %v of %v", at, got.Layers, got.Layer)
			}

			isLive := func(v string) bool { return strings.HasPrefix(v, got.Alias+" ") }
			live := got.Versions[slices.IndexFunc(got.Versions, isLive)]
			if live != got.Alias+" "+got.Layers[0] {
				t.Errorf("killed in %s: the alias points to %q, the layer is %s", at, live, got.Layers[0])
			}

			// At most one version of the function is left, published and not yet stored, and the
			// layer version that it uses.
			if len(got.Versions) > 3 || len(got.Layer) > 2 || len(got.Layer) == 2 && len(got.Versions) != 3 {
				t.Errorf("killed in %s: left behind: %+v", at, got)
			}

			f.must("after", `{}`, release.Unchanged)
		})
	}
}

// Any single call may fail. The run is released, or everything is as before.
func TestAnyFailureIsRolledBack(t *testing.T) {
	t.Parallel()
	whole := newFlow(t)
	whole.must("whole", `{}`, release.Promoted)
	seen := map[release.Outcome]int{}
	for n := range whole.registers.calls {
		f := newFlow(t)
		before := f.state()
		f.registers.left = n
		f.registers.once = true
		end, err := f.run("fails", `{}`)
		f.registers.left = -1
		seen[end.Outcome]++
		got := f.state()
		switch {
		case err != nil: // Report failed; the state machine keeps its ending
		case end.Outcome == release.Promoted:
			if got.Alias != "2" || !slices.Equal(got.Layers, []string{arnOf(1)}) {
				t.Errorf("call %d in %v: released, but %+v", n, f.names, got)
			}
		case end.Outcome == release.RolledBack, end.Outcome == release.FailedClean:
			// The version was published, and the answer was lost.
			if len(got.Versions) == 2 && got.Versions[1] == "2 "+arnOf(1) {
				got.Versions = got.Versions[:1]
				got.Layer = nil
			}

			if d := cmp.Diff(before, got); d != "" {
				t.Errorf("call %d in %v: %s, but not as before (-before +after):\n%s", n, f.names, end.Outcome, d)
			}
		default:
			t.Errorf("call %d in %v: %+v", n, f.names, end)
		}

		f.registers.once = false
		if next, err := f.run("next", `{}`); err != nil ||
			next.Outcome != release.Promoted && next.Outcome != release.Unchanged {
			t.Errorf("after a failure in call %d: %+v %v", n, next, err)
		}
	}

	for _, want := range []release.Outcome{release.FailedClean, release.RolledBack, release.Promoted} {
		if seen[want] == 0 {
			t.Errorf("no failure ended %s: %v", want, seen)
		}
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
		return answer(payload, passes)
	}
	f.mustSay("first", `{}`, release.Promoted,
		"Released: 4 layers (layersmith-base:1, layersmith-ml:1, layersmith-science:1, layersmith-web:1), "+
			"1 function moved.")
	if want := []string{"base:1", "base:1 science:1", "base:1 science:1 ml:1", "web:1"}; !slices.Equal(asked, want) {
		t.Errorf("probed on\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}

	if d := cmp.Diff(arnsOf("base:1", "science:1", "ml:1"), layersOf(f.function(""))); d != "" {
		t.Errorf("layers of the function (-want +got):\n%s", d)
	}

	// A layer in the middle of the stack changes: the one below stays, the one above is released
	// too.
	stack("1.1")
	asked = nil
	f.mustSay("second", `{"refresh": true, "layers": ["science"]}`, release.Promoted,
		"Released: 2 layers (layersmith-ml:2, layersmith-science:2), 1 function moved.")

	if want := []string{"base:1 science:2", "base:1 science:2 ml:2"}; !slices.Equal(asked, want) {
		t.Errorf("probed on\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}

	if d := cmp.Diff(arnsOf("base:1", "science:2", "ml:2"), layersOf(f.function("3"))); d != "" {
		t.Errorf("layers of the function (-want +got):\n%s", d)
	}

	// Force applies only to the named layers: those that extend them keep their bytes.
	f.mustSay("third", `{"force": true, "layers": ["science"]}`, release.Promoted,
		"Released: 1 layer (layersmith-science:3), 1 function moved.")

	want := []string{"base:1", "science:3", "science:2", "science:1", "ml:2", "ml:1", "web:1"}
	if d := cmp.Diff(want, f.published("base", "science", "ml", "web")); d != "" {
		t.Errorf("published versions (-want +got):\n%s", d)
	}

	if d := cmp.Diff(arnsOf("base:1", "science:3", "ml:2"), layersOf(f.function("4"))); d != "" {
		t.Errorf("layers of the function (-want +got):\n%s", d)
	}
}

func TestEachTargetHasLayersOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("workspace.yaml", "targets: [python3.13-x86_64, python3.13-arm64]\n")
	f.makes(
		made{layer: "base"},
		made{layer: "base", target: arm},
		made{layer: "web", target: arm, extends: []string{"base"}},
	)
	code := zipOf(t, map[string]string{"main.py": ""})
	f.account.AddFunction(t, memport.NewFunction{Name: "graviton", Target: arm, Zip: code})
	f.push("consumers.yaml",
		"consumers:\n  - { function: graviton, layers: web }\n  - { function: "+functionName+", layers: base }\n")
	var boxes []string
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		boxes = append(boxes, s.Target.String()+" "+strings.ReplaceAll(strings.Join(s.Layers, " "), layerARN, ""))
		return answer(payload, passes)
	}
	f.mustSay("first", `{}`, release.Promoted,
		"Released: 3 layers (layersmith-base:1, layersmith-base-python3_13-arm64:1, "+
			"layersmith-web-python3_13-arm64:1), 2 functions moved.")

	wantBoxes := []string{
		"python3.13-x86_64 base:1",
		"python3.13-arm64 base-python3_13-arm64:1",
		"python3.13-arm64 base-python3_13-arm64:1 web-python3_13-arm64:1",
	}
	if d := cmp.Diff(wantBoxes, boxes); d != "" {
		t.Errorf("probed on (-want +got):\n%s", d)
	}

	got := map[string][]string{}
	for _, v := range f.account.Versions() {
		if v.Version == "$LATEST" {
			got[v.Name] = layersOf(v.Function)
		}
	}

	want := map[string][]string{
		"graviton":   arnsOf("base-python3_13-arm64:1", "web-python3_13-arm64:1"),
		functionName: arnsOf("base:1"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("layers of functions (-want +got):\n%s", d)
	}

	if r := f.released(); len(r.Locks) != 2 || r.Locks[0].Since.IsZero() {
		t.Errorf("locks %+v, want one of each target", r.Locks)
	}

	// A target is removed from the workspace, so it is not released any more. Its versions stay.
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
		t.Errorf("the removed target has the versions %v, want one", got)
	}
}
