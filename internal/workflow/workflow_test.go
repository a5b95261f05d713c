package workflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// flow is the workflow without a state machine and without an account: the stages in the order of
// statemachine/pipeline.asl.json, on the fakes that pass the ports' suites. That the state machine
// has that order is proven in test/workflow; here it is what the stages do.
type flow struct {
	t         *testing.T
	account   *porttest.MemoryAccount
	alarms    *porttest.MemoryAlarms
	metrics   *porttest.MemoryMetrics
	notices   *porttest.MemoryNotices
	sources   *porttest.MemorySources
	registers *mortal
	now       time.Time
	running   map[string]bool // executions, by ARN
	version   string          // of the one distribution that the build finds
	names     []string        // states, in order
	updating  bool            // an Update is at work
}

const (
	functionName = "data-validation"
	functionARN  = "arn:aws:lambda:us-east-1:123456789012:function:data-validation"
)

var target = func() pydist.Target {
	t, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		panic(err)
	}

	return t
}()

var errKilled = errors.New("killed")

// mortal is the store. When its life is counted down, nothing works any more until somebody revives
// it: what a killed execution is like for the stages.
type mortal struct {
	porttest.MemoryRegisters
	blobs porttest.MemoryBlobs
	mu    sync.Mutex
	left  int // calls of any port; negative for no end
	calls int
	once  bool // only one call fails, then all is well again

	before func() // called before each call of a port
}

func (m *mortal) live() error {
	if m.before != nil {
		m.before()
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	switch {
	case m.left < 0:
		return nil
	case m.left > 0:
		m.left--
		return nil
	case m.once:
		m.left = -1
	}

	return errKilled
}

func (m *mortal) Load(ctx context.Context, name string) ([]byte, string, error) {
	if err := m.live(); err != nil {
		return nil, "", err
	}

	return m.MemoryRegisters.Load(ctx, name)
}

func (m *mortal) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	if err := m.live(); err != nil {
		return "", err
	}

	return m.MemoryRegisters.Store(ctx, name, doc, tag)
}

func (m *mortal) Put(ctx context.Context, prefix, suffix string, write func(io.Writer) error) (blob.Ref, error) {
	if err := m.live(); err != nil {
		return blob.Ref{}, err
	}

	return m.blobs.Put(ctx, prefix, suffix, write)
}

func (m *mortal) Open(ctx context.Context, ref blob.Ref) (engine.Blob, error) {
	if err := m.live(); err != nil {
		return nil, err
	}

	return m.blobs.Open(ctx, ref)
}

func newFlow(t *testing.T) *flow {
	t.Helper()
	f := &flow{
		t:       t,
		account: &porttest.MemoryAccount{},
		alarms:  &porttest.MemoryAlarms{},
		metrics: &porttest.MemoryMetrics{},
		notices: &porttest.MemoryNotices{},
		sources: &porttest.MemorySources{},
		registers: &mortal{
			left: -1,
		},
		now:     time.Date(2026, 11, 23, 19, 30, 0, 0, time.UTC),
		running: map[string]bool{},
		version: "1.0",
	}
	f.account.Fail = func(string, string) error { return f.registers.live() }
	f.account.Objects = func(ctx context.Context, ref blob.Ref) ([]byte, error) {
		b, err := f.registers.blobs.Open(ctx, ref)
		if err != nil {
			return nil, err
		}
		defer b.Close()
		return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	}
	f.account.Run = func(_ context.Context, _ workflow.Sandbox, payload []byte) (workflow.Invocation, error) {
		return answer(payload, func(probe.SentJob) string { return "" })
	}
	f.push("base/requirements.txt", "small\n")
	f.push(
		"consumers.yaml",
		"consumers:\n  - function: "+functionName+"\n    layers: [base]\n    alias: live\n    health: { alarm: "+
			"errors, window: 5m }\n",
	)
	f.account.AddFunction(t, porttest.NewFunction{
		Name:   functionName,
		Target: target,
		Zip:    zipOf(t, map[string]string{"main.py": "import small\n"}),
	})
	if _, err := f.account.Functions().
		PublishVersion(t.Context(), functionName, "by hand", f.function("").RevisionID); err != nil {
		t.Fatal(err)
	}

	f.account.AddAlias(t, functionName, workflow.Alias{Name: "live", Version: "1"})
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK})
	return f
}

// answer plays the throw-away function: fails says what is wrong with a job, "" for nothing.
func answer(payload []byte, fails func(probe.SentJob) string) (workflow.Invocation, error) {
	var q probe.Request
	if err := json.Unmarshal(payload, &q); err != nil {
		return workflow.Invocation{}, err
	}

	a := probe.Response{Interpreter: "cpython-3.13.7", Results: []probe.Result{}}
	for _, j := range q.Jobs {
		wrong := fails(j)
		a.Results = append(a.Results,
			probe.Result{Job: probe.Job{Kind: j.Kind, Name: j.Name}, OK: wrong == "", Detail: wrong, Seconds: 0.1})
	}

	if len(q.Imports) > 0 {
		a.Import = &probe.TimedImports{
			ImportTime: probe.ImportTime{Modules: q.Imports, Seconds: 0.25, PeakBytes: 1 << 20},
		}
	}

	b, err := json.Marshal(a)
	return workflow.Invocation{Payload: b, InitSeconds: 0.4, MaxMemoryMiB: 60}, err
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(name, []byte(content), false, name))
	}

	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	var b bytes.Buffer
	if _, err := ziptree.Write(t.Context(), &b, tree); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func (f *flow) push(name, content string) {
	f.t.Helper()
	if err := f.sources.Put(f.t.Context(), name, []byte(content)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flow) function(qualifier string) workflow.Function {
	f.t.Helper()
	left := f.registers.left
	f.registers.left = -1
	defer func() { f.registers.left = left }()
	got, err := f.account.Functions().Get(f.t.Context(), functionName, qualifier)
	if err != nil {
		f.t.Fatal(err)
	}

	return got
}

// state is everything that users have of the function: its layers, its alias, its versions.
// Revisions are Lambda's own business.
type state struct {
	Layers   []string
	Alias    string
	Versions []string
	Layer    []string // versions of the layer
}

func (f *flow) state() (s state) {
	f.t.Helper()
	left := f.registers.left
	f.registers.left = -1
	defer func() { f.registers.left = left }()
	s.Layers = layersOf(f.function(""))
	a, err := f.account.Functions().Alias(f.t.Context(), functionName, "live")
	if err != nil {
		f.t.Fatal(err)
	}

	s.Alias = a.Version
	for _, v := range f.account.Versions() {
		if v.Name == functionName && v.Version != "$LATEST" {
			s.Versions = append(s.Versions, v.Version+" "+strings.Join(layersOf(v.Function), ","))
		}
	}

	versions, err := f.account.LayerVersions().List(f.t.Context(), "layersmith-base")
	if err != nil {
		f.t.Fatal(err)
	}

	for _, v := range versions {
		s.Layer = append(s.Layer, v.ARN)
	}

	return s
}

func layersOf(v workflow.Function) []string {
	var s []string
	for _, l := range v.Layers {
		s = append(s, l.ARN)
	}

	return s
}

func (f *flow) ledger() workflow.Ledger {
	return workflow.Ledger{Registers: f.registers, Blobs: f.registers, Now: func() time.Time { return f.now }}
}

// build is what CodeBuild would make: one artifact with one distribution, whose tests are there to
// be pruned.
func (f *flow) build(ctx context.Context, run string) error {
	doc, _, err := f.registers.Load(ctx, release.RunName(run))
	if err != nil {
		return err
	}

	var r release.Run
	if err := release.Decode(doc, &r); err != nil {
		return err
	}

	info := "python/small-" + f.version + ".dist-info/"
	artifact, err := f.registers.Put(ctx, "artifacts/", ".zip", func(w io.Writer) error {
		_, err := w.Write(zipOf(f.t, map[string]string{
			"python/small/__init__.py":         "version = '" + f.version + "'\n",
			"python/small/tests/test_small.py": "import small\n",
			info + "METADATA":                  "Metadata-Version: 2.1\nName: small\nVersion: " + f.version + "\n",
			info + "WHEEL":                     "Wheel-Version: 1.0\n",
			info + "RECORD": "small/__init__.py,,\nsmall/tests/test_small.py,,\n" + info[7:] +
				"METADATA,,\n" + info[7:] + "WHEEL,,\n" + info[7:] + "RECORD,,\n",
		}))
		return err
	})
	if err != nil {
		return err
	}

	built := release.Built{
		SchemaVersion: 1,
		Run:           run,
		Tool:          engine.Tool,
		Workspace:     r.Workspace.SHA256,
		Seconds:       40,
		Locks:         []release.LockFile{{Target: target, File: artifact}},
		Layers: []release.BuiltLayer{
			{
				Layer:     "base",
				Target:    target,
				LayerName: "layersmith-base",
				Key:       digest.Of([]byte("key of " + f.version)),
				Artifact:  artifact,
				Before: measure.Size{
					Files:    5,
					Unzipped: 300,
					Zipped:   400,
				},
				Wheels:   []report.Wheel{{Name: "small", Version: f.version}},
				Bytecode: report.Bytecode{Mode: "none"},
			},
		},
	}
	b, err := release.Encode(built)
	if err != nil {
		return err
	}

	_, err = f.registers.Store(ctx, release.BuiltName(run), b, "")
	return err
}

// run is one execution. A killed one ends with errKilled and cleans nothing up.
func (f *flow) run(name, input string) (release.Ending, error) {
	arn := "arn:aws:states:us-east-1:123456789012:execution:layersmith:" + name
	f.running[arn] = true
	defer func() { f.running[arn] = false }()
	f.names = nil
	ctx := f.t.Context()
	caught := func(err error) *workflow.Caught {
		return &workflow.Caught{Error: string(fault.CodeOf(err)), Cause: fmt.Sprintf(`{"errorMessage": %q}`, err.Error())}
	}
	dead := func(err error) bool { return errors.Is(err, errKilled) && !f.registers.once }
	finish := func(end release.Ending, failure, rollback *workflow.Caught) (release.Ending, error) {
		f.names = append(f.names, "Report")
		return workflow.Report{
			Ledger:  f.ledger(),
			Metrics: f.metrics.Put,
			Notify:  f.notices.Send,
			Account: workflow.Account{Stack: "Layersmith"},
		}.
			Run(ctx, workflow.ReportInput{
				Run:           name,
				Execution:     arn,
				StartedAt:     f.now,
				Ending:        end,
				Error:         failure,
				RollbackError: rollback,
			})
	}
	clean := func(err error) (release.Ending, error) {
		if dead(err) {
			return release.Ending{}, err
		}

		return finish(
			release.Ending{
				Outcome: release.FailedClean,
				Message: `Nothing was published and no function was touched. {"Error":"x"}`,
			},
			caught(err),
			nil,
		)
	}
	rollback := func(run string) (release.Ending, error) {
		return workflow.Rollback{
			Ledger:    f.ledger(),
			Functions: f.account.Functions(),
			Versions:  f.account.LayerVersions(),
			Sandboxes: f.account.Sandboxes(),
			Probes:    "probe-",
		}.Run(ctx, workflow.RunInput{Run: run})
	}
	undo := func(err error) (release.Ending, error) {
		if dead(err) {
			return release.Ending{}, err
		}

		f.names = append(f.names, "Rollback")
		end, rollbackErr := rollback(name)
		if rollbackErr != nil {
			if dead(rollbackErr) {
				return release.Ending{}, rollbackErr
			}

			return finish(release.Ending{Outcome: release.FailedDirty, Message: "Taking the changes back failed"},
				caught(err), caught(rollbackErr))
		}

		return finish(end, caught(err), nil)
	}

	var in workflow.IntakeOutput
	for {
		f.names = append(f.names, "Intake")
		var err error
		in, err = workflow.Intake{
			Ledger:  f.ledger(),
			Sources: f.sources,
			Runs:    func(_ context.Context, arn string) (bool, error) { return f.running[arn], nil },
			Tool:    engine.Tool,
		}.
			Run(ctx, workflow.IntakeInput{Run: name, Execution: arn, StartedAt: f.now, Input: json.RawMessage(input)})
		if err != nil {
			return clean(err)
		}

		if in.Next == workflow.NextWait {
			return release.Ending{Message: "waits: " + in.Summary}, nil
		}

		if in.Next != workflow.NextRecover {
			break
		}

		f.names = append(f.names, "Recover")
		end, err := rollback(in.Previous)
		if err != nil {
			if dead(err) {
				return release.Ending{}, err
			}

			return finish(release.Ending{Outcome: release.FailedDirty, Message: "Taking the changes back failed"}, nil,
				caught(err))
		}

		if end.Outcome == release.FailedDirty {
			return finish(end, nil, nil)
		}
	}

	if in.Next == workflow.NextEnd {
		return finish(*in.Ending, nil, nil)
	}

	layers := in.Layers
	if in.Next == workflow.NextBuild {
		f.names = append(f.names, "Build")
		if err := f.build(ctx, name); err != nil {
			return clean(err)
		}

		f.names = append(f.names, "Select")
		selected, err := workflow.Select{Ledger: f.ledger()}.Run(ctx, workflow.RunInput{Run: name})
		if err != nil {
			return clean(err)
		}

		if !selected.Changed {
			return finish(release.Ending{Outcome: release.Unchanged, Message: selected.Summary}, nil, nil)
		}

		layers = selected.Layers
		if layers, err = each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
			f.names = append(f.names, "Prune")
			return workflow.Prune{
				Ledger: f.ledger(),
				Cache:  &porttest.MemoryCache{},
			}.Run(ctx, workflow.LayerInput{Run: name, Layer: i})
		}); err != nil {
			return clean(err)
		}

		if layers, err = each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
			f.names = append(f.names, "Measure")
			return workflow.Measure{
				Ledger: f.ledger(),
				Cache:  &porttest.MemoryCache{},
			}.Run(ctx, workflow.StackInput{Run: name, Layer: i, Layers: all})
		}); err != nil {
			return clean(err)
		}
	}

	f.names = append(f.names, "Record")
	recorded, err := workflow.Record{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Alarms:    f.alarms.Get,
	}.Run(ctx, workflow.RecordInput{Run: name, Layers: layers})
	if err != nil {
		return clean(err)
	}

	if in.DryRun {
		return finish(
			release.Ending{Outcome: release.Unchanged, Message: "Dry run: nothing was published. " + recorded.Summary},
			nil,
			nil,
		)
	}

	if in.Next == workflow.NextBuild {
		if layers, err = each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
			f.names = append(f.names, "Publish")
			return workflow.Publish{
				Ledger:   f.ledger(),
				Versions: f.account.LayerVersions(),
				Account:  workflow.Account{Share: []string{"o-abcdefghij"}},
			}.Run(ctx, workflow.LayerInput{Run: name, Layer: i})
		}); err != nil {
			return undo(err)
		}

		if layers, err = each(layers, func(i workflow.Item, all []workflow.Item) (workflow.Item, error) {
			f.names = append(f.names, "Verify")
			return workflow.Verify{
				Ledger:    f.ledger(),
				Sandboxes: f.account.Sandboxes(),
				Versions:  f.account.LayerVersions(),
				Probes:    "probe-",
				Memory:    512,
			}.Run(ctx, workflow.StackInput{Run: name, Layer: i, Layers: all})
		}); err != nil {
			return undo(err)
		}
	}

	for _, c := range recorded.Consumers {
		f.names = append(f.names, "Update")
		f.updating = true
		u, err := workflow.Update{
			Ledger:    f.ledger(),
			Functions: f.account.Functions(),
		}.Run(ctx, workflow.ConsumerInput{Run: name, Consumer: c})
		f.updating = false
		if err != nil {
			return undo(err)
		}

		for quiet := false; !quiet; {
			f.now = f.now.Add(time.Minute)
			f.names = append(f.names, "Health")
			h, err := workflow.Health{
				Ledger: f.ledger(),
				Alarms: f.alarms.Get,
			}.Run(ctx, workflow.HealthInput{Run: name, Consumer: u.Consumer, Since: u.Since})
			if err != nil {
				return undo(err)
			}

			quiet = h.Quiet
		}
	}

	f.names = append(f.names, "Promote")
	end, err := workflow.Promote{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
		Versions:  f.account.LayerVersions(),
		Account:   workflow.Account{Keep: 2},
	}.Run(ctx, workflow.RecordInput{Run: name, Layers: layers})
	if err != nil {
		return undo(err)
	}

	return finish(end, nil, nil)
}

func each(items []workflow.Item, do func(workflow.Item, []workflow.Item) (workflow.Item, error)) ([]workflow.Item, error) {
	out := slices.Clone(items)
	for i := range items {
		var err error
		if out[i], err = do(items[i], items); err != nil {
			return nil, err
		}
	}

	return out, nil
}

func (f *flow) must(name, input string, want release.Outcome) release.Ending {
	f.t.Helper()
	end, err := f.run(name, input)
	if err != nil {
		f.t.Fatalf("%s: %v after %v", name, err, f.names)
	}

	if end.Outcome != want {
		f.t.Fatalf("%s: %s, want %s; %s; states %v", name, end.Outcome, want, end.Message, f.names)
	}

	return end
}

func arnOf(version int) string {
	return fmt.Sprintf("arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base:%d", version)
}

func TestUploadIsReleasedOnceAndRedeliveredEventsChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	end := f.must("first", `{}`, release.Promoted)
	if want := "Released: 1 layer (layersmith-base:1), 1 function moved."; end.Message != want {
		t.Errorf("message %q, want %q", end.Message, want)
	}

	want := state{
		Layers:   []string{arnOf(1)},
		Alias:    "2",
		Versions: []string{"1 ", "2 " + arnOf(1)},
		Layer:    []string{arnOf(1)},
	}
	if d := cmp.Diff(want, f.state()); d != "" {
		t.Errorf("after the release (-want +got):\n%s", d)
	}

	calls := len(f.account.Calls())
	f.must("second", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("the second run went through %v", f.names)
	}

	f.push(
		"consumers.yaml",
		"# a comment\nconsumers:\n  - function: "+functionName+"\n    layers: [base]\n    alias: live\n    health: { "+
			"alarm: errors, window: 5m }\n",
	)
	f.must("third", `{}`, release.Unchanged)
	f.push("base/requirements.txt", "small # the same\n")
	f.must("fourth", `{}`, release.Unchanged)
	f.must("fifth", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("a run on what gave the same layers went through %v", f.names)
	}

	if got := f.account.Calls(); len(got) != calls {
		t.Errorf("runs that changed nothing did %v", got[calls:])
	}

	if sent := f.notices.Sent(); len(sent) != 1 || !strings.HasPrefix(sent[0].Subject, "Layersmith: Released") {
		t.Errorf("notices %v, want one of the release", sent)
	}
}

func TestUnhealthyConsumerIsPutBack(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	before := f.state()
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmOK},
		workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
	end := f.must("first", `{}`, release.RolledBack)
	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}

	if want := "RolledBack: watch " + functionARN + ": alarm errors was raised 2m0s after the update: 5 errors; 1 " +
		"function restored (data-validation 1), candidates deleted."; end.Message != want {
		t.Errorf("message\n%q, want\n%q", end.Message, want)
	}

	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK})
	f.must("second", `{}`, release.Promoted)
}

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

func TestForeignChangeIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmOK})
	asked := 0
	f.account.Fail = func(method, _ string) error {
		if method == "Functions.MoveAlias" {
			if asked++; asked == 1 { // somebody deploys while the alias is about to move
				f.account.Fail = nil
				f.account.SetCode(t, functionName, zipOf(t, map[string]string{"main.py": "import other\n"}))
				f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmRaised, Reason: "5 errors"})
			}
		}

		return nil
	}
	end := f.must("first", `{}`, release.FailedDirty)
	if !strings.Contains(end.Message, functionARN+" was changed by somebody else during the run and was not restored") {
		t.Errorf("message %q", end.Message)
	}

	if got := f.function(""); !slices.Equal(layersOf(got), []string{arnOf(1)}) {
		t.Errorf("the changed function was touched: layers %v", layersOf(got))
	}

	if s := f.state(); !slices.Contains(s.Layer, arnOf(1)) {
		t.Error("a version that a function has was deleted")
	}
}

func TestUnreleasedCodeIsNotReleasedWithTheLayers(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.account.SetCode(t, functionName, zipOf(t, map[string]string{"main.py": "import unfinished\n"}))
	before := f.state()
	end := f.must("first", `{}`, release.FailedClean)
	if !strings.Contains(end.Message, "$LATEST differs from version 1") {
		t.Errorf("message %q", end.Message)
	}

	if d := cmp.Diff(before, f.state()); d != "" {
		t.Errorf("not as before (-before +after):\n%s", d)
	}
}

func TestDryRunPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	before := f.state()
	end := f.must("first", `{"dryRun": true}`, release.Unchanged)
	if d := cmp.Diff(before, f.state()); d != "" ||
		end.Message != "Unchanged: Dry run: nothing was published. 1 function to move" {
		t.Errorf("%q\n%s", end.Message, d)
	}

	f.must("second", `{}`, release.Promoted)
}

func TestBackToAnEarlierVersionAndForwardAgain(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(2)}) || got.Alias != "3" {
		t.Fatalf("after the refresh: %+v", got)
	}

	if text := f.notices.Sent()[1].Text; !strings.Contains(text, "small 1.0 -> 2.0") {
		t.Errorf("the notice does not say what changed:\n%s", text)
	}

	end := f.must("third", `{"rollback": {"layer": "base"}}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(1)}) || got.Alias != "4" {
		t.Errorf("after going back: %+v; %s", got, end.Message)
	}

	for input, want := range map[string]string{
		`{"rollback": {"layer": "base", "to": 7}}`: "version 7 was not released",
		`{"rollback": {"layer": "base", "to": 1}}`: "version 1 is the current one",
		`{"rollback": {"layer": "other"}}`:         "no layer of that name is released",
		`{"layers": ["other"]}`:                    "no such layer",
		`{"layer": "base"}`:                        `unknown field "layer"`,
		`[]`:                                       "is not a JSON object",
	} {
		if end := f.must("wrong-"+digest.Of([]byte(input)).Short(), input, release.FailedClean); !strings.Contains(
			end.Message,
			want,
		) {
			t.Errorf("%s: %q, want %q", input, end.Message, want)
		}
	}

	f.must("fourth", `{}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(2)}) {
		t.Errorf("after the next run: %+v", got)
	}

	f.must("fifth", `{"force": true}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(3)}) {
		t.Errorf("a forced run: %+v", got)
	}
}

// An execution may be killed at any moment, and its clean-up with it. The next one finishes the
// work.
func TestKilledAtAnyMomentTheNextRunFinishes(t *testing.T) {
	t.Parallel()
	whole := newFlow(t)
	whole.must("whole", `{}`, release.Promoted)
	for n := range whole.registers.calls {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.registers.left = n
			if _, err := f.run("killed", `{}`); !errors.Is(err, errKilled) {
				return // metrics and the like come after the last call that counts
			}

			at := f.names[len(f.names)-1]
			f.registers.left = -1
			end, err := f.run("next", `{}`)
			if err != nil || end.Outcome != release.Promoted && end.Outcome != release.Unchanged {
				t.Fatalf("killed in %s: %v %+v, states %v", at, err, end, f.names)
			}

			got := f.state()
			if len(got.Layers) != 1 || got.Layers[0] != got.Layer[0] {
				t.Errorf("killed in %s: the function has %v of %v", at, got.Layers, got.Layer)
			}

			live := got.Versions[slices.IndexFunc(got.Versions,
				func(v string) bool { return strings.HasPrefix(v, got.Alias+" ") })]
			if live != got.Alias+" "+got.Layers[0] {
				t.Errorf("killed in %s: the alias points to %q, the layer is %s", at, live, got.Layers[0])
			}

			// At most a version that was published and not yet written down is left; the layer that
			// it has stays with it.
			if len(got.Versions) > 3 || len(got.Layer) > 2 || len(got.Layer) == 2 && len(got.Versions) != 3 {
				t.Errorf("killed in %s: left behind: %+v", at, got)
			}

			f.must("after", `{}`, release.Unchanged)
		})
	}
}

// Any single call may fail. Everything is as before, or released.
func TestAnyFailureIsRolledBack(t *testing.T) {
	t.Parallel()
	whole := newFlow(t)
	whole.must("whole", `{}`, release.Promoted)
	seen := map[release.Outcome]int{}
	for n := range whole.registers.calls {
		f := newFlow(t)
		before := f.state()
		f.registers.left = n
		f.registers.once = true
		end, err := f.run("fails", `{}`)
		f.registers.left = -1
		seen[end.Outcome]++
		got := f.state()
		switch {
		case err != nil: // the report itself failed: the state machine goes on by the ending that it had
		case end.Outcome == release.Promoted:
			if got.Alias != "2" || !slices.Equal(got.Layers, []string{arnOf(1)}) {
				t.Errorf("call %d in %v: released, but %+v", n, f.names, got)
			}
		case end.Outcome == release.RolledBack, end.Outcome == release.FailedClean:
			if len(got.Versions) == 2 && got.Versions[1] == "2 "+arnOf(1) { // published, and the answer was lost
				got.Versions = got.Versions[:1]
				got.Layer = nil
			}

			if d := cmp.Diff(before, got); d != "" {
				t.Errorf("call %d in %v: %s, but not as before (-before +after):\n%s", n, f.names, end.Outcome, d)
			}
		default:
			t.Errorf("call %d in %v: %+v", n, f.names, end)
		}

		f.registers.once = false
		if next, err := f.run("next", `{}`); err != nil ||
			next.Outcome != release.Promoted && next.Outcome != release.Unchanged {
			t.Errorf("after a failure in call %d: %+v %v", n, next, err)
		}
	}

	for _, want := range []release.Outcome{release.FailedClean, release.RolledBack, release.Promoted} {
		if seen[want] == 0 {
			t.Errorf("no failure ended %s: %v", want, seen)
		}
	}
}

func TestTwoExecutionsDoNotInterleave(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.registers.left = 40
	if _, err := f.run("killed", `{}`); !errors.Is(err, errKilled) {
		t.Fatal("it was not killed")
	}

	f.registers.left = -1
	f.running["arn:aws:states:us-east-1:123456789012:execution:layersmith:killed"] = true // it is only slow
	if end, err := f.run("second", `{}`); err != nil || end.Message != "waits: execution killed is running" {
		t.Errorf("%+v %v, want it to wait", end, err)
	}

	f.now = f.now.Add(release.LeaseFor + time.Minute) // it hangs
	f.must("third", `{}`, release.Promoted)
	// When it wakes up, it may not touch anything.
	_, err := workflow.Update{
		Ledger:    f.ledger(),
		Functions: f.account.Functions(),
	}.Run(t.Context(),
		workflow.ConsumerInput{Run: "killed", Consumer: workflow.Consumer{Change: release.ChangeName("killed", 1)}})
	if fault.CodeOf(err) != fault.LeaseLost {
		t.Errorf("the one that hung: %v, want LeaseLost", err)
	}
}

func TestUploadsSettleAndTheLatestCounts(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.sources.Now = func() time.Time { return f.now }
	f.push("base/requirements.txt", "small>=1\n")
	f.push("workspace.yaml", "")
	event := func(name string) string {
		return `{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": "layers/` + name + `"}}}`
	}
	intake := workflow.Intake{
		Ledger:  f.ledger(),
		Sources: f.sources,
		Tool:    engine.Tool,
		Settle:  10 * time.Second,
		Runs:    func(context.Context, string) (bool, error) { return false, nil },
	}
	ask := func(run, name string) workflow.IntakeOutput {
		t.Helper()
		out, err := intake.Run(t.Context(),
			workflow.IntakeInput{Run: run, Execution: run, Input: json.RawMessage(event(name))})
		if err != nil {
			t.Fatal(err)
		}

		return out
	}
	if out := ask("a", "base/requirements.txt"); out.Next != workflow.NextEnd || out.Ending.Outcome != release.Unchanged {
		t.Errorf("an earlier upload: %+v", out)
	}

	if out := ask("b", "workspace.yaml"); out.Next != workflow.NextWait || out.WaitSeconds != 11 {
		t.Errorf("the latest upload, at once: %+v", out)
	}

	f.now = f.now.Add(11 * time.Second)
	if out := ask("b", "workspace.yaml"); out.Next != workflow.NextBuild {
		t.Errorf("the latest upload, settled: %+v", out)
	}

	if out := ask("c", "gone.yaml"); out.Next != workflow.NextWait && out.Next != workflow.NextRecover {
		t.Errorf("an upload that is gone: %+v", out)
	}
}

// When one consumer fails, its neighbours in the Map may still be at work while the run is rolled
// back. Whatever the rollback meets, in the end all is as before.
func TestRollbackStopsAnUpdateThatIsStillGoingOn(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		f := newFlow(t)
		f.must("first", `{}`, release.Promoted)
		f.version = "2.0"
		f.must("second", `{"refresh": true}`, release.Promoted)
		before := f.state()
		calls := 0
		done := false
		// Back to a version that is there, which nothing deletes. The update begins, and in the
		// middle of it the rollback runs from start to end.
		f.registers.before = func() {
			if !f.updating || done {
				return
			}

			if calls++; calls != n+1 {
				return
			}

			done = true
			end, err := workflow.Rollback{
				Ledger:    f.ledger(),
				Functions: f.account.Functions(),
				Versions:  f.account.LayerVersions(),
				Sandboxes: f.account.Sandboxes(),
				Probes:    "probe-",
			}.Run(t.Context(), workflow.RunInput{Run: "third"})
			if err != nil || end.Outcome == release.FailedDirty {
				t.Fatalf("rollback at call %d: %+v %v", n, end, err)
			}
		}
		_, _ = f.run("third", `{"rollback": {"layer": "base"}}`)
		if !done {
			if n < 10 {
				t.Errorf("the update has only %d calls", n)
			}

			break
		}

		// What the update did afterwards may at most have left a version of the function that
		// nothing points to.
		got := f.state()
		if got.Alias != before.Alias || !slices.Equal(got.Layers, before.Layers) {
			t.Errorf("rolled back at call %d of the update, and then: %+v", n, got)
		}
	}
}
