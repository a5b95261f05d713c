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
	ok := workflow.Alarm{State: workflow.AlarmOK}
	f.alarms.Set("errors", ok, ok, workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
	f.mustSay("first", `{}`, release.RolledBack,
		"RolledBack: watch "+functionARN+": alarm errors was raised 2m0s after the update: 5 errors; "+
			"1 function restored (data-validation 1), candidates deleted.")
	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}

	f.alarms.Set("errors", ok)
	f.must("second", `{}`, release.Promoted)
}
