package probe_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/testenv/host"
)

// runtime imitates Lambda's Python runtime: sys.path in Lambda's order, an event, and a context
// that returns the given numbers of milliseconds. The last one is repeated.
const runtime = `
import json, os, sys
task, mount, answer, left = sys.argv[1:]
layer = os.path.join(mount, "python")
sys.path[:0] = [task, os.path.join(layer, "lib", "python%d.%d" % sys.version_info[:2], "site-packages"), layer, mount]
import handler
left = json.loads(left)
class Context:
    def get_remaining_time_in_millis(self):
        return left.pop(0) if len(left) > 1 else left[0]
with open(answer, "w") as f:
    json.dump(handler.handler(json.load(sys.stdin), Context()), f)
`

// python finds an interpreter of this machine.
var python = sync.OnceValues(func() (localport.Python, error) {
	found, err := host.Python()
	if err != nil {
		return localport.Python{}, err
	}

	none := filepath.Join(os.TempDir(), "layersmith-test-none")
	return localport.PythonSearch{Target: found.Target, Named: found.Path, Cache: none}.Find(context.Background())
})

// plenty is the longest timeout of Lambda, in milliseconds.
const plenty = 900_000

// function is the probe function, unpacked into a folder.
type function struct {
	python, task, temp string
	left               []int // milliseconds that the context returns in each invocation, see runtime
}

func deploy(t *testing.T, left ...int) function {
	t.Helper()
	p, err := python()
	if err != nil {
		t.Fatalf("these tests need CPython 3.9 or later: %v", err)
	}

	b, err := probe.HandlerZip()
	if err != nil {
		t.Fatal(err)
	}

	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}

	f := function{python: p.Path, task: t.TempDir(), temp: t.TempDir(), left: left}
	if err := os.CopyFS(f.task, z); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if left, err := os.ReadDir(f.temp); err != nil || len(left) > 0 {
			t.Errorf("left behind in /tmp: %v, %v", left, err)
		}
	})
	return f
}

// invoke returns the response or the error of one invocation.
func (f function) invoke(mount string, q probe.Request) ([]byte, error) {
	event, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}

	left, err := json.Marshal(f.left)
	if err != nil {
		return nil, err
	}

	answer := filepath.Join(f.task, "answer.json")
	cmd := exec.Command(f.python, "-S", "-B", "-c", runtime, f.task, mount, answer, string(left))
	cmd.Stdin = bytes.NewReader(event)
	cmd.Env = host.Environ(
		f.temp,
		"TMPDIR="+f.temp,
		"AWS_SECRET_ACCESS_KEY=secret",
		"AWS_LAMBDA_FUNCTION_NAME=probe",
		"LAMBDA_TASK_ROOT="+f.task,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}

	return os.ReadFile(answer)
}

// ask invokes the function until no job remains.
func (f function) ask(
	t *testing.T,
	mount string,
	q probe.Request,
) (results []probe.Result, times *probe.TimedImports, invocations int) {
	t.Helper()
	for more := true; more; {
		b, err := f.invoke(mount, q)
		if err != nil {
			t.Fatal(err)
		}

		a, err := probe.OpenResponse(b, q)
		if err != nil {
			t.Fatal(err)
		}

		if !strings.HasPrefix(a.Interpreter, "cpython-3.") {
			t.Errorf("the interpreter is %q", a.Interpreter)
		}

		invocations++
		results = append(results, a.Results...)
		times = a.Import
		q, more = q.After(a)
	}

	return results, times, invocations
}

// layer is a folder as Lambda mounts layers at /opt.
func layer(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, "python", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func script(name, source string) probe.Job {
	return probe.Job{Kind: probe.Script, Name: name, Source: source}
}

// remote is a engine.Interpreter that runs the probe function. An invocation cannot be canceled.
type remote struct {
	localport.Python
	t *testing.T
	function
}

func (r remote) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	q := probe.NewRequest(jobs, nil)
	q.TimeoutSeconds = 2
	results, _, _ := r.ask(r.t, mount, q)
	for i := range results {
		results[i].Detail = strings.ReplaceAll(results[i].Detail, mount, "/opt")
		done()
	}

	return results, ctx.Err()
}

func (r remote) Import(_ context.Context, mount string, modules []string, rounds int) (probe.ImportTime, error) {
	q := probe.NewRequest(nil, modules)
	q.Rounds = rounds
	q.TimeoutSeconds = 2
	_, times, _ := r.ask(r.t, mount, q)
	if times.Detail != "" {
		return probe.ImportTime{}, errors.New(times.Detail)
	}

	return times.ImportTime, nil
}

// The interpreter on a laptop passes the same suite.
func TestFunctionIsAnInterpreter(t *testing.T) {
	p, err := python()
	if err != nil {
		t.Fatal(err)
	}

	version := strings.Split(strings.TrimPrefix(p.Identity(), "cpython-"), ".")
	target, err := pydist.ParseTarget("python" + version[0] + "." + version[1] + "-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	porttest.Interpreter(t, target, func(t *testing.T) engine.Interpreter {
		return remote{p, t, deploy(t, plenty)}
	})
}

// The results on a laptop and in Lambda are equal.
func TestFunctionAnswersAsALaptopDoes(t *testing.T) {
	t.Parallel()
	p, err := python()
	if err != nil {
		t.Fatal(err)
	}

	mount := layer(t, map[string]string{
		"good.py": "x = 1\n",
		"bad.py":  "import no_such_thing\n",
		"loud.py": "import os\nos.write(1, b'{\"ok\": false}\\n\\xff\\x00' * 1000)\nos.write(2, " +
			"b'warning \\xfe\\n')\n",
		"demo-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
		"demo-1.0.dist-info/RECORD":   "good.py,,\ngone.py,,\n",
	})
	jobs := []probe.Job{
		{
			Kind: probe.Module,
			Name: "good",
		},
		{Kind: probe.Module, Name: "bad"},
		{Kind: probe.Module, Name: "no.such.module"},
		{Kind: probe.Module, Name: "loud"},
		{
			Kind: probe.Module,
			Name: "handler",
		},
		{Kind: probe.Module, Name: "runner"}, // the function's own code is not the layer's
		{Kind: probe.Metadata, Name: "demo"},
		{Kind: probe.Metadata, Name: "absent"},
		script(
			"says why",
			"import good\nassert good.x == 2, 'x is %d' % good.x\n",
		),
		script("says nothing", "raise SystemExit(3)\n"),
		script("does not compile", "this is (\n"),
		script(
			"crashes",
			"import os\nos.abort()\n",
		),
		script("is killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"),
		script(
			"writes garbage and fails",
			"import os\nfor i in range(30):\n    os.write(2, b'\\xff line %d\\n' % i)\nos.write(1, b'\\x00' * "+
				"3000000)\nraise SystemExit('the end')\n",
		),
		script(
			"closes its output and goes on",
			"import os, time\nos.close(1)\nos.close(2)\ntime.sleep(0.3)\nos._exit(4)\n",
		),
		script(
			"is in another script",
			"é = 'ü'\nassert é == 'ü'\nassert __file__.endswith('script.py') and __name__ == '__main__'\n",
		),
		script("hangs", "import time\ntime.sleep(60)\n"),
	}
	p.Temp = t.TempDir()
	p.Timeout = 2 * time.Second
	want, err := p.Probe(context.Background(), mount, jobs, func() {})
	if err != nil {
		t.Fatal(err)
	}

	got, err := remote{p, t, deploy(t, plenty)}.Probe(context.Background(), mount, jobs, func() {})
	if err != nil {
		t.Fatal(err)
	}

	if len(got) != len(want) {
		t.Fatalf("%d results, want %d", len(got), len(want))
	}

	failed := 0
	for i := range want {
		if !want[i].OK {
			failed++
		}

		if got[i].Seconds <= 0 || got[i].PeakBytes < 1<<20 {
			t.Errorf("%s took %v s, %d bytes", got[i].Name, got[i].Seconds, got[i].PeakBytes)
		}

		want[i].Detail = strings.ToValidUTF8(want[i].Detail, "\uFFFD") // as a report has it
		got[i].Seconds = want[i].Seconds
		got[i].PeakBytes = want[i].PeakBytes
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("%s (-laptop +function):\n%s", want[i].Name, diff)
		}
	}

	if failed != len(want)-3 {
		t.Errorf("%d of %d jobs failed", failed, len(want))
	}
}

// Child processes that a job leaves running are in its process group and are killed with it, even
// if each starts the next.
func TestFunctionEndsWhatAJobLeavesRunning(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	fork := fmt.Sprintf(`
import os, time
def breed():
    for _ in range(3):
        if os.fork() == 0:
            with open(%q, "a") as f:
                f.write("%%d\n" %% os.getpid())
            while True:
                time.sleep(0.01)
                if os.fork() != 0:
                    os._exit(0)
                with open(%[1]q, "a") as f:
                    f.write("%%d\n" %% os.getpid())
breed()
time.sleep(0.3)
`, pids)
	q := probe.NewRequest(
		[]probe.Job{script("ends", fork), script("hangs", fork+"time.sleep(60)\n"), script("another", "pass")},
		nil,
	)
	q.TimeoutSeconds = 2
	results, _, _ := deploy(t, plenty).ask(t, layer(t, nil), q)
	if !results[0].OK || results[1].OK || results[1].Detail != "did not end within 2s" || !results[2].OK {
		t.Errorf("got %+v", results)
	}

	if results[0].Seconds > 1.5 {
		t.Errorf("a job that ended after 0.3 s took %v s", results[0].Seconds)
	}

	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}

	if started := len(strings.Fields(string(b))); started < 20 {
		t.Fatalf("only %d processes were left running", started)
	}

	time.Sleep(100 * time.Millisecond) // ten generations, if one were left
	if again, err := os.ReadFile(pids); err != nil || len(again) != len(b) {
		t.Errorf("processes still breed: %d bytes, then %d, %v", len(b), len(again), err)
	}
}

// A process that left the group cannot be killed. The function stops waiting for its pipe after a
// while.
func TestFunctionDoesNotWaitForWhoLeftTheGroup(t *testing.T) {
	t.Parallel()
	q := probe.NewRequest(
		[]probe.Job{
			script(
				"daemon",
				"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(8)\n    os._exit(0)\n"+
					"time.sleep(0.2)\n",
			),
		},
		nil,
	)
	start := time.Now()
	results, _, _ := deploy(t, plenty).ask(t, layer(t, nil), q)
	if !results[0].OK || time.Since(start) > 6*time.Second {
		t.Errorf("after %v: %+v", time.Since(start), results)
	}
}

func TestFunctionStopsInTime(t *testing.T) {
	t.Parallel()
	var jobs []probe.Job
	for i := range 5 {
		jobs = append(jobs, script("job"+strconv.Itoa(i), "pass"))
	}

	mount := layer(t, nil)
	for sentence, tt := range map[string]struct {
		left        []int
		timeout     int
		invocations int
	}{
		"time for all": {[]int{plenty}, 20, 1},
		// 20 s for a job and 5 to answer
		"time for three jobs, then hardly any":      {[]int{plenty, plenty, 26_000, 24_000}, 20, 2},
		"no time for imports":                       {[]int{plenty, plenty, plenty, plenty, plenty, 24_000}, 20, 2},
		"no job has its whole time: one by one":     {[]int{24_000}, 60, 6},
		"nothing but the job that it has to begin":  {[]int{24_000, 0}, 60, 6},
		"time comes to an end in the first timings": {[]int{plenty, plenty, plenty, plenty, plenty, plenty, 0}, 20, 1},
	} {
		t.Run(sentence, func(t *testing.T) {
			q := probe.NewRequest(jobs, []string{"json"})
			q.TimeoutSeconds = tt.timeout
			results, times, invocations := deploy(t, tt.left...).ask(t, mount, q)
			if len(results) != len(jobs) || invocations != tt.invocations {
				t.Fatalf(
					"%d results of %d invocations, want %d of %d",
					len(results),
					invocations,
					len(jobs),
					tt.invocations,
				)
			}

			for i, r := range results {
				if !r.OK || r.Job != jobs[i] {
					t.Errorf("result %d: %+v", i, r)
				}
			}

			if times == nil || times.Seconds <= 0 || times.Detail != "" {
				t.Errorf("import %+v", times)
			}
		})
	}
}

// Lambda limits a response to 6 MB. Details are cut, and the jobs that do not fit remain.
func TestFunctionAnswersWithinLimits(t *testing.T) {
	t.Parallel()
	// Eleven lines of 4,000 control characters: JSON needs six bytes for each.
	noisy := "import sys\nfor i in range(40):\n    sys.stderr.write('\\x01' * 4000 + '\\n')\nraise SystemExit(1)\n"
	var jobs []probe.Job
	for i := range 60 {
		jobs = append(jobs, script(strconv.Itoa(i), noisy))
	}

	f := deploy(t, plenty)
	mount := layer(t, nil)
	q := probe.NewRequest(jobs, nil)
	q.TimeoutSeconds = 20
	b, err := f.invoke(mount, q)
	if err != nil {
		t.Fatal(err)
	}

	a, err := probe.OpenResponse(b, q)
	if err != nil {
		t.Fatal(err)
	}

	if len(b) > 5_000_000 || len(b) < 3_000_000 || a.Remaining == 0 {
		t.Errorf("%d bytes, %d results, %d remaining", len(b), len(a.Results), a.Remaining)
	}

	if n := len(a.Results[0].Detail); n < 4000 || n > 16_000 {
		t.Errorf("a detail has %d characters", n)
	}

	if rest, more := q.After(
		a,
	); !more || len(rest.Jobs) != a.Remaining ||
		rest.Jobs[0].Name != strconv.Itoa(len(a.Results)) {
		t.Errorf("%d jobs are left to ask", len(rest.Jobs))
	}
}

func TestFunctionTimesImports(t *testing.T) {
	t.Parallel()
	mount := layer(
		t,
		map[string]string{
			"slow.py": "import time\ntime.sleep(0.05)\nprint('1e9')\n",
			"bad.py":  "raise ValueError('at import')\n",
		},
	)
	f := deploy(t, plenty)
	q := probe.NewRequest([]probe.Job{{Kind: probe.Module, Name: "slow"}}, []string{"slow", "json"})
	q.TimeoutSeconds = 20
	results, times, invocations := f.ask(t, mount, q)
	if len(results) != 1 || invocations != 1 || times.Seconds < 0.05 || times.Seconds > 5 || times.PeakBytes < 1<<20 ||
		fmt.Sprint(times.Modules) != "[slow json]" {
		t.Errorf("got %+v, %+v", results, times)
	}

	rounds := filepath.Join(t.TempDir(), "rounds") // only the second is fast
	varies := layer(
		t,
		map[string]string{
			"varies.py": fmt.Sprintf(
				"import os, time\nwith open(%q, 'a') as f:\n    f.write('x')\nif os.path.getsize(f.name) != 2:\n    "+
					"time.sleep(0.5)\n",
				rounds,
			),
		},
	)
	if _, times, _ := f.ask(t, varies, probe.NewRequest(nil, []string{"varies"})); times.Seconds >= 0.5 {
		t.Errorf("the fastest of three rounds took %v s", times.Seconds)
	}

	if b, err := os.ReadFile(rounds); string(b) != "xxx" {
		t.Errorf("rounds %q, %v", b, err)
	}

	_, times, _ = f.ask(t, mount, probe.NewRequest(nil, []string{"json", "bad"}))
	if times.Seconds != 0 || !strings.HasSuffix(times.Detail, "ValueError: at import") {
		t.Errorf("got %+v", times)
	}
}

// A job that cannot be started is no failure of the layer: the invocation fails.
func TestFunctionFailsWhenItCannotRunAJob(t *testing.T) {
	t.Parallel()
	f := deploy(t, plenty)
	mount := layer(t, nil)
	for want, job := range map[string]probe.SentJob{
		"unknown kind of job: 'import'": {Kind: "import", Name: "os"},
		"embedded null byte":            {Kind: probe.Module, Name: "a\x00b"},
	} {
		if b, err := f.invoke(
			mount,
			probe.Request{Jobs: []probe.SentJob{{Kind: probe.Module, Name: "json"}, job}},
		); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("answer %s, error %v, want %s", b, err, want)
		}
	}
}

func TestHandlerZipIsTheSameEveryTime(t *testing.T) {
	first, err := probe.HandlerZip()
	if err != nil {
		t.Fatal(err)
	}

	second, err := probe.HandlerZip()
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%d and %d bytes differ, %v", len(first), len(second), err)
	}

	z, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, f := range z.File {
		names = append(names, fmt.Sprint(f.Name, " ", f.Mode()))
	}

	if diff := cmp.Diff([]string{"handler.py -rw-r--r--", "runner.py -rw-r--r--"}, names); diff != "" {
		t.Error(diff)
	}

	module, function, _ := strings.Cut(probe.Handler, ".")
	b, err := os.ReadFile(filepath.Join("lambda", module+".py"))
	if err != nil || !strings.Contains(string(b), "\ndef "+function+"(event, context):\n") {
		t.Errorf("%s is not in %s.py: %v", function, module, err)
	}
}

func TestAnswersAreChecked(t *testing.T) {
	q := probe.NewRequest([]probe.Job{{Kind: probe.Module, Name: "a"}, script("s", "pass")}, []string{"a"})
	const head = `{"interpreter":"cpython-3.13.0",`
	a := `{"kind":"module","name":"a","ok":true,"seconds":1}`
	s := `{"kind":"script","name":"s","ok":false,"detail":"no","seconds":1,"peakBytes":2}`
	for sentence, tt := range map[string]struct{ doc, want string }{
		"all of it": {
			head + `"results":[` + a + `,` + s +
				`],"remaining":0,"import":{"modules":["a"],"seconds":1,"peakBytes":2}}`,
			"",
		},
		"a part":              {head + `"results":[` + a + `],"remaining":1}`, ""},
		"no time for imports": {head + `"results":[` + a + `,` + s + `],"remaining":0,"import":null}`, ""},
		"no JSON": {
			`Task timed out`,
			"read the response of the probe function: invalid character 'T' looking for beginning of value",
		},
		"an answer and more": {
			head + `"results":[` + a + `],"remaining":1} {}`,
			"read the response of the probe function: the JSON document is followed by something",
		},
		"an error of Lambda": {
			`{"errorMessage":"x"}`,
			`read the response of the probe function: json: unknown field "errorMessage"`,
		},
		"nothing": {
			`null`,
			"check the response of the probe function: no interpreter is named",
		},
		"a result too few": {
			head + `"results":[` + a + `],"remaining":0}`,
			"check the response of the probe function: 1 results and 0 remaining for 2 jobs",
		},
		"less than nothing remaining": {
			head + `"results":[` + a + `,` + s + `,` + s + `],"remaining":-1}`,
			"check the response of the probe function: 3 results and -1 remaining for 2 jobs",
		},
		"results in another order": {
			head + `"results":[` + s + `,` + a + `],"remaining":0}`,
			"check the response of the probe function: result 0 is of script s, requested was module a",
		},
		"no step further": {
			head + `"results":[],"remaining":2}`,
			"check the response of the probe function: no job was run",
		},
		"the time of something else": {
			head + `"results":[` + a + `,` + s +
				`],"remaining":0,"import":{"modules":["b"],"seconds":1,"peakBytes":2}}`,
			"check the response of the probe function: the import of [b] was timed, requested was [a]",
		},
		"the time before the jobs' end": {
			head + `"results":[` + a + `],"remaining":1,"import":{"modules":["a"],"seconds":1,"peakBytes":2}}`,
			"check the response of the probe function: the import of [a] was timed, requested was [a]",
		},
		"a time that is a text, not ours": {
			head + `"results":[{"kind":"module","name":"a","ok":true,"seconds":"1"}],"remaining":1}`,
			"read the response of the probe function: json: cannot unmarshal string into Go struct field " +
				"Result.results.seconds of type float64",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := probe.OpenResponse([]byte(tt.doc), q)
			text := ""
			if err != nil {
				text = err.Error()
			}

			if text != tt.want {
				t.Fatalf("error %q, want %q", text, tt.want)
			}

			if err == nil && len(got.Results) == 2 && got.Results[1].Source != "pass" {
				t.Error("the result's job lost its source")
			}
		})
	}

	if _, more := q.After(probe.Response{Results: make([]probe.Result, 2), Import: &probe.TimedImports{}}); more {
		t.Error("something is left to ask after everything was answered")
	}

	if rest, more := q.After(
		probe.Response{Results: make([]probe.Result, 2)},
	); !more || len(rest.Jobs) > 0 ||
		len(rest.Imports) != 1 {
		t.Errorf("left to ask: %+v", rest)
	}
}
