package lambdamain_test

import (
	"bytes"
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

// folder is where the function is built; TestMain makes and removes it.
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

// built is the path of testdata/function, as the functions of the product are built, once for all
// tests.
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

// lines decodes a log in which each line is JSON, but for those that the test expects not to be:
// these it removes.
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

// What each end of an invocation looks like to Step Functions, and in the log.
func TestWhatStepFunctionsSees(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a function")
	}

	t.Parallel()
	const exits = "calling the handler function resulted in a panic, the process should exit"
	const shape = `. Hint: pass an object with the fields do, run`
	const look = ". Hint: read request " + request + " in log group /aws/lambda/measure; this is a mistake in " +
		"Layersmith"
	for name, c := range map[string]struct {
		payload string
		env     map[string]string
		timeout time.Duration
		answer  string // the payload of an answer
		kind    string // errorType
		message string // errorMessage
		exits   bool
		run     string // as the log names it; "r-1" when not set
	}{
		"good input is answered": {payload: `{"run":"r-1","do":""}`, answer: `{"run":"r-1","calls":1}`},
		"bad JSON": {
			payload: `{"run":`,
			kind:    "BadInput",
			message: "read input: unexpected EOF" + shape,
			run:     "-",
		},
		"an unknown field": {payload: `{"run":"r-1","dont":1}`, kind: "BadInput",
			message: `read input: unknown field "dont". Hint: the fields there are do, run`},
		"a field of a wrong type": {
			payload: `{"run":"r-1","do":3}`,
			kind:    "BadInput",
			message: `read input: field "do" is a JSON number, want string` + shape,
		},
		"a fault with a hint": {payload: `{"run":"r-1","do":"fault"}`, kind: "OverLimit",
			message: "measure layer ml: 271,004,112 bytes unzipped, limit 262,144,000. Hint: let ml extend science"},
		"a fault that is wrapped keeps its code and hint": {payload: `{"run":"r-1","do":"wrapped"}`, kind: "OverLimit",
			message: "judge: measure layer ml: 271,004,112 bytes unzipped, limit 262,144,000. Hint: let ml extend " +
				"science"},
		"an error that is no fault": {
			payload: `{"run":"r-1","do":"plain"}`,
			kind:    "Internal",
			message: "no such thing" + look,
		},
		"a panic with a string": {
			payload: `{"run":"r-1","do":"panic"}`,
			kind:    "Panic",
			message: "panic: it does not add up" + look,
			exits:   true,
		},
		"an index out of range": {payload: `{"run":"r-1","do":"bounds"}`, kind: "Panic",
			message: "panic: runtime error: index out of range [1] with length 1" + look, exits: true},
		"a panic that nobody can recover is Lambda's to tell": {
			payload: `{"run":"r-1","do":"goroutine"}`,
			kind:    runtimeapi.ErrorExit,
			message: "RequestId: " + request + " Error: Runtime exited with error: exit status 2",
			exits:   true,
		},
		"a stage that respects its context says what it was doing": {
			payload: `{"run":"r-1","do":"wait"}`,
			timeout: 2 * time.Second,
			kind:    "TimedOut",
			message: "publish layersmith-ml: context deadline exceeded. Hint: start the execution again; when it " +
				"times out again, give the function more memory, which is also more processor, or more time",
		},
		"a stage that ignores its context is killed": {
			payload: `{"run":"r-1","do":"sleep"}`,
			timeout: 2 * time.Second,
			kind:    runtimeapi.ErrorTimeout,
			message: "RequestId: " + request + " Error: Task timed out after 2.00 seconds",
			exits:   true,
		},
		"settings that lack something": {
			payload: `{"run":"r-1","do":"environment"}`,
			env:     map[string]string{"LAYERSMITH_KEEP": "none"},
			kind:    "BadInput",
			message: `read the environment: LAYERSMITH_STORE is not set; LAYERSMITH_TOPIC is not set; LAYERSMITH_KEEP is "none"; legal: 1 to 100. ` +
				"Hint: deploy the stack again, which sets these variables from cdk.json",
		},
		"settings that are right": {
			payload: `{"run":"r-1","do":"environment"}`,
			answer:  `{"run":"r-1","calls":1,"said":"store"}`,
			env: map[string]string{
				"LAYERSMITH_STORE": "store",
				"LAYERSMITH_TOPIC": "arn:aws:sns:us-east-1:000000000000:t",
			},
		},
		"the configuration of AWS": {
			payload: `{"run":"r-1","do":"aws"}`,
			env:     map[string]string{"AWS_REGION": "eu-west-1"},
			answer:  `{"run":"r-1","calls":1,"said":"eu-west-1"}`,
		},
		"a configuration of AWS that cannot be read is a fault, no panic": {payload: `{"run":"r-1","do":"aws"}`,
			env: map[string]string{
				"AWS_REGION":         "",
				"AWS_DEFAULT_REGION": "",
			}, kind: "BadInput", message: "read the AWS configuration: no region. Hint: *"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.timeout == 0 {
				c.timeout = time.Minute
			}

			if c.run == "" {
				c.run = "r-1"
			} else if c.run == "-" {
				c.run = ""
			}

			f := function(t, c.timeout, c.env)
			r := invoke(t, f, c.payload)

			if r.ErrorType != c.kind || r.Exited != c.exits {
				t.Errorf("errorType %q, exited %v; want %q, %v\n%s", r.ErrorType, r.Exited, c.kind, c.exits, r.Log())
			}

			if message, open := strings.CutSuffix(c.message, "*"); r.ErrorMessage != message &&
				!(open && strings.HasPrefix(r.ErrorMessage, message)) {
				t.Errorf("errorMessage\n%s\nwant\n%s", r.ErrorMessage, c.message)
			}

			if c.kind == "" && string(r.Payload) != c.answer {
				t.Errorf("answer %s, want %s", r.Payload, c.answer)
			}

			if r.ErrorTypeHeader != "" { // what the ASL catches by must not depend on it: aws-lambda-go sends none
				t.Errorf("header says %q", r.ErrorTypeHeader)
			}

			if r.Stdout != "" {
				t.Errorf("stdout %q", r.Stdout)
			}

			if c.kind == runtimeapi.ErrorExit {
				if !strings.Contains(r.Stderr, "nobody recovers this") {
					t.Errorf("the log does not say why:\n%s", r.Stderr)
				}

				return
			}

			log := lines(t, r.Stderr, exits)
			if len(log) == 0 {
				t.Fatal("nothing is logged")
			}

			if start := log[0]; start["msg"] != "start" || start["function"] != "measure" || start["run"] != c.run ||
				start["request"] != request {
				t.Errorf("first line %v", start)
			}

			if c.kind == runtimeapi.ErrorTimeout {
				if len(log) != 1 {
					t.Errorf("a function that is killed logs no end:\n%s", r.Stderr)
				}

				return
			}

			if len(log) < 2 {
				t.Fatalf("no line at the end:\n%s", r.Stderr)
			}

			end := log[1]
			rest := log[2:]
			code := c.kind
			if code == "" {
				code = "OK"
			}

			if end["msg"] != "end" || end["code"] != code || end["run"] != c.run || end["function"] != "measure" ||
				end["request"] != request {
				t.Errorf("second line %v", end)
			}

			if ms, ok := end["durationMs"].(float64); !ok || ms < 0 || ms > float64(c.timeout.Milliseconds()) {
				t.Errorf("duration %v", end["durationMs"])
			}

			stack, has := end["stack"].(string)
			if has != (c.kind == "Panic") || has && !strings.Contains(stack, "testdata/function/main.go:") {
				t.Errorf("stack of a %q: %s", c.kind, stack)
			}

			// aws-lambda-go logs the error document, once, and we do not.
			if c.kind == "" {
				if len(rest) != 0 {
					t.Errorf("an answer is logged: %v", rest)
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

			if c.exits != strings.Contains(r.Stderr, exits) {
				t.Errorf("the process says that it ends, or not:\n%s", r.Stderr)
			}
		})
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

func TestTheStageHasMostOfTheTime(t *testing.T) {
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
	// Settings that cannot be read do not matter to an invocation that needs none.
	f := function(t, time.Minute, map[string]string{"LAYERSMITH_KEEP": "none", "AWS_MAX_ATTEMPTS": "none"})
	r := invoke(t, f, `{"run":"r"}`)
	if r.ErrorType != "" || !bytes.HasPrefix([]byte(r.Stderr), []byte(`{"time":`)) ||
		strings.Count(r.Stderr, "\n") != 2 {
		t.Errorf("%s\n%s", r.ErrorMessage, r.Stderr)
	}

	t.Logf("init %v, %d bytes of memory", r.Init, r.MaxRSSBytes)
}
