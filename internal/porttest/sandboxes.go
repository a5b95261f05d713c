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

// suiteCode is the program of the suite's sandboxes, for runtimes that have a Python; SuiteRuntime
// is the same for those that have none.
const suiteCode = `suite.py=
def echo(event, context):
    return event

def fail(event, context):
    raise ValueError("no")
`

// SuiteRuntime runs the program of the suite of Sandboxes: what a MemoryAccount needs as Run to
// pass it.
func SuiteRuntime(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
	i := workflow.Invocation{Payload: payload, InitSeconds: 0.12345, MaxMemoryMiB: 34}
	i.LogTail = fmt.Sprintf(
		"START RequestId: 8f5\nREPORT RequestId: 8f5\tDuration: 1.51 ms\tBilled Duration: 2 ms\tMemory Size: %d "+
			"MB\tMax Memory Used: 34 MB\tInit Duration: 123.45 ms\t\n",
		s.Memory,
	)
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
	ctx := context.Background()
	const name = "layersmith-probe-data"
	sandbox := func(t *testing.T, handler string, layers ...string) workflow.Sandbox {
		t.Helper()
		return workflow.Sandbox{
			Name:    name,
			Target:  suiteTarget(t),
			Zip:     zipped(t, suiteCode),
			Handler: handler,
			Layers:  layers,
			Memory:  256,
			Timeout: 30 * time.Second,
		}
	}
	create := func(t *testing.T, a Account, s workflow.Sandbox) {
		t.Helper()
		if err := a.Sandboxes.Create(ctx, s); err != nil {
			t.Fatal(err)
		}

		t.Cleanup(func() { _ = a.Sandboxes.Delete(context.Background(), name) })
	}
	same := func(t *testing.T, got []byte, want string) {
		t.Helper()
		var compact bytes.Buffer
		if err := json.Compact(&compact, got); err != nil || compact.String() != want {
			t.Fatalf("payload %q (%v), want %s", got, err, want)
		}
	}

	t.Run("a sandbox answers", func(t *testing.T) {
		a := open(t)
		layer := addLayer(t, a, "data", "python/a.py=1")
		create(t, a, sandbox(t, "suite.echo", layer.ARN))
		i := must(a.Sandboxes.Invoke(ctx, name, []byte(`{"ask":["a",1]}`)))(t)
		same(t, i.Payload, `{"ask":["a",1]}`)
		if i.Error != "" || i.InitSeconds < 0 || i.InitSeconds > 60 {
			t.Fatalf("answered %+v", i)
		}

		f := must(a.Functions.Get(ctx, name, ""))(t)
		if f.Runtime != "python3.13" || f.Arch != "x86_64" || len(f.Layers) != 1 || f.Layers[0].ARN != layer.ARN {
			t.Fatalf("made %+v", f)
		}
	})

	t.Run("a function error is an answer with the type of the error", func(t *testing.T) {
		a := open(t)
		create(t, a, sandbox(t, "suite.fail"))
		i := must(a.Sandboxes.Invoke(ctx, name, []byte(`{}`)))(t)
		if i.Error != "ValueError" || !strings.Contains(string(i.Payload), `"no"`) {
			t.Fatalf("answered %q: %s", i.Error, i.Payload)
		}
	})

	t.Run("one that is left over is replaced", func(t *testing.T) {
		a := open(t)
		create(t, a, sandbox(t, "suite.fail"))
		create(t, a, sandbox(t, "suite.echo"))
		if i := must(a.Sandboxes.Invoke(ctx, name, []byte(`1`)))(t); i.Error != "" {
			t.Fatalf("answered %q: %s", i.Error, i.Payload)
		}
	})

	t.Run("one that is not there is NotFound, and deleting it is no error", func(t *testing.T) {
		a := open(t)
		_, err := a.Sandboxes.Invoke(ctx, name, nil)
		fails(t, "invoke", err, fault.NotFound)
		if err := a.Sandboxes.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a deleted one is gone", func(t *testing.T) {
		a := open(t)
		create(t, a, sandbox(t, "suite.echo"))
		for range 2 {
			if err := a.Sandboxes.Delete(ctx, name); err != nil {
				t.Fatal(err)
			}
		}

		_, err := a.Sandboxes.Invoke(ctx, name, nil)
		fails(t, "invoke", err, fault.NotFound)
		_, err = a.Functions.Get(ctx, name, "")
		fails(t, "get", err, fault.NotFound)
	})

	t.Run("layers that do not exist, or too many, make no sandbox", func(t *testing.T) {
		a := open(t)
		layer := addLayer(t, a, "l", "python/a.py=1")
		fails(t, "unknown", a.Sandboxes.Create(ctx, sandbox(t, "suite.echo", strings.TrimSuffix(layer.ARN, "1")+"7")),
			fault.BadInput)
		var six []string
		for i := range 6 {
			six = append(six, addLayer(t, a, fmt.Sprintf("l%d", i), "python/a.py=1").ARN)
		}

		fails(t, "six", a.Sandboxes.Create(ctx, sandbox(t, "suite.echo", six...)), fault.BadInput)
		_, err := a.Functions.Get(ctx, name, "")
		fails(t, "get", err, fault.NotFound)
	})

	t.Run("bytes that are no zip make no sandbox", func(t *testing.T) {
		s := sandbox(t, "suite.echo")
		s.Zip = pattern(100)
		fails(t, "create", open(t).Sandboxes.Create(ctx, s), fault.BadInput)
	})

	t.Run("a payload of more than 6 MiB is refused", func(t *testing.T) {
		a := open(t)
		create(t, a, sandbox(t, "suite.echo"))
		_, err := a.Sandboxes.Invoke(ctx, name, append(append([]byte{'"'}, pattern(6<<20)...), '"'))
		fails(t, "invoke", err, fault.BadInput)
	})

	t.Run("a canceled call makes nothing", func(t *testing.T) {
		a := open(t)
		stop, cancel := context.WithCancel(ctx)
		cancel()
		fails(t, "create", a.Sandboxes.Create(stop, sandbox(t, "suite.echo")), fault.Canceled)
		_, err := a.Functions.Get(ctx, name, "")
		fails(t, "get", err, fault.NotFound)
	})
}
