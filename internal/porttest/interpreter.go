package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Interpreter is the suite of engine.Interpreter. open returns the target's interpreter, whose jobs
// are ended after at most two seconds.
func Interpreter(t *testing.T, target pydist.Target, open func(t *testing.T) engine.Interpreter) {
	t.Run("Identity names implementation and version", func(t *testing.T) {
		if got, want := open(t).Identity(), "cpython-"+target.PythonVersion()+"."; !strings.HasPrefix(got, want) {
			t.Errorf("identity %q, want %s*", got, want)
		}
	})
	t.Run("Compile", func(t *testing.T) { compiles(t, target, open) })
	t.Run("Probe", func(t *testing.T) { probes(t, target, open) })
	t.Run("Import", func(t *testing.T) { imports(t, open) })
}

func compiles(t *testing.T, target pydist.Target, open func(t *testing.T) engine.Interpreter) {
	ctx := context.Background()
	const root = "/opt/python/"
	compile := func(
		t *testing.T,
		optimize int,
		sources ...ziptree.Entry,
	) (made map[string][]byte, failed map[string]string) {
		t.Helper()
		made = map[string][]byte{}
		failed = map[string]string{}
		var mu sync.Mutex
		if err := open(t).Compile(ctx, engine.CompileJob{Sources: sources, Root: root, Optimize: optimize,
			Emit:   func(name string, b []byte) error { mu.Lock(); defer mu.Unlock(); made[name] = b; return nil },
			Failed: func(name, reason string) { mu.Lock(); defer mu.Unlock(); failed[name] = reason },
		}); err != nil {
			t.Fatal(err)
		}

		return made, failed
	}
	file := func(name, source string) ziptree.Entry { return ziptree.File(name, []byte(source), false, "test") }

	t.Run("bytecode has the target's unchecked header and the file's name below Root", func(t *testing.T) {
		made, failed := compile(t, 0, file("p/__init__.py", "def f():\n    return 1\n"))
		b := made["p/__init__.py"]
		if err := pyc.CheckHeader(b, target); err != nil || len(failed) > 0 {
			t.Fatal(err, failed)
		}

		if !bytes.Contains(b, []byte(root+"p/__init__.py")) {
			t.Error("the code does not have the name that it will have on Lambda")
		}

		if here, err := os.Getwd(); err == nil && bytes.Contains(b, []byte(here)) {
			t.Error("the code has a path of this machine")
		}
	})

	t.Run("no source is no work", func(t *testing.T) {
		if made, failed := compile(t, 0); len(made)+len(failed) > 0 {
			t.Error(made, failed)
		}
	})

	t.Run("what does not compile is reported and left out", func(t *testing.T) {
		made, failed := compile(
			t,
			0,
			file("py2.py", "print 'x'\n"),
			file("nul.py", "a = 1\x00"),
			file("enc.py", "# coding: no-such\n"),
			file("utf8.py", "x = '\xff'\n"),
			file("deep.py", strings.Repeat("(", 5000)+strings.Repeat(")", 5000)),
			file("good.py", "x = 1\n"),
			file("empty.py", ""),
			file("wörd.py", "é = 1\n"),
		)
		if got, want := fmt.Sprint(slices.Sorted(maps.Keys(made))), "[empty.py good.py wörd.py]"; got != want {
			t.Errorf("compiled %s, want %s", got, want)
		}

		if got, want := fmt.Sprint(
			slices.Sorted(maps.Keys(failed)),
		), "[deep.py enc.py nul.py py2.py utf8.py]"; got != want {
			t.Errorf("failed %s, want %s", got, want)
		}

		if !strings.Contains(failed["py2.py"], "SyntaxError") {
			t.Errorf("reason %q, want a SyntaxError", failed["py2.py"])
		}
	})

	t.Run("the highest optimization drops docstrings and asserts", func(t *testing.T) {
		src := file("m.py", "def f(x):\n    '''Some documentation.'''\n    assert x, 'some assertion'\n    return 2\n")
		for optimize, want := range map[int][2]bool{0: {true, true}, 1: {true, false}, 2: {false, false}} {
			made, _ := compile(t, optimize, src)
			got := [2]bool{
				bytes.Contains(made["m.py"], []byte("documentation")),
				bytes.Contains(made["m.py"], []byte("assertion")),
			}
			if got != want {
				t.Errorf("-O%d keeps docstrings, asserts: %v, want %v", optimize, got, want)
			}
		}
	})

	// Which other sources are compiled in the same process depends on what a cache has: it must not
	// show.
	t.Run("the same source gives the same bytes in any company", func(t *testing.T) {
		src := file("m.py", "import collections\nCodec = 'latin_1'\nIncrementalEncoder = decoding_table = 3\n"+
			"def f(x, unusual_name=2.5):\n    unusual_name += 1\n    return x in {'alpha', 'beta', 'gamma', 'delta', "+
			"'epsilon', 1, 2.5, None, (1, 'zeta')}\nclass StreamWriter:\n    charmap_encode = f\n")
		latin := file("a.py", "# -*- coding: iso8859-15 -*-\nunusual_name = 'alpha'\ncharmap_encode = 'zeta'\n")
		want, _ := compile(t, 0, src)
		for name, sources := range map[string][]ziptree.Entry{
			"alone again":    {src},
			"after another":  {latin, src},
			"before another": {src, latin},
			"after itself": {
				file("b.py", "import encodings.iso8859_15\nStreamWriter = 1\n"),
				latin,
				file("m2.py", "unusual_name = Codec = 3"),
				src,
			},
		} {
			if got, _ := compile(t, 0, sources...); !bytes.Equal(got["m.py"], want["m.py"]) {
				t.Errorf("%s: %d other bytes", name, len(got["m.py"]))
			}
		}
	})

	t.Run("a failing Emit ends it", func(t *testing.T) {
		failure := errors.New("disk full")
		var sources []ziptree.Entry
		for i := range 500 {
			sources = append(sources, file("m"+strconv.Itoa(i)+".py", "x = '"+strings.Repeat("y", 5000)+"'\n"))
		}

		err := open(t).Compile(ctx,
			engine.CompileJob{
				Sources: sources,
				Root:    root,
				Emit:    func(string, []byte) error { return failure },
				Failed:  func(string, string) {},
			})
		if !errors.Is(err, failure) {
			t.Fatalf("error %v, want %v", err, failure)
		}
	})

	t.Run("a source that cannot be read ends it", func(t *testing.T) {
		bad := file("bad.py", "x = 1\n")
		bad.CRC32 ^= 1
		err := open(
			t,
		).Compile(ctx,
			engine.CompileJob{
				Sources: []ziptree.Entry{bad},
				Root:    root,
				Emit:    func(string, []byte) error { return nil },
				Failed:  func(string, string) {},
			})
		if err == nil || !strings.Contains(err.Error(), "bad.py") {
			t.Fatalf("error %v, want one that names bad.py", err)
		}
	})

	t.Run("it can be canceled", func(t *testing.T) {
		stop, cancel := context.WithCancel(ctx)
		sources := []ziptree.Entry{file("a.py", "x = 1\n")}
		for i := range 2000 {
			sources = append(sources, file("m"+strconv.Itoa(i)+".py", "x = 1\n"+strings.Repeat("y = [1, 2]\n", 100)))
		}

		err := open(
			t,
		).Compile(stop,
			engine.CompileJob{
				Sources: sources,
				Root:    root,
				Emit:    func(string, []byte) error { cancel(); return nil },
				Failed:  func(string, string) {},
			})
		if err != context.Canceled { //nolint:errorlint // a fault around it would say that something is wrong
			t.Fatalf("error %v, want context.Canceled", err)
		}
	})
}

// opt unpacks files as a mounted stack.
func opt(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func probes(t *testing.T, target pydist.Target, open func(t *testing.T) engine.Interpreter) {
	ctx := context.Background()
	script := func(source string) probe.Job { return probe.Job{Kind: probe.Script, Name: "probe.py", Source: source} }
	module := func(name string) probe.Job { return probe.Job{Kind: probe.Module, Name: name} }
	metadata := func(name string) probe.Job { return probe.Job{Kind: probe.Metadata, Name: name} }
	run := func(t *testing.T, mount string, jobs ...probe.Job) []probe.Result {
		t.Helper()
		var done atomic.Int32
		results, err := open(t).Probe(ctx, mount, jobs, func() { done.Add(1) })
		if err != nil {
			t.Fatal(err)
		}

		if len(results) != len(jobs) || int(done.Load()) != len(jobs) {
			t.Fatalf("%d results, %d done for %d jobs", len(results), done.Load(), len(jobs))
		}

		for i, r := range results {
			if r.Kind != jobs[i].Kind || r.Name != jobs[i].Name {
				t.Fatalf("result %d is of %s %s, want %s %s", i, r.Kind, r.Name, jobs[i].Kind, jobs[i].Name)
			}

			if strings.Contains(r.Detail, mount) {
				t.Errorf("%s %s: the detail has a path of this machine: %s", r.Kind, r.Name, r.Detail)
			}
		}

		return results
	}
	passes := func(t *testing.T, r probe.Result) {
		t.Helper()
		if !r.OK || r.Detail != "" {
			t.Errorf("%s %s: OK %v, %s", r.Kind, r.Name, r.OK, r.Detail)
		}
	}
	fails := func(t *testing.T, r probe.Result, detail string) {
		t.Helper()
		if r.OK || !strings.Contains(r.Detail, detail) {
			t.Errorf("%s %s: OK %v, %q; want a failure with %q", r.Kind, r.Name, r.OK, r.Detail, detail)
		}
	}

	t.Run("modules, metadata and scripts answer for the mounted stack", func(t *testing.T) {
		mount := opt(t, map[string]string{
			"python/good.py":                             "x = 7\n",
			"python/bad.py":                              "import no_such_thing\n",
			"python/deep/sub/__init__.py":                "",
			"python/deep/__init__.py":                    "",
			"python/demo-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
			"python/demo-1.0.dist-info/RECORD":           "good.py,,\ndemo-1.0.dist-info/METADATA,,\n",
			"python/demo-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = good:x\n",
			"python/torn-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n",
			"python/torn-1.0.dist-info/RECORD":           "gone.py,,\n",
			"python/dead-1.0.dist-info/METADATA":         "Metadata-Version: 2.1\nName: dead\nVersion: 1.0\n",
			"python/dead-1.0.dist-info/RECORD":           "",
			"python/dead-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = good:no_such\n",
		})
		r := run(
			t,
			mount,
			module("good"),
			module("bad"),
			module("deep.sub"),
			metadata("demo"),
			metadata("torn"),
			metadata("absent"),
			metadata("dead"),
			script("import good\nassert good.x == 7\nassert __name__ == '__main__'\n"),
			script("import good\nassert good.x == 8, 'x is %d' % good.x\n"),
			script("this is (\n"),
			script("raise SystemExit(3)\n"),
		)
		for _, i := range []int{0, 2, 3, 7} {
			passes(t, r[i])
		}

		fails(t, r[1], "no_such_thing")
		fails(t, r[4], "gone.py")
		fails(t, r[5], "absent")
		fails(t, r[6], "no_such")
		fails(t, r[8], "x is 7")
		fails(t, r[9], "SyntaxError")
		fails(t, r[10], "3")
		if r[0].Seconds <= 0 || r[0].PeakBytes < 1<<20 {
			t.Errorf("took %v s, %d bytes", r[0].Seconds, r[0].PeakBytes)
		}

		fails(t, r[1], "/opt/python/bad.py")
	})

	t.Run("what Lambda puts on sys.path is there, and nothing else of this machine", func(t *testing.T) {
		deep := "python/lib/" + target.Runtime() + "/site-packages/"
		r := run(
			t,
			opt(t, map[string]string{
				"python/a.py": "",
				deep + "b.py": "",
				"a.py":        "raise ValueError('not this one')\n",
				"own.py":      "",
			}),
			module("b"),
			script(
				"import sys\nbad = [p for p in sys.path if p.endswith('-packages') and '/python/lib/' not in p]\n"+
					"assert not bad, bad\n",
			),
			module("a"),
			module("own"),
			module("pip"),
		)
		for i := range 4 {
			passes(t, r[i])
		}

		fails(t, r[4], "pip")
	})

	t.Run("no variable of the user's reaches a job, and it writes where it may", func(t *testing.T) {
		t.Setenv("PORTTEST_SECRET", "x")
		t.Setenv("PYTHONSTARTUP", "/nowhere")
		mount := opt(t, map[string]string{"python/a.py": "x = 1\n"})
		passes(
			t,
			run(t, mount,
				script("import os, tempfile, a\nassert 'PORTTEST_SECRET' not in os.environ\nopen('f', 'w').close()\n"+
					"tempfile.mkdtemp()\nopen(os.path.expanduser('~/g'), 'w').close()\n"))[0],
		)
		if _, err := os.Stat(filepath.Join(mount, "python", "__pycache__")); err == nil {
			t.Error("the job wrote bytecode into the mount")
		}
	})

	t.Run("a job that hangs is ended", func(t *testing.T) {
		start := time.Now()
		r := run(t, opt(t, nil), script("import time\ntime.sleep(60)\n"), script("pass"))
		fails(t, r[0], "did not end within")
		passes(t, r[1])
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	})

	t.Run("what a job leaves running is ended, and is no failure", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pid")
		r := run(
			t,
			opt(t, nil),
			script(
				fmt.Sprintf(
					"import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\n    os._exit(0)\nopen(%q, "+
						"'w').write(str(pid))\n",
					file,
				),
			),
		)
		passes(t, r[0])
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		pid, err := strconv.Atoi(string(b))
		if err != nil {
			t.Fatal(err)
		}

		for range 100 {
			if gone(pid) {
				return
			}

			time.Sleep(20 * time.Millisecond)
		}

		t.Errorf("process %d still runs", pid)
	})

	t.Run("huge output ends as its last lines", func(t *testing.T) {
		r := run(
			t,
			opt(t, nil),
			script(
				"import sys\nfor i in range(200000):\n    sys.stderr.write('y' * 99 + '\\n')\nsys.stdout.write('z' * "+
					"20_000_000)\nraise SystemExit('the end')\n",
			),
		)
		fails(t, r[0], "the end")
		if len(r[0].Detail) > 100_000 {
			t.Errorf("the detail has %d bytes", len(r[0].Detail))
		}
	})

	t.Run("a crash is a failure", func(t *testing.T) {
		fails(t, run(t, opt(t, nil), script("import os\nos.abort()\n"))[0], "")
	})

	t.Run("it can be canceled", func(t *testing.T) {
		stop, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if _, err := open(
			t,
		).Probe(stop, opt(t, nil), []probe.Job{script("import time\ntime.sleep(60)\n")}, func() {}); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Fatalf("error %v, want context.DeadlineExceeded", err)
		}
	})
}

// gone reports whether a process is gone, or only waits to be collected.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}

	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}

func imports(t *testing.T, open func(t *testing.T) engine.Interpreter) {
	ctx := context.Background()
	mount := opt(t, map[string]string{
		"python/slow.py": "import time\ntime.sleep(0.05)\n",
		"python/loud.py": "import atexit\nprint('hello')\natexit.register(print, 'bye')\n",
		"python/bad.py":  "raise ValueError('at import')\n",
	})

	t.Run("the fastest round of all modules together", func(t *testing.T) {
		got, err := open(t).Import(ctx, mount, []string{"slow", "json"}, 2)
		if err != nil {
			t.Fatal(err)
		}

		if got.Seconds < 0.05 || got.Seconds > 2 || got.PeakBytes < 1<<20 || fmt.Sprint(got.Modules) != "[slow json]" {
			t.Errorf("got %+v", got)
		}
	})

	t.Run("what modules print does not matter", func(t *testing.T) {
		if _, err := open(t).Import(ctx, mount, []string{"loud"}, 1); err != nil {
			t.Error(err)
		}
	})

	t.Run("a module that fails is an error that says why", func(t *testing.T) {
		_, err := open(t).Import(ctx, mount, []string{"bad"}, 1)
		if err == nil || !strings.Contains(err.Error(), "at import") {
			t.Errorf("error %v", err)
		}
	})
}
