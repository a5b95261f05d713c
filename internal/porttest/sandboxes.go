package porttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// sandboxCode is the program of the suite's sandboxes, for accounts that run Python. SuiteRuntime
// does the same for accounts that do not.
const sandboxCode = `suite.py=
def echo(event, context):
    return event

def fail(event, context):
    raise ValueError("no")
`

// reportLine is the log of an invocation, with the memory size in MiB to fill in.
const reportLine = "START RequestId: 8f5\n" +
	"REPORT RequestId: 8f5\tDuration: 1.51 ms\tBilled Duration: 2 ms\tMemory Size: %d MB\t" +
	"Max Memory Used: 34 MB\tInit Duration: 123.45 ms\t\n"

// SuiteRuntime runs the program of the suite of Sandboxes, for accounts that cannot run Python.
func SuiteRuntime(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
	i := workflow.Invocation{
		Payload:      payload,
		InitSeconds:  0.12345,
		MaxMemoryMiB: 34,
		LogTail:      fmt.Sprintf(reportLine, s.Memory),
	}
	switch s.Handler {
	case "suite.echo":
	case "suite.fail":
		i.Payload = []byte(`{"errorMessage": "no", "errorType": "ValueError", "stackTrace": []}`)
		i.Error = "ValueError"
	default:
		i.Payload = []byte(`{"errorMessage": "no handler", "errorType": "Runtime.HandlerNotFound"}`)
		i.Error = "Runtime.HandlerNotFound"
	}

	return i, nil
}

// Sandboxes is the suite of workflow.Sandboxes.
func Sandboxes(t *testing.T, open func(t *testing.T) Account) {
	start := func(t *testing.T) sandboxesTest { return sandboxesTest{accountTest{t, open(t)}} }
	runTests(t, start, []namedTest[sandboxesTest]{
		{"a sandbox answers", sandboxesTest.answers},
		{"a function error is an answer with the type of the error", sandboxesTest.functionError},
		{"a sandbox of the same name is replaced", sandboxesTest.replaced},
		{"an absent sandbox is NotFound, and deleting it is no error", sandboxesTest.absentSandbox},
		{"a deleted sandbox is gone", sandboxesTest.deleted},
		{"layers that do not exist, or too many, are refused", sandboxesTest.badLayers},
		{"bytes that are not a zip are refused", sandboxesTest.notZip},
		{"a payload of more than 6 MiB is refused", sandboxesTest.largePayload},
		{"a canceled call creates nothing", sandboxesTest.canceled},
	})
}

// sandboxName is the sandbox that the suite creates.
const sandboxName = "layersmith-probe-data"

type sandboxesTest struct{ accountTest }

func (s sandboxesTest) sandbox(handler string, layers ...string) workflow.Sandbox {
	s.Helper()
	return workflow.Sandbox{
		Name:    sandboxName,
		Target:  s.target(),
		Zip:     zipOf(s, sandboxCode),
		Handler: handler,
		Layers:  layers,
		Memory:  256,
		Timeout: 30 * time.Second,
	}
}

func (s sandboxesTest) create(handler string, layers ...string) {
	s.Helper()
	succeeds(s, s.Sandboxes.Create(s.Context(), s.sandbox(handler, layers...)))
	s.Cleanup(func() { _ = s.Sandboxes.Delete(context.Background(), sandboxName) })
}

func (s sandboxesTest) invoke(payload string) workflow.Invocation {
	s.Helper()
	return must(s.Sandboxes.Invoke(s.Context(), sandboxName, []byte(payload)))(s)
}

// isGone expects that the sandbox is not a function of the account.
func (s sandboxesTest) isGone() {
	s.Helper()
	_, err := s.Functions.Get(s.Context(), sandboxName, "")
	wantFault(s, "get", err, fault.NotFound)
}

func (s sandboxesTest) answers() {
	layer := s.addLayer("data", "python/a.py=1")
	s.create("suite.echo", layer.ARN)

	i := s.invoke(`{"ask":["a",1]}`)
	var payload bytes.Buffer
	if err := json.Compact(&payload, i.Payload); err != nil || payload.String() != `{"ask":["a",1]}` {
		s.Fatalf("payload %q, %v", i.Payload, err)
	}

	if i.Error != "" || i.InitSeconds < 0 || i.InitSeconds > 60 {
		s.Fatalf("answered %+v", i)
	}

	f := must(s.Functions.Get(s.Context(), sandboxName, ""))(s)
	if f.Runtime != "python3.13" || f.Arch != "x86_64" || len(f.Layers) != 1 || f.Layers[0].ARN != layer.ARN {
		s.Fatalf("created %+v", f)
	}
}

func (s sandboxesTest) functionError() {
	s.create("suite.fail")
	i := s.invoke(`{}`)
	if i.Error != "ValueError" || !strings.Contains(string(i.Payload), `"no"`) {
		s.Fatalf("answered %q: %s", i.Error, i.Payload)
	}
}

func (s sandboxesTest) replaced() {
	s.create("suite.fail")
	s.create("suite.echo")
	if i := s.invoke(`1`); i.Error != "" {
		s.Fatalf("answered %q: %s", i.Error, i.Payload)
	}
}

func (s sandboxesTest) absentSandbox() {
	_, err := s.Sandboxes.Invoke(s.Context(), sandboxName, nil)
	wantFault(s, "invoke", err, fault.NotFound)
	succeeds(s, s.Sandboxes.Delete(s.Context(), sandboxName))
}

func (s sandboxesTest) deleted() {
	s.create("suite.echo")
	succeeds(s, s.Sandboxes.Delete(s.Context(), sandboxName))
	succeeds(s, s.Sandboxes.Delete(s.Context(), sandboxName))

	_, err := s.Sandboxes.Invoke(s.Context(), sandboxName, nil)
	wantFault(s, "invoke", err, fault.NotFound)
	s.isGone()
}

func (s sandboxesTest) badLayers() {
	unknown := absent(s.addLayer("l", "python/a.py=1"))
	var six []string
	for i := range 6 {
		six = append(six, s.addLayer(fmt.Sprintf("l%d", i), "python/a.py=1").ARN)
	}

	err := s.Sandboxes.Create(s.Context(), s.sandbox("suite.echo", unknown))
	wantFault(s, "a layer that does not exist", err, fault.BadInput)
	err = s.Sandboxes.Create(s.Context(), s.sandbox("suite.echo", six...))
	wantFault(s, "six layers", err, fault.BadInput)
	s.isGone()
}

func (s sandboxesTest) notZip() {
	box := s.sandbox("suite.echo")
	box.Zip = pattern(100)
	wantFault(s, "create", s.Sandboxes.Create(s.Context(), box), fault.BadInput)
}

func (s sandboxesTest) largePayload() {
	s.create("suite.echo")
	payload := `"` + string(pattern(6<<20)) + `"`
	_, err := s.Sandboxes.Invoke(s.Context(), sandboxName, []byte(payload))
	wantFault(s, "invoke", err, fault.BadInput)
}

func (s sandboxesTest) canceled() {
	wantFault(s, "create", s.Sandboxes.Create(canceledContext(s), s.sandbox("suite.echo")), fault.Canceled)
	s.isGone()
}
