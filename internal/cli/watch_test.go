package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/release"
)

// history makes events, numbered from 1, of lines "AT PREVIOUS TYPE [STATE|INDEX|OUTPUT|ERROR
// CAUSE]", AT in seconds.
func history(t *testing.T, text string) []awsport.Event {
	t.Helper()
	var events []awsport.Event
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		var at int64
		e := awsport.Event{ID: int64(len(events) + 1), Type: f[2]}
		if _, err := fmt.Sscan(f[0]+" "+f[1], &at, &e.Previous); err != nil {
			t.Fatalf("%q: %v", line, err)
		}

		e.At = time.Date(2026, 11, 23, 19, 30, 0, 0, time.UTC).Add(time.Duration(at) * time.Second)
		rest := strings.Join(f[3:], "")
		switch {
		case strings.HasSuffix(e.Type, "StateEntered"), strings.HasSuffix(e.Type, "StateExited"):
			e.State = rest
		case e.Type == "MapIterationStarted":
			fmt.Sscan(rest, &e.Index)
		case strings.HasSuffix(e.Type, "Succeeded"):
			e.Output = rest
		case strings.HasSuffix(e.Type, "Failed"), strings.HasSuffix(e.Type, "TimedOut"):
			e.Error, e.Cause, _ = strings.Cut(rest, " ")
		}

		events = append(events, e)
	}

	return events
}

// told are the lines that people would see.
func told(t *testing.T, events []awsport.Event) (lines []string, s story) {
	t.Helper()
	for _, e := range events {
		for _, done := range s.tell(e) {
			var b bytes.Buffer
			(&live{w: &b}).done(done)
			lines = append(lines, strings.TrimSuffix(b.String(), "\n"))
		}
	}

	return lines, s
}

func TestStoryTellsOneLineForEachAct(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		history string
		want    []string
		over    bool
	}{
		"a Task says its summary; questions and passes say nothing": {
			history: `0 0 ExecutionStarted
				0 1 TaskStateEntered Intake
				0 2 LambdaFunctionScheduled
				0 3 LambdaFunctionStarted
				1 4 LambdaFunctionSucceeded {"summary":"core is stale","next":"Build"}
				1 5 TaskStateExited Intake
				1 6 ChoiceStateEntered What next?
				1 7 ChoiceStateExited What next?
				1 8 TaskStateEntered Build
				49 9 TaskSucceeded {"Build":{"BuildStatus":"SUCCEEDED"}}
				49 10 TaskStateExited Build`,
			want: []string{
				"  Intake            1 s    core is stale",
				"  Build            48 s",
			},
		},
		"branches of a Map that run at the same time are one line for each name, in order of the branches": {
			history: `0 0 MapStateEntered Update each
				0 1 MapStateStarted
				0 2 MapIterationStarted 0
				0 2 MapIterationStarted 1
				0 3 TaskStateEntered Update
				0 4 TaskStateEntered Update
				2 6 LambdaFunctionSucceeded {"consumer":{"summary":"predictions live 3 -> 4"}}
				2 7 TaskStateExited Update
				2 8 WaitStateEntered Settle
				3 5 LambdaFunctionSucceeded {"consumer":{"summary":"validation live 7 -> 8"}}
				3 10 TaskStateExited Update
				3 11 TaskStateEntered Health
				4 12 LambdaFunctionSucceeded {"summary":"no alarm"}
				4 13 TaskStateExited Health
				62 9 WaitStateExited Settle
				62 15 TaskStateEntered Health
				63 16 LambdaFunctionSucceeded {"summary":"p: wait"}
				63 17 TaskStateExited Health
				63 18 WaitStateEntered Settle
				303 19 WaitStateExited Settle
				303 20 TaskStateEntered Health
				304 21 LambdaFunctionSucceeded {"summary":"p: quiet"}
				304 22 TaskStateExited Health
				304 14 MapIterationSucceeded
				304 23 MapIterationSucceeded
				304 25 MapStateSucceeded
				304 26 MapStateExited Update each
				304 27 TaskStateEntered Promote
				305 28 LambdaFunctionSucceeded {"outcome":"Released","message":"Released: 1 layer."}
				305 29 TaskStateExited Promote`,
			want: []string{
				"  Update            3 s    validation live 7 -> 8; predictions live 3 -> 4",
				"  Health     5 min 01 s    no alarm; p: quiet",
				"  Promote           1 s    Released: 1 layer.",
			},
		},
		"an attempt that was tried again is not an error": {
			history: `0 0 TaskStateEntered Select
				1 1 LambdaFunctionFailed Throttled {"errorMessage":"slow down","errorType":"Throttled"}
				5 2 LambdaFunctionScheduled
				6 3 LambdaFunctionSucceeded {"summary":"1 layer"}
				6 4 TaskStateExited Select`,
			want: []string{"  Select            6 s    1 layer"},
		},
		"an error that was caught stands on the line of its Task, without the JSON around it": {
			history: `0 0 MapStateEntered Verify each
				0 1 MapStateStarted
				0 2 MapIterationStarted 0
				0 3 TaskStateEntered Verify
				9 4 LambdaFunctionFailed ProbeFailed {"errorMessage":"import numpy: no module","errorType":"ProbeFailed"}
				9 5 MapIterationFailed
				9 6 MapStateFailed
				9 7 MapStateExited Verify each
				9 8 TaskStateEntered Rollback
				12 9 LambdaFunctionSucceeded {"outcome":"FailedClean","message":"FailedClean: nothing is left."}
				12 10 TaskStateExited Rollback`,
			want: []string{
				"  Verify            9 s    failed: ProbeFailed: import numpy: no module",
				"  Rollback          3 s    FailedClean: nothing is left.",
			},
		},
		"an error without the Exited event of its state is told when the next begins": {
			history: `0 0 TaskStateEntered Build
				7 1 TaskFailed States.TaskFailed no such project
				7 2 PassStateEntered Nothing touched`,
			want: []string{"  Build             7 s    failed: States.TaskFailed: no such project"},
		},
		"waiting for another run repeats Intake once only": {
			history: `0 0 TaskStateEntered Intake
				1 1 LambdaFunctionSucceeded {"summary":"execution x works"}
				1 2 TaskStateExited Intake
				1 3 WaitStateEntered Wait for the other run
				31 4 WaitStateExited Wait for the other run
				31 5 TaskStateEntered Intake
				32 6 LambdaFunctionSucceeded {"summary":"execution x works"}
				32 7 TaskStateExited Intake
				32 8 TaskStateEntered Intake
				33 9 LambdaFunctionSucceeded {"summary":"core is stale"}
				33 10 TaskStateExited Intake`,
			want: []string{
				"  Intake            1 s    execution x works",
				"  Intake            1 s    core is stale",
			},
		},
		"an engine that names no previous events and nothing inside of Maps": {
			history: `0 0 ExecutionStarted
				0 0 TaskStateEntered Intake
				0 0 TaskScheduled
				1 0 TaskSucceeded {"summary":"go"}
				1 0 TaskStateExited Intake
				1 0 MapStateEntered Prune each
				1 0 TaskScheduled
				1 0 TaskScheduled
				2 0 TaskSucceeded {"summary":"84.0 MB"}
				3 0 TaskSucceeded {"summary":"135.4 MB"}
				3 0 MapStateExited Prune each
				3 0 SucceedStateEntered Released
				3 0 ExecutionSucceeded`,
			want: []string{
				"  Intake            1 s    go",
				"  Prune each        2 s    84.0 MB; 135.4 MB",
			},
			over: true,
		},
		"what was going on when somebody stopped it is told": {
			history: `0 0 ExecutionStarted
				0 1 MapStateEntered Prune each
				0 2 MapStateStarted
				0 3 MapIterationStarted 0
				0 4 TaskStateEntered Prune
				5 5 ExecutionAborted`,
			want: []string{"  Prune             5 s"},
			over: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, s := told(t, history(t, c.history))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}

			if s.over != c.over {
				t.Errorf("over is %v", s.over)
			}

			if c.over && len(s.open) > 0 {
				t.Errorf("%d states are still open", len(s.open))
			}
		})
	}
}

func TestARedriveGoesOn(t *testing.T) {
	t.Parallel()
	lines, s := told(t, history(t, `0 0 TaskStateEntered Build
		5 1 TaskFailed States.TaskFailed no
		5 2 ExecutionFailed States.TaskFailed no
		60 3 ExecutionRedriven
		60 4 TaskStateEntered Build
		61 5 TaskSucceeded {}
		61 6 TaskStateExited Build`))
	if s.over || len(lines) != 2 {
		t.Errorf("over is %v; %q", s.over, lines)
	}
}

func TestATerminalShowsWhatGoesOn(t *testing.T) {
	t.Parallel()
	_, s := told(t, history(t, `0 0 MapStateEntered Update each
		0 1 MapStateStarted
		0 2 MapIterationStarted 0
		0 2 MapIterationStarted 1
		1 3 TaskStateEntered Update
		2 4 TaskStateEntered Update`))
	var b bytes.Buffer
	l := &live{w: &b, terminal: true, now: func() time.Time { return time.Date(2026, 11, 23, 19, 30, 42, 0, time.UTC) }}
	l.going(s.going())
	l.going(s.going())
	l.done(act{State: "Update", Seconds: 41})
	l.clear()
	line := "  Update           41 s    ..."
	clear := "\r\x1b[2K"
	if got, want := b.String(), line+clear+line+clear+"  Update           41 s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	b.Reset()
	l.terminal = false
	l.going(s.going())
	if b.Len() > 0 {
		t.Errorf("%q in a log", b.String())
	}
}

func TestEveryStatusHasAnEndingAndAnExitCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   awsport.Execution
		want string
		code int
	}{
		"released": {
			awsport.Execution{
				Status: "SUCCEEDED",
				Output: `{"run":"x","ending":{"outcome":"Released","message":"Released: 2 layers."}}`,
			},
			"Released: 2 layers.",
			0,
		},
		"a message without a word of outcome": {
			awsport.Execution{
				Status: "SUCCEEDED",
				Output: `{"ending":{"outcome":"Unchanged","message":"nothing is stale"}}`,
			},
			"Unchanged: nothing is stale",
			0,
		},
		"an output that nobody knows": {awsport.Execution{Status: "SUCCEEDED", Output: `[]`}, "Succeeded", 0},
		"rolled back": {
			awsport.Execution{Status: "FAILED", Error: "RolledBack", Cause: "RolledBack: the alarm rose."},
			"RolledBack: the alarm rose.",
			3,
		},
		"failed clean": {
			awsport.Execution{Status: "FAILED", Error: "FailedClean", Cause: "the gate says no"},
			"FailedClean: the gate says no",
			3,
		},
		"failed dirty": {
			awsport.Execution{Status: "FAILED", Error: "FailedDirty", Cause: "look"},
			"FailedDirty: look",
			1,
		},
		"a state machine that broke": {
			awsport.Execution{Status: "FAILED", Error: "States.Runtime", Cause: "no path."},
			"Failed: States.Runtime: no path; " + nextUndoes,
			1,
		},
		"too long": {
			awsport.Execution{Status: "TIMED_OUT"},
			"TimedOut: it took longer than the state machine allows; " + nextUndoes,
			1,
		},
		"stopped without a reason": {
			awsport.Execution{Status: "ABORTED"},
			"Stopped: somebody stopped it; " + nextUndoes,
			1,
		},
		"stopped with a reason": {
			awsport.Execution{Status: "ABORTED", Cause: "wrong branch"},
			"Stopped: wrong branch; " + nextUndoes,
			1,
		},
		"running": {awsport.Execution{Status: "RUNNING"}, "Running", 0},
	} {
		e := endingOf(c.in)
		if got := sentence(e); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}

		if got := exitCodeOf(e.Outcome); got != c.code {
			t.Errorf("%s: exit code %d, want %d", name, got, c.code)
		}
	}

	if exitCodeOf(release.Outcome("new one")) == exitOK {
		t.Error("an outcome that nobody knows counts as success")
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
			`{"errorMessage":"check core: no\nhint: build again"}`,
			"GateFailed: check core: no",
		},
		"a service's":        {"CodeBuild.X", "no", "CodeBuild.X: no"},
		"only a code":        {"States.Timeout", "", "States.Timeout"},
		"only a cause":       {"", "reason", "reason"},
		"a whole document":   {"States.TaskFailed", `{"Build":{"Arn":"x"}}`, "States.TaskFailed"},
		"more than one sees": {"A", strings.Repeat("ä", 301), "A: " + strings.Repeat("ä", 300) + "..."},
	} {
		if got := why(c.code, c.cause); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                               "0 s",
		400 * time.Millisecond:          "0 s",
		1500 * time.Millisecond:         "2 s",
		119 * time.Second:               "119 s",
		2 * time.Minute:                 "2 min 00 s",
		59*time.Minute + 59*time.Second: "59 min 59 s",
		time.Hour:                       "1 h 00 min",
		3*time.Hour + 7*time.Minute:     "3 h 07 min",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestTriggerIsReadOffTheInput(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		`{}`: "operator",
		`{"layers":["a","b"],"force":true,"refresh":true,"dryRun":true}`: "operator: a b, force, " +
			"refresh, dry run",
		`{"trigger":"schedule","refresh":true}`:                                       "schedule",
		`{"rollback":{"layer":"core","to":41}}`:                                       "operator: rollback of core",
		`{"source":"aws.s3","detail":{"object":{"key":"layers/a/requirements.txt"}}}`: "upload of layers/a/requirements.txt",
		`nonsense`: "input that cannot be read",
		``:         "input that cannot be read",
	} {
		if got := triggerOf(input); got != want {
			t.Errorf("%s: %q, want %q", input, got, want)
		}
	}
}

func TestExecutionNamesAreRunsAndDiffer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 20, 30, 0, 0, time.FixedZone("CET", 3600))
	seen := map[string]bool{}
	for range 20 {
		name, err := executionName(now)
		if err != nil || release.CheckRun(name) != nil || !strings.HasPrefix(name, "2026-11-23T19-30-00-") ||
			len(name) != len("2026-11-23T19-30-00-5d1f2c") {
			t.Fatalf("%q, %v", name, err)
		}

		seen[name] = true
	}

	if len(seen) < 18 { // of 16 million
		t.Errorf("%d names of 20", len(seen))
	}
}
