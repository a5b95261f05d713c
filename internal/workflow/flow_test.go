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
