// Package workflow tests every path of the state machine's definition. moto's Step Functions
// executes it, and this package answers as Lambda and CodeBuild, with the answers of a script. The
// functions themselves are tested in internal/workflow and test/functions.
package workflow

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/statemachine"
)

// moto is the engine, one for all tests.
var moto struct {
	client  *sfn.Client
	account *account
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests mostly wait for the engine, so more of them run at once than there are processors.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}

	stop, err := startMoto()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}

	code := m.Run()
	stop()
	os.Exit(code)
}

// motoPython is a Python interpreter with moto.
func motoPython() (string, error) {
	if python := os.Getenv("LAYERSMITH_MOTO_PYTHON"); python != "" {
		return python, nil
	}

	python, err := filepath.Abs("../../.tools/moto/bin/python")
	if err != nil {
		return "", err
	}

	if _, err := os.Stat(python); err != nil {
		return "", fmt.Errorf("find the Step Functions engine: %w\nhint: run: make tools", err)
	}

	return python, nil
}

func startMoto() (stop func(), err error) {
	python, err := motoPython()
	if err != nil {
		return nil, err
	}

	const launcher = "launch_moto.py"
	if _, err := os.Stat(launcher); err != nil { // go test caches results by the files that a test stats
		return nil, err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	moto.account = newAccount()
	server := &http.Server{Handler: moto.account}
	go func() { _ = server.Serve(listener) }()

	_, tasks, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}

	cmd := exec.Command(python, launcher)
	cmd.Env = append(os.Environ(), "MOTO_PORT="+tasks, "MOTO_ACCOUNT_ID=000000000000", "PYTHONDONTWRITEBYTECODE=1")
	log, err := os.CreateTemp("", "layersmith-moto-*.log")
	if err != nil {
		return nil, err
	}

	defer func() { _ = os.Remove(log.Name()) }()
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}

	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}

	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the Step Functions engine: %w\nhint: run: make tools", err)
	}

	stop = func() {
		_ = stdin.Close() // ends the process
		_ = cmd.Wait()
		_ = server.Close()
		_ = log.Close()
	}
	var port int
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "port %d", &port); err != nil || scanErr != nil {
		stop()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start the Step Functions engine: it says %q\n%s\nhint: run: make tools", line, said)
	}

	moto.client = sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(fmt.Sprintf("http://127.0.0.1:%d", port)),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "dummy", SecretAccessKey: "dummy"}, nil
		}),
	})
	return stop, nil
}

// An answer is one answer of a function or a build.
type answer struct {
	over   map[string]any // fields that replace those of the usual answer
	code   fault.Code     // of the function's error; any code fails the build
	status int            // HTTP status of the Invoke call, with code as its error
	hang   bool           // no answer until the run is freed
	free   <-chan struct{}
}

func fails(code fault.Code) answer { return answer{code: code} }

// refuses is an error of the service instead of the function: 429 TooManyRequestsException.
func refuses(status int, code fault.Code) answer { return answer{status: status, code: code} }

// A script is the answers of the functions of a run. Each function gives its answers in turn, and
// repeats the last. A function without answers gives the usual one.
type script map[string][]answer

// first returns answers that are followed by the usual one.
func first(answers ...answer) []answer { return append(answers, answer{}) }

// A call is one call of a function.
type call struct {
	function string
	payload  json.RawMessage
}

// account answers as Lambda and CodeBuild.
type account struct {
	mu   sync.Mutex
	runs map[string]*run
}

type run struct {
	script script
	calls  []call
	asked  map[string]int
	ending chan struct{} // closed when report is called
	hung   chan struct{} // closed when a function hangs
	free   chan struct{} // closed to free it
}

func newAccount() *account { return &account{runs: map[string]*run{}} }

// expect registers a run.
func (a *account) expect(name string, s script) *run {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &run{
		script: s,
		asked:  map[string]int{},
		ending: make(chan struct{}),
		hung:   make(chan struct{}),
		free:   make(chan struct{}),
	}
	a.runs[name] = r
	return r
}

// ask records a call and returns its answer.
func (a *account) ask(name, function string, payload json.RawMessage) (answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.runs[strings.TrimSuffix(name, previous)]
	if r == nil {
		return answer{}, fmt.Errorf("%s is asked for run %q, which no test has started", function, name)
	}

	n := r.asked[function]
	r.asked[function]++
	r.calls = append(r.calls, call{function, payload})
	if function == "report" && n == 0 {
		close(r.ending)
	}

	var got answer
	if answers := r.script[function]; len(answers) > 0 {
		got = answers[min(n, len(answers)-1)]
	}

	if got.hang && n == 0 {
		close(r.hung)
		got.free = r.free
	}

	if got.code != "" || function == "build" {
		return got, nil
	}

	value, err := usual(function, payload)
	if err != nil {
		return answer{}, err
	}

	maps.Copy(value, got.over)
	got.over = value
	return got, nil
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	if target := r.Header.Get("X-Amz-Target"); target != "" {
		a.codebuild(w, strings.TrimPrefix(target, "CodeBuild_20161006."), body)
		return
	}

	path, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	function, isInvoke := strings.CutSuffix(path, "/invocations")
	if !ok || !isInvoke {
		http.NotFound(w, r)
		return
	}

	function = function[strings.LastIndex(function, ":")+1:]
	var in struct{ Run string }
	if err := json.Unmarshal(body, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	got, err := a.ask(in.Run, function, body)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case got.hang:
		<-got.free
		reply(w, got.over)
	case got.status != 0:
		refuse(w, got.status, string(got.code))
	case got.code != "":
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		reply(w, map[string]string{"errorType": string(got.code), "errorMessage": function + " failed"})
	default:
		reply(w, got.over)
	}
}

// codebuild answers StartBuild and BatchGetBuilds. The ID of a build is project:run:status.
func (a *account) codebuild(w http.ResponseWriter, action string, body json.RawMessage) {
	var in struct {
		ProjectName                  string
		EnvironmentVariablesOverride []struct{ Name, Type, Value string }
		IDs                          []string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	switch action {
	case "StartBuild":
		if len(in.EnvironmentVariablesOverride) != 1 || in.EnvironmentVariablesOverride[0].Name != "LAYERSMITH_RUN" {
			http.Error(w, "one variable is expected: LAYERSMITH_RUN", http.StatusBadRequest)
			return
		}

		name := in.EnvironmentVariablesOverride[0].Value
		got, err := a.ask(name, "build", body)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case got.status != 0:
			refuse(w, got.status, string(got.code))
		default:
			status := "SUCCEEDED"
			if got.hang {
				status = "IN_PROGRESS"
			} else if got.code != "" {
				status = "FAILED"
			}

			reply(w, map[string]any{
				"build": map[string]any{
					"id":          in.ProjectName + ":" + name + ":" + status,
					"buildStatus": "IN_PROGRESS",
				},
			})
		}
	case "BatchGetBuilds":
		id := in.IDs[0]
		reply(w,
			map[string]any{"builds": []any{map[string]any{"id": id, "buildStatus": id[strings.LastIndex(id, ":")+1:]}}})
	default:
		http.Error(w, action+" is not implemented by this test", http.StatusBadRequest)
	}
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Amzn-ErrorType", code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "refused by the test"})
}

// maxStateBytes is the limit of the data between two states (Step Functions Developer Guide,
// "Service quotas").
const maxStateBytes = 256 << 10

// resolved is the definition with values instead of its placeholders, as CloudFormation deploys it.
func resolved(t testing.TB) string {
	t.Helper()
	values := []string{"${" + statemachine.BuildProject + "}", "layersmith"}
	for _, f := range statemachine.Functions() {
		values = append(values, "${"+f+"}", "arn:aws:lambda:us-east-1:000000000000:function:"+strings.ToLower(f))
	}

	definition := strings.NewReplacer(values...).Replace(statemachine.Definition())
	if strings.Contains(definition, "${") {
		t.Fatalf("a placeholder is left in the definition:\n%s", definition)
	}

	return definition
}

// quick is the definition with retries after one second, and other changes: state -> field ->
// value. The state "" is the machine itself.
func quick(t testing.TB, changes map[string]map[string]any) string {
	t.Helper()
	var machine map[string]any
	if err := json.Unmarshal([]byte(resolved(t)), &machine); err != nil {
		t.Fatal(err)
	}

	changed := 0
	change := func(name string, of map[string]any) {
		if fields, ok := changes[name]; ok {
			changed++
			for field, value := range fields {
				of[field] = value
			}
		}
	}
	change("", machine)
	var walk func(machine map[string]any)
	walk = func(machine map[string]any) {
		for name, s := range machine["States"].(map[string]any) {
			state := s.(map[string]any)
			retry, _ := state["Retry"].([]any)
			for _, r := range retry {
				r.(map[string]any)["IntervalSeconds"] = 1
				r.(map[string]any)["BackoffRate"] = 1
			}

			change(name, state)
			if inner, ok := state["ItemProcessor"].(map[string]any); ok {
				walk(inner)
			}
		}
	}
	walk(machine)
	if changed != len(changes) {
		t.Fatalf("the machine has %d of the states to be changed: %v", changed, changes)
	}

	b, err := json.Marshal(machine)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// deployed returns the ARN of the state machine with that definition.
func deployed(t *testing.T, definition string) *string {
	t.Helper()
	machines.Lock()
	defer machines.Unlock()
	if arn, ok := machines.arns[definition]; ok {
		return arn
	}

	made, err := moto.client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:       aws.String(fmt.Sprintf("pipeline-%d", len(machines.arns))),
		Definition: &definition,
		RoleArn:    aws.String("arn:aws:iam::000000000000:role/workflow"),
	})
	if err != nil {
		t.Fatal(err)
	}

	machines.arns[definition] = made.StateMachineArn
	return made.StateMachineArn
}

var machines = struct {
	sync.Mutex
	arns map[string]*string // by definition
}{arns: map[string]*string{}}

// An execution is one that has ended.
type execution struct {
	status        types.ExecutionStatus
	output        string
	error, cause  string
	path          []string // names of the states in the order in which they were entered
	largest       int      // bytes of the largest input of a state
	largestBefore string   // that state
	calls         []call
}

func (e execution) asked(function string) int {
	return len(slices.DeleteFunc(slices.Clone(e.calls), func(c call) bool { return c.function != function }))
}

// patience is the time limit of an execution, long enough for a busy machine.
const patience = 3 * time.Minute

// execute runs the workflow to its end.
func execute(t *testing.T, definition, input string, s script) execution {
	t.Helper()
	return executeWhile(t, definition, input, s, nil)
}

// executeWhile runs the workflow to its end, and calls meanwhile after its start.
func executeWhile(
	t *testing.T, definition, input string, s script, meanwhile func(context.Context, *string, *run),
) execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	name := executionName(t.Name())
	expected := moto.account.expect(name, s)
	started, err := moto.client.StartExecution(ctx,
		&sfn.StartExecutionInput{StateMachineArn: deployed(t, definition), Name: &name, Input: &input})
	if err != nil {
		t.Fatal(err)
	}

	if meanwhile != nil {
		meanwhile(ctx, started.ExecutionArn, expected)
	}

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ending := expected.ending
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("%s has not ended: %v", name, ctx.Err())
		case <-ending:
			ending = nil
			tick.Reset(50 * time.Millisecond)
			continue
		case <-tick.C:
		}

		now, err := moto.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
		if err != nil {
			t.Fatal(err)
		}

		if now.Status == types.ExecutionStatusRunning {
			continue
		}

		e := execution{
			status: now.Status,
			output: aws.ToString(now.Output),
			error:  aws.ToString(now.Error),
			cause:  aws.ToString(now.Cause),
		}
		e.history(t, ctx, started.ExecutionArn)
		moto.account.mu.Lock()
		e.calls = slices.Clone(expected.calls)
		moto.account.mu.Unlock()
		return e
	}
}

// history reads the names of the entered states and their largest input.
func (e *execution) history(t *testing.T, ctx context.Context, arn *string) {
	t.Helper()
	pages := sfn.NewGetExecutionHistoryPaginator(moto.client,
		&sfn.GetExecutionHistoryInput{ExecutionArn: arn, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}

		for _, event := range page.Events {
			entered := event.StateEnteredEventDetails
			if entered == nil {
				continue
			}

			e.path = append(e.path, aws.ToString(entered.Name))
			if n := len(aws.ToString(entered.Input)); n > e.largest {
				e.largest = n
				e.largestBefore = aws.ToString(entered.Name)
			}
		}
	}
}

// executionName makes a unique name that Step Functions accepts: at most 80 letters, digits and
// "-".
func executionName(test string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}

		return '-'
	}, strings.TrimPrefix(test, "Test"))
	executions.Lock()
	defer executions.Unlock()
	executions.n++
	return fmt.Sprintf("%.60s-%d", name, executions.n)
}

var executions struct {
	sync.Mutex
	n int
}
