package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// history makes events, numbered from 1, of lines "AT PREVIOUS TYPE [STATE|INDEX|OUTPUT|ERROR
// CAUSE]", AT in seconds.
func history(t *testing.T, text string) []Event {
	t.Helper()
	var events []Event
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		var at int64
		e := Event{ID: int64(len(events) + 1), Type: f[2]}
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

// told are the acts, a line each: state, seconds, summary, error.
func told(t *testing.T, events []Event) (lines []string, s Story) {
	t.Helper()
	for _, e := range events {
		for _, a := range s.Tell(e) {
			text := a.Summary
			if a.Error != "" {
				text = strings.TrimPrefix(text+"; failed: "+a.Error, "; ")
			}

			line := fmt.Sprintf("%s %.0fs: %s", a.State, a.Seconds, text)
			lines = append(lines, strings.TrimSuffix(line, ": "))
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
				"Intake 1s: core is stale",
				"Build 48s",
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
				"Update 3s: validation live 7 -> 8; predictions live 3 -> 4",
				"Health 301s: no alarm; p: quiet",
				"Promote 1s: Released: 1 layer.",
			},
		},
		"an attempt that was tried again is not an error": {
			history: `0 0 TaskStateEntered Select
				1 1 LambdaFunctionFailed Throttled {"errorMessage":"slow down","errorType":"Throttled"}
				5 2 LambdaFunctionScheduled
				6 3 LambdaFunctionSucceeded {"summary":"1 layer"}
				6 4 TaskStateExited Select`,
			want: []string{"Select 6s: 1 layer"},
		},
		"an error that was caught stands on the line of its Task, without the JSON around it": {
			history: `0 0 MapStateEntered Verify each
				0 1 MapStateStarted
				0 2 MapIterationStarted 0
				0 3 TaskStateEntered Verify
				9 4 LambdaFunctionFailed ProbeFailed {"errorMessage":"import numpy: no module"}
				9 5 MapIterationFailed
				9 6 MapStateFailed
				9 7 MapStateExited Verify each
				9 8 TaskStateEntered Rollback
				12 9 LambdaFunctionSucceeded {"outcome":"FailedClean","message":"FailedClean: nothing is left."}
				12 10 TaskStateExited Rollback`,
			want: []string{
				"Verify 9s: failed: ProbeFailed: import numpy: no module",
				"Rollback 3s: FailedClean: nothing is left.",
			},
		},
		"an error without the Exited event of its state is told when the next begins": {
			history: `0 0 TaskStateEntered Build
				7 1 TaskFailed States.TaskFailed no such project
				7 2 PassStateEntered Nothing touched`,
			want: []string{"Build 7s: failed: States.TaskFailed: no such project"},
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
				"Intake 1s: execution x works",
				"Intake 1s: core is stale",
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
				"Intake 1s: go",
				"Prune each 2s: 84.0 MB; 135.4 MB",
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
			want: []string{"Prune 5s"},
			over: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, s := told(t, history(t, c.history))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}

			if s.Over != c.over {
				t.Errorf("over is %v", s.Over)
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
	if s.Over || len(lines) != 2 {
		t.Errorf("over is %v; %q", s.Over, lines)
	}
}

func TestNowIsWhatGoesOn(t *testing.T) {
	t.Parallel()
	_, s := told(t, history(t, `0 0 MapStateEntered Update each
		0 1 MapStateStarted
		0 2 MapIterationStarted 0
		0 2 MapIterationStarted 1
		1 3 TaskStateEntered Update
		2 4 TaskStateEntered Update`))
	states, since := s.Now()
	want := time.Date(2026, 11, 23, 19, 30, 1, 0, time.UTC)
	if !cmp.Equal(states, []string{"Update"}) || !since.Equal(want) {
		t.Errorf("%v since %v, want Update since %v", states, since, want)
	}
}
