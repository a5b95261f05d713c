package operator

import (
	"strings"
	"testing"
)

func TestEveryStatusHasAnEnding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   Execution
		want string
	}{
		"released": {
			Execution{
				Status: "SUCCEEDED",
				Output: `{"outcome":"Released","message":"Released: 2 layers."}`,
			},
			"Released: 2 layers.",
		},
		"a message without a word of outcome": {
			Execution{
				Status: "SUCCEEDED",
				Output: `{"outcome":"Unchanged","message":"nothing is stale"}`,
			},
			"Unchanged: nothing is stale",
		},
		"an output without an outcome": {
			Execution{Status: "SUCCEEDED", Output: `[]`},
			"Unknown: its output names no outcome: use the version of Layersmith that is deployed",
		},
		"rolled back": {
			Execution{Status: "FAILED", Error: "RolledBack", Cause: "RolledBack: the alarm rose."},
			"RolledBack: the alarm rose.",
		},
		"failed clean": {
			Execution{Status: "FAILED", Error: "FailedClean", Cause: "the gate says no"},
			"FailedClean: the gate says no",
		},
		"failed dirty": {
			Execution{Status: "FAILED", Error: "FailedDirty", Cause: "look"},
			"FailedDirty: look",
		},
		"a state machine that broke": {
			Execution{Status: "FAILED", Error: "States.Runtime", Cause: "no path."},
			"Failed: States.Runtime: no path; " + nextUndoes,
		},
		"too long": {
			Execution{Status: "TIMED_OUT"},
			"TimedOut: it took longer than the state machine allows; " + nextUndoes,
		},
		"stopped without a reason": {
			Execution{Status: "ABORTED"},
			"Stopped: it was stopped; " + nextUndoes,
		},
		"stopped with a reason": {
			Execution{Status: "ABORTED", Cause: "wrong branch"},
			"Stopped: wrong branch; " + nextUndoes,
		},
		"running": {Execution{Status: "RUNNING"}, "Running"},
	} {
		e := EndingOf(c.in)
		if got := Sentence(e); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhyIsOneLineOfBoundedLength(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ code, cause, want string }{
		"a function's": {
			"ProbeFailed",
			`{"errorMessage":"two\nlines","errorType":"ProbeFailed"}`,
			"ProbeFailed: two lines",
		},
		"a function's hint is left out": {
			"GateFailed",
			`{"errorMessage":"check core: no. Hint: build again"}`,
			"GateFailed: check core: no",
		},
		"a service's":        {"CodeBuild.X", "no", "CodeBuild.X: no"},
		"only a code":        {"States.Timeout", "", "States.Timeout"},
		"only a cause":       {"", "reason", "reason"},
		"a whole document":   {"States.TaskFailed", `{"Build":{"Arn":"x"}}`, "States.TaskFailed"},
		"more than one sees": {"A", strings.Repeat("ä", 301), "A: " + strings.Repeat("ä", 300) + "..."},
	} {
		if got := reason(c.code, c.cause); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
