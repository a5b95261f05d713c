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

	// What fails before pruning too is the package's own business.
	f.account.Run = func(_ context.Context, _ workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		return answer(payload, func(j probe.SentJob) string {
			if j.Kind == probe.Module {
				return "ImportError: needs a display"
			}

			return ""
		})
	}
	f.must("second", `{}`, release.Promoted)
	for _, v := range f.account.Versions() {
		if strings.HasPrefix(v.Name, "probe-") {
			t.Errorf("throw-away function %s is left", v.Name)
		}
	}
}

// verified runs one layer up to its probe.
func (f *flow) verified(run string) (workflow.Item, error) {
	f.t.Helper()
	layer, err := f.publish(run, f.measured(run, `{}`)[0], f.account.LayerVersions())
	if err != nil {
		f.t.Fatal(err)
	}

	return workflow.Verify{
		Ledger:    f.ledger(),
		Sandboxes: f.account.Sandboxes(),
		Versions:  f.account.LayerVersions(),
		Probes:    "probe-",
		Memory:    512,
	}.
		Run(f.t.Context(), workflow.StackInput{Run: run, Layer: layer, Layers: []workflow.Item{layer}})
}

func (f *flow) boxes() (names []string) {
	for _, v := range f.account.Versions() {
		if strings.HasPrefix(v.Name, "probe-") {
			names = append(names, v.Name)
		}
	}

	return names
}

func TestAProbeGoesOnUntilNothingRemains(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("base/probe.py", "import small\n")
	var asked []string
	f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		var q probe.Request
		if err := json.Unmarshal(payload, &q); err != nil {
			return workflow.Invocation{}, err
		}

		part := q
		part.Jobs = q.Jobs[:min(1, len(q.Jobs))]
		var said []string
		for _, j := range part.Jobs {
			said = append(said, string(j.Kind)+" "+j.Name+" "+j.Source)
		}

		if len(q.Jobs) > 1 {
			part.Imports = nil // there was time for one job
		}

		b, err := json.Marshal(part)
		if err != nil {
			return workflow.Invocation{}, err
		}

		out, err := answer(b, func(probe.SentJob) string { return "" })
		if err != nil {
			return workflow.Invocation{}, err
		}

		var a probe.Response
		if err := json.Unmarshal(out.Payload, &a); err != nil {
			return workflow.Invocation{}, err
		}

		a.Remaining = len(q.Jobs) - len(part.Jobs)
		out.Payload, err = json.Marshal(a)
		asked = append(asked, strings.Join(append(said, part.Imports...), " + "))
		out.InitSeconds = 0
		out.MaxMemoryMiB = int64(50 + len(asked)) // only the first has a cold start
		if len(asked) == 1 {
			out.InitSeconds = 0.4
		}

		return out, err
	}
	item, err := f.verified("first")
	if err != nil {
		t.Fatal(err)
	}

	if want := []string{
		"metadata small ",
		"module small ",
		"script probe.py import small\n + small",
	}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	var v release.Verified
	f.document(item.Doc, &v)
	p := v.Probe
	if p.Status != report.ProbePassed || p.Modules != 1 || p.Metadata != 1 || p.Scripts != 1 ||
		p.Interpreter != "cpython-3.13.7" ||
		!slices.Equal(p.Stack, []string{"base"}) {
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
	const check = "check the response of the probe function: "
	for sentence, tt := range map[string]struct {
		answer workflow.Invocation
		want   string // behind the name of the function
	}{
		"it does not start": {
			workflow.Invocation{
				Error: "Runtime.ImportModuleError",
				LogTail: "INIT_START\n[ERROR] Unable to import module 'handler': No module named 'json'\nEND " +
					"RequestId: 8f5\nREPORT RequestId: 8f5\tDuration: 1.51 ms\n\n",
			},
			"the probe function failed with Runtime.ImportModuleError: [ERROR] Unable to import module " +
				"'handler': No module named 'json'. " +
				"Hint: its runtime cannot start with these layers; check which modules of theirs hide modules of the runtime",
		},
		"it runs out of time": {
			workflow.Invocation{
				Error:   "Sandbox.Timedout",
				Payload: []byte(`{"errorMessage": "Task timed out after 900.00 seconds", "errorType": "Sandbox.Timedout"}`),
			},
			"the probe function failed with Sandbox.Timedout: Task timed out after 900.00 seconds. Hint: " +
				"importing a module, or the layer's own probe, took more than Lambda's 15 minutes",
		},
		"it runs out of memory": {
			workflow.Invocation{
				Error:        "Runtime.ExitError",
				MaxMemoryMiB: 512,
				Payload:      []byte(`{"errorMessage": "Runtime exited with error: signal: killed"}`),
			},
			"the probe function failed with Runtime.ExitError: Runtime exited with error: signal: killed. Hint: " +
				"the probe needs more than the function's 512 MiB of memory",
		},
		"it answers nothing": {
			workflow.Invocation{Payload: []byte("null")},
			check + "no interpreter is named. Hint: ",
		},
		"it answers no JSON": {
			workflow.Invocation{Payload: []byte("<html>")},
			"read the response of the probe function: invalid character '<' looking for beginning of value. Hint: ",
		},
		"it answers less than it says": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [], "remaining": 1, "import": null}`),
			},
			check + "0 results and 1 remaining for 2 jobs. Hint: ",
		},
		"it never begins": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [], "remaining": 2, "import": null}`),
			},
			check + "no job was run. Hint: ",
		},
		"it answers what nobody asked for": {
			workflow.Invocation{
				Payload: []byte(`{"interpreter": "cpython", "results": [{"kind": "module", "name": "evil", "ok": true}], "remaining": 1, "import": null}`),
			},
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

func TestWhatAProbeSaysDecidesAboutTheCandidate(t *testing.T) {
	t.Parallel()
	onlyPruned := func(why string) func(workflow.Sandbox, probe.SentJob) string {
		return func(s workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module && strings.HasPrefix(s.Layers[len(s.Layers)-1], layerARN) {
				return why
			}

			return ""
		}
	}
	const noModule = "Traceback (most recent call last):\n  File \"x\", line 1\nModuleNotFoundError: No module named " +
		"'small.tests.test_small'"
	for sentence, tt := range map[string]struct {
		spec    string
		fails   func(workflow.Sandbox, probe.SentJob) string
		imports string // why what is timed cannot be imported
		refuse  string // what an unpruned layer is refused as
		want    string // the error, "" for none
		boxes   int
		check   func(report.Probe) bool
	}{
		"all is well": {
			boxes: 1,
			check: func(p report.Probe) bool { return len(p.Failures) == 0 && p.Modules == 1 && p.Metadata == 1 },
		},
		"what fails only when it is pruned": {fails: onlyPruned(noModule), boxes: 2,
			want: "probe base: module small: ModuleNotFoundError: No module named 'small.tests.test_small'"},
		"what fails before pruning too is the package's": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module {
				return "ImportError: needs a display"
			}

			return ""
		}, boxes: 2, check: func(p report.Probe) bool { return len(p.Failures) == 1 && p.Failures[0].Inherited }},
		"a script that fails must pass, whoever is at fault": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Script {
				return "AssertionError: 1 != 2"
			}

			return ""
		}, boxes: 2, want: "probe base: script probe.py: AssertionError: 1 != 2"},
		"what the layer chose to leave out is skipped": {
			spec:  "drop:\n  - { match: small/tests/**, reason: not used }\n",
			fails: onlyPruned(noModule),
			boxes: 1,
			check: func(p report.Probe) bool {
				return len(p.Failures) == 0 && len(p.Skipped) == 1 &&
					p.Skipped[0].Chosen == "small.tests.test_small" && p.Modules == 0
			},
		},
		"what cannot be imported together": {
			imports: "ImportError: circular",
			boxes:   2,
			want:    "probe base: module small: ImportError: circular",
		},
		"what cannot be compared is not excused": {fails: func(_ workflow.Sandbox, j probe.SentJob) string {
			if j.Kind == probe.Module {
				return "ImportError: needs a display"
			}

			return ""
		}, refuse: "LayerVersions.Publish", boxes: 1, want: "probe base: module small: ImportError: needs a display"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.push("base/probe.py", "import small\n")
			if tt.spec != "" {
				f.push("base/layer.yaml", tt.spec)
			}

			boxes := 0
			f.account.Run = func(_ context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
				boxes++
				out, err := answer(payload, func(j probe.SentJob) string {
					if tt.fails == nil {
						return ""
					}

					return tt.fails(s, j)
				})
				if tt.imports == "" || err != nil {
					return out, err
				}

				var a probe.Response
				if err := json.Unmarshal(out.Payload, &a); err != nil {
					return out, err
				}

				if a.Import != nil { // not asked of the unpruned layer, which is asked for the same as a job
					a.Import.Detail = tt.imports
				}

				out.Payload, err = json.Marshal(a)
				return out, err
			}
			f.account.Fail = func(method, subject string) error {
				if method == tt.refuse && strings.HasPrefix(subject, "probe-") {
					return fault.New(fault.BadInput, "publish", subject, errors.New("too large"))
				}

				return nil
			}
			item, err := f.verified("first")
			if text := fmt.Sprint(err); tt.want != "" && (text != tt.want || fault.CodeOf(err) != fault.ProbeFailed) ||
				tt.want == "" && err != nil {
				t.Fatalf("error %s, want %q", text, tt.want)
			}

			if tt.check != nil {
				var v release.Verified
				f.document(item.Doc, &v)
				if !tt.check(v.Probe) || v.Probe.Status != report.ProbePassed {
					t.Errorf("probe %+v", v.Probe)
				}
			}

			if boxes != tt.boxes || len(f.boxes()) > 0 {
				t.Errorf("%d invocations, want %d; left are %v", boxes, tt.boxes, f.boxes())
			}

			if left, err := f.account.LayerVersions().
				List(t.Context(), "probe-"+digest.Of([]byte("first layersmith-base")).Short()); err != nil ||
				len(left) > 0 {
				t.Errorf("of the unpruned layer %v is left, %v", left, err)
			}
		})
	}
}
