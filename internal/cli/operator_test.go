package cli_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/layersmith/layersmith/internal/testenv/scripts"
)

// TestOperator runs the commands that talk to a deployed stack, with the real SDK, against an
// account that a script describes:
//
//	account/stack.json        outputs of the stack Layersmith; without it there is no stack
//	account/store/            objects of the bucket "store"
//	account/workspace/        objects of the bucket "work", as somebody uploaded them with another program
//	account/executions.json   executions that there were, newest first
//	account/NAME.history      the events of one: "SECONDS PREVIOUS TYPE ...", and "..." where the next look sees more
//	account/next.json         how the next execution that is started ends, and next.history
//	account/deny              "PUT /work/layers/x": a request that is denied
//
// The commands leave in account.log what they changed.
func TestOperator(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/operator",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               setUpAccount,
		Cmds:                scripts.Commands(),
	})
}

const machineARN = "arn:aws:states:eu-central-1:123456789012:stateMachine:Layersmith"

func setUpAccount(e *testscript.Env) error {
	a := &fakeAccount{
		dir:    filepath.Join(e.WorkDir, "account"),
		log:    filepath.Join(e.WorkDir, "account.log"),
		polled: filepath.Join(e.WorkDir, "polled"),
	}
	if err := a.open(); err != nil {
		return err
	}

	server := httptest.NewServer(a)
	e.Defer(server.Close)
	scripts.Prepare(e)
	own, _, _ := strings.Cut(e.Getenv("PATH"),
		string(os.PathListSeparator)) // where testscript put layersmith: nothing else is needed
	e.Setenv("PATH", own)
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("AWS_ENDPOINT_URL", server.URL)
	e.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	e.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	e.Setenv("AWS_REGION", "eu-central-1")
	e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	e.Setenv("ARN", strings.Replace(machineARN, ":stateMachine:", ":execution:", 1))
	return nil
}

// fakeAccount is CloudFormation, Step Functions and S3 as far as the commands need them.
type fakeAccount struct {
	dir, log, polled string
	objects          http.Handler
	mu               sync.Mutex
	executions       []*fakeExecution
}

type fakeExecution struct {
	Name    string          `json:"name"`
	Status  string          `json:"status"` // in the end
	Started time.Time       `json:"started"`
	Seconds float64         `json:"seconds"`
	Input   json.RawMessage `json:"input"`
	Output  json.RawMessage `json:"output"`
	Error   string          `json:"error"`
	Cause   string          `json:"cause"`

	looks   [][]map[string]any // events that each look sees besides those before
	looked  int
	forever bool // the history is not over after the last look
}

func (a *fakeAccount) open() error {
	mem := s3mem.New()
	a.objects = gofakes3.New(mem).Server()
	for bucket, folder := range map[string]string{"store": "store", "work": "workspace"} {
		if err := mem.CreateBucket(bucket); err != nil {
			return err
		}

		if err := mem.SetVersioningConfiguration(bucket,
			gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
			return err
		}

		root := os.DirFS(filepath.Join(a.dir, folder))
		err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == "." {
				return nil
			}

			if err != nil || d.IsDir() {
				return err
			}

			b, err := fs.ReadFile(root, name)
			if err == nil {
				_, err = mem.PutObject(bucket, name, map[string]string{}, bytes.NewReader(b), int64(len(b)), nil)
			}

			return err
		})
		if err != nil {
			return err
		}
	}

	b, err := os.ReadFile(filepath.Join(a.dir, "executions.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err == nil {
		err = json.Unmarshal(b, &a.executions)
	}

	for _, x := range a.executions {
		err = errors.Join(err, x.read(filepath.Join(a.dir, x.Name+".history")))
	}

	return err
}

func (a *fakeAccount) note(format string, args ...any) {
	f, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		fmt.Fprintf(f, format+"\n", args...)
		f.Close()
	}
}

func (a *fakeAccount) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	denied, _ := os.ReadFile(filepath.Join(a.dir, "deny"))
	switch operation, isStates := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AWSStepFunctions."); {
	case isStates:
		a.states(w, r, operation)
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		a.stacks(w, r)
	case strings.TrimSpace(string(denied)) == r.Method+" "+r.URL.Path:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>not you</Message></Error>`)
	default:
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			a.note("%s %s", r.Method, r.URL.Path)
		}

		a.objects.ServeHTTP(w, r)
	}
}

func (a *fakeAccount) stacks(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(b))
	w.Header().Set("Content-Type", "text/xml")
	name := form.Get("StackName")
	file, err := os.ReadFile(filepath.Join(a.dir, "stack.json"))
	if form.Get("Action") != "DescribeStacks" || err != nil || name != "layersmith" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w,
			`<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>`+
				`<Message>Stack with id %s does not exist</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
			name)
		return
	}

	var outputs map[string]string
	if err := json.Unmarshal(file, &outputs); err != nil {
		panic(err)
	}

	var members strings.Builder
	for key, value := range outputs {
		members.WriteString("<member><OutputKey>" + key + "</OutputKey><OutputValue>")
		xml.EscapeText(&members, []byte(value))
		members.WriteString("</OutputValue></member>")
	}

	fmt.Fprintf(
		w,
		`<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>%s</StackName>`+
			`<StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-01T00:00:00Z</CreationTime>`+
			`<Outputs>%s</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`,
		name,
		members.String(),
	)
}

// request is the input of the Step Functions operations that commands call.
type request struct {
	StateMachineArn, Name, Input, ExecutionArn, StatusFilter string
	MaxResults                                               int
}

// states answers a request to Step Functions.
func (a *fakeAccount) states(w http.ResponseWriter, r *http.Request, operation string) {
	var in request
	err := json.NewDecoder(r.Body).Decode(&in)
	known := func(x *fakeExecution) bool { return x.arn() == in.ExecutionArn }
	at := slices.IndexFunc(a.executions, known)
	switch {
	case err != nil:
		refuse(w, "ValidationException", err.Error())
	case in.StateMachineArn != "" && in.StateMachineArn != machineARN:
		refuse(w, "StateMachineDoesNotExist", in.StateMachineArn)
	case in.ExecutionArn != "" && at < 0:
		refuse(w, "ExecutionDoesNotExist", "Execution Does Not Exist: '"+in.ExecutionArn+"'")
	case operation == "StartExecution":
		answer(w, http.StatusOK, a.start(in))
	case operation == "DescribeExecution":
		answer(w, http.StatusOK, a.executions[at].describe())
	case operation == "ListExecutions":
		answer(w, http.StatusOK, map[string]any{"executions": a.list(in)})
	case operation == "GetExecutionHistory":
		os.WriteFile(a.polled, nil, 0o644)
		answer(w, http.StatusOK, map[string]any{"events": a.executions[at].look()})
	default:
		refuse(w, "ValidationException", operation)
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, kind, message string) {
	answer(w, http.StatusBadRequest, map[string]any{"__type": kind, "message": message})
}

// start begins an execution, which ends as next.json says.
func (a *fakeAccount) start(in request) map[string]any {
	a.note("StartExecution %s", in.Input)
	x := &fakeExecution{Status: "RUNNING", Started: time.Now()}
	if b, err := os.ReadFile(filepath.Join(a.dir, "next.json")); err == nil {
		if err := errors.Join(json.Unmarshal(b, x), x.read(filepath.Join(a.dir, "next.history"))); err != nil {
			panic(err)
		}
	}

	x.Name = in.Name
	x.Input = json.RawMessage(in.Input)
	a.executions = append([]*fakeExecution{x}, a.executions...)
	return map[string]any{"executionArn": x.arn(), "startDate": epoch(x.Started)}
}

func (a *fakeAccount) list(in request) []map[string]any {
	list := []map[string]any{}
	for _, x := range a.executions {
		if in.StatusFilter != "" && in.StatusFilter != x.status() || len(list) == in.MaxResults {
			continue
		}

		list = append(list, x.summary())
	}

	return list
}

func (x *fakeExecution) summary() map[string]any {
	return map[string]any{
		"executionArn":    x.arn(),
		"name":            x.Name,
		"stateMachineArn": machineARN,
		"status":          x.status(),
		"startDate":       epoch(x.Started),
	}
}

func (x *fakeExecution) describe() map[string]any {
	out := x.summary()
	out["input"] = string(x.Input)
	if x.status() == "RUNNING" {
		return out
	}

	out["stopDate"] = epoch(x.Started.Add(time.Duration(x.Seconds * float64(time.Second))))
	if x.Output != nil {
		out["output"] = string(x.Output)
	}

	if x.Error != "" {
		out["error"] = x.Error
		out["cause"] = x.Cause
	}

	return out
}

// look returns the events that the next request for the history sees, newest first.
func (x *fakeExecution) look() []map[string]any {
	if x.looked < len(x.looks) {
		x.looked++
	}

	events := append([]map[string]any{}, slices.Concat(x.looks[:x.looked]...)...)
	slices.Reverse(events)
	return events
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (x *fakeExecution) arn() string {
	return strings.Replace(machineARN, ":stateMachine:", ":execution:", 1) + ":" + x.Name
}

// status is RUNNING until somebody who follows it has seen all of a history that comes in parts.
func (x *fakeExecution) status() string {
	if len(x.looks) > 1 && x.looked < len(x.looks) || x.forever {
		return "RUNNING"
	}

	return x.Status
}

// read makes events of a history. One that does not end with the end of the execution goes on
// forever.
func (x *fakeExecution) read(file string) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err != nil {
		return err
	}

	var look []map[string]any
	id := 0
	kind := ""
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		if line == "..." {
			x.looks = append(x.looks, look)
			look = nil
			continue
		}

		f := append(strings.SplitN(line, " ", 4), "")
		var seconds, previous int
		if _, err := fmt.Sscan(f[0]+" "+f[1], &seconds, &previous); err != nil {
			return fmt.Errorf("%s: %q: %w", file, line, err)
		}

		id = id + 1
		kind = f[2]
		e := map[string]any{
			"id":              id,
			"previousEventId": previous,
			"timestamp":       epoch(x.Started.Add(time.Duration(seconds) * time.Second)),
			"type":            kind,
		}
		details := strings.ToLower(kind[:1]) + kind[1:] + "EventDetails"
		switch {
		case strings.HasSuffix(kind, "StateEntered"):
			e["stateEnteredEventDetails"] = map[string]any{"name": f[3]}
		case strings.HasSuffix(kind, "StateExited"):
			e["stateExitedEventDetails"] = map[string]any{"name": f[3]}
		case kind == "MapIterationStarted":
			e[details] = map[string]any{"name": "", "index": json.Number(f[3])}
		case kind == "LambdaFunctionSucceeded" || kind == "TaskSucceeded":
			e[details] = map[string]any{"output": f[3], "resource": "r", "resourceType": "t"}
		case strings.HasSuffix(kind, "Failed"):
			code, cause, _ := strings.Cut(f[3], " ")
			e[details] = map[string]any{"error": code, "cause": cause, "resource": "r", "resourceType": "t"}
		}

		look = append(look, e)
	}

	x.looks = append(x.looks, look)
	x.forever = !strings.HasPrefix(kind, "Execution") || kind == "ExecutionStarted"
	return nil
}
