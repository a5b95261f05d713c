package workflow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestUnhealthyConsumerIsPutBack(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	before := f.state()
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmOK},
		workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
	end := f.must("first", `{}`, release.RolledBack)
	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}

	if want := "RolledBack: watch " + functionARN + ": alarm errors was raised 2m0s after the update: 5 errors; 1 " +
		"function restored (data-validation 1), candidates deleted."; end.Message != want {
		t.Errorf("message\n%q, want\n%q", end.Message, want)
	}

	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK})
	f.must("second", `{}`, release.Promoted)
}
