package awsport

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/operator"
)

const testMachine = "arn:aws:states:eu-central-1:123456789012:stateMachine:Layersmith"

// answering is an AWS of one service: every request gets what answer gives. Nothing is retried.
func answering(t *testing.T, answer http.HandlerFunc) aws.Config {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(server.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKID", "SECRET", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func executionsOf(t *testing.T, answers func(operation string, in map[string]any) (status int, out any)) Executions {
	t.Helper()
	cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
		in := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}

		status, out := answers(strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions."), in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	})
	return Executions{Client: sfn.NewFromConfig(cfg), Machine: testMachine}
}

func TestStackIsReadFromItsOutputs(t *testing.T) {
	t.Parallel()
	const complete = `<member><OutputKey>WorkspaceBucket</OutputKey><OutputValue>work</OutputValue></member>
		<member><OutputKey>StoreBucket</OutputKey><OutputValue>store</OutputValue></member>
		<member><OutputKey>StateMachineArn</OutputKey><OutputValue>` + testMachine + `</OutputValue></member>
		<member><OutputKey>TopicArn</OutputKey><OutputValue>topic</OutputValue></member>
		<member><OutputKey>DashboardName</OutputKey><OutputValue>board</OutputValue></member>
		<member><OutputKey>BuildProject</OutputKey><OutputValue>project</OutputValue></member>
		<member><OutputKey>Prefix</OutputKey><OutputValue>ls-</OutputValue></member>
		<member><OutputKey>SomethingNewer</OutputKey><OutputValue>x</OutputValue></member>`
	stack := func(status, outputs string) string {
		return `<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">` +
			`<DescribeStacksResult><Stacks><member><StackName>Layersmith</StackName><StackStatus>` + status +
			`</StackStatus><CreationTime>2026-11-23T19:30:00Z</CreationTime><Outputs>` + outputs +
			`</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`
	}
	refusal := func(code, message string) string {
		return `<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">` +
			`<Error><Type>Sender</Type><Code>` + code + `</Code><Message>` + message + `</Message></Error>` +
			`<RequestId>r-1</RequestId></ErrorResponse>`
	}
	for name, c := range map[string]struct {
		status int
		answer string
		want   Stack
		code   fault.Code
		err    string
		hint   string
	}{
		"all outputs, and an unknown one": {
			status: 200,
			answer: stack("UPDATE_COMPLETE", complete),
			want: Stack{
				Name:            "Layersmith",
				WorkspaceBucket: "work",
				StoreBucket:     "store",
				StateMachineARN: testMachine,
			},
		},
		"no such stack": {
			status: 400,
			answer: refusal("ValidationError", "Stack with id Layersmith does not exist"),
			code:   fault.NotFound,
			err:    "find stack Layersmith: Stack with id Layersmith does not exist",
			hint:   "make deploy",
		},
		"a stack that is being created": {
			status: 200,
			answer: stack("CREATE_IN_PROGRESS", ""),
			code:   fault.BadInput,
			err: "read stack Layersmith: it is CREATE_IN_PROGRESS and has no output WorkspaceBucket, StoreBucket, " +
				"StateMachineArn",
			hint: "--stack",
		},
		"a stack that was deleted": {
			status: 200,
			answer: stack("DELETE_COMPLETE", ""),
			code:   fault.NotFound,
			err:    "find stack Layersmith: no such stack",
			hint:   "make deploy",
		},
		"no permission": {
			status: 403,
			answer: refusal("AccessDenied", "not you"),
			code:   fault.NotAllowed,
			err: "find stack Layersmith: AccessDenied: not you (CloudFormation DescribeStacks, status 403, " +
				"request r-1)",
			hint: "cloudformation:DescribeStacks",
		},
		"an expired token": {
			status: 403,
			answer: refusal("ExpiredToken", "expired"),
			code:   fault.NotAllowed,
			err: "find stack Layersmith: ExpiredToken: expired (CloudFormation DescribeStacks, status 403, " +
				"request r-1)",
			hint: "aws sso login",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := answering(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				if form, err := url.ParseQuery(string(b)); err != nil || form.Get("Action") != "DescribeStacks" ||
					form.Get("StackName") != "Layersmith" {
					t.Errorf("asked %q", b)
				}

				w.Header().Set("Content-Type", "text/xml")
				w.WriteHeader(c.status)
				io.WriteString(w, c.answer)
			})
			got, err := findStack(t.Context(), cloudformation.NewFromConfig(cfg), "Layersmith")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}

			checkFault(t, err, c.code, c.err, c.hint)
		})
	}
}

// checkFault compares code and text, and looks for the part of the hint that matters; "" is no
// error.
func checkFault(t *testing.T, err error, code fault.Code, text, hint string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Error(err)
		}

		return
	}

	if err == nil || err.Error() != text || fault.CodeOf(err) != code || !strings.Contains(fault.HintOf(err), hint) {
		t.Errorf("%v (%s, hint %q), want %s (%s, hint with %q)", err, fault.CodeOf(err), fault.HintOf(err), text,
			code, hint)
	}
}

func TestStartSendsNameAndInput(t *testing.T) {
	t.Parallel()
	e := executionsOf(t, func(operation string, in map[string]any) (int, any) {
		want := map[string]any{"stateMachineArn": testMachine, "name": "run-1", "input": `{"force":true}`}
		if d := cmp.Diff(want, in); d != "" || operation != "StartExecution" {
			t.Errorf("%s %s", operation, d)
		}

		return 200, map[string]any{"executionArn": testMachine + ":x", "startDate": 1.7e9}
	})
	x, err := e.Start(t.Context(), "run-1", []byte(`{"force":true}`))
	if want := (operator.Execution{
		ARN:     testMachine + ":x",
		Name:    "run-1",
		Status:  "RUNNING",
		Started: time.Unix(1.7e9, 0).UTC(),
		Input:   `{"force":true}`,
	}); err != nil ||
		x != want {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestRefusalsOfStepFunctionsAreFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		status int
		code   fault.Code
	}{
		"a name that was used with another input": {"ExecutionAlreadyExists", 400, fault.Changed},
		"no such machine":                         {"StateMachineDoesNotExist", 400, fault.NotFound},
		"no such execution":                       {"ExecutionDoesNotExist", 400, fault.NotFound},
		"no grant":                                {"AccessDeniedException", 400, fault.NotAllowed},
		"too fast":                                {"ThrottlingException", 400, fault.Throttled},
		"out of order":                            {"InternalServerError", 500, fault.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := executionsOf(t, func(string, map[string]any) (int, any) {
				return c.status, map[string]any{
					"__type":  "com.amazonaws.swf.service.v2.model#" + c.answer,
					"message": "no",
				}
			})
			_, start := e.Start(t.Context(), "run-1", []byte("{}"))
			_, describe := e.Describe(t.Context(), "arn")
			_, list := e.List(t.Context(), "", 1)
			_, history := e.History(t.Context(), "arn", 0)
			for what, err := range map[string]error{
				"start":    start,
				"describe": describe,
				"list":     list,
				"history":  history,
			} {
				if fault.CodeOf(err) != c.code {
					t.Errorf("%s: %v (%s), want %s", what, err, fault.CodeOf(err), c.code)
				}
			}
		})
	}
}

func TestDescribeTellsHowAnExecutionEnded(t *testing.T) {
	t.Parallel()
	e := executionsOf(t, func(string, map[string]any) (int, any) {
		return 200, map[string]any{
			"executionArn":    "arn:x",
			"name":            "x",
			"stateMachineArn": testMachine,
			"status":          "FAILED",
			"startDate":       1.7e9,
			"stopDate":        1.7e9 + 60,
			"input":           "{}",
			"error":           "RolledBack",
			"cause":           "RolledBack: the alarm rose.",
		}
	})
	x, err := e.Describe(t.Context(), "arn:x")
	want := operator.Execution{
		ARN:     "arn:x",
		Name:    "x",
		Status:  "FAILED",
		Started: time.Unix(1.7e9, 0).UTC(),
		Stopped: time.Unix(1.7e9+60, 0).UTC(),
		Input:   "{}",
		Error:   "RolledBack",
		Cause:   "RolledBack: the alarm rose.",
	}
	if err != nil || x != want {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestListTakesPagesUntilThereAreEnough(t *testing.T) {
	t.Parallel()
	var asked []string
	e := executionsOf(t, func(_ string, in map[string]any) (int, any) {
		asked = append(asked, fmt.Sprint(in["maxResults"], " ", in["nextToken"], " ", in["statusFilter"]))
		page := []map[string]any{}
		for i := range 2 {
			n := 2*len(asked) - 1 + i
			page = append(page, map[string]any{
				"executionArn":    fmt.Sprint("arn:", n),
				"name":            fmt.Sprint(n),
				"status":          "RUNNING",
				"startDate":       1.7e9 - float64(n),
				"stateMachineArn": testMachine,
			})
		}

		return 200, map[string]any{"executions": page, "nextToken": fmt.Sprint("t", len(asked))}
	})
	got, err := e.List(t.Context(), "RUNNING", 3)
	var names []string
	for _, x := range got {
		names = append(names, x.Name)
	}

	if err != nil || !slices.Equal(names, []string{"1", "2", "3"}) {
		t.Errorf("%v, %v", names, err)
	}

	if want := []string{"3 <nil> RUNNING", "1 t1 RUNNING"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestHistoryReadsBackwardsToWhatIsKnown(t *testing.T) {
	t.Parallel()
	const size = 7 // events there are, two a page
	for name, c := range map[string]struct {
		after int64
		ids   []int64
		pages int
	}{
		"all":           {0, []int64{1, 2, 3, 4, 5, 6, 7}, 4},
		"the last ones": {5, []int64{6, 7}, 2},
		"nothing new":   {7, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pages := 0
			e := executionsOf(t, func(_ string, in map[string]any) (int, any) {
				if in["reverseOrder"] != true {
					t.Error("asked forwards")
				}

				first := size - 2*pages
				pages++
				out := map[string]any{}
				events := []map[string]any{}
				for id := first; id > max(first-2, 0); id-- {
					events = append(events, map[string]any{
						"id":              id,
						"previousEventId": id - 1,
						"timestamp":       1.7e9,
						"type":            "PassStateEntered",
					})
				}

				if first > 2 {
					out["nextToken"] = "more"
				}

				out["events"] = events
				return 200, out
			})
			events, err := e.History(t.Context(), "arn", c.after)
			var ids []int64
			for _, x := range events {
				ids = append(ids, x.ID)
			}

			if err != nil || !slices.Equal(ids, c.ids) || pages != c.pages {
				t.Errorf("%v in %d pages, %v; want %v in %d", ids, pages, err, c.ids, c.pages)
			}
		})
	}
}

func TestEventsKeepWhatPeopleLookAt(t *testing.T) {
	t.Parallel()
	failure := map[string]any{"error": "E", "cause": "C", "resource": "r", "resourceType": "t"}
	for kind, c := range map[string]struct {
		details map[string]any
		want    operator.Event
	}{
		"TaskStateEntered": {
			map[string]any{"stateEnteredEventDetails": map[string]any{"name": "Prune", "input": "{}"}},
			operator.Event{State: "Prune"},
		},
		"MapStateExited": {
			map[string]any{"stateExitedEventDetails": map[string]any{"name": "Prune each", "output": "[]"}},
			operator.Event{State: "Prune each"},
		},
		"MapIterationStarted": {
			map[string]any{"mapIterationStartedEventDetails": map[string]any{"name": "Prune each", "index": 3}},
			operator.Event{Index: 3},
		},
		"LambdaFunctionSucceeded": {
			map[string]any{"lambdaFunctionSucceededEventDetails": map[string]any{"output": `{"summary":"x"}`}},
			operator.Event{Output: `{"summary":"x"}`},
		},
		"TaskSucceeded": {
			map[string]any{
				"taskSucceededEventDetails": map[string]any{"output": `{}`, "resource": "r", "resourceType": "t"},
			},
			operator.Event{Output: `{}`},
		},
		"LambdaFunctionFailed": {
			map[string]any{"lambdaFunctionFailedEventDetails": failure},
			operator.Event{Error: "E", Cause: "C"},
		},
		"LambdaFunctionScheduleFailed": {
			map[string]any{"lambdaFunctionScheduleFailedEventDetails": failure},
			operator.Event{Error: "E", Cause: "C"},
		},
		"LambdaFunctionStartFailed": {
			map[string]any{"lambdaFunctionStartFailedEventDetails": failure},
			operator.Event{Error: "E", Cause: "C"},
		},
		"LambdaFunctionTimedOut": {
			map[string]any{"lambdaFunctionTimedOutEventDetails": failure},
			operator.Event{Error: "E", Cause: "C"},
		},
		"TaskFailed":        {map[string]any{"taskFailedEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"TaskStartFailed":   {map[string]any{"taskStartFailedEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"TaskSubmitFailed":  {map[string]any{"taskSubmitFailedEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"TaskTimedOut":      {map[string]any{"taskTimedOutEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"ExecutionFailed":   {map[string]any{"executionFailedEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"ExecutionTimedOut": {map[string]any{"executionTimedOutEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"ExecutionAborted":  {map[string]any{"executionAbortedEventDetails": failure}, operator.Event{Error: "E", Cause: "C"}},
		"ExecutionStarted":  {map[string]any{"executionStartedEventDetails": map[string]any{"input": "{}"}}, operator.Event{}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := executionsOf(t, func(string, map[string]any) (int, any) {
				c.details["id"] = 9
				c.details["previousEventId"] = 8
				c.details["timestamp"] = 1.7e9
				c.details["type"] = kind
				return 200, map[string]any{"events": []any{c.details}}
			})
			got, err := e.History(t.Context(), "arn", 0)
			c.want.ID = 9
			c.want.Previous = 8
			c.want.At = time.Unix(1.7e9, 0).UTC()
			c.want.Type = kind
			if d := cmp.Diff([]operator.Event{c.want}, got); err != nil || d != "" {
				t.Errorf("%v %s", err, d)
			}
		})
	}
}

func TestOperatorSaysWhatTheConfigurationLacks(t *testing.T) {
	for name, c := range map[string]struct {
		env     map[string]string
		options Options
		code    fault.Code
		hint    string
	}{
		"no region": {
			map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
			Options{},
			fault.BadInput,
			"--region",
		},
		"a profile that is not there": {
			map[string]string{},
			Options{Profile: "nobody", Region: "eu-central-1"},
			fault.BadInput,
			"profile",
		},
		"no credentials": {
			map[string]string{},
			Options{Region: "eu-central-1"},
			fault.NotAllowed,
			"profile",
		},
		"an account that nobody can reach": {
			map[string]string{
				"AWS_ACCESS_KEY_ID":     "a",
				"AWS_SECRET_ACCESS_KEY": "b",
				"AWS_ENDPOINT_URL":      "http://127.0.0.1:1",
			},
			Options{Region: "eu-central-1"},
			fault.Unreachable,
			"network",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{
				"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID",
				"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL",
			} {
				t.Setenv(k, c.env[k])
			}

			t.Setenv("HOME", t.TempDir())
			t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			c.options.Attempts = 1
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := OpenAccount(ctx, c.options, "Layersmith")
			if fault.CodeOf(err) != c.code || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v (%s, hint %q), want %s, hint with %q", err, fault.CodeOf(err), fault.HintOf(err),
					c.code, c.hint)
			}
		})
	}
}

func TestExecutionNamesBecomeARNs(t *testing.T) {
	t.Parallel()
	e := Executions{Machine: testMachine}
	const arn = "arn:aws:states:eu-central-1:123456789012:execution:Layersmith:run-1"
	if got := e.ARN("run-1"); got != arn {
		t.Error(got)
	}

	if got := e.ARN(arn); got != arn {
		t.Error(got)
	}

	const china = "arn:aws-cn:states:cn-north-1:1:execution:m:x"
	const gov = "arn:aws-us-gov:states:us-gov-west-1:1:execution:m:x"
	const page = "#/v2/executions/details/"
	for in, want := range map[string]string{
		arn:      "https://console.aws.amazon.com/states/home?region=eu-central-1" + page + arn,
		china:    "https://console.amazonaws.cn/states/home?region=cn-north-1" + page + china,
		gov:      "https://console.amazonaws-us-gov.com/states/home?region=us-gov-west-1" + page + gov,
		"no arn": "",
	} {
		if got := (Executions{}).Console(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
