package localport

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
)

//go:embed world.py
var worldProgram string

// A world is what a probe job sees instead of this machine: see world.py.
type world struct {
	level string                      // argument of world.py: "new" or "plain"
	attr  func() *syscall.SysProcAttr // nil for child(true)
}

// opened is the world that an interpreter gets on this machine, and what of Lambda's it lacks.
type opened struct {
	world
	lacks string
}

// worlds are the worlds that were had, by the path of the interpreter.
var worlds sync.Map

// open finds the first world that this machine allows the interpreter.
func (p Python) open(ctx context.Context) (opened, error) {
	if w, ok := worlds.Load(p.Path); ok {
		return w.(opened), nil
	}

	var refused error
	for _, w := range possibleWorlds(p.Platform()) {
		dir, err := os.MkdirTemp(p.Temp, tempPrefix+"probe-")
		if err != nil {
			return opened{}, ours("make a folder in", p.Temp, hintCache, err)
		}

		z, err := p.start(ctx, opened{world: w}, dir, dir, nil)
		if err == nil {
			z.close()
		}

		os.RemoveAll(dir)
		if ctx.Err() != nil {
			return opened{}, ctx.Err()
		}

		if err != nil && w.level != plainWorld {
			refused = err
			continue
		}

		if err != nil {
			return opened{}, err
		}

		got := opened{w, z.lacks}
		if w.level == plainWorld {
			got.lacks = "no namespaces: jobs run as this user, /opt is another folder, other folders can be written, " +
				"the network can be reached"
			if refused != nil {
				got.lacks += " (" + lastLines(refused.Error(), 1) + ")"
			}
		}

		worlds.Store(p.Path, got)
		return got, nil
	}

	return opened{}, errors.New("no world")
}

const plainWorld = "plain"

// Platform is the machine's of the interpreter: "Linux-x86_64".
func (p Python) Platform() string { return p.platform }

// World says what of Lambda's world the probe cannot have on this machine; "" when it has all.
func (p Python) World(ctx context.Context) (string, error) {
	w, err := p.open(ctx)
	return w.lacks, err
}

// zygote is an interpreter that has imported nothing, and forks itself for each job.
type zygote struct {
	cmd      *exec.Cmd
	world    opened
	base     string // its folder, with tmp/ and task/
	mount    string
	requests *os.File
	answers  *bufio.Reader
	pipe     *os.File
	out, err *os.File // what jobs write
	lacks    string
	job      atomic.Int64 // number of the process that runs, 0 for none
}

// start starts a zygote on a mounted stack. hide are files of this machine that it shall not see.
func (p Python) start(ctx context.Context, w opened, base, mount string, hide []string) (*zygote, error) {
	z := &zygote{world: w, base: base, mount: mount}
	fail := func(err error) (*zygote, error) {
		z.close()
		return nil, err
	}
	err := z.folders()

	var requests, answers *os.File
	if err == nil {
		requests, z.requests, err = os.Pipe()
	}

	if err == nil {
		defer requests.Close()
		z.pipe, answers, err = os.Pipe()
	}

	if err != nil {
		return fail(ours("make a folder in", base, hintCache, err))
	}

	z.answers = bufio.NewReader(z.pipe)
	z.cmd = exec.Command(p.Path, "-S", "-B", "-c", worldProgram, w.level, base, mount, strings.Join(hide, ":"),
		probe.Runner(), "serve")
	z.cmd.Dir = base
	z.cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	z.cmd.Stdout, z.cmd.Stderr = z.out, z.err
	z.cmd.ExtraFiles = []*os.File{requests, answers}
	z.cmd.SysProcAttr = child(true)
	if w.attr != nil {
		z.cmd.SysProcAttr = w.attr()
	}

	err = z.cmd.Start()
	answers.Close()
	if err != nil {
		z.cmd = nil
		return fail(fault.New(fault.ToolMissing, "run", p.Path, err))
	}

	hello := z.watch(ctx)
	line, err := z.answers.ReadString('\n')
	if err == nil {
		_, err = z.answers.ReadString('\n') // the interpreter that runs the jobs is ready
	}

	hello()
	if ctx.Err() != nil {
		return fail(ctx.Err())
	}

	lacks, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "world ")
	if err != nil || !ok {
		said := cmp.Or(lastLines(z.text(z.err), 1), "it ended without an answer")
		return fail(fault.New(fault.ToolMissing, "run the probe with", p.Path, errors.New(said)).WithHint(otherPython))
	}

	z.lacks = lacks
	return z, nil
}

// folders makes what the zygote and its jobs write to.
func (z *zygote) folders() error {
	for _, name := range []string{"root", "tmp", "task"} {
		if err := os.Mkdir(filepath.Join(z.base, name), 0o755); err != nil {
			return err
		}
	}

	err := os.Chmod(filepath.Join(z.base, "tmp"), 0o777)
	for _, f := range []struct {
		file **os.File
		name string
	}{{&z.out, "stdout"}, {&z.err, "stderr"}} {
		if err == nil {
			*f.file, err = os.OpenFile(filepath.Join(z.base, f.name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
		}
	}

	return err
}

// watch ends the zygote and its job when ctx ends before the returned function is called.
func (z *zygote) watch(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() {
		z.kill()
		z.pipe.SetReadDeadline(time.Now())
	})
}

func (z *zygote) kill() {
	syscall.Kill(-z.cmd.Process.Pid, syscall.SIGKILL)
	if job := z.job.Load(); job > 0 {
		syscall.Kill(-int(job), syscall.SIGKILL)
	}
}

func (z *zygote) close() {
	if z.cmd != nil {
		z.kill()
	}

	for _, f := range []*os.File{z.requests, z.pipe, z.out, z.err} {
		if f != nil {
			f.Close()
		}
	}

	if z.cmd != nil {
		z.cmd.Wait()
	}
}

// answer is what a zygote says about one job.
type answer struct {
	status  syscall.WaitStatus
	late    bool
	seconds float64
	peak    int64
	out     string // the last part of what it wrote
	err     string
	mapped  []string // files that it had mapped as code
	passed  map[int]bool
	failed  map[int]string
	job     int // number of the process
}

// run runs one job. The kind "group" imports several modules.
func (z *zygote) run(ctx context.Context, limit time.Duration, job []string) (answer, error) {
	a := answer{passed: map[int]bool{}, failed: map[int]string{}}
	for _, f := range []*os.File{z.out, z.err} {
		if err := f.Truncate(0); err != nil {
			return a, ours("write", f.Name(), hintCache, err)
		}
	}

	line := fmt.Sprintf("%f\x00%s\n", limit.Seconds(), strings.Join(job, "\x00"))
	if _, err := io.WriteString(z.requests, line); err != nil {
		return a, z.broken(ctx, err)
	}

	stop := z.watch(ctx)
	defer stop()
	for {
		line, err := z.answers.ReadString('\n')
		if err != nil {
			return a, z.broken(ctx, err)
		}

		last := a.add(strings.TrimSuffix(line, "\n"))
		z.job.Store(int64(a.job))
		if last {
			break
		}
	}

	z.job.Store(0)

	a.out, a.err = z.text(z.out), z.text(z.err)
	return a, z.clean()
}

// add reads one line of an answer; true for the last one.
func (a *answer) add(line string) bool {
	what, rest, _ := strings.Cut(line, " ")
	first, more, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(first)
	switch what {
	case "pid":
		a.job = n
	case "+":
		a.passed[n] = true
	case "-":
		a.failed[n] = more
	case "lib":
		a.mapped = append(a.mapped, rest)
	case "end":
		var status, kib, late int64
		fmt.Sscan(rest, &status, &kib, &a.seconds, &late)
		a.status = syscall.WaitStatus(status)
		a.peak = kib * peakUnit
		a.late = late != 0
		return true
	}

	return false
}

func (z *zygote) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}

	return fault.New(fault.ToolMissing, "run the probe with", z.cmd.Path,
		fmt.Errorf("%w: %s", err, lastLines(z.text(z.err), 1))).WithHint(otherPython)
}

// text is the last part of what a job wrote.
func (z *zygote) text(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}

	b := make([]byte, min(size, maxOutputBytes))
	n, _ := f.ReadAt(b, size-int64(len(b)))
	return string(b[:n])
}

// clean empties /tmp for the next job.
func (z *zygote) clean() error {
	tmp := filepath.Join(z.base, "tmp")
	entries, err := os.ReadDir(tmp)
	for _, e := range entries {
		if err == nil {
			err = removeAll(filepath.Join(tmp, e.Name()))
		}
	}

	if err != nil {
		return ours("clean", tmp, hintCache, err)
	}

	return nil
}

// removeAll also removes folders that a job made read-only.
func removeAll(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}

	filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o700)
		}

		return nil
	})
	return os.RemoveAll(path)
}

// detail is why a job failed; "" when it passed. Paths are as on Lambda.
func (z *zygote) detail(a answer, limit time.Duration) string {
	var detail string
	switch {
	case a.late:
		detail = fmt.Sprintf("did not end within %v", limit)
	case a.status.Exited() && a.status.ExitStatus() == 0:
		return ""
	default:
		detail = strings.TrimSpace(lastLines(a.err, 12))
	}

	if detail == "" {
		detail = howEnded(a.status)
	}

	return strings.NewReplacer(z.mount, "/opt", filepath.Join(z.base, "tmp"), "/tmp",
		filepath.Join(z.base, "task"), "/var/task").Replace(detail)
}

// howEnded words the end of a process as os/exec does.
func howEnded(s syscall.WaitStatus) string {
	if s.Signaled() {
		text := "signal: " + s.Signal().String()
		if s.CoreDump() {
			text += " (core dumped)"
		}

		return text
	}

	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// workers is how many zygotes run side by side.
func workers(units int) int { return max(1, min(runtime.GOMAXPROCS(0), units)) }
