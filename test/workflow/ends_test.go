package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

// A hardEnd is an end of the execution without rollback and report: Step Functions or a person has
// ended it. The next run finds the lease and recovers.
type hardEnd struct {
	name      string
	script    script
	changes   map[string]map[string]any
	meanwhile func(context.Context, *string, *run)
	status    types.ExecutionStatus
	error     string
	path      []string // up to the state that was entered last
	left      string
}

const leftForNext = "Whatever the run had done. Its lease is still there: the next run recovers " +
	"(`TestWays/an_earlier_run_died`)"

var hardEnds = []hardEnd{
	{
		name:   "a person stops the execution",
		status: types.ExecutionStatusAborted,
		path:   released[:slices.Index(released, "Promote")+1],
		left:   leftForNext,
		script: script{"promote": {{hang: true}}},
		meanwhile: func(ctx context.Context, arn *string, r *run) {
			select {
			case <-r.hung:
			case <-ctx.Done():
			}

			_, _ = moto.client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: arn})
			close(r.free) // moto stops between two states
		},
	},
	{
		name:   "the execution takes longer than it may",
		status: types.ExecutionStatusTimedOut,
		path:   released[:slices.Index(released, "Settle")+1],
		left:   leftForNext,
		script: script{
			"update": {{over: map[string]any{"waitSeconds": 3600}}},
		},
		changes: map[string]map[string]any{"": {"TimeoutSeconds": 30}},
	},
	{
		name:   "the state grows over the limit",
		status: types.ExecutionStatusFailed,
		error:  "States.DataLimitExceeded",
		path:   released[:slices.Index(released, "Publish")+1],
		left:   leftForNext,
		script: script{
			"select":  {{over: map[string]any{"layers": items(1), "summary": halfState}}},
			"publish": {{over: map[string]any{"summary": halfState}}},
		},
	},
}

// halfState is half of the data that may pass between two states.
var halfState = strings.Repeat("s", maxStateBytes/2)

func TestHardEnds(t *testing.T) {
	t.Parallel()
	for _, h := range hardEnds {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			e := executeWhile(t, quick(t, h.changes), "{}", h.script, h.meanwhile)
			if diff := cmp.Diff(h.path, e.path); diff != "" {
				t.Errorf("path (- want, + got):\n%s", diff)
			}

			if e.status != h.status || e.error != h.error && h.error != "" {
				t.Errorf("%s with error %q, want %s, %q", e.status, e.error, h.status, h.error)
			}

			if e.asked("report") != 0 {
				t.Error("report was asked")
			}
		})
	}
}

// The largest state of a run with many layers and consumers, all with long names and summaries. It
// gives the number of layers and consumers that fit.
func TestSixtyLayersAndConsumersFit(t *testing.T) {
	t.Parallel()
	summary := strings.Repeat("s", maxSummaryBytes)
	largest := func(n int) int {
		e := execute(t, quick(t, nil), "{}", script{
			"select": {{over: map[string]any{"changed": true, "layers": items(n), "summary": summary}}},
			"record": {{over: map[string]any{"consumers": consumers(n), "summary": summary}}},
		})
		e.ends(t, "Released")
		for _, function := range []string{"prune", "measure", "publish", "verify", "update", "health"} {
			if got := e.asked(function); got != n {
				t.Errorf("%s was asked %d times, want %d", function, got, n)
			}
		}

		t.Logf("%d layers and consumers: %d bytes before %s", n, e.largest, e.largestBefore)
		return e.largest
	}
	const many = 60
	one := largest(1)
	sixty := largest(many)
	if sixty >= maxStateBytes {
		t.Errorf("%d layers and consumers make a state of %d bytes, the limit is %d",
			many, sixty, maxStateBytes)
	}

	each := (sixty - one + many - 2) / (many - 1) // rounded up
	if want, got := fits, (maxStateBytes-one)/each+1; got != want {
		t.Errorf("%d layers and consumers fit at %d bytes each, docs/failure-modes.md says %d", got, each, want)
	}
}

// fits is the number of layers, and of consumers, that fit into one run if all have long names and
// summaries: TestSixtyLayersAndConsumersFit.
const fits = 172

// The payloads of all functions: the contract between the definition and functions/.
func TestFunctionsAreAsked(t *testing.T) {
	t.Parallel()
	const input = `{"layers":["ml"],"force":true}`
	e := execute(t, quick(t, nil), input, script{"intake": first(next("Recover"))})
	e.ends(t, "Released")
	if diff := cmp.Diff(append(names("Intake, What next?, Recover, Recovered?"), released...), e.path); diff != "" {
		t.Fatalf("path (- want, + got):\n%s", diff)
	}

	told := e.report(t)
	run := told.Run
	if !strings.HasSuffix(told.Execution, ":"+run) || told.StartedAt == "" {
		t.Errorf("report is told %+v", told)
	}

	asItem := func(by string) any {
		return item(items(1)[0].Layer, by+": "+strings.Repeat("s", maxSummaryBytes-len(by)-2))
	}
	consumer := consumers(1)[0]
	execution := map[string]any{
		"run":       run,
		"execution": told.Execution,
		"startedAt": told.StartedAt,
		"input":     json.RawMessage(input),
	}
	build := map[string]any{
		"projectName": "layersmith",
		"environmentVariablesOverride": []any{
			map[string]any{"name": "LAYERSMITH_RUN", "type": "PLAINTEXT", "value": run},
		},
	}
	report := map[string]any{
		"run":           run,
		"execution":     told.Execution,
		"startedAt":     told.StartedAt,
		"ending":        ending("Released", "1 layer, 1 consumer"),
		"error":         nil,
		"rollbackError": nil,
	}
	want := []struct {
		function string
		payload  any
	}{
		{"intake", execution},
		{"rollback", map[string]any{"run": run + previous}},
		{"intake", execution},
		{"build", build},
		{"select", map[string]any{"run": run}},
		{"prune", map[string]any{"run": run, "layer": items(1)[0]}},
		{"measure", map[string]any{"run": run, "layer": asItem("prune"), "layers": []any{asItem("prune")}}},
		{"record", map[string]any{"run": run, "layers": []any{asItem("measure")}}},
		{"publish", map[string]any{"run": run, "layer": asItem("measure")}},
		{"verify", map[string]any{"run": run, "layer": asItem("publish"), "layers": []any{asItem("publish")}}},
		{"update", map[string]any{"run": run, "consumer": consumer}},
		{"health", map[string]any{"run": run, "consumer": consumer, "since": "2026-11-01T03:00:00Z"}},
		{"promote", map[string]any{"run": run, "layers": []any{asItem("verify")}}},
		{"report", report},
	}
	var wanted, got []string
	for _, w := range want {
		b, err := json.Marshal(w.payload)
		if err != nil {
			t.Fatal(err)
		}

		wanted = append(wanted, w.function+" "+canonical(t, b))
	}

	for _, c := range e.calls {
		got = append(got, c.function+" "+canonical(t, c.payload))
	}

	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("what the functions are asked (- want, + got):\n%s", diff)
	}
}

// canonical is JSON with sorted keys.
func canonical(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}

	sorted, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	return string(sorted)
}

// The definition passes any input to intake, and reports a refusal.
func TestAnyInputIsRefusedInOrder(t *testing.T) {
	t.Parallel()
	for _, input := range []string{`[]`, `"ml"`, `7`, `null`, `{"run":{"$":1},"error":"x"}`} {
		refused := scenario{
			input:  input,
			script: script{"intake": {fails("BadInput")}},
			path:   names("Intake, " + clean),
			told:   "BadInput",
			asked:  map[string]int{"intake": 1},
		}
		t.Run(input, refused.run)
	}
}

// The message of a failed run whose report fails too.
func TestMessagesWithoutReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ function, outcome, begins string }{
		{"prune", "FailedClean", "Nothing was published and no function was touched. "},
		{"rollback", "FailedDirty", "Taking the changes back failed: a person must repair what is left. "},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			t.Parallel()
			s := script{c.function: {fails("Internal")}, "report": {fails("Internal")}}
			if c.function == "rollback" {
				s["promote"] = []answer{fails("Internal")}
			}

			e := execute(t, quick(t, nil), "{}", s)
			e.ends(t, c.outcome)
			if !strings.HasPrefix(e.cause, c.begins) ||
				!strings.Contains(e.cause, fmt.Sprintf("%s failed", c.function)) {
				t.Errorf("the cause is %s", e.cause)
			}
		})
	}
}
