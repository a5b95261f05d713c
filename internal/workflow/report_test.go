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
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// reported reports a run.
func (f *flow) reported(in workflow.ReportInput) (release.Ending, error) {
	return f.reportStage("https://console.example/executions/").Run(f.t.Context(), in)
}

// nothingTouched is a message of the state machine.
const nothingTouched = `Nothing was published and no function was touched. {"Error":"States.TaskFailed","Cause":"..."}`

func failed(code, cause string) *workflow.Caught { return &workflow.Caught{Error: code, Cause: cause} }

func TestAReportSaysWhyInOneSentence(t *testing.T) {
	t.Parallel()
	build := failed("States.TaskFailed", `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "FAILED", `+
		`"BuildComplete": true, "Logs": {"DeepLink": "https://console.example/logs/8a7f"}}}`)
	stopped := failed("States.TaskFailed", `{"Build": {"Id": "layersmith:8a7f", "BuildStatus": "STOPPED"}}`)
	clean := release.Ending{Outcome: release.FailedClean, Message: nothingTouched}
	conflict := &release.Failure{
		Code:    "LockConflict",
		Message: "lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and small<2",
		Hint:    "relax one of the two",
	}
	dirty := release.Ending{
		Outcome: release.FailedDirty,
		Message: "FailedDirty: taking the changes back failed {...}",
	}
	promoted := release.Ending{
		Outcome: release.Promoted,
		Message: "Released: 1 layer (layersmith-base:1), 1 function moved.",
	}
	const nothing = "Nothing was published and no function was touched."
	for sentence, tt := range map[string]struct {
		left     *release.Failure // by the build
		ending   release.Ending
		err      *workflow.Caught
		rollback *workflow.Caught
		want     string
		code     string
	}{
		"a build that stored its fault": {
			left: conflict, ending: clean, err: build, code: "LockConflict",
			want: "FailedClean: lock layers/base/requirements.txt:3: no version of small satisfies small>=9 and " +
				"small<2; " + nothing + " Relax one of the two.",
		},
		"a build that stored nothing": {
			ending: clean, err: build, code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: failed; " + nothing +
				" Read its log https://console.example/logs/8a7f.",
		},
		"a build that was stopped before it had a log": {
			ending: clean, err: stopped, code: "States.TaskFailed",
			want: "FailedClean: build layersmith:8a7f: stopped; " + nothing + " Read its log.",
		},
		"a fault of a function, with its hint": {
			left: conflict, ending: clean, code: "OverLimit",
			err: failed("OverLimit",
				`{"errorMessage": "measure base: over limit. Hint: raise the budget", "errorType": "OverLimit"}`),
			want: "FailedClean: measure base: over limit; " + nothing + " Raise the budget.",
		},
		"a timeout of the state machine": {
			ending: clean, err: failed("States.Timeout", ""), code: "States.Timeout",
			want: "FailedClean: States.Timeout; " + nothing,
		},
		"a cause that is not JSON": {
			ending: release.Ending{Outcome: release.FailedClean},
			err:    failed("Lambda.Unknown", "The cause could not be determined."), code: "Lambda.Unknown",
			want: "FailedClean: The cause could not be determined.",
		},
		"a failure and a rollback that failed": {
			ending:   dirty,
			err:      failed("Unhealthy", `{"errorMessage": "watch f: alarm a was raised. Hint: look at its log"}`),
			rollback: failed("NotAllowed", `{"errorMessage": "undo f: denied. Hint: grant it"}`),
			code:     "Unhealthy",
			want: "FailedDirty: watch f: alarm a was raised; undo f: denied; taking the changes back failed. " +
				"Look at its log. Grant it.",
		},
		"no failure": {ending: promoted, want: promoted.Message},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			if tt.left != nil {
				f.write(release.FailureName("first"), *tt.left)
			}

			end, err := f.reported(workflow.ReportInput{
				Run:           "first",
				Execution:     "arn:first",
				StartedAt:     f.now.Add(-time.Minute),
				Ending:        tt.ending,
				Error:         tt.err,
				RollbackError: tt.rollback,
			})
			if err != nil || end.Message != tt.want || end.Outcome != tt.ending.Outcome {
				t.Errorf("%s %v\n%q, want\n%q", end.Outcome, err, end.Message, tt.want)
			}

			var r release.RunReport
			f.read(release.ReportName("first"), &r)
			if code := r.Failure; (code == nil) != (tt.code == "") || code != nil && code.Code != tt.code {
				t.Errorf("failure %+v, want %s", code, tt.code)
			}

			want := memport.Notice{
				Subject: "Layersmith: " + string(end.Outcome),
				Text: tt.want + "\n\nexecution https://console.example/executions/arn:first\nreport    " +
					"runs/first/report.json\n",
			}
			if d := cmp.Diff([]memport.Notice{want}, f.notices.Sent()); d != "" {
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
	unzipped, err := f.account.LayerVersions().Unzipped(t.Context(), arnOf(2))
	if err != nil {
		t.Fatal(err)
	}

	zipped := measure.Bytes(len(f.account.LayerZip(arnOf(2))))
	was := measure.Bytes(len(f.account.LayerZip(arnOf(1))))
	want := memport.Notice{
		Subject: "Layersmith: Released (schedule)",
		Text: "Released: 1 layer (layersmith-base:2), 1 function moved.\n" +
			fmt.Sprintf("\nlayersmith-base:2  %s unzipped, %s zipped, within its budget (version 1: %s, %s)\n",
				unzipped, zipped, unzipped, was) +
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
		Ending:    release.Ending{Outcome: release.FailedClean, Message: nothingTouched},
		Error:     failed("States.Timeout", ""),
	}
	down := f.reportStage("")
	down.Notify = func(context.Context, string, string) error {
		return fault.New(fault.Throttled, "notify", "", errors.New("slow down"))
	}
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

	// A run that changed nothing is not notified.
	in = workflow.ReportInput{
		Run:       "second",
		Execution: "arn:second",
		Ending:    release.Ending{Outcome: release.Unchanged, Message: "Unchanged: nothing changed"},
	}
	if _, err := f.reported(in); err != nil || len(f.notices.Sent()) != 1 {
		t.Errorf("%v, %d notices", err, len(f.notices.Sent()))
	}
}
