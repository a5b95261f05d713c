package lambdamain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

type nested struct {
	Run    string          `json:"run"`
	Layer  item            `json:"layer"`
	Layers []item          `json:"layers"`
	Any    any             `json:"any"`
	Raw    json.RawMessage `json:"raw"`
	Error  *fails          `json:"error"`
	ByName map[string]item `json:"byName"`
	embedded
	Secret string `json:"-"`
}

type item struct {
	Layer  string        `json:"layer"`
	Target pydist.Target `json:"target"` // has its own parser
	Doc    struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
	} `json:"doc"`
}

type embedded struct {
	DryRun bool `json:"dryRun"`
}

// fails has fields without tags, as Step Functions spells them.
type fails struct{ Error, Cause string }

func TestInput(t *testing.T) {
	t.Parallel()
	const fields = "any, byName, dryRun, error, layer, layers, raw, run"
	const shape = "pass an object with the fields " + fields
	const inItem = "the known fields are doc, layer, target"
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		raw  string
		want nested
		err  string
		hint string
	}{
		"all fields": {
			raw: ` {
				"run": "r",
				"layer": {"layer": "ml", "target": "python3.13-x86_64", "doc": {"key": "k", "size": 3}},
				"layers": [{"layer": "a"}],
				"dryRun": true,
				"error": {"Error": "E", "Cause": "C"}
			} `,
			want: nested{
				Run:      "r",
				Layer:    itemOf("ml", target),
				Layers:   []item{{Layer: "a"}},
				embedded: embedded{DryRun: true},
				Error:    &fails{"E", "C"},
			},
		},
		"what is declared as any JSON is not checked": {
			raw:  `{"any":{"Run":1},"raw":{"x":[1]}}`,
			want: nested{Any: map[string]any{"Run": 1.0}, Raw: json.RawMessage(`{"x":[1]}`)},
		},
		"an empty object":                          {raw: `{}`},
		"null for a field is the same as no field": {raw: `{"error":null,"layers":null,"layer":null}`},

		"nothing":                {raw: "", err: "it is empty", hint: shape},
		"spaces":                 {raw: " \n", err: "it is empty", hint: shape},
		"null":                   {raw: "null", err: "it is null", hint: shape},
		"a value without an end": {raw: `{"run":"r"`, err: "unexpected EOF", hint: shape},
		"not JSON": {
			raw:  `run`,
			err:  "invalid character 'r' looking for beginning of value",
			hint: shape,
		},
		"a list instead of an object": {
			raw:  `[]`,
			err:  "it is a JSON array, want lambdamain.nested",
			hint: shape,
		},
		"two values": {
			raw:  `{"run":"r"} {}`,
			err:  "more data after the JSON value, which ends at byte 11",
			hint: "pass one JSON value",
		},
		"a value and a stray brace": {
			raw:  `{"run":"r"}}`,
			err:  "more data after the JSON value, which ends at byte 11",
			hint: "pass one JSON value",
		},
		"an unknown field": {
			raw:  `{"run":"r","runs":1}`,
			err:  `unknown field "runs"`,
			hint: "the known fields are " + fields,
		},
		"of two unknown fields, the first by name": {
			raw:  `{"z":1,"b":1}`,
			err:  `unknown field "b"`,
			hint: "the known fields are " + fields,
		},
		"a field in another case": {
			raw:  `{"Run":"r"}`,
			err:  `unknown field "Run"`,
			hint: "the known fields are " + fields,
		},
		"a field that JSON does not have": {
			raw:  `{"Secret":"s"}`,
			err:  `unknown field "Secret"`,
			hint: "the known fields are " + fields,
		},
		"an unknown field below a field": {
			raw:  `{"layer":{"layer":"a","doc":{"Key":1}}}`,
			err:  `unknown field "layer.doc.Key"`,
			hint: "the known fields are key, size",
		},
		"an unknown field below a pointer": {
			raw:  `{"error":{"error":"E"}}`,
			err:  `unknown field "error.error"`,
			hint: "the known fields are Cause, Error",
		},
		"an unknown field in a list": {
			raw:  `{"layers":[{},{"x":1}]}`,
			err:  `unknown field "layers.1.x"`,
			hint: inItem,
		},
		"an unknown field in a map": {
			raw:  `{"byName":{"a":{"x":1}}}`,
			err:  `unknown field "byName.a.x"`,
			hint: inItem,
		},
		"a wrong type": {
			raw:  `{"run":3}`,
			err:  `field "run" is a JSON number, want string`,
			hint: shape,
		},
		"a wrong type below": {
			raw:  `{"layer":{"doc":{"size":"3"}}}`,
			err:  `field "layer.doc.size" is a JSON string, want int64`,
			hint: shape,
		},
		"an object instead of a string": {
			raw:  `{"run":{"a":1}}`,
			err:  `field "run" is a JSON object, want string`,
			hint: shape,
		},
		"what has its own parser reports its own error": {
			raw:  `{"layer":{"target":"python3.13-mips"}}`,
			err:  parseError("python3.13-mips"),
			hint: shape,
		},
		"the largest value": {
			raw:  `{"run":"` + strings.Repeat("a", MaxBytes-10) + `"}`,
			want: nested{Run: strings.Repeat("a", MaxBytes-10)},
		},
		"one byte above the limit": {
			raw:  `{"run":"` + strings.Repeat("a", MaxBytes-9) + `"}`,
			err:  "262145 bytes, limit 262144",
			hint: "pass references to documents, not documents",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got nested
			err := decode([]byte(c.raw), &got)
			if c.err != "" {
				if err == nil || err.Error() != "read input: "+c.err || fault.CodeOf(err) != fault.BadInput ||
					fault.HintOf(err) != c.hint {
					t.Errorf("got %v (%s)\nhint %s\nwant read input: %s\nhint %s", err, fault.CodeOf(err),
						fault.HintOf(err), c.err, c.hint)
				}

				return
			}

			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(nested{}, pydist.Target{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func itemOf(layer string, target pydist.Target) item {
	i := item{Layer: layer, Target: target}
	i.Doc.Key = "k"
	i.Doc.Size = 3
	return i
}

func parseError(target string) string {
	_, err := pydist.ParseTarget(target)
	return err.Error()
}

func TestInputThatIsNotAnObject(t *testing.T) {
	t.Parallel()
	var list []string
	if err := decode([]byte(`["a"]`), &list); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}

	err := decode([]byte(`{}`), &list)
	if err == nil || err.Error() != "read input: it is a JSON object, want []string" ||
		fault.HintOf(err) != "pass one JSON value" {
		t.Errorf("got %v (%s)", err, fault.HintOf(err))
	}
}

func TestTheUseCaseGetsLessTimeThanTheFunction(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for remaining, want := range map[time.Duration]time.Duration{
		15 * time.Minute:       15*time.Minute - 5*time.Second,
		50 * time.Second:       45 * time.Second,
		30 * time.Second:       27 * time.Second,
		5 * time.Second:        4500 * time.Millisecond,
		3 * time.Second:        2500 * time.Millisecond,
		400 * time.Millisecond: -100 * time.Millisecond,
	} {
		if got := earlier(now, now.Add(remaining)).Sub(now); got != want {
			t.Errorf("of %v the use case gets %v, want %v", remaining, got, want)
		}
	}
}

// ended is a context that ended for this reason; nil for one that did not end.
func ended(t *testing.T, why error) context.Context {
	switch why {
	case context.Canceled:
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	case context.DeadlineExceeded:
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		t.Cleanup(cancel)
		return ctx
	}

	return t.Context()
}

func TestErrorsHaveTheCodeThatTheStateMachineActsBy(t *testing.T) {
	t.Parallel()
	of := func(code fault.Code, err error) error {
		return fault.New(code, "get", "object k", err)
	}
	expired := context.DeadlineExceeded
	canceled := context.Canceled
	throttled := of(fault.Throttled, nil)
	plain := errors.New("no")
	dial := &net.OpError{Op: "read", Err: expired}
	for name, c := range map[string]struct {
		err   error
		ended error // of the use case's context
		want  fault.Code
	}{
		"a fault has its own code":                     {of(fault.Changed, nil), nil, fault.Changed},
		"the outer of two":                             {of(fault.NotFound, throttled), nil, fault.NotFound},
		"a fault in a plain error":                     {fmt.Errorf("publish: %w", throttled), nil, fault.Throttled},
		"a fault beside another error":                 {errors.Join(plain, throttled), nil, fault.Throttled},
		"a plain error":                                {plain, nil, fault.Internal},
		"a fault without a code":                       {of("", nil), nil, fault.Internal},
		"a deadline":                                   {fmt.Errorf("get: %w", expired), nil, fault.TimedOut},
		"a deadline of the network":                    {fmt.Errorf("get: %w", dial), nil, fault.TimedOut},
		"an adapter's own deadline, with time left":    {of(fault.Unreachable, expired), nil, fault.Unreachable},
		"our deadline, which an adapter calls another": {of(fault.Unreachable, expired), expired, fault.TimedOut},
		"a deadline in an internal fault":              {of(fault.Internal, expired), nil, fault.TimedOut},
		"a fault that came before the end":             {of(fault.Changed, nil), expired, fault.Changed},
		"a plain error after the end":                  {plain, expired, fault.Internal},
		"one of several tasks, canceled at the end":    {fmt.Errorf("get: %w", canceled), expired, fault.TimedOut},
		"canceled from outside":                        {of(fault.Unreachable, canceled), canceled, fault.Canceled},
		"canceled by the use case itself":              {fmt.Errorf("get: %w", canceled), nil, fault.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := withCode(ended(t, c.ended), c.err)
			if got := fault.CodeOf(err); got != c.want {
				t.Errorf("code %s, want %s", got, c.want)
			}

			if err.Error() != c.err.Error() {
				t.Errorf("the text becomes %q", err)
			}

			if converted := convert(err, logEntry{}); converted.Type != string(c.want) || converted.ShouldExit {
				t.Errorf("converted to %q, exit %v", converted.Type, converted.ShouldExit)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	hinted := fault.New(fault.BadInput, "read", "layer.yaml", errors.New("no target.")).WithHint("add target")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"the sentence, then the hint":              {hinted, "read layer.yaml: no target. Hint: add target"},
		"no hint where there is none for the code": {fault.New(fault.Canceled, "wait", "", nil), "wait"},
		"bytes that are not UTF-8 are replaced":    {fault.New(fault.NotFound, "get", "\xff", nil), "get \uFFFD"},
		"an internal error names the log entry": {
			errors.New("odd"),
			"odd. Hint: read request q in log group g; this is a bug in Layersmith",
		},
		"an internal error with a hint keeps it": {
			fault.New(fault.Internal, "x", "", nil).WithHint("report it"),
			"x. Hint: report it",
		},
		"a long sentence keeps both its ends": {
			fault.New(fault.BadInput, "a"+strings.Repeat("é", 10_000), "z", nil).WithHint("h"),
			"a" + strings.Repeat("é", 2045) + " [...] " + strings.Repeat("é", 2045) + " z. Hint: h",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := convert(c.err, logEntry{request: "q", group: "g"}).Message; got != c.want {
				t.Errorf("got  %.80s (%d bytes)\nwant %.80s (%d bytes)", got, len(got), c.want, len(c.want))
			}
		})
	}
}

// quiet is a handler without a log.
func quiet[In, Out any](run func(context.Context, In) (Out, error)) handler[In, Out] {
	return handler[In, Out]{run: run, log: slog.New(slog.DiscardHandler), now: time.Now}
}

func TestHandle(t *testing.T) {
	t.Parallel()
	type in struct{ Run string }
	answer := func(out any) func(context.Context, in) (any, error) {
		return func(context.Context, in) (any, error) { return out, nil }
	}
	for name, c := range map[string]struct {
		run  func(context.Context, in) (any, error)
		want string
		err  string
		code string
	}{
		"output is compact JSON without escapes for HTML": {
			run:  answer(map[string]string{"url": "a&b<c>"}),
			want: `{"url":"a&b<c>"}`,
		},
		"the largest output": {
			run:  answer(strings.Repeat("a", MaxBytes-2)),
			want: `"` + strings.Repeat("a", MaxBytes-2) + `"`,
		},
		"output one byte above the limit": {
			run:  answer(strings.Repeat("a", MaxBytes-1)),
			err:  "write output: 262145 bytes, limit of Step Functions 262144",
			code: "Internal",
		},
		"output that JSON cannot represent": {
			run:  answer(make(chan int)),
			err:  "write output: json: unsupported type: chan int",
			code: "Internal",
		},
		"output that panics while written": {run: answer(explosive{}), err: "panic: boom", code: "Panic"},
		"a panic with an error": {
			run:  func(context.Context, in) (any, error) { panic(fault.New(fault.Changed, "x", "", nil)) },
			err:  "panic: x",
			code: "Panic",
		},
		"a panic with nil": {
			run:  func(context.Context, in) (any, error) { panic(nil) },
			err:  "panic: panic called with nil argument",
			code: "Panic",
		},
		"an unusable AWS configuration is a fault, not a panic": {
			run:  func(context.Context, in) (any, error) { panic(unusable{fault.New(fault.BadInput, "x", "", nil)}) },
			err:  "x",
			code: "BadInput",
		},
		"output beside an error is dropped": {
			run:  func(context.Context, in) (any, error) { return 1, errors.New("no") },
			err:  "no",
			code: "Internal",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := quiet(c.run).handle(t.Context(), []byte(`{}`))
			if string(got) != c.want {
				t.Errorf("output %.80s, want %.80s", got, c.want)
			}

			if c.err == "" {
				if err != nil {
					t.Error(err)
				}

				return
			}

			if err == nil {
				t.Fatal("no error")
			}

			converted := convert(err, logEntry{})
			if err.Error() != c.err || converted.Type != c.code || converted.ShouldExit != (c.code == "Panic") {
				t.Errorf("got %v as %s, exit %v; want %s as %s", err, converted.Type, converted.ShouldExit, c.err,
					c.code)
			}
		})
	}
}

type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("boom") }

func TestTheUseCaseIsNotCalledForBadInput(t *testing.T) {
	t.Parallel()
	h := quiet(func(context.Context, struct{}) (int, error) { t.Error("called"); return 0, nil })
	if _, err := h.handle(t.Context(), []byte(`{"a":1}`)); fault.CodeOf(err) != fault.BadInput {
		t.Errorf("got %v", err)
	}
}

func TestTheContextEndsBeforeTheFunctionIsKilled(t *testing.T) {
	t.Parallel()
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	h := quiet(func(ctx context.Context, _ struct{}) (string, error) {
		got, ok := ctx.Deadline()
		if want := deadline.Add(-5 * time.Second); !ok || !got.Equal(want) {
			t.Errorf("deadline %v, want %v", got, want)
		}

		return "", nil
	})
	if _, err := h.handle(ctx, []byte(`{}`)); err != nil {
		t.Error(err)
	}
}

func TestInvokeReturnsItsErrorByValue(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, struct{}) (int, error) { return 0, errors.New("no") }
	_, err := quiet(fails).Invoke(t.Context(), []byte(`{}`))
	// aws-lambda-go would report another errorType for a pointer or a wrapped error
	if _, ok := err.(messages.InvokeResponse_Error); !ok {
		t.Errorf("error is a %T", err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	type input struct {
		Run string `json:"run"`
	}
	for name, c := range map[string]struct {
		raw  string
		err  error
		want string
	}{
		"success": {
			raw: `{"run":"r-1"}`,
			want: `{"level":"INFO","msg":"start","function":"prune","run":"r-1","request":""}
{"level":"INFO","msg":"end","function":"prune","run":"r-1","request":"","durationMs":1500,"code":"OK"}
`,
		},
		"an error is not logged, only its code": {
			raw: `{"run":"r-1"}`,
			err: errors.New("secret"),
			want: `{"level":"INFO","msg":"start","function":"prune","run":"r-1","request":""}
{"level":"ERROR","msg":"end","function":"prune","run":"r-1","request":"","durationMs":1500,"code":"Internal"}
`,
		},
		"input without a run": {
			raw: `{"run":1}`,
			want: `{"level":"INFO","msg":"start","function":"prune","run":"","request":""}
{"level":"ERROR","msg":"end","function":"prune","run":"","request":"","durationMs":1500,"code":"BadInput"}
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			untimed := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}

				return a
			}}
			clock := time.Unix(0, 0)
			h := handler[input, int]{
				run:      func(context.Context, input) (int, error) { return 0, c.err },
				log:      slog.New(slog.NewJSONHandler(&b, untimed)),
				now:      func() time.Time { clock = clock.Add(1500 * time.Millisecond); return clock },
				function: "prune",
			}
			h.Invoke(t.Context(), []byte(c.raw))
			if b.String() != c.want {
				t.Errorf("got\n%swant\n%s", b.String(), c.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	const grantees = "organizations (o-...) and accounts (12 digits), separated by commas"
	all := map[string]string{
		Store:       "layersmith-store",
		Workspace:   "layersmith-workspace",
		Prefix:      "team-",
		Share:       "o-abcdefghij, 123456789012",
		Keep:        "7",
		Topic:       "arn:aws:sns:us-east-1:123456789012:topic",
		ProbeRole:   "arn:aws-cn:iam::123456789012:role/path/probe",
		ProbePrefix: "layersmith-probe-",
		Console:     "https://console.aws.amazon.com/states/home#/v2/executions/details/",
	}
	with := func(name, value string) map[string]string {
		m := map[string]string{Store: "store"}
		m[name] = value
		return m
	}
	for name, c := range map[string]struct {
		env   map[string]string
		needs []string
		want  Environment
		err   string
		code  fault.Code
	}{
		"everything": {env: all, needs: []string{Workspace, Topic, ProbeRole}, want: Environment{
			Store:       "layersmith-store",
			Workspace:   "layersmith-workspace",
			Topic:       all[Topic],
			ProbeRole:   all[ProbeRole],
			ProbePrefix: "layersmith-probe-",
			Account: workflow.Account{
				Prefix:  "team-",
				Share:   []string{"o-abcdefghij", "123456789012"},
				Keep:    7,
				Console: all[Console],
			}}},
		"only the required variable": {
			env:  map[string]string{Store: "store"},
			want: Environment{Store: "store", Account: workflow.Account{Prefix: "layersmith-", Keep: 3}},
		},
		"nothing": {err: "LAYERSMITH_STORE is not set"},
		"variables that the function needs": {
			env:   map[string]string{Store: "store"},
			needs: []string{Workspace, ProbeRole},
			err:   "LAYERSMITH_WORKSPACE is not set; LAYERSMITH_PROBE_ROLE is not set",
		},
		"a needed variable that does not exist": {
			env:   all,
			needs: []string{"LAYERSMITH_STOER"},
			err:   "unknown variable LAYERSMITH_STOER",
			code:  fault.Internal,
		},
		"all mistakes at once": {
			env:   map[string]string{Store: "Store", Keep: "0", Topic: "topic", Share: "o-abcdefghij,,me"},
			needs: []string{ProbePrefix},
			err: `LAYERSMITH_PROBE_PREFIX is not set; LAYERSMITH_STORE is "Store"; allowed: the name of a bucket; ` +
				`LAYERSMITH_SHARE is ""; allowed: ` + grantees + `; ` +
				`LAYERSMITH_SHARE is "me"; allowed: ` + grantees + `; ` +
				`LAYERSMITH_KEEP is "0"; allowed: 1 to 100; LAYERSMITH_TOPIC is "topic"; allowed: an ARN of sns`,
		},
		"a topic of another service": {
			env: with(Topic, "arn:aws:sqs:us-east-1:123456789012:q"),
			err: `LAYERSMITH_TOPIC is "arn:aws:sqs:us-east-1:123456789012:q"; allowed: an ARN of sns`,
		},
		"a role without an ARN": {
			env: with(ProbeRole, "probe"),
			err: `LAYERSMITH_PROBE_ROLE is "probe"; allowed: an ARN of iam`,
		},
		"a prefix with a dot": {
			env: with(Prefix, "a.b"),
			err: `LAYERSMITH_PREFIX is "a.b"; allowed: 1 to 64 letters, digits, hyphens and underscores`,
		},
		"a console without a host": {
			env: with(Console, "executions"),
			err: `LAYERSMITH_CONSOLE is "executions"; allowed: the URL of executions in the console, https://...`,
		},
		"more versions than 100": {env: with(Keep, "101"), err: `LAYERSMITH_KEEP is "101"; allowed: 1 to 100`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readEnv(func(k string) string { return c.env[k] }, c.needs...)
			if c.err != "" {
				if c.code == "" {
					c.code = fault.BadInput
				}

				if err == nil || err.Error() != "read the environment: "+c.err || fault.CodeOf(err) != c.code {
					t.Errorf("got %v (%s)\nwant read the environment: %s", err, fault.CodeOf(err), c.err)
				}

				return
			}

			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
