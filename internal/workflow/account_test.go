package workflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// flow runs the workflow without AWS: the stages in the order of statemachine/pipeline.asl.json, on
// the fakes of internal/porttest. test/workflow checks that the state machine has this order.
type flow struct {
	t         *testing.T
	account   sharedAccount
	alarms    *memport.Alarms
	metrics   *memport.Metrics
	notices   *memport.Notices
	sources   *memport.Sources
	registers *mortal
	now       time.Time
	running   map[string]bool // executions, by ARN
	version   string          // of the distribution in the built layer
	names     []string        // states of the last execution, in order
	updating  bool            // an Update is running
}

const (
	functionName = "data-validation"
	functionARN  = "arn:aws:lambda:us-east-1:123456789012:function:data-validation"
)

// oneConsumer is a consumers.yaml.
const oneConsumer = "consumers:\n  - function: " + functionName + "\n    layers: [base]\n" +
	"    alias: live\n    health: { alarm: errors, window: 5m }\n"

var (
	target = targetOf("python3.13-x86_64")
	arm    = targetOf("python3.13-arm64")
)

func targetOf(s string) pydist.Target {
	t, err := pydist.ParseTarget(s)
	if err != nil {
		panic(err)
	}

	return t
}

var errKilled = errors.New("killed")

// mortal is a store that counts the calls of all ports, and fails after a number of them: a killed
// execution.
type mortal struct {
	memport.Registers
	blobs memport.Blobs
	mu    sync.Mutex
	left  int // calls until the first failure; negative for none
	calls int
	once  bool // only one call fails

	before func() // called before each call
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

	return m.Registers.Load(ctx, name)
}

func (m *mortal) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	if err := m.live(); err != nil {
		return "", err
	}

	return m.Registers.Store(ctx, name, doc, tag)
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
		t:         t,
		account:   sharedAccount{&memport.Account{}},
		alarms:    &memport.Alarms{},
		metrics:   &memport.Metrics{},
		notices:   &memport.Notices{},
		sources:   &memport.Sources{},
		registers: &mortal{left: -1},
		now:       time.Date(2026, 11, 23, 19, 30, 0, 0, time.UTC),
		running:   map[string]bool{},
		version:   "1.0",
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
		return answer(payload, passes)
	}
	f.push("base/requirements.txt", "small\n")
	f.push("consumers.yaml", oneConsumer)
	f.account.AddFunction(t, memport.NewFunction{
		Name:   functionName,
		Target: target,
		Zip:    zipOf(t, map[string]string{"main.py": "import small\n"}),
	})
	revision := f.function("").RevisionID
	if _, err := f.account.Functions().PublishVersion(t.Context(), functionName, "by hand", revision); err != nil {
		t.Fatal(err)
	}

	f.account.AddAlias(t, functionName, workflow.Alias{Name: "live", Version: "1"})
	f.alarms.Set("errors", workflow.Alarm{State: workflow.AlarmOK})
	return f
}

// answer is the answer of a probe function. fails returns the error of a job, "" if it passes.
func answer(payload []byte, fails func(probe.SentJob) string) (workflow.Invocation, error) {
	var q probe.Request
	if err := json.Unmarshal(payload, &q); err != nil {
		return workflow.Invocation{}, err
	}

	return invocation(responseTo(q, fails))
}

func responseTo(q probe.Request, fails func(probe.SentJob) string) probe.Response {
	r := probe.Response{Interpreter: "cpython-3.13.7", Results: []probe.Result{}}
	for _, j := range q.Jobs {
		detail := fails(j)
		job := probe.Job{Kind: j.Kind, Name: j.Name}
		r.Results = append(r.Results, probe.Result{Job: job, OK: detail == "", Detail: detail, Seconds: 0.1})
	}

	if len(q.Imports) > 0 {
		r.Import = &probe.TimedImports{
			ImportTime: probe.ImportTime{Modules: q.Imports, Seconds: 0.25, PeakBytes: 1 << 20},
		}
	}

	return r
}

func invocation(r probe.Response) (workflow.Invocation, error) {
	b, err := json.Marshal(r)
	return workflow.Invocation{Payload: b, InitSeconds: 0.4, MaxMemoryMiB: 60}, err
}

// passes is an error of no job.
func passes(probe.SentJob) string { return "" }

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(name, []byte(content), name))
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

// revive lets all calls succeed until the returned function is called.
func (f *flow) revive() (kill func()) {
	left := f.registers.left
	f.registers.left = -1
	return func() { f.registers.left = left }
}

func (f *flow) function(qualifier string) workflow.Function {
	f.t.Helper()
	defer f.revive()()

	got, err := f.account.Functions().Get(f.t.Context(), functionName, qualifier)
	if err != nil {
		f.t.Fatal(err)
	}

	return got
}

// state is what users see of the function and the layer, without revisions.
type state struct {
	Layers   []string
	Alias    string
	Versions []string
	Layer    []string // versions of the layer
}

func (f *flow) state() (s state) {
	f.t.Helper()
	defer f.revive()()

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

// build stores what CodeBuild would: one artifact with one distribution, whose tests are pruned.
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
		Layers: []release.BuiltLayer{{
			Layer:     "base",
			Target:    target,
			LayerName: "layersmith-base",
			Key:       digest.Of([]byte("key of " + f.version)),
			Artifact:  artifact,
			Before:    measure.Size{Files: 5, Unzipped: 300, Zipped: 400},
			Wheels:    []report.Wheel{{Name: "small", Version: f.version}},
			Bytecode:  report.Bytecode{Mode: "none"},
		}},
	}
	b, err := release.Encode(built)
	if err != nil {
		return err
	}

	_, err = f.registers.Store(ctx, release.BuiltName(run), b, "")
	return err
}

func arnOf(version int) string {
	return fmt.Sprintf("arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base:%d", version)
}
