package faults

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// moment is a point at which a build can be held and stopped.
type moment struct {
	title string
	// hold makes the build wait there. The function that it returns reports whether it is there.
	hold    func(w *world) (reached func() bool)
	release func(w *world) // takes away what held it
	keeps   []string       // what may stay in the cache
}

// ready is made by scripts that hold a build.
func (w *world) ready() bool {
	_, err := os.Stat(w.path("home/ready"))
	return err == nil
}

// hang is a script that makes the file of ready and then sleeps for ten minutes. Its command line
// has the world's folder.
func (w *world) hang() string {
	sleep := thisMachine().python + " -c 'import time; time.sleep(600)' " + w.dir
	return ": > " + w.path("home/ready") + "; exec " + sleep
}

func (w *world) there(pattern string) func() bool {
	return func() bool {
		found, err := fs.Glob(os.DirFS(w.dir), pattern)
		return err == nil && len(found) > 0
	}
}

var moments = []moment{
	{title: "lock",
		hold: func(w *world) func() bool {
			w.program("uv", answers+w.hang())
			return w.ready
		},
		release: func(w *world) { w.link("uv", thisMachine().uv) }},
	{title: "fetch",
		hold: func(w *world) func() bool {
			x := w.serve()
			w.must("lock")
			begun := make(chan bool)
			x.set(&x.files, func(out http.ResponseWriter, r *http.Request, body []byte) {
				out.Header().Set("Content-Length", "1000000")
				_, _ = out.Write(body[:100])
				out.(http.Flusher).Flush()
				select {
				case begun <- true:
				case <-r.Context().Done():
				}

				<-r.Context().Done()
			})
			w.Cleanup(func() { x.files.Store(nil) })
			w.released = func() { x.files.Store(nil) }
			return func() bool {
				select {
				case <-begun:
					return true
				default:
					return false
				}
			}
		},
		release: func(w *world) { w.released() },
		keeps:   []string{"cache/wheels/*/*.partial"}},
	{title: "compile",
		hold: func(w *world) func() bool {
			w.must("lock")
			w.interpreter("Compiles sources", w.hang())
			return w.ready
		},
		release: func(w *world) { w.link(w.python(), thisMachine().python) }},
	{title: "probe",
		hold: func(w *world) func() bool {
			w.must("lock")
			w.interpreter("Runs one probe job", w.hang())
			return w.ready
		},
		release: func(w *world) { w.link(w.python(), thisMachine().python) }},
	{title: "write",
		hold: func(w *world) func() bool { // nothing holds it: a zip of 64 MB takes its time
			w.must("lock")
			return w.there("dist/.tmp-*")
		},
		release: func(*world) {}},
}

func (w *world) link(name, to string) {
	w.Helper()
	w.remove("bin/" + name)
	if err := os.Symlink(to, w.path("bin/"+name)); err != nil {
		w.Fatal(err)
	}
}

// bulky is a file that cannot be compressed, for a zip that takes time to write.
func bulky() entry {
	b := make([]byte, 64<<20)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}

	return stored("beta/bulk.bin", string(b))
}

// TestStopped stops a second build in each of its stages. The output of the first one must be
// unchanged. The next build must succeed, with the bytes of a build that was not stopped.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, s := range moments {
		for name, sig := range map[string]syscall.Signal{
			"SIGINT":  syscall.SIGINT,
			"SIGTERM": syscall.SIGTERM,
			"SIGKILL": syscall.SIGKILL,
		} {
			t.Run(s.title+" "+name, func(t *testing.T) {
				w := built(t)
				if s.title == "write" {
					w.wheel("beta", "1.0", nil, bulky())
				} else {
					w.wheel("beta", "1.0", nil)
				}

				requires("alpha", "beta==1.0")(w)
				reached := s.hold(w)
				w.remove("home/ready")
				before := w.all()
				c, out, problems := w.command("build")
				c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}

				ended := make(chan error, 1)
				go func() { ended <- c.Wait() }()
				w.wait(reached, ended, out, problems)
				if err := c.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}

				select {
				case <-ended:
				case <-time.After(time.Minute):
					_ = c.Process.Kill()
					t.Fatal("it did not end within a minute")
				}

				w.remove("home/ready")
				if sig == syscall.SIGKILL {
					w.nothingRuns()
					w.unharmedByKill(before)
				} else {
					if c.ProcessState.ExitCode() != 130 ||
						!strings.HasSuffix(problems.String(), "interrupted: no file was left half-written\n") {
						t.Errorf("exit code %d, stderr %q", c.ProcessState.ExitCode(), problems)
					}

					w.unharmed(before, s.keeps...)
				}

				s.release(w)
				w.must("build")
				w.must("check")
				w.asFresh()
			})
		}
	}
}

// nothingRuns waits until no process of the world runs.
func (w *world) nothingRuns() {
	w.Helper()
	end := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); running(w.T, w.dir) > 0; <-tick.C {
		if time.Now().After(end) {
			w.Fatalf("%d processes still run", running(w.T, w.dir))
		}
	}
}

// wait waits until a build has reached a point.
func (w *world) wait(reached func() bool, ended <-chan error, out, problems *bytes.Buffer) {
	w.Helper()
	late := time.After(2 * time.Minute)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if reached() {
			return
		}

		select {
		case err := <-ended:
			w.Fatalf("it ended before it got there: %v\n%s%s", err, out, problems)
		case <-late:
			w.Fatal("it did not get there within two minutes")
		default:
		}
	}
}

// unharmedByKill compares all files but temporary ones, which a killed process leaves behind.
func (w *world) unharmedByKill(before map[string]string) {
	w.Helper()
	now := w.snapshot("layers", "dist", "index")
	for name, what := range before {
		if folder, _, _ := strings.Cut(name, "/"); folder != "layers" && folder != "dist" && folder != "index" {
			continue
		}

		if now[name] != what {
			w.Errorf("%s was %s, is %s", name, what, now[name])
		}

		delete(now, name)
	}

	for name := range now {
		if !strings.HasPrefix(filepath.Base(name), ".tmp-") && name != w.lockName() {
			w.Errorf("%s was left", name)
		}
	}
}

// asFresh compares the output with that of the same workspace, built without any cache.
func (w *world) asFresh() {
	w.Helper()
	have := sumOf(w, w.zipName())
	w.remove("dist")
	w.remove("cache")
	w.must("build")
	if fresh := sumOf(w, w.zipName()); fresh != have {
		w.Errorf("the zip has digest %s, built from nothing %s", have, fresh)
	}
}

// A build that is killed harms nothing. Random moments include those at which no script can hold it.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	w := built(t)
	w.wheel("beta", "1.0", nil)
	requires("alpha", "beta==1.0")(w)
	w.must("lock")
	start := time.Now()
	w.must("build", "--clean", "--output", "elsewhere")
	whole := time.Since(start)
	w.remove("elsewhere")
	const times = 20
	for n := range times {
		w.remove("cache/packs")
		before := w.all()
		c, _, _ := w.command("build", "--clean")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}

		timer := time.AfterFunc(whole*time.Duration(n)/times, func() { _ = c.Process.Kill() })
		err := c.Wait()
		timer.Stop()
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		var exit *exec.ExitError
		switch {
		case err == nil: // it was quicker this time
		case errors.As(err, &exit) && exit.ExitCode() == -1:
			for name, what := range w.snapshot("dist") {
				if before[name] != what && !strings.HasPrefix(filepath.Base(name), ".tmp-") && !w.whole(name) {
					t.Errorf("killed after %d/%d: %s is %s", n, times, name, what)
				}
			}
		default:
			t.Errorf("killed after %d/%d: %v", n, times, err)
		}
	}

	w.must("build")
	w.must("check")
	w.asFresh()
}

// whole reports whether an output is a complete file: a zip that can be read, a document that ends.
func (w *world) whole(name string) bool {
	w.Helper()
	switch filepath.Ext(name) {
	case ".zip":
		return len(inZip(w.T, w.path(name))) > 0
	case ".json":
		return strings.HasSuffix(w.read(name), "}\n")
	}

	return name == "dist"
}

// Four builds at once, without a cache, with one store and one output folder.
func TestBuildsAtOnce(t *testing.T) {
	t.Parallel()
	w := empty(t)
	x := w.serve()
	w.wheel("beta", "1.0", nil)
	requires("alpha", "beta==1.0")(w)
	w.must("lock")
	x.asked.Store(0)
	var all []*exec.Cmd
	var said []*bytes.Buffer
	for range 4 {
		c, _, problems := w.command("build")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}

		all = append(all, c)
		said = append(said, problems)
	}

	for i, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("build %d: %v\n%s", i, err, said[i])
		}
	}

	if r := w.must("build"); !strings.Contains(r.stdout, "nothing changed") {
		t.Errorf("the next build: %s", r.stdout)
	}

	w.must("check")
	for name := range w.snapshot("dist", "cache", "tmp") {
		if strings.Contains(name, ".tmp-") || strings.HasSuffix(name, ".partial") {
			t.Errorf("%s was left", name)
		}
	}

	if w.snapshot("tmp")["tmp"] == "" || len(w.snapshot("tmp")) != 1 {
		t.Errorf("temporary files: %v", w.snapshot("tmp"))
	}

	w.asFresh()
}

// A probe that leaves processes running is not waited for, and they are ended with it.
func TestProbeThatForks(t *testing.T) {
	t.Parallel()
	w := built(t)
	probe("import subprocess, sys\n" +
		"for n in range(20): subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', '" + w.dir + "'])",
	)(w)
	before := w.all()
	r := w.must("build")
	if !strings.Contains(r.stdout, "1 scripts") && !strings.Contains(r.stdout, "1 script") {
		t.Errorf("stdout: %s", r.stdout)
	}

	fault{writes: true}.wrote(w, before)
	w.nothingRuns()
}

// running counts processes whose command line has a word.
func running(t *testing.T, word string) (n int) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(found) == 0 {
		notRun(t, "there is no /proc to count processes in", err)
	}

	for _, f := range found {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(word)) {
			n++
		}
	}

	return n
}
