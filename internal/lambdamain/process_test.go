package lambdamain_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/testenv/runtimeapi"
)

// folder is where the function is built. TestMain makes and removes it.
var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "lambdamain-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// built builds testdata/function once for all tests, with the flags of the product's functions, and
// returns its path.
var built = sync.OnceValues(func() (string, error) {
	bootstrap := filepath.Join(folder, "bootstrap")
	c := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", bootstrap,
		"./testdata/function")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}

	return bootstrap, nil
})

// function starts a real bootstrap on a real Runtime API.
func function(t *testing.T, timeout time.Duration, env map[string]string) *runtimeapi.Function {
	t.Helper()
	bootstrap, err := built()
	if err != nil {
		t.Fatal(err)
	}

	all := map[string]string{ // the SDK finds the machine's own ~/.aws even without HOME
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
	maps.Copy(all, env)

	f, err := runtimeapi.Start(t.Context(), bootstrap, runtimeapi.Options{Name: "measure", Timeout: timeout, Env: all})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { f.Close() })
	return f
}

func invoke(t *testing.T, f *runtimeapi.Function, payload string) runtimeapi.Response {
	t.Helper()
	r, err := f.Invoke([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}

	return r
}

// lines decodes a log of JSON lines. It leaves out the lines that the test expects not to be JSON.
func lines(t *testing.T, log string, not ...string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		if slices.Contains(not, strings.TrimSuffix(line, "\n")) {
			continue
		}

		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("line %q: %v", line, err)
			continue
		}

		all = append(all, m)
	}

	return all
}

const request = "00000000-0000-4000-8000-000000000001"

// ending is an end of an invocation as Step Functions sees it.
type ending struct {
	payload string
	env     map[string]string
	timeout time.Duration // 0 for a minute

	answer  string // payload of a success
	kind    string // errorType, "" for a success
	message string // errorMessage; a * at the end stands for any text
	exits   bool
	run     string // in the log
}

const (
	run     = "r-1"
	shape   = ". Hint: pass an object with the fields do, run"
	readLog = ". Hint: read request " + request + " in log group /aws/lambda/measure; this is a bug in Layersmith"
	// aws-lambda-go logs it after a panic
	exitLine = "calling the handler function resulted in a panic, the process should exit"
)

var endings = map[string]ending{
	"success": {payload: `{"run":"r-1","do":""}`, answer: `{"run":"r-1","calls":1}`, run: run},
	"bad JSON": {
		payload: `{"run":`,
		kind:    "BadInput",
		message: "read input: unexpected EOF" + shape,
	},
	"an unknown field": {
		payload: `{"run":"r-1","dont":1}`,
		kind:    "BadInput",
		message: `read input: unknown field "dont". Hint: the known fields are do, run`,
		run:     run,
	},
	"a field of a wrong type": {
		payload: `{"run":"r-1","do":3}`,
		kind:    "BadInput",
		message: `read input: field "do" is a JSON number, want string` + shape,
		run:     run,
	},
	"a fault with a hint": {
		payload: `{"run":"r-1","do":"fault"}`,
		kind:    "OverLimit",
		message: "measure layer ml: 271,004,112 bytes unzipped, limit 262,144,000. Hint: let ml extend science",
		run:     run,
	},
	"a wrapped fault keeps its code and hint": {
		payload: `{"run":"r-1","do":"wrapped"}`,
		kind:    "OverLimit",
		message: "judge: measure layer ml: 271,004,112 bytes unzipped, limit 262,144,000. Hint: let ml extend science",
		run:     run,
	},
	"an error that is not a fault": {
		payload: `{"run":"r-1","do":"plain"}`,
		kind:    "Internal",
		message: "no such thing" + readLog,
		run:     run,
	},
	"a panic with a string": {
		payload: `{"run":"r-1","do":"panic"}`,
		kind:    "Panic",
		message: "panic: it does not add up" + readLog,
		exits:   true,
		run:     run,
	},
	"an index out of range": {
		payload: `{"run":"r-1","do":"bounds"}`,
		kind:    "Panic",
		message: "panic: runtime error: index out of range [1] with length 1" + readLog,
		exits:   true,
		run:     run,
	},
	"a panic in another goroutine is reported by Lambda": {
		payload: `{"run":"r-1","do":"goroutine"}`,
		kind:    runtimeapi.ErrorExit,
		message: "RequestId: " + request + " Error: Runtime exited with error: exit status 2",
		exits:   true,
		run:     run,
	},
	"a use case that respects its context reports what it was doing": {
		payload: `{"run":"r-1","do":"wait"}`,
		timeout: 2 * time.Second,
		kind:    "TimedOut",
		message: "publish layersmith-ml: context deadline exceeded. Hint: start the execution again; if it " +
			"times out again, give the function more memory, which also gives it more CPU, or a longer timeout",
		run: run,
	},
	"a use case that ignores its context is killed": {
		payload: `{"run":"r-1","do":"sleep"}`,
		timeout: 2 * time.Second,
		kind:    runtimeapi.ErrorTimeout,
		message: "RequestId: " + request + " Error: Task timed out after 2.00 seconds",
		exits:   true,
		run:     run,
	},
	"a wrong environment": {
		payload: `{"run":"r-1","do":"environment"}`,
		env:     map[string]string{"LAYERSMITH_KEEP": "none"},
		kind:    "BadInput",
		message: "read the environment: LAYERSMITH_STORE is not set; LAYERSMITH_TOPIC is not set; " +
			`LAYERSMITH_KEEP is "none"; allowed: 1 to 100. ` +
			"Hint: deploy the stack again, which sets these variables from cdk.json",
		run: run,
	},
	"a right environment": {
		payload: `{"run":"r-1","do":"environment"}`,
		env: map[string]string{
			"LAYERSMITH_STORE": "store",
			"LAYERSMITH_TOPIC": "arn:aws:sns:us-east-1:000000000000:t",
		},
		answer: `{"run":"r-1","calls":1,"said":"store"}`,
		run:    run,
	},
	"an AWS configuration": {
		payload: `{"run":"r-1","do":"aws"}`,
		env:     map[string]string{"AWS_REGION": "eu-west-1"},
		answer:  `{"run":"r-1","calls":1,"said":"eu-west-1"}`,
		run:     run,
	},
	"an unusable AWS configuration is a fault, not a panic": {
		payload: `{"run":"r-1","do":"aws"}`,
		env:     map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
		kind:    "BadInput",
		message: "read the AWS configuration: no region. Hint: *",
		run:     run,
	},
}

func TestWhatStepFunctionsSees(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}

	t.Parallel()
	for name, c := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := function(t, cmp.Or(c.timeout, time.Minute), c.env)
			r := invoke(t, f, c.payload)
			c.checkResponse(t, r)
			c.checkLog(t, r)
		})
	}
}

func (e ending) checkResponse(t *testing.T, r runtimeapi.Response) {
	t.Helper()
	if r.ErrorType != e.kind || r.Exited != e.exits {
		t.Errorf("errorType %q, exited %v; want %q, %v\n%s", r.ErrorType, r.Exited, e.kind, e.exits, r.Log())
	}

	message, open := strings.CutSuffix(e.message, "*")
	if r.ErrorMessage != message && !(open && strings.HasPrefix(r.ErrorMessage, message)) {
		t.Errorf("errorMessage\n%s\nwant\n%s", r.ErrorMessage, e.message)
	}

	if e.kind == "" && string(r.Payload) != e.answer {
		t.Errorf("answer %s, want %s", r.Payload, e.answer)
	}

	if r.ErrorTypeHeader != "" { // aws-lambda-go sends none: the state machine must not depend on it
		t.Errorf("header says %q", r.ErrorTypeHeader)
	}

	if r.Stdout != "" {
		t.Errorf("stdout %q", r.Stdout)
	}
}

// checkLog checks the lines of an invocation: one for the start, one for the end, and the error
// document of aws-lambda-go.
func (e ending) checkLog(t *testing.T, r runtimeapi.Response) {
	t.Helper()
	if e.kind == runtimeapi.ErrorExit {
		if !strings.Contains(r.Stderr, "nobody recovers this") {
			t.Errorf("the log does not say why:\n%s", r.Stderr)
		}

		return
	}

	log := lines(t, r.Stderr, exitLine)
	if len(log) == 0 {
		t.Fatal("nothing is logged")
	}

	if !e.logged(log[0], "start") {
		t.Errorf("first line %v", log[0])
	}

	if e.kind == runtimeapi.ErrorTimeout {
		if len(log) != 1 {
			t.Errorf("a function that is killed logs no end:\n%s", r.Stderr)
		}

		return
	}

	if len(log) < 2 {
		t.Fatalf("no line at the end:\n%s", r.Stderr)
	}

	e.checkEnd(t, log[1])
	e.checkDocument(t, r, log[2:])
}

// logged reports whether a line has this message, and identifies the invocation.
func (e ending) logged(line map[string]any, msg string) bool {
	return line["msg"] == msg && line["function"] == "measure" && line["run"] == e.run && line["request"] == request
}

func (e ending) checkEnd(t *testing.T, end map[string]any) {
	t.Helper()
	if !e.logged(end, "end") || end["code"] != cmp.Or(e.kind, "OK") {
		t.Errorf("second line %v", end)
	}

	longest := cmp.Or(e.timeout, time.Minute).Milliseconds()
	if ms, ok := end["durationMs"].(float64); !ok || ms < 0 || ms > float64(longest) {
		t.Errorf("duration %v", end["durationMs"])
	}

	stack, has := end["stack"].(string)
	if has != (e.kind == "Panic") || has && !strings.Contains(stack, "testdata/function/main.go:") {
		t.Errorf("stack of a %q: %s", e.kind, stack)
	}
}

// checkDocument checks that the error document is logged exactly once, by aws-lambda-go.
func (e ending) checkDocument(t *testing.T, r runtimeapi.Response, rest []map[string]any) {
	t.Helper()
	if e.kind == "" {
		if len(rest) != 0 {
			t.Errorf("a success is logged: %v", rest)
		}

		return
	}

	if len(rest) != 1 || rest[0]["errorType"] != r.ErrorType || rest[0]["errorMessage"] != r.ErrorMessage ||
		len(rest[0]) != 2 {
		t.Errorf("after the end: %v", rest)
	}

	if n := strings.Count(r.Stderr, `"errorMessage"`); n != 1 {
		t.Errorf("the message is logged %d times", n)
	}

	if e.exits != strings.Contains(r.Stderr, exitLine) {
		t.Errorf("exits: %v, but the log is\n%s", e.exits, r.Stderr)
	}
}

func TestAProcessGoesOnAfterAnErrorAndIsReplacedAfterAPanic(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}

	t.Parallel()
	f := function(t, time.Minute, nil)
	for i, step := range []struct{ do, want string }{
		{"", `{"run":"r","calls":1}`},
		{"", `{"run":"r","calls":2}`},
		{"fault", "OverLimit"},
		{"", `{"run":"r","calls":4}`},
		{"panic", "Panic"},
		{"", `{"run":"r","calls":1}`}, // another process
	} {
		r := invoke(t, f, fmt.Sprintf(`{"run":"r","do":%q}`, step.do))
		got := string(r.Payload)
		if r.ErrorType != "" {
			got = r.ErrorType
		}

		if got != step.want {
			t.Errorf("invocation %d: %s, want %s", i+1, got, step.want)
		}

		if fresh := i == 0 || i == 5; fresh != (r.Init > 0) {
			t.Errorf("invocation %d: init %v", i+1, r.Init)
		}
	}
}

func TestTheUseCaseHasMostOfTheTime(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}

	t.Parallel()
	f := function(t, 2*time.Second, nil)
	if r := invoke(t, f, `{"do":"wait"}`); r.Duration < 1400*time.Millisecond || r.ErrorType != "TimedOut" || r.Exited {
		t.Errorf("%s after %v, exited %v; want TimedOut half a second before the end", r.ErrorType, r.Duration,
			r.Exited)
	}
}

func TestNothingIsLoggedOrReadBeforeTheFirstInvocation(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}

	t.Parallel()
	// An invocation that does not need the environment does not fail because of it.
	f := function(t, time.Minute, map[string]string{"LAYERSMITH_KEEP": "none", "AWS_MAX_ATTEMPTS": "none"})
	r := invoke(t, f, `{"run":"r"}`)
	if r.ErrorType != "" || !bytes.HasPrefix([]byte(r.Stderr), []byte(`{"time":`)) ||
		strings.Count(r.Stderr, "\n") != 2 {
		t.Errorf("%s\n%s", r.ErrorMessage, r.Stderr)
	}

	t.Logf("init %v, %d bytes of memory", r.Init, r.MaxRSSBytes)
}
