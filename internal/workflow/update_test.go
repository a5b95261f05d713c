package workflow_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestForeignChangeIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmOK})
	f.account.Fail = func(method, _ string) error {
		if method == "Functions.MoveAlias" { // somebody deploys just before the alias moves
			f.account.Fail = nil
			f.account.SetCode(t, functionName, zipOf(t, map[string]string{"main.py": "import other\n"}))
			f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
		}

		return nil
	}
	end := f.must("first", `{}`, release.FailedDirty)
	if !strings.Contains(end.Message, functionARN+" was changed by somebody else during the run and was not restored") {
		t.Errorf("message %q", end.Message)
	}

	if got := f.function(""); !slices.Equal(layersOf(got), []string{arnOf(1)}) {
		t.Errorf("the changed function was touched: layers %v", layersOf(got))
	}

	if s := f.state(); !slices.Contains(s.Layer, arnOf(1)) {
		t.Error("a version that a function uses was deleted")
	}
}
