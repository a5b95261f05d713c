package runtimeapi

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test binary is also the bootstrap: a small runtime that does what a payload says.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		bootstrap("http://" + api + apiVersion)
		return
	}

	os.Exit(m.Run())
}

// initialize sleeps or exits, as the variable INIT says.
func initialize() {
	fmt.Println("init to stdout")
	if d, err := time.ParseDuration(os.Getenv("INIT")); err == nil {
		time.Sleep(d)
	} else if os.Getenv("INIT") == "exit" {
		os.Exit(7)
	}
}

func bootstrap(api string) {
	initialize()
	post := func(path, body string, h http.Header) string {
		request, err := http.NewRequest("POST", api+path, strings.NewReader(body))
		check(err)
		request.Header = h
		response, err := http.DefaultClient.Do(request)
		check(err)
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		check(err)
		return fmt.Sprint(response.StatusCode, " ", strings.TrimSpace(string(b)))
	}
	var hog []byte
	for {
		response, err := http.Get(api + "/invocation/next")
		check(err)
		payload, err := io.ReadAll(response.Body)
		check(err)
		response.Body.Close()
		id := response.Header.Get("Lambda-Runtime-Aws-Request-Id")
		switch what, arg, _ := strings.Cut(string(payload), " "); what {
		case "echo":
			fmt.Println("out", arg)
			fmt.Fprintln(os.Stderr, "err", arg)
			post("/invocation/"+id+"/response", arg, nil)
		case "headers":
			b, _ := json.Marshal(response.Header)
			post("/invocation/"+id+"/response", string(b), nil)
		case "env":
			post("/invocation/"+id+"/response", strings.Join(os.Environ(), "\n"), nil)
		case "fail":
			post("/invocation/"+id+"/error", arg,
				http.Header{"Lambda-Runtime-Function-Error-Type": {"Function.Header"}})
		case "failThenExit":
			post("/invocation/"+id+"/error", arg, nil)
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(1)
		case "exit":
			os.Exit(3)
		case "exitWell":
			os.Exit(0)
		case "sleep":
			d, err := time.ParseDuration(arg)
			check(err)
			time.Sleep(d)
			post("/invocation/"+id+"/response", `"slept"`, nil)
		case "answerThenSleep":
			post("/invocation/"+id+"/response", `"early"`, nil)
			time.Sleep(time.Minute)
		case "wrong":
			said := post("/invocation/no-such/response", "1", nil)
			next, err := http.Get(api + "/invocation/next")
			check(err)
			next.Body.Close()
			post("/invocation/"+id+"/response", fmt.Sprint(said, "; next ", next.StatusCode), nil)
			fmt.Println(post("/invocation/"+id+"/response", "again", nil))
		case "large":
			fmt.Println(post("/invocation/"+id+"/response", strings.Repeat("x", 2*MaxResponseBytes), nil))
		case "hog":
			hog = bytes.Repeat([]byte{1}, 100<<20)
			post("/invocation/"+id+"/response", fmt.Sprint(len(hog)), nil)
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
}

// start starts this test binary as a function.
func start(t *testing.T, o Options) *Function {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	f, err := Start(t.Context(), self, o)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func invoke(t *testing.T, f *Function, payload string) Response {
	t.Helper()
	r, err := f.Invoke([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}

	return r
}

func TestAProcessServesManyInvocations(t *testing.T) {
	t.Parallel()
	f := start(t, Options{Timeout: time.Minute})
	one := invoke(t, f, `echo "one"`)
	pid := f.PID()
	two := invoke(t, f, `echo "two"`)
	if string(one.Payload) != `"one"` || string(two.Payload) != `"two"` || one.ErrorType+two.ErrorType != "" ||
		one.Exited ||
		two.Exited {
		t.Errorf("answers %+v and %+v", one, two)
	}

	if f.PID() != pid {
		t.Errorf("process %d, then %d", pid, f.PID())
	}

	if one.Init <= 0 || two.Init != 0 {
		t.Errorf("init %v, then %v: only the first has one", one.Init, two.Init)
	}

	if one.Stdout != "init to stdout\nout \"one\"\n" || one.Stderr != "err \"one\"\n" ||
		two.Stdout != "out \"two\"\n" ||
		two.Stderr != "err \"two\"\n" {
		t.Errorf("streams are mixed: %q %q, then %q %q", one.Stdout, one.Stderr, two.Stdout, two.Stderr)
	}

	if want := "out \"two\"\nerr \"two\"\n"; two.Log() != want {
		t.Errorf("log %q, want %q", two.Log(), want)
	}
}

func TestEndsOfAnInvocation(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-000000000001"
	for name, c := range map[string]struct {
		payload string
		timeout time.Duration
		want    Response // of which durations, memory and streams are not compared
		stdout  string   // how it ends
	}{
		"an answer": {payload: `echo {"a":1}`, want: Response{Payload: []byte(`{"a":1}`)}},
		"an error has the type of its body, whatever the header says": {
			payload: `fail {"errorType":"Body","errorMessage":"m"}`,
			want: Response{
				Payload:         []byte(`{"errorType":"Body","errorMessage":"m"}`),
				ErrorType:       "Body",
				ErrorMessage:    "m",
				ErrorTypeHeader: "Function.Header",
			},
		},
		"an error that has no type": {payload: `fail {"errorMessage":"m"}`,
			want: Response{
				Payload:         []byte(`{"errorMessage":"m"}`),
				ErrorType:       "Lambda.Unknown",
				ErrorMessage:    "m",
				ErrorTypeHeader: "Function.Header",
			}},
		"an error that ends the process": {payload: `failThenExit {"errorType":"Panic","errorMessage":"m"}`,
			want: Response{
				Payload:      []byte(`{"errorType":"Panic","errorMessage":"m"}`),
				ErrorType:    "Panic",
				ErrorMessage: "m",
				Exited:       true,
			}},
		"the process ends without an answer": {
			payload: "exit",
			want:    lambdaError(Response{Exited: true}, ErrorExit, id, "Runtime exited with error: exit status 3"),
		},
		"the process ends well, but without an answer": {payload: "exitWell",
			want: lambdaError(Response{Exited: true}, ErrorExit, id, "Runtime exited without providing a reason")},
		"no answer before the timeout": {payload: "sleep 1m", timeout: 300 * time.Millisecond,
			want: lambdaError(Response{Exited: true}, ErrorTimeout, id, "Task timed out after 0.30 seconds")},
		"an answer counts, though the process does not come back": {
			payload: "answerThenSleep",
			timeout: time.Second,
			want:    Response{Payload: []byte(`"early"`), Exited: true},
		},
		"an answer to another invocation, and a request before the answer": {payload: "wrong",
			want: Response{
				Payload: []byte(`400 {"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}; next 403`),
			},
			stdout: "400 {\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n"},
		"an answer that is too large": {
			payload: "large",
			want: lambdaError(Response{}, ErrorResponseTooLarge, id,
				"Response payload size exceeded maximum allowed payload size (6291556 bytes)."),
			stdout: "413 {\"errorMessage\":\"Exceeded maximum allowed payload " +
				"size\",\"errorType\":\"RequestEntityTooLarge\"}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.timeout == 0 {
				c.timeout = time.Minute
			}

			f := start(t, Options{Timeout: c.timeout})
			got := invoke(t, f, c.payload)
			if !bytes.Equal(got.Payload, c.want.Payload) || got.ErrorType != c.want.ErrorType ||
				got.ErrorMessage != c.want.ErrorMessage ||
				got.ErrorTypeHeader != c.want.ErrorTypeHeader ||
				got.Exited != c.want.Exited {
				t.Errorf("got %s\n%+v\nwant %s\n%+v", got.Payload, got, c.want.Payload, c.want)
			}

			if !strings.HasSuffix(got.Stdout, c.stdout) {
				t.Errorf("stdout %q does not end with %q", got.Stdout, c.stdout)
			}

			// Whatever happened, the next invocation is served: by the same process when it did not
			// end.
			pid := f.PID()
			again := invoke(t, f, `echo "again"`)
			if string(again.Payload) != `"again"` || again.ErrorType != "" {
				t.Errorf("the next invocation answers %s (%s)", again.Payload, again.ErrorType)
			}

			if restarted := f.PID() != pid; restarted != c.want.Exited || restarted != (again.Init > 0) {
				t.Errorf("restarted %v with init %v, want %v", restarted, again.Init, c.want.Exited)
			}
		})
	}
}

func TestTheLogHasWhatIsWrittenAfterTheAnswer(t *testing.T) {
	t.Parallel()
	f := start(t, Options{Timeout: time.Minute})
	if r := invoke(t, f, `failThenExit {"errorType":"E"}`); r.Stderr != "last words\n" {
		t.Errorf("stderr %q", r.Stderr)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	t.Run("its time is measured, and is not the invocation's", func(t *testing.T) {
		t.Parallel()
		f := start(t, Options{Env: map[string]string{"INIT": "400ms"}, Timeout: time.Minute})
		r := invoke(t, f, "echo 1")
		if r.Init < 400*time.Millisecond || r.Duration >= 400*time.Millisecond+r.Init/2 {
			t.Errorf("init %v, duration %v", r.Init, r.Duration)
		}
	})
	t.Run("a process that ends in it is started once more, and that is told", func(t *testing.T) {
		t.Parallel()
		f := start(t, Options{Env: map[string]string{"INIT": "exit"}})
		r := invoke(t, f, "echo 1")
		if r.ErrorType != ErrorExit ||
			!strings.HasSuffix(r.ErrorMessage, " Error: Runtime exited with error: exit status 7") ||
			!r.Exited {
			t.Errorf("got %+v", r)
		}
	})
}

func TestWhatAFunctionIsTold(t *testing.T) {
	t.Setenv("TESTS_OWN_SECRET", "1")
	f := start(t, Options{
		Name:     "prune",
		Timeout:  time.Minute,
		MemoryMB: 256,
		Env:      map[string]string{"LAYERSMITH_STORE": "s", "AWS_REGION": "eu-central-1"},
	})
	env := strings.Split(string(invoke(t, f, "env").Payload), "\n")
	for _, want := range []string{
		"LAYERSMITH_STORE=s", "AWS_REGION=eu-central-1", "AWS_LAMBDA_FUNCTION_NAME=prune",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/prune",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in its environment", want)
		}
	}

	for _, v := range env {
		if strings.HasPrefix(v, "TESTS_OWN_SECRET=") || strings.HasPrefix(v, "HOME=") {
			t.Errorf("%s has leaked into its environment", v)
		}
	}

	before := time.Now()
	var h http.Header
	if err := json.Unmarshal(invoke(t, f, "headers").Payload, &h); err != nil {
		t.Fatal(err)
	}

	got := h.Get("Lambda-Runtime-Invoked-Function-Arn")
	if got != "arn:aws:lambda:us-east-1:000000000000:function:prune" {
		t.Errorf("ARN %s", got)
	}

	var ms int64
	if _, err := fmt.Sscan(h.Get("Lambda-Runtime-Deadline-Ms"), &ms); err != nil {
		t.Fatal(err)
	}

	if d := time.UnixMilli(ms); d.Before(before.Add(59*time.Second)) || d.After(time.Now().Add(time.Minute)) {
		t.Errorf("deadline %v, started %v with a timeout of one minute", d, before)
	}
}

func TestMemoryIsTheProcessesOwn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}

	t.Parallel()
	ours := bytes.Repeat([]byte{1}, 150<<20) // rusage of a child would count these
	f := start(t, Options{Timeout: time.Minute})
	idle := invoke(t, f, "echo 1")
	hog := invoke(t, f, "hog")
	if idle.MaxRSSBytes < 1<<20 || idle.MaxRSSBytes > 60<<20 {
		t.Errorf("idle: %d bytes", idle.MaxRSSBytes)
	}

	if hog.MaxRSSBytes < 100<<20 {
		t.Errorf("with 100 MiB: %d bytes", hog.MaxRSSBytes)
	}

	runtime.KeepAlive(ours)
}

func TestADoneContextEndsTheProcess(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	f, err := Start(ctx, self, Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	invoke(t, f, "echo 1")
	cancel()
	if _, err := f.Invoke([]byte("sleep 1m")); !errors.Is(err, context.Canceled) {
		// The process may be gone before the harness looks: then it cannot be started again.
		t.Errorf("got %v, want that it was canceled", err)
	}

	if !f.process.gone() {
		t.Error("the process still runs")
	}
}

// zipped writes a zip that holds this test binary as bootstrap.
func zipped(t *testing.T, name string, mode os.FileMode) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}

	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Store}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}

	if err := z.Close(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "f.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}

	return path
}

func TestZips(t *testing.T) {
	t.Parallel()
	t.Run("the bootstrap in it runs, in its folder, which is removed", func(t *testing.T) {
		t.Parallel()
		f, err := Start(t.Context(), zipped(t, "bootstrap", 0o755), Options{Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}

		if r := invoke(t, f, "echo 1"); string(r.Payload) != "1" {
			t.Errorf("answer %s (%s)", r.Payload, r.ErrorMessage)
		}

		if err := f.Close(); err != nil {
			t.Error(err)
		}

		if _, err := os.Stat(f.temporary); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", f.temporary, err)
		}
	})
	for name, c := range map[string]struct {
		entry string
		mode  os.FileMode
		err   string
	}{
		"a bootstrap that is not executable does not start": {"bootstrap", 0o644, "permission denied"},
		"a zip without a bootstrap does not start":          {"main", 0o755, "no such file or directory"},
		"a name that leads out of the zip is refused":       {"../bootstrap", 0o755, "path escapes from parent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := Start(t.Context(), zipped(t, c.entry, c.mode), Options{})
			if err == nil {
				f.Close()
				t.Fatal("it starts")
			}

			if !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want %s", err, c.err)
			}
		})
	}
}
