package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestFailingProbeLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	before := f.state()
	pruned := func(s workflow.Sandbox) bool { return strings.Contains(s.Layers[len(s.Layers)-1], "layersmith-base") }
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		return answer(payload, func(j probe.SentJob) string {
			if j.Kind == probe.Module && pruned(s) {
				return "ModuleNotFoundError: No module named 'small.core'"
			}

			return ""
		})
	}
	end := f.must("first", `{}`, release.FailedClean)
	if !strings.Contains(end.Message, "probe base: module small: ModuleNotFoundError: No module named 'small.core'") {
		t.Errorf("message %q does not say what failed", end.Message)
	}

	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}

	// A failure that also happens before pruning is accepted.
	f.account.Run = func(_ context.Context, _ workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		return answer(payload, needsDisplay)
	}
	f.must("second", `{}`, release.Promoted)
	if left := f.boxes(); len(left) > 0 {
		t.Errorf("probe functions %v are left", left)
	}
}

// needsDisplay fails all modules.
func needsDisplay(j probe.SentJob) string {
	if j.Kind == probe.Module {
		return "ImportError: needs a display"
	}

	return ""
}

// verified runs the stages up to Verify for one layer.
func (f *flow) verified(run string) (workflow.Item, error) {
	f.t.Helper()
	layer, err := f.publish(run, f.measured(run, `{}`)[0], f.account.LayerVersions())
	if err != nil {
		f.t.Fatal(err)
	}

	return f.verify(run, layer, []workflow.Item{layer})
}

// boxes lists the probe functions.
func (f *flow) boxes() (names []string) {
	for _, v := range f.account.Versions() {
		if strings.HasPrefix(v.Name, "probe-") {
			names = append(names, v.Name)
		}
	}

	return names
}

// oneByOne is a probe function that does one job in each invocation. The first has a cold start,
// and each needs more memory than the one before.
func oneByOne(asked *[]string) func(context.Context, workflow.Sandbox, []byte) (workflow.Invocation, error) {
	return func(_ context.Context, _ workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		var q probe.Request
		if err := json.Unmarshal(payload, &q); err != nil {
			return workflow.Invocation{}, err
		}

		remaining := max(0, len(q.Jobs)-1)
		if remaining > 0 {
			q.Imports = nil // there was no time for them
		}

		q.Jobs = q.Jobs[:len(q.Jobs)-remaining]
		var did []string
		for _, j := range q.Jobs {
			did = append(did, string(j.Kind)+" "+j.Name+" "+j.Source)
		}

		*asked = append(*asked, strings.Join(append(did, q.Imports...), " + "))
		r := responseTo(q, passes)
		r.Remaining = remaining
		out, err := invocation(r)
		out.MaxMemoryMiB = int64(50 + len(*asked))
		if len(*asked) > 1 {
			out.InitSeconds = 0
		}

		return out, err
	}
}

func TestAProbeGoesOnUntilNothingRemains(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("base/probe.py", "import small\n")
	var asked []string
	f.account.Run = oneByOne(&asked)
	item, err := f.verified("first")
	if err != nil {
		t.Fatal(err)
	}

	want := []string{"metadata small ", "module small ", "script probe.py import small\n + small"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	var v release.Verified
	f.document(item.Doc, &v)
	p := v.Probe
	if p.Status != report.ProbePassed || p.Modules != 1 || p.Metadata != 1 || p.Scripts != 1 ||
		p.Interpreter != "cpython-3.13.7" || !slices.Equal(p.Stack, []string{"base"}) {
		t.Errorf("probe %+v", p)
	}

	if v.InitSeconds != 0.4 || v.MaxMemoryMiB != 53 || p.Import == nil || p.Import.WithSeconds != 0.25 {
		t.Errorf("cold start %v s, %d MiB, imports %+v", v.InitSeconds, v.MaxMemoryMiB, p.Import)
	}

	if item.Summary != "base: 1 module, 1 script; import 0.25 s" {
		t.Errorf("summary %q", item.Summary)
	}

	if left := f.boxes(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

func TestAThrowAwayFunctionThatDoesNotAnswerIsAFault(t *testing.T) {
	t.Parallel()
	const (
		failed = "the probe function failed with "
		check  = "check the response of the probe function: "
	)
	payload := func(s string) workflow.Invocation { return workflow.Invocation{Payload: []byte(s)} }
	for sentence, tt := range map[string]struct {
		answer workflow.Invocation
		want   string // after the name of the function
	}{
		"it does not start": {
			workflow.Invocation{
				Error: "Runtime.ImportModuleError",
				LogTail: "INIT_START\n[ERROR] Unable to import module 'handler': No module named 'json'\n" +
					"END RequestId: 8f5\nREPORT RequestId: 8f5\tDuration: 1.51 ms\n\n",
			},
			failed + "Runtime.ImportModuleError: [ERROR] Unable to import module 'handler': No module named 'json'. " +
				"Hint: its runtime cannot start with these layers; " +
				"check which modules of theirs hide modules of the runtime",
		},
		"it runs out of time": {
			workflow.Invocation{
				Error: "Sandbox.Timedout",
				Payload: []byte(`{"errorMessage": "Task timed out after 900.00 seconds", ` +
					`"errorType": "Sandbox.Timedout"}`),
			},
			failed + "Sandbox.Timedout: Task timed out after 900.00 seconds. " +
				"Hint: importing a module, or the layer's own probe, took more than Lambda's 15 minutes",
		},
		"it runs out of memory": {
			workflow.Invocation{
				Error:        "Runtime.ExitError",
				MaxMemoryMiB: 512,
				Payload:      []byte(`{"errorMessage": "Runtime exited with error: signal: killed"}`),
			},
			failed + "Runtime.ExitError: Runtime exited with error: signal: killed. " +
				"Hint: the probe needs more than the function's 512 MiB of memory",
		},
		"it answers null": {
			payload("null"),
			check + "no interpreter is named. Hint: ",
		},
		"its answer is not JSON": {
			payload("<html>"),
			"read the response of the probe function: invalid character '<' looking for beginning of value. Hint: ",
		},
		"its counts are wrong": {
			payload(`{"interpreter": "cpython", "results": [], "remaining": 1, "import": null}`),
			check + "0 results and 1 remaining for 2 jobs. Hint: ",
		},
		"it does no job": {
			payload(`{"interpreter": "cpython", "results": [], "remaining": 2, "import": null}`),
			check + "no job was run. Hint: ",
		},
		"it does another job": {
			payload(`{"interpreter": "cpython", "results": [{"kind": "module", "name": "evil", "ok": true}], ` +
				`"remaining": 1, "import": null}`),
			check + "result 0 is of module evil, requested was metadata small. Hint: ",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			invoked := 0
			f.account.Run = func(context.Context, workflow.Sandbox, []byte) (workflow.Invocation, error) {
				invoked++
				return tt.answer, nil
			}
			_, err := f.verified("first")
			name := "probe-" + digest.Of([]byte("first layersmith-base")).Short()
			refusedAs(t, err, fault.ProbeFailed, "probe "+name+": "+tt.want)
			if left := f.boxes(); len(left) > 0 || invoked != 1 {
				t.Errorf("invoked %d times, left are %v", invoked, left)
			}
		})
	}
}

// probeCase is a probe function's answers and what Verify makes of them.
type probeCase struct {
	spec        string // layer.yaml
	fails       func(workflow.Sandbox, probe.SentJob) string
	importError string // of the timed imports
	refuse      string // method that refuses the unpruned layer
	want        string // the error, "" for none
	invocations int
	check       func(report.Probe) bool
}

func (c probeCase) run(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("base/probe.py", "import small\n")
	if c.spec != "" {
		f.push("base/layer.yaml", c.spec)
	}

	invocations := 0
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		invocations++
		return c.answer(s, payload)
	}
	f.account.Fail = func(method, subject string) error {
		if method == c.refuse && strings.HasPrefix(subject, "probe-") {
			return fault.New(fault.BadInput, "publish", subject, errors.New("too large"))
		}

		return nil
	}
	item, err := f.verified("first")
	c.checkError(t, err)
	if c.check != nil {
		var v release.Verified
		f.document(item.Doc, &v)
		if !c.check(v.Probe) || v.Probe.Status != report.ProbePassed {
			t.Errorf("probe %+v", v.Probe)
		}
	}

	if invocations != c.invocations || len(f.boxes()) > 0 {
		t.Errorf("%d invocations, want %d; probe functions %v are left", invocations, c.invocations, f.boxes())
	}

	unpruned := "probe-" + digest.Of([]byte("first layersmith-base")).Short()
	if left, err := f.account.LayerVersions().List(t.Context(), unpruned); err != nil || len(left) > 0 {
		t.Errorf("versions %v of the unpruned layer are left, %v", left, err)
	}
}

func (c probeCase) checkError(t *testing.T, err error) {
	t.Helper()
	switch {
	case c.want == "" && err != nil:
		t.Fatal(err)
	case c.want != "" && (fmt.Sprint(err) != c.want || fault.CodeOf(err) != fault.ProbeFailed):
		t.Fatalf("error %v, want %q", err, c.want)
	}
}

func (c probeCase) answer(s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
	var q probe.Request
	if err := json.Unmarshal(payload, &q); err != nil {
		return workflow.Invocation{}, err
	}

	r := responseTo(q, func(j probe.SentJob) string {
		if c.fails == nil {
			return ""
		}

		return c.fails(s, j)
	})
	if r.Import != nil { // nil for the unpruned layer, which imports the modules in a job
		r.Import.Detail = c.importError
	}

	return invocation(r)
}

func TestWhatAProbeSaysDecidesAboutTheCandidate(t *testing.T) {
	t.Parallel()
	noModule := func(s workflow.Sandbox, j probe.SentJob) string {
		if j.Kind == probe.Module && strings.HasPrefix(s.Layers[len(s.Layers)-1], layerARN) {
			return "Traceback (most recent call last):\n  File \"x\", line 1\n" +
				"ModuleNotFoundError: No module named 'small.tests.test_small'"
		}

		return ""
	}
	display := func(_ workflow.Sandbox, j probe.SentJob) string { return needsDisplay(j) }
	script := func(_ workflow.Sandbox, j probe.SentJob) string {
		if j.Kind == probe.Script {
			return "AssertionError: 1 != 2"
		}

		return ""
	}
	for sentence, c := range map[string]probeCase{
		"all jobs pass": {
			invocations: 1,
			check: func(p report.Probe) bool {
				return len(p.Failures) == 0 && p.Modules == 1 && p.Metadata == 1
			},
		},
		"a module fails only after pruning": {
			fails:       noModule,
			invocations: 2,
			want:        "probe base: module small: ModuleNotFoundError: No module named 'small.tests.test_small'",
		},
		"a module fails before pruning too": {
			fails:       display,
			invocations: 2,
			check:       func(p report.Probe) bool { return len(p.Failures) == 1 && p.Failures[0].Inherited },
		},
		"a script must pass, even if it fails before pruning too": {
			fails:       script,
			invocations: 2,
			want:        "probe base: script probe.py: AssertionError: 1 != 2",
		},
		"a module that the layer excludes is skipped": {
			spec:        "drop:\n  - { match: small/tests/**, reason: not used }\n",
			fails:       noModule,
			invocations: 1,
			check: func(p report.Probe) bool {
				return len(p.Failures) == 0 && len(p.Skipped) == 1 &&
					p.Skipped[0].Chosen == "small.tests.test_small" && p.Modules == 0
			},
		},
		"the modules cannot be imported together": {
			importError: "ImportError: circular",
			invocations: 2,
			want:        "probe base: module small: ImportError: circular",
		},
		"a failure without comparison counts": {
			fails:       display,
			refuse:      "LayerVersions.Publish",
			invocations: 1,
			want:        "probe base: module small: ImportError: needs a display",
		},
	} {
		t.Run(sentence, c.run)
	}
}
