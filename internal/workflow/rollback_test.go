package workflow_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// When one consumer fails, its neighbours in the Map may still be at work while the run is rolled
// back. Whatever the rollback meets, in the end all is as before.
func TestRollbackStopsAnUpdateThatIsStillGoingOn(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		f := newFlow(t)
		f.must("first", `{}`, release.Promoted)
		f.version = "2.0"
		f.must("second", `{"refresh": true}`, release.Promoted)
		before := f.state()
		calls := 0
		done := false
		// Back to a version that is there, which nothing deletes. The update begins, and in the
		// middle of it the rollback runs from start to end.
		f.registers.before = func() {
			if !f.updating || done {
				return
			}

			if calls++; calls != n+1 {
				return
			}

			done = true
			end, err := workflow.Rollback{
				Ledger:    f.ledger(),
				Functions: f.account.Functions(),
				Versions:  f.account.LayerVersions(),
				Sandboxes: f.account.Sandboxes(),
				Probes:    "probe-",
			}.Run(t.Context(), workflow.RunInput{Run: "third"})
			if err != nil || end.Outcome == release.FailedDirty {
				t.Fatalf("rollback at call %d: %+v %v", n, end, err)
			}
		}
		_, _ = f.run("third", `{"rollback": {"layer": "base"}}`)
		if !done {
			if n < 10 {
				t.Errorf("the update has only %d calls", n)
			}

			break
		}

		// What the update did afterwards may at most have left a version of the function that
		// nothing points to.
		got := f.state()
		if got.Alias != before.Alias || !slices.Equal(got.Layers, before.Layers) {
			t.Errorf("rolled back at call %d of the update, and then: %+v", n, got)
		}
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
