package workflow_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestUploadsSettleAndTheLatestCounts(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.sources.Now = func() time.Time { return f.now }
	f.push("base/requirements.txt", "small>=1\n")
	f.push("workspace.yaml", "")
	intake := f.intakeStage()
	intake.Settle = 10 * time.Second
	ask := func(run, name string) workflow.IntakeOutput {
		t.Helper()
		event := `{"source": "aws.s3", "detail-type": "Object Created", ` +
			`"detail": {"bucket": {"name": "b"}, "object": {"key": "layers/` + name + `"}}}`
		out, err := intake.Run(t.Context(),
			workflow.IntakeInput{Run: run, Execution: run, Input: json.RawMessage(event)})
		if err != nil {
			t.Fatal(err)
		}

		return out
	}
	out := ask("a", "base/requirements.txt")
	if out.Next != workflow.NextEnd || out.Ending.Outcome != release.Unchanged {
		t.Errorf("an earlier upload: %+v", out)
	}

	if out := ask("b", "workspace.yaml"); out.Next != workflow.NextWait || out.WaitSeconds != 11 {
		t.Errorf("the latest upload, at once: %+v", out)
	}

	f.now = f.now.Add(11 * time.Second)
	if out := ask("b", "workspace.yaml"); out.Next != workflow.NextBuild {
		t.Errorf("the latest upload, settled: %+v", out)
	}

	if out := ask("c", "gone.yaml"); out.Next != workflow.NextWait && out.Next != workflow.NextRecover {
		t.Errorf("an upload that was deleted: %+v", out)
	}
}
