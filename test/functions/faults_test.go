package functions_test

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/testenv/functions"
	"github.com/layersmith/layersmith/internal/testenv/runtimeapi"
	"github.com/layersmith/layersmith/internal/workflow"
)

// inputs are valid inputs of the functions, of an unknown run.
var inputs = map[string]any{
	"intake":   workflow.IntakeInput{Run: "r", Execution: functions.Execution("r"), Input: json.RawMessage("{}")},
	"select":   workflow.RunInput{Run: "r"},
	"prune":    workflow.LayerInput{Run: "r", Layer: anItem},
	"measure":  workflow.StackInput{Run: "r", Layer: anItem, Layers: []workflow.Item{anItem}},
	"record":   workflow.RecordInput{Run: "r", Layers: []workflow.Item{}},
	"publish":  workflow.LayerInput{Run: "r", Layer: anItem},
	"verify":   workflow.StackInput{Run: "r", Layer: anItem, Layers: []workflow.Item{anItem}},
	"update":   workflow.ConsumerInput{Run: "r", Consumer: aConsumer},
	"health":   workflow.HealthInput{Run: "r", Consumer: aConsumer},
	"promote":  workflow.RecordInput{Run: "r", Layers: []workflow.Item{}},
	"rollback": workflow.RunInput{Run: "r"},
	"report": workflow.ReportInput{
		Run:       "r",
		Execution: functions.Execution("r"),
		Ending:    release.Ending{Outcome: release.FailedClean, Message: "FailedClean: nothing was touched."},
	},
}

var (
	target = must(pydist.ParseTarget("python3.13-x86_64"))
	anItem = workflow.Item{
		Layer:  "small",
		Target: target,
		Doc:    must(blob.New("documents/"+digest.Of([]byte("x")).String()+".json", "", digest.Of([]byte("x")), 1)),
	}
	aConsumer = workflow.Consumer{Function: ordersARN, Change: "runs/r/changes/001.json"}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}

	return v
}

// ordersARN is the consumer of the runs in these tests.
const ordersARN = "arn:aws:lambda:us-east-1:000000000000:function:orders"

// raw invokes a function with a payload that need not be JSON.
func raw(t *testing.T, f *runtimeapi.Function, payload string) runtimeapi.Response {
	t.Helper()
	r, err := f.Invoke([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}

	return r
}

// wantCode checks the error name, by which the state machine catches, and the message.
func wantCode(t *testing.T, what string, r runtimeapi.Response, code string, says ...string) {
	t.Helper()
	if r.ErrorType != code || r.Exited {
		t.Errorf("%s: %q, exited %v: %q; want %s", what, r.ErrorType, r.Exited, r.ErrorMessage, code)
	}

	for _, s := range says {
		if !strings.Contains(r.ErrorMessage, s) {
			t.Errorf("%s: %q does not say %q", what, r.ErrorMessage, s)
		}
	}
}

// wantFault also checks the hint in the message.
func wantFault(t *testing.T, what string, r runtimeapi.Response, code string, says ...string) {
	t.Helper()
	wantCode(t, what, r, code, says...)
	if sentence, hint, marked := strings.Cut(r.ErrorMessage, fault.HintMark); !marked || sentence == "" || hint == "" {
		t.Errorf("%s: %q says nothing to do", what, r.ErrorMessage)
	}
}

// each runs a test for every function. A function without an input above is an error.
func each(t *testing.T, test func(t *testing.T, s functions.Stack, function string)) {
	s := stack(t)
	if len(s.Names) != len(inputs) {
		t.Fatalf("functions/ has %v", s.Names)
	}

	for _, name := range s.Names {
		if inputs[name] == nil {
			t.Errorf("no input for %s", name)
			continue
		}

		t.Run(name, func(t *testing.T) {
			a, err := functions.NewAccount()
			if err != nil {
				t.Fatal(err)
			}

			t.Cleanup(a.Close)
			test(t, functions.Stack{Programs: s.Programs, Account: a}, name)
		})
	}
}

func TestEveryFunctionRefusesWhatItCannotRead(t *testing.T) {
	each(t, func(t *testing.T, s functions.Stack, function string) {
		f := start(t, s, function, time.Minute, nil)
		good := string(must(json.Marshal(inputs[function])))
		wantFault(t, "broken JSON", raw(t, f, `{"run":`), "BadInput", "read input: ",
			"pass an object with the fields ", "run")
		wantFault(t, "null", raw(t, f, `null`), "BadInput", "read input: it is null", "pass an object with the fields ")
		wantFault(t, "a number as run", raw(t, f, `{"run":1}`), "BadInput", `field "run" is a JSON number, want string`)
		wantFault(t, "unknown field", raw(t, f, strings.Replace(good, `{"run":`, `{"rnu":1,"run":`, 1)), "BadInput",
			`unknown field "rnu"`, "the known fields are ", "run")
		wantFault(t, "another spelling", raw(t, f, strings.Replace(good, `{"run":`, `{"RUN":`, 1)), "BadInput",
			`unknown field "RUN"`)
		wantFault(t, "two values", raw(t, f, good+good), "BadInput", "more data after the JSON value")
		wantCode(t, "a name that leads elsewhere", raw(t, f, strings.Replace(good, `{"run":"r"`, `{"run":"../r"`, 1)),
			"BadInput", `"../r" is not the name of a run: letters, digits`)
		for _, bucket := range []string{functions.Store, functions.Workspace} {
			if left, err := s.S3.Keys(bucket, ""); err != nil || len(left) > 0 {
				t.Errorf("bucket %s holds %v, %v", bucket, left, err)
			}
		}
	})
}

func TestEveryFunctionSaysWhichSettingsAreMissing(t *testing.T) {
	needs := map[string][]string{
		"intake":   {"LAYERSMITH_WORKSPACE"},
		"verify":   {"LAYERSMITH_PROBE_ROLE", "LAYERSMITH_PROBE_PREFIX"},
		"rollback": {"LAYERSMITH_PROBE_PREFIX"},
		"report":   {"LAYERSMITH_TOPIC", "LAYERSMITH_STACK"},
	}
	each(t, func(t *testing.T, s functions.Stack, function string) {
		none := map[string]string{"LAYERSMITH_KEEP": "0"}
		for k := range s.Env() {
			if strings.HasPrefix(k, "LAYERSMITH_") {
				none[k] = ""
			}
		}

		r := failure(t, start(t, s, function, time.Minute, none), inputs[function])
		says := []string{
			"read the environment: LAYERSMITH_STORE is not set; ",
			`LAYERSMITH_KEEP is "0"; allowed: 1 to 100`,
			"deploy the stack again",
		}
		for _, n := range needs[function] {
			says = append(says, n+" is not set")
		}

		wantFault(t, "an empty environment", r, "BadInput", says...)
		if n := strings.Count(r.ErrorMessage, " is not set"); n != 1+len(needs[function]) {
			t.Errorf("%d variables are missed: %s", n, r.ErrorMessage)
		}
	})
}

// All functions but Intake, which makes runs, and Report, which accepts a run without a document,
// refuse an unknown run.
func TestNoFunctionWorksForARunThatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, s functions.Stack, function string) {
		f := start(t, s, function, time.Minute, nil)
		switch function {
		case "intake":
			wantFault(t, "an empty bucket", failure(t, f, inputs[function]), "BadInput",
				"read layers/: the bucket holds no workspace", "run: layersmith push")
		case "report":
			serveNotices(s, nil)
			end := call[release.Ending](t, f, inputs[function])
			if end.Outcome != release.FailedClean {
				t.Errorf("%+v", end)
			}
		default:
			wantFault(t, "an unknown run", failure(t, f, inputs[function]), "NotFound",
				"read runs/r/run.json: no such run", "start a new execution")
		}
	})
}

func TestARoleThatLacksAGrantIsNotAllowed(t *testing.T) {
	each(t, func(t *testing.T, s functions.Stack, function string) {
		s.Answer("s3", functions.Deny("s3"))
		says := "s3:GetObject"
		if function == "intake" {
			says = "s3:ListBucketVersions"
		}

		r := failure(t, start(t, s, function, time.Minute, nil), inputs[function])
		wantFault(t, "a store that denies", r, "NotAllowed", "AccessDenied: ", "allow the role "+says, "request REQ1")
	})
}

// Every function passes on its context: if the store hangs, it fails with a message before Lambda
// kills it.
func TestAStoreThatHangsIsTimedOut(t *testing.T) {
	each(t, func(t *testing.T, s functions.Stack, function string) {
		s.Answer("s3", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		r := failure(t, start(t, s, function, 2*time.Second, nil), inputs[function])
		wantFault(t, "a store that hangs", r, "TimedOut", "give the function more memory")
		if r.Duration < 1400*time.Millisecond {
			t.Errorf("it gives up after %v of 2 s", r.Duration)
		}
	})
}

func TestARunThatLostItsLeaseDoesNotGoOn(t *testing.T) {
	each(t, func(t *testing.T, s functions.Stack, function string) {
		switch function {
		case "intake", "report", "rollback": // they take it, release it, and undo the run of another one
			return
		}

		keep(t, s, release.RunName("r"), release.Run{SchemaVersion: release.SchemaVersion, Run: "r"})
		keep(t, s, release.LeaseName, release.Lease{
			SchemaVersion: release.SchemaVersion,
			Run:           "other",
			Execution:     functions.Execution("other"),
			Until:         time.Now().Add(time.Hour),
		})
		f := start(t, s, function, time.Minute, nil)
		wantFault(t, "another run's lease", failure(t, f, inputs[function]), "LeaseLost",
			`continue r: execution "other" has taken over`, "wait for that execution")
		keep(t, s, release.RunName("r"), release.Run{
			SchemaVersion: release.SchemaVersion,
			Run:           "r",
			Ending:        &release.Ending{Outcome: release.RolledBack},
		})
		wantFault(t, "a run that is over", failure(t, f, inputs[function]), "LeaseLost",
			"the run has ended: RolledBack", "start a new execution")
	})
}

// keep stores a document under a name.
func keep(t *testing.T, s functions.Stack, name string, doc any) {
	t.Helper()
	if err := s.S3.Put(functions.Store, name, must(release.Encode(doc))); err != nil {
		t.Fatal(err)
	}
}

// read reads a document.
func read[T any](t *testing.T, s functions.Stack, name string) (doc T) {
	t.Helper()
	b, err := s.S3.Get(functions.Store, name)
	if err == nil {
		err = release.Decode(b, &doc)
	}

	if err != nil {
		t.Fatal(err)
	}

	return doc
}

// put stores an object below its digest.
func put(t *testing.T, s functions.Stack, prefix, suffix string, content []byte) blob.Ref {
	t.Helper()
	sum := digest.Of(content)
	ref := must(blob.New(prefix+sum.String()+suffix, "", sum, int64(len(content))))
	if err := s.S3.Put(functions.Store, ref.Key, content); err != nil {
		t.Fatal(err)
	}

	return ref
}

// small is a workspace that has one layer and moves one function with an alarm.
func small() fs.FS {
	return fstest.MapFS{
		"workspace.yaml":         {Data: []byte("targets: [python3.13-x86_64]\n")},
		"small/requirements.txt": {Data: []byte("demo==1.0\n")},
		"small/layer.yaml":       {Data: []byte("budget: { unzipped: 1 MB, zipped: 1 MB }\n")},
		"consumers.yaml":         {Data: []byte(orders)},
	}
}

const orders = `consumers:
  - function: orders
    layers: [small]
    alias: live
    health: { alarm: orders-errors, window: 2m }
`

// artifact is the artifact of a layer with the distribution demo.
func artifact() []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"python/demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"},
		{
			"python/demo-1.0.dist-info/RECORD",
			"demo/__init__.py,,\ndemo/tests/__init__.py,,\ndemo/tests/test_demo.py,,\ndemo-1.0.dist-info/METADATA,,\n" +
				"demo-1.0.dist-info/RECORD,,\ndemo-1.0.dist-info/WHEEL,,\n",
		},
		{
			"python/demo-1.0.dist-info/WHEEL",
			"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		},
		{"python/demo/__init__.py", "VALUE = 1\n"},
		{"python/demo/tests/__init__.py", ""},
		{"python/demo/tests/test_demo.py", "import demo\n\n\ndef test():\n    assert demo.VALUE == 1\n"},
	} {
		w := must(z.Create(f[0]))
		must(w.Write([]byte(f[1])))
	}

	if err := z.Close(); err != nil {
		panic(err)
	}

	return b.Bytes()
}

// at is a run that the real functions took as far as Measure. The output of CodeBuild is written by
// the test, so that no wheel is needed.
type at struct {
	functions.Stack
	pruned, measured workflow.Item
	doc              release.Measured
}

func measured(t *testing.T, s functions.Stack) at {
	t.Helper()
	a, err := functions.NewAccount()
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(a.Close)
	out := at{Stack: functions.Stack{Programs: s.Programs, Account: a}}
	if err := a.Push(small()); err != nil {
		t.Fatal(err)
	}

	if err := out.Begin(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}

	code := artifact()
	run := read[release.Run](t, out.Stack, release.RunName("r"))
	keep(t, out.Stack, release.BuiltName("r"), release.Built{
		SchemaVersion: release.SchemaVersion,
		Run:           "r",
		Tool:          engine.Tool,
		Workspace:     run.Workspace.SHA256,
		Locks:         []release.LockFile{},
		Layers: []release.BuiltLayer{
			{
				Layer:     "small",
				Target:    target,
				LayerName: "layersmith-small",
				Key:       digest.Of([]byte("key")),
				Artifact:  put(t, out.Stack, "artifacts/", ".zip", code),
				Before: measure.Size{
					Files:    6,
					Unzipped: 300,
					Zipped:   measure.Bytes(len(code)),
				},
				Wheels:   []report.Wheel{},
				Bytecode: report.Bytecode{Mode: "none"},
			},
		},
	})
	selected, err := out.Select(t.Context(), "r")
	if err != nil || !selected.Changed || len(selected.Layers) != 1 || selected.Summary != "small new" {
		t.Fatalf("%+v, %v", selected, err)
	}

	out.pruned = call[workflow.Item](t, start(t, out.Stack, "prune", time.Minute, nil),
		workflow.LayerInput{Run: "r", Layer: selected.Layers[0]})
	out.measured = call[workflow.Item](t, start(t, out.Stack, "measure", time.Minute, nil),
		workflow.StackInput{Run: "r", Layer: out.pruned, Layers: []workflow.Item{out.pruned}})
	out.doc = read[release.Measured](t, out.Stack, out.measured.Doc.Key)
	return out
}

func TestASmallLayerIsPrunedAndMeasured(t *testing.T) {
	m := measured(t, stack(t))
	doc, zipped, err := m.Pruned(m.pruned)
	if err != nil {
		t.Fatal(err)
	}

	z, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}

	want := []string{
		"python/demo-1.0.dist-info/METADATA",
		"python/demo-1.0.dist-info/RECORD",
		"python/demo-1.0.dist-info/WHEEL",
		"python/demo/__init__.py",
	}
	if !slices.Equal(names, want) {
		t.Errorf("it holds %v, want %v", names, want)
	}

	if m.doc.Pruned != m.pruned.Doc || m.doc.Zip != doc.Zip || m.doc.Report.Verdict != "within" {
		t.Errorf("%+v", m.doc)
	}
}

func TestWhatWasMadeForAnotherLayerIsRefused(t *testing.T) {
	m := measured(t, stack(t))
	other := m.pruned
	other.Layer = "large"
	f := start(t, m.Stack, "measure", time.Minute, nil)
	wantFault(t, "another layer's document",
		failure(t, f, workflow.StackInput{Run: "r", Layer: other, Layers: []workflow.Item{other}}), "ProvenanceMismatch",
		"large", "start a new execution")
	f = start(t, m.Stack, "prune", time.Minute, nil)
	wantFault(t, "a document of another stage", failure(t, f, workflow.LayerInput{Run: "r", Layer: m.measured}),
		"ProvenanceMismatch", m.measured.Doc.Key)

	damaged := must(m.S3.Get(functions.Store, m.doc.Zip.Key))
	damaged[len(damaged)/2] ^= 1
	if err := m.S3.Put(functions.Store, m.doc.Zip.Key, damaged); err != nil {
		t.Fatal(err)
	}

	current := m.pruned // refers to a version, which is as it was
	f = start(t, m.Stack, "measure", time.Minute, nil)
	again := call[workflow.Item](t, f, workflow.StackInput{Run: "r", Layer: current, Layers: []workflow.Item{current}})
	if again != m.measured {
		t.Errorf("a later version of the object changes the answer: %+v, want %+v", again, m.measured)
	}

	doc := read[release.PrunedLayer](t, m.Stack, m.pruned.Doc.Key)
	doc.Zip.VersionID = ""
	current.Doc = put(t, m.Stack, "documents/", ".json", must(release.Encode(doc)))
	wantFault(t, "damaged bytes",
		failure(t, f, workflow.StackInput{Run: "r", Layer: current, Layers: []workflow.Item{current}}), "HashMismatch",
		"start a new run")
	doc.Zip.Key = "pruned/" + digest.Of([]byte("gone")).String() + ".zip"
	doc.Zip.SHA256 = digest.Of([]byte("gone"))
	current.Doc = put(t, m.Stack, "documents/", ".json", must(release.Encode(doc)))
	wantCode(t, "bytes that are gone",
		failure(t, f, workflow.StackInput{Run: "r", Layer: current, Layers: []workflow.Item{current}}), "NotFound",
		doc.Zip.Key)
}

func TestALayerOverItsBudgetIsOverLimit(t *testing.T) {
	m := measured(t, stack(t))
	run := read[release.Run](t, m.Stack, release.RunName("r"))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, f := range small().(fstest.MapFS) {
		content := f.Data
		if name == "small/layer.yaml" {
			content = []byte("budget: { unzipped: 100 B }\n")
		}

		must(must(z.Create(name)).Write(content))
	}

	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	run.Workspace = put(t, m.Stack, "workspaces/", ".zip", b.Bytes())
	keep(t, m.Stack, release.RunName("r"), run)
	r := failure(t, start(t, m.Stack, "measure", time.Minute, nil),
		workflow.StackInput{Run: "r", Layer: m.pruned, Layers: []workflow.Item{m.pruned}})
	wantFault(t, "100 bytes", r, "OverLimit", "small")
}

// lambda is a Lambda service with responses for some functions, and otherwise empty. It denies all
// changes.
type lambda struct {
	mu       sync.Mutex
	answers  map[string]string // "GET /2015-03-31/functions/orders" to a body; a body that is "" is a denial
	requests []string
}

func (l *lambda) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	l.mu.Lock()
	l.requests = append(l.requests, what)
	answer, ok := l.answers[what]
	l.mu.Unlock()
	switch {
	case !ok && r.Method == http.MethodGet:
		functions.Fail(w, http.StatusNotFound, "ResourceNotFoundException", "Function or layer not found: "+r.URL.Path)
	case answer == "":
		functions.Deny("lambda").ServeHTTP(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}
}

// The functions that call Lambda, when it denies access and when a function or layer is missing.
func TestWhatLambdaRefusesIsAFault(t *testing.T) {
	s := stack(t)
	m := measured(t, s)
	item := m.measured
	candidate := release.Candidate{
		SchemaVersion: release.SchemaVersion,
		Run:           "r",
		Layer:         "small",
		Target:        target,
		LayerName:     "layersmith-small",
		Key:           m.doc.Built.Key,
		Measured:      item.Doc,
		ARN:           "arn:aws:lambda:us-east-1:000000000000:layer:layersmith-small:1",
		Version:       1,
	}
	published := item
	published.Doc = put(t, m.Stack, "documents/", ".json", must(release.Encode(candidate)))
	change := release.Change{
		SchemaVersion: release.SchemaVersion,
		Run:           "r",
		Sequence:      1,
		Function:      ordersARN,
		Alarm:         "orders-errors",
		WindowSeconds: 120,
		Replaces: []release.Replace{
			{Layer: "small", LayerName: "layersmith-small", ARN: candidate.ARN},
		},
		Before: release.State{Layers: []string{}, CodeSHA256: "c29tZQ=="},
	}
	consumer := workflow.Consumer{Function: ordersARN, Change: release.ChangeName("r", 1), Summary: "orders"}

	for name, c := range map[string]struct {
		function string
		in       any
		lambda   http.Handler // nil denies everything
		code     string
		says     []string
	}{
		"record is denied": {
			function: "record",
			in:       workflow.RecordInput{Run: "r", Layers: []workflow.Item{item}},
			code:     "NotAllowed",
			says:     []string{"orders", "AccessDeniedException", "consumers"},
		},
		"record of a function that is not there": {
			function: "record",
			in:       workflow.RecordInput{Run: "r", Layers: []workflow.Item{item}},
			lambda:   &lambda{},
			code:     "NotFound",
			says:     []string{"read function orders: ResourceNotFoundException"},
		},
		"publish is denied": {function: "publish", in: workflow.LayerInput{Run: "r", Layer: item}, code: "NotAllowed",
			says: []string{"layersmith-small", "allow the role lambda:ListLayerVersions"}},
		"publish may look but not publish": {
			function: "publish",
			in:       workflow.LayerInput{Run: "r", Layer: item},
			code:     "NotAllowed",
			lambda: &lambda{
				answers: map[string]string{"GET /2018-10-31/layers/layersmith-small/versions": `{"LayerVersions":[]}`},
			},
			says: []string{"layersmith-small", "allow the role lambda:PublishLayerVersion"},
		},
		"verify is denied": {
			function: "verify",
			in:       workflow.StackInput{Run: "r", Layer: published, Layers: []workflow.Item{published}},
			code:     "NotAllowed",
			says:     []string{"Layersmith-probe-", "allow the role lambda:"},
		},
		"update is denied": {
			function: "update",
			in:       workflow.ConsumerInput{Run: "r", Consumer: consumer},
			code:     "NotAllowed",
			says:     []string{"orders", "AccessDeniedException", "consumers"},
		},
		"update of a function that is gone": {
			function: "update",
			in:       workflow.ConsumerInput{Run: "r", Consumer: consumer},
			lambda:   &lambda{},
			code:     "NotFound",
			says:     []string{"read function " + ordersARN + ": ResourceNotFoundException"},
		},
		"update of what is no change": {function: "update", code: "ProvenanceMismatch",
			in: workflow.ConsumerInput{
				Run:      "r",
				Consumer: workflow.Consumer{Function: ordersARN, Change: release.ChangeName("r", 9)},
			},
			says: []string{"runs/r/changes/009.json: it is not a change of run r", "start a new execution"}},
		"health is denied": {
			function: "health",
			in:       workflow.HealthInput{Run: "r", Consumer: consumer, Since: time.Now()},
			code:     "NotAllowed",
			says:     []string{"alarm orders-errors", "allow the role cloudwatch:DescribeAlarms"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			keep(t, m.Stack, release.ChangeName("r", 1), change)
			h := c.lambda
			if h == nil {
				h = functions.Deny("lambda")
			}

			m.Answer("lambda", h)
			r := failure(t, start(t, m.Stack, c.function, time.Minute, nil), c.in)
			if c.code == "NotFound" { // what is not there is in the sentence
				wantCode(t, name, r, c.code, c.says...)
			} else {
				wantFault(t, name, r, c.code, c.says...)
			}

			if run := read[release.Run](t, m.Stack, release.RunName("r")); run.Ending != nil {
				t.Errorf("the run is over: %+v", run.Ending)
			}
		})
	}

	keep(t, m.Stack, release.CandidateName("r", "layersmith-small"), candidate) // from here on, what Publish leaves
	t.Run("rollback is denied", func(t *testing.T) {
		m.Answer("lambda", functions.Deny("lambda"))
		r := failure(t, start(t, m.Stack, "rollback", time.Minute, nil), workflow.RunInput{Run: "r"})
		wantFault(t, "rollback", r, "NotAllowed", sandbox(candidate), "allow the role lambda:DeleteFunction")
	})
	t.Run("rollback of a function that is gone needs a person", func(t *testing.T) {
		touched := change
		touched.After = &release.State{Layers: []string{candidate.ARN}, CodeSHA256: change.Before.CodeSHA256}
		keep(t, m.Stack, release.ChangeName("r", 1), touched)
		m.Answer("lambda", &lambda{answers: map[string]string{
			"GET /2018-10-31/layers/layersmith-small/versions":   `{"LayerVersions":[]}`,
			"DELETE /2015-03-31/functions/" + sandbox(candidate): `{}`,
		}})
		end := call[release.Ending](t, start(t, m.Stack, "rollback", time.Minute, nil), workflow.RunInput{Run: "r"})
		if end.Outcome != release.FailedDirty ||
			!strings.Contains(end.Message, ordersARN+" does not exist any more") {
			t.Errorf("%+v", end)
		}
	})
}

// sandbox is the name of a run's throw-away function.
func sandbox(c release.Candidate) string {
	return "Layersmith-probe-" + digest.Of([]byte(c.Run+" "+c.LayerName)).Short()
}

// Promote does not fail when it cannot clean up.
func TestPromoteReleasesAlsoWhenNothingMayBeDeleted(t *testing.T) {
	m := measured(t, stack(t))
	version := func(n int64) release.ReleasedVersion {
		return release.ReleasedVersion{
			ARN:      fmt.Sprintf("arn:aws:lambda:us-east-1:000000000000:layer:layersmith-small:%d", n),
			Version:  n,
			Run:      fmt.Sprintf("r%d", n),
			Key:      digest.Of(fmt.Append(nil, n)),
			Measured: m.measured.Doc,
			Zip:      m.doc.Zip,
			Wheels:   []report.Wheel{},
		}
	}
	keep(t, m.Stack, release.ReleasedName, release.Released{
		SchemaVersion: release.SchemaVersion,
		Run:           "r5",
		Locks:         []release.LockFile{},
		Layers: []release.ReleasedLayer{
			{
				Layer:     "small",
				Target:    target,
				LayerName: "layersmith-small",
				Current:   version(5),
				Earlier:   []release.ReleasedVersion{version(4), version(3), version(2)},
			},
		},
	})
	candidate := release.Candidate{
		SchemaVersion: release.SchemaVersion,
		Run:           "r",
		Layer:         "small",
		Target:        target,
		LayerName:     "layersmith-small",
		Key:           m.doc.Built.Key,
		Measured:      m.measured.Doc,
		ARN:           version(6).ARN,
		Version:       6,
	}
	verified := m.measured
	verified.Doc = put(t, m.Stack, "documents/", ".json",
		must(release.Encode(release.Verified{SchemaVersion: release.SchemaVersion, Candidate: candidate})))
	in := workflow.RecordInput{Run: "r", Layers: []workflow.Item{verified}}

	f := start(t, m.Stack, "promote", time.Minute, map[string]string{"LAYERSMITH_KEEP": "2"})
	end := call[release.Ending](t, f, in)
	if end.Outcome != release.Promoted ||
		!strings.HasPrefix(end.Message, "Released: 1 layer (layersmith-small:6), 0 functions moved.") {
		t.Errorf("%+v", end)
	}

	now := read[release.Released](t, m.Stack, release.ReleasedName)
	if now.Run != "r" || now.Layers[0].Current.Version != 6 || len(now.Layers[0].Earlier) != 4 {
		t.Errorf("without a list of functions it is not known what is used: %+v", now)
	}

	if again := call[release.Ending](t, f, in); again != end {
		t.Errorf("again: %+v", again)
	}
}

// notices are the notifications and metrics that were sent.
type notices struct {
	mu       sync.Mutex
	messages []string // subjects
	metrics  int      // requests
}

// serveNotices makes SNS and CloudWatch accept everything.
func serveNotices(s functions.Stack, n *notices) {
	n = cmp.Or(n, &notices{})
	s.Answer("sns", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		n.mu.Lock()
		n.messages = append(n.messages, r.Form.Get("Subject"))
		n.mu.Unlock()
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, `<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`)
	}))
	s.Answer("monitoring", functions.Metrics(func() {
		n.mu.Lock()
		n.metrics++
		n.mu.Unlock()
	}))
}

func TestReportAccountsAndGivesTheLeaseBack(t *testing.T) {
	m := measured(t, stack(t))
	in := workflow.ReportInput{
		Run:       "r",
		Execution: functions.Execution("r"),
		Ending:    release.Ending{Outcome: release.FailedClean, Message: "FailedClean: nothing was touched."},
		Error: &workflow.Caught{
			Error: "OverLimit",
			Cause: `{"errorMessage":"measure small: too large. Hint: make it smaller","errorType":"OverLimit"}`,
		},
	}
	const said = "FailedClean: measure small: too large; nothing was touched. Make it smaller."

	// If everything is denied, the message says so and the lease is released.
	f := start(t, m.Stack, "report", time.Minute, nil)
	wantFault(t, "everything denied", failure(t, f, in), "NotAllowed", "cloudwatch:PutMetricData", "AuthorizationError")
	if lease := read[release.Lease](t, m.Stack, release.LeaseName); lease.Run != "" || lease.Recovers != "" {
		t.Errorf("%+v", lease)
	}

	if rep := read[release.RunReport](t, m.Stack, release.ReportName("r")); rep.Notified || rep.Ending.Message != said {
		t.Errorf("%+v", rep)
	}

	n := &notices{}
	serveNotices(m.Stack, n)
	for range 2 { // a state is tried again: people are told once
		if end := call[release.Ending](t, f, in); end.Outcome != release.FailedClean || end.Message != said {
			t.Errorf("%+v", end)
		}
	}

	if !slices.Equal(n.messages, []string{"Layersmith: FailedClean (operator)"}) || n.metrics == 0 {
		t.Errorf("told %v, %d requests with metrics", n.messages, n.metrics)
	}

	if run := read[release.Run](t, m.Stack, release.RunName("r")); run.Ending == nil ||
		run.Ending.Outcome != release.FailedClean {
		t.Errorf("%+v", run)
	}
}

func TestIntakeWaitsForAnotherRunAndRecoversADeadOne(t *testing.T) {
	s := stack(t)
	if err := s.Push(small()); err != nil {
		t.Fatal(err)
	}

	if err := s.Begin(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}

	status := "RUNNING"
	s.Answer("states", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := r.Header.Get("X-Amz-Target"); target != "AWSStepFunctions.DescribeExecution" {
			functions.Fail(w, http.StatusBadRequest, "ValidationException", target)
			return
		}

		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		fmt.Fprintf(w, `{"status":%q,"startDate":1,"executionArn":"x","stateMachineArn":"y"}`, status)
	}))
	f := start(t, s, "intake", time.Minute, nil)
	in := workflow.IntakeInput{
		Run:       "second",
		Execution: functions.Execution("second"),
		StartedAt: time.Now().UTC(),
		Input:     json.RawMessage(`{"trigger":"schedule"}`),
	}
	if out := call[workflow.IntakeOutput](t, f, in); out.Next != workflow.NextWait || out.WaitSeconds != 30 ||
		out.Summary != "execution first is running" {
		t.Errorf("%+v", out)
	}

	status = "FAILED"
	if out := call[workflow.IntakeOutput](t, f, in); out.Next != workflow.NextRecover || out.Previous != "first" {
		t.Errorf("%+v", out)
	}

	serveNotices(s, nil)
	end := call[release.Ending](t, start(t, s, "rollback", time.Minute, nil), workflow.RunInput{Run: "first"})
	if end.Outcome != release.FailedClean {
		t.Errorf("%+v", end)
	}

	if out := call[workflow.IntakeOutput](t, f, in); out.Next != workflow.NextBuild || out.Summary != "schedule" {
		t.Errorf("%+v", out)
	}

	for input, says := range map[string]string{
		`{"layer":["small"]}`:  `unknown field "layer"`,
		`{"layers":["large"]}`: "start layers: large: no such layer. Hint: layers here: small",
		`{"rollback":{"layer":"small"}}`: "roll back small: no layer of that name is released. Hint: " +
			"released layers: none yet",
		`{"rollback":{"layer":"small"},"force":true}`: "rollback cannot be combined with",
		`[]`: "read input: is not a JSON object",
	} {
		in.Input = json.RawMessage(input)
		wantFault(t, input, failure(t, f, in), "BadInput", says)
	}
}

func TestWhatNobodySignedIsRefusedHere(t *testing.T) {
	a, err := functions.NewAccount()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r, err := http.Get(a.Env()["AWS_ENDPOINT_URL"] + "/" + functions.Store + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("a request that nobody signed: %s", r.Status)
	}
}
