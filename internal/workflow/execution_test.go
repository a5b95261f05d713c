package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
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

	f.push(
		"consumers.yaml",
		"# a comment\nconsumers:\n  - function: "+functionName+"\n    layers: [base]\n    alias: live\n    health: { "+
			"alarm: errors, window: 5m }\n",
	)
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

// An execution may be killed at any moment, and its clean-up with it. The next one finishes the
// work.
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
				return // metrics and the like come after the last call that counts
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

			live := got.Versions[slices.IndexFunc(got.Versions,
				func(v string) bool { return strings.HasPrefix(v, got.Alias+" ") })]
			if live != got.Alias+" "+got.Layers[0] {
				t.Errorf("killed in %s: the alias points to %q, the layer is %s", at, live, got.Layers[0])
			}

			// At most a version that was published and not yet written down is left; the layer that
			// it has stays with it.
			if len(got.Versions) > 3 || len(got.Layer) > 2 || len(got.Layer) == 2 && len(got.Versions) != 3 {
				t.Errorf("killed in %s: left behind: %+v", at, got)
			}

			f.must("after", `{}`, release.Unchanged)
		})
	}
}

// Any single call may fail. Everything is as before, or released.
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
		case err != nil: // the report itself failed: the state machine goes on by the ending that it had
		case end.Outcome == release.Promoted:
			if got.Alias != "2" || !slices.Equal(got.Layers, []string{arnOf(1)}) {
				t.Errorf("call %d in %v: released, but %+v", n, f.names, got)
			}
		case end.Outcome == release.RolledBack, end.Outcome == release.FailedClean:
			if len(got.Versions) == 2 && got.Versions[1] == "2 "+arnOf(1) { // published, and the answer was lost
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
