package workflow_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// When one consumer fails, the updates of others in the same Map may still be running while the run
// is rolled back. At whichever call of an update that happens, the function is as before at the
// end.
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
		// The run restores an existing version, which nothing deletes. Before the call n of its
		// update, the whole rollback runs.
		f.registers.before = func() {
			if !f.updating || done {
				return
			}

			if calls++; calls != n+1 {
				return
			}

			done = true
			end, err := f.rollback("third")
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

		// The update may leave a version of the function, to which nothing points.
		got := f.state()
		if got.Alias != before.Alias || !slices.Equal(got.Layers, before.Layers) {
			t.Errorf("rolled back at call %d of the update, and then: %+v", n, got)
		}
	}
}

// Without an alias only $LATEST changes: no version is published.
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
	f.raiseOnUpdate("timeouts")
	f.mustSay("second", `{"refresh": true}`, release.RolledBack,
		"RolledBack: watch "+functionARN+": alarm errors was raised 1m0s after the update: timeouts; "+
			"1 function restored (data-validation), candidates deleted.")

	if d := cmp.Diff(want, f.state()); d != "" {
		t.Errorf("after going back (-want +got):\n%s", d)
	}
}

// raiseOnUpdate raises the alarm after the next update: Record reads it first.
func (f *flow) raiseOnUpdate(reason string) {
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK},
		workflow.Alarm{State: workflow.AlarmRaised, Reason: reason})
}

// A rollback does not delete a version that existed before the run.
func TestAReusedVersionOutlivesTheRun(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	if _, err := f.publish("first", layer, f.account.LayerVersions()); err != nil {
		t.Fatal(err)
	}

	f.registers.Set(release.RunName("first"), nil) // so that the next run does not undo it
	f.raiseOnUpdate("5 errors")
	f.must("second", `{}`, release.RolledBack)
	if got := f.published("base"); !slices.Equal(got, []string{"base:1"}) {
		t.Errorf("published are %v, want the version from before the run", got)
	}
}
