package workflow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// reported is the report of a run that failed, with the notification.
func (f *flow) reported(in workflow.ReportInput) (release.Ending, error) {
	account := workflow.Account{Stack: "Layersmith", Console: "https://console.example/executions/"}
	return workflow.Report{
		Ledger:  f.ledger(),
		Metrics: f.metrics.Put,
		Notify:  f.notices.Send,
		Account: account,
	}.Run(f.t.Context(), in)
}

// as the state machine says it
const nothingTouched = `Nothing was published and no function was touched. {"Error":"States.TaskFailed","Cause":"..."}`

func TestAReportSaysWhyInOneSentence(t *testing.T) {
	t.Parallel()
	build := `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "FAILED", "BuildComplete": true, "Logs": {"DeepLink": "https://console.example/logs/8a7f"}}}`
	clean := release.Ending{Outcome: release.FailedClean, Message: nothingTouched}
	conflict := &release.Failure{
		Code:    "LockConflict",
		Message: "lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and small<2",
		Hint:    "relax one of the two",
	}
	for sentence, tt := range map[string]struct {
		left *release.Failure // by the build
		in   workflow.ReportInput
		want string
		code string
	}{
		"a build that said why": {
			left: conflict,
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.TaskFailed", Cause: build}},
			code: "LockConflict",
			want: "FailedClean: lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and " +
				"small<2; Nothing was published and no function was touched. Relax one of the two.",
		},
		"a build that said nothing": {
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.TaskFailed", Cause: build}},
			code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: failed; Nothing was published and no function was touched. " +
				"Read its log https://console.example/logs/8a7f.",
		},
		"a build that was stopped before it had a log": {in: workflow.ReportInput{Ending: clean,
			Error: &workflow.Caught{
				Error: "States.TaskFailed",
				Cause: `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "STOPPED"}}`,
			}}, code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: stopped; Nothing was published and no function was touched. " +
				"Read its log."},
		"a fault of a function, with its hint": {left: conflict, in: workflow.ReportInput{Ending: clean,
			Error: &workflow.Caught{
				Error: "OverLimit",
				Cause: `{"errorMessage": "measure base: over limit. Hint: raise the budget", "errorType": "OverLimit"}`,
			}}, code: "OverLimit",
			want: "FailedClean: measure base: over limit; Nothing was published and no function was touched. Raise " +
				"the budget."},
		"a deadline of the state machine": {
			in:   workflow.ReportInput{Ending: clean, Error: &workflow.Caught{Error: "States.Timeout"}},
			code: "States.Timeout",
			want: "FailedClean: States.Timeout; Nothing was published and no function was touched.",
		},
		"a cause that is no JSON": {in: workflow.ReportInput{Ending: release.Ending{Outcome: release.FailedClean},
			Error: &workflow.Caught{
				Error: "Lambda.Unknown",
				Cause: "The cause could not be determined.",
			}}, code: "Lambda.Unknown",
			want: "FailedClean: The cause could not be determined."},
		"a failure and a rollback that failed": {
			in: workflow.ReportInput{
				Ending: release.Ending{
					Outcome: release.FailedDirty,
					Message: "FailedDirty: taking the changes back failed {...}",
				},
				Error: &workflow.Caught{
					Error: "Unhealthy",
					Cause: `{"errorMessage": "watch f: alarm a was raised. Hint: look at its log"}`,
				},
				RollbackError: &workflow.Caught{
					Error: "NotAllowed",
					Cause: `{"errorMessage": "undo f: denied. Hint: grant it"}`,
				},
			},
			code: "Unhealthy",
			want: "FailedDirty: watch f: alarm a was raised; undo f: denied; taking the changes back failed. Look at " +
				"its log. Grant it.",
		},
		"no failure": {
			in: workflow.ReportInput{
				Ending: release.Ending{
					Outcome: release.Promoted,
					Message: "Released: 1 layer (layersmith-base:1), 1 function moved.",
				},
			},
			want: "Released: 1 layer (layersmith-base:1), 1 function moved.",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			if tt.left != nil {
				f.write(release.FailureName("first"), *tt.left)
			}

			tt.in.Run = "first"
			tt.in.Execution = "arn:first"
			tt.in.StartedAt = f.now.Add(-time.Minute)
			end, err := f.reported(tt.in)
			if err != nil || end.Message != tt.want || end.Outcome != tt.in.Ending.Outcome {
				t.Errorf("%s %v\n%q, want\n%q", end.Outcome, err, end.Message, tt.want)
			}

			var r release.RunReport
			f.read(release.ReportName("first"), &r)
			if code := r.Failure; (code == nil) != (tt.code == "") || code != nil && code.Code != tt.code {
				t.Errorf("failure %+v, want %s", code, tt.code)
			}

			want := porttest.Notice{
				Subject: "Layersmith: " + string(end.Outcome),
				Text: tt.want + "\n\nexecution https://console.example/executions/arn:first\nreport    " +
					"runs/first/report.json\n",
			}
			if d := cmp.Diff([]porttest.Notice{want}, f.notices.Sent()); d != "" {
				t.Errorf("notices (-want +got):\n%s", d)
			}
		})
	}
}

func TestNoticeOfAReleaseSaysWhatChanged(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true, "trigger": "schedule"}`, release.Promoted)
	weight, err := f.account.LayerVersions().Unzipped(t.Context(), arnOf(2))
	if err != nil {
		t.Fatal(err)
	}

	zipped := measure.Bytes(len(f.account.LayerZip(arnOf(2))))
	was := measure.Bytes(len(f.account.LayerZip(arnOf(1))))
	want := porttest.Notice{
		Subject: "Layersmith: Released (schedule)",
		Text: "Released: 1 layer (layersmith-base:2), 1 function moved.\n" +
			fmt.Sprintf("\nlayersmith-base:2  %s unzipped, %s zipped, within its budget (version 1: %s, %s)\n", weight,
				zipped, weight, was) +
			"  small 1.0 -> 2.0\n\nfunctions\n  " + functionARN + ": live 2 -> 3\nreport    runs/second/report.json\n",
	}
	if d := cmp.Diff(want, f.notices.Sent()[1]); d != "" {
		t.Errorf("notice (-want +got):\n%s", d)
	}
}

func TestAReportThatIsMadeAgainNotifiesOnce(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	in := workflow.ReportInput{
		Run:       "first",
		Execution: "arn:first",
		StartedAt: f.now,
		Ending: release.Ending{
			Outcome: release.FailedClean,
			Message: nothingTouched,
		},
		Error: &workflow.Caught{Error: "States.Timeout"},
	}
	down := workflow.Report{Ledger: f.ledger(), Metrics: f.metrics.Put, Account: workflow.Account{Stack: "Layersmith"},
		Notify: func(context.Context, string, string) error {
			return fault.New(fault.Throttled, "notify", "", errors.New("slow down"))
		}}
	end, err := down.Run(t.Context(), in)
	if fault.CodeOf(err) != fault.Throttled ||
		end.Message != "FailedClean: States.Timeout; Nothing was published and no function was touched." {
		t.Fatalf("%+v %v", end, err)
	}

	for n := range 3 {
		f.now = f.now.Add(time.Second)
		again, err := f.reported(in)
		if err != nil || again != end {
			t.Errorf("time %d: %+v %v, want %+v", n, again, err, end)
		}

		if sent := f.notices.Sent(); len(sent) != 1 {
			t.Errorf("time %d: %d notices, want 1", n, len(sent))
		}
	}

	// An outcome that nobody waits for is no news.
	in = workflow.ReportInput{
		Run:       "second",
		Execution: "arn:second",
		Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: nothing changed"},
	}
	if _, err := f.reported(in); err != nil || len(f.notices.Sent()) != 1 {
		t.Errorf("%v, %d notices", err, len(f.notices.Sent()))
	}
}
