package localport

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
)

//go:embed compile.py
var compileScript string

// Python is an interpreter on this machine.
type Python struct {
	Path     string
	identity string
	platform string        // "Linux-aarch64": what it runs, which is another than the machine's where it is emulated
	Temp     string        // folder for what probes write
	Timeout  time.Duration // of one job; 0 for probeTimeout
}

var _ engine.Interpreter = Python{}

// identityScript prints what an interpreter is: what bytecode depends on, and what compiled code it
// can load.
const identityScript = `import os, sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2], sys.version.split()[0], "%s-%s" % (os.uname().sysname, os.uname().machine) if hasattr(os, "uname") else sys.platform)`

// Runs says whether it can load what is built for the target. Bytecode does not ask for that: it is
// the same on all processors.
func (p Python) Runs(t pydist.Target) bool {
	return p.platform == map[string]string{"x86_64": "Linux-x86_64", "arm64": "Linux-aarch64"}[t.Arch()]
}

// FindPython finds the target's interpreter: the one that is named (a path or a command), else on
// PATH, then in the folders of pyenv and uv, then in extra folders; the first that runs the
// target's code, else the first of its version. The error says where it looked; without a named one
// it is a *NoPython.
func FindPython(ctx context.Context, t pydist.Target, named, cacheDir string, extra ...string) (Python, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err == nil {
			path, err = filepath.Abs(path) // it is run in other folders
		}

		if err != nil {
			return Python{}, fault.New(fault.BadInput, "find", named, err).
				WithHint("give --python the path of a " + t.Runtime())
		}

		id, err := identify(ctx, path, cacheDir)
		if err != nil {
			return Python{}, fault.New(fault.BadInput, "run", named, err).
				WithHint("give --python the path of a " + t.Runtime())
		}

		if !id.is(t) {
			return Python{}, fault.New(fault.BadInput, "run", named,
				fmt.Errorf("it is %s %s, the target needs %s", id.Implementation, id.Full, t.PythonVersion())).
				WithHint("give --python the path of a " + t.Runtime())
		}

		return Python{Path: path, identity: id.String(), platform: id.Platform}, nil
	}

	home, _ := os.UserHomeDir()
	command := "python" + t.PythonVersion()
	var candidates []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		candidates = append(candidates, filepath.Join(dir, command))
	}

	for _, dir := range append([]string{
		filepath.Join(home, ".pyenv", "versions"),
		os.Getenv("UV_PYTHON_INSTALL_DIR"),
		filepath.Join(home, ".local", "share", "uv", "python"),
	}, extra...) {
		if dir == "" {
			continue
		}

		for _, pattern := range []string{"*", "."} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern, "bin", command))
			sort.Sort(sort.Reverse(sort.StringSlice(found)))
			candidates = append(candidates, found...)
		}
	}

	// Programs before scripts: pyenv's shims are scripts that take long to say that they have no
	// such version.
	sort.SliceStable(candidates, func(i, j int) bool { return !isScript(candidates[i]) && isScript(candidates[j]) })
	var second Python // of the version, for another processor
	for _, path := range candidates {
		if second.Path != "" && filepath.Base(filepath.Dir(path)) == "shims" {
			continue // pyenv's: slow to ask, and what they lead to was asked already
		}

		if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}

		id, err := identify(ctx, path, cacheDir)
		if err == nil && id.is(t) {
			p := Python{Path: path, identity: id.String(), platform: id.Platform}
			if p.Runs(t) {
				return p, nil
			}

			if second.Path == "" {
				second = p
			}
		}

		if ctx.Err() != nil {
			return Python{}, ctx.Err()
		}
	}

	if second.Path != "" {
		return second, nil
	}

	return Python{}, &NoPython{t}
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err != nil || string(head[:]) == "#!"
}

// NoPython says that the machine has no interpreter for the target.
type NoPython struct{ Target pydist.Target }

func (e *NoPython) Error() string {
	return fmt.Sprintf("there is no %s on PATH or below pyenv's and uv's folders", e.Target.Runtime())
}

type pythonID struct {
	Implementation, Version, Full, Platform string
	Modified, Size                          int64
}

func (p pythonID) String() string { return p.Implementation + "-" + p.Full }

func (p pythonID) is(t pydist.Target) bool {
	return p.Implementation == "cpython" && p.Version == t.PythonVersion()
}

// identify asks an interpreter what it is, once for each file: starting one takes as long as a
// whole build with nothing to do.
func identify(ctx context.Context, path, cacheDir string) (pythonID, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return pythonID{}, err
	}

	info, err := os.Stat(real)
	if err != nil {
		return pythonID{}, err
	}

	file := filepath.Join(cacheDir, "interpreters.json")
	known := map[string]pythonID{}
	if b, err := readLimited(file, 1<<20); err == nil {
		json.Unmarshal(b, &known) // what cannot be read is asked again
	}

	if id, ok := known[path]; ok && id.Platform != "" && id.Modified == info.ModTime().UnixNano() &&
		id.Size == info.Size() {
		return id, nil
	}

	out, err := ask(ctx, path, "-I", "-S", "-c", identityScript)
	fields := strings.Fields(string(out))
	if err != nil && len(out) <= maxAnswerBytes {
		return pythonID{}, err
	}

	if len(fields) != 4 || len(out) > maxAnswerBytes {
		return pythonID{}, fmt.Errorf("it answered %.80q, not as a Python does", out)
	}

	id := pythonID{fields[0], fields[1], fields[2], fields[3], info.ModTime().UnixNano(), info.Size()}
	known[path] = id
	if b, err := json.Marshal(known); err == nil && os.MkdirAll(cacheDir, 0o755) == nil {
		WriteFile(file, func(w io.Writer) error { _, err := w.Write(b); return err }) // only saves time
	}

	return id, nil
}

// What a program may take to say who it is. Starting a Python from a slow disk takes seconds.
const (
	answerTimeout  = 20 * time.Second
	maxAnswerBytes = 200
)

var errNoAnswer = fmt.Errorf("it did not answer within %v", answerTimeout)

// ask runs a program that has to say one line and end, and reads no more of what it says than tells
// that it is the wrong one.
func ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, program, args...)
	cmd.SysProcAttr = child(false)
	var out head
	var diagnostics limited
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && limit.Err() != nil:
		err = errNoAnswer
	case err != nil && diagnostics.String() != "":
		err = fmt.Errorf("%w: %s", err, lastLines(diagnostics.String(), 1))
	}

	return out.b, err
}

// head keeps the first part of what is written to it, and takes no more: whoever goes on writing
// gets a broken pipe.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p...)
	if len(h.b) > maxAnswerBytes {
		return 0, errTooMuch
	}

	return len(p), nil
}

var errTooMuch = errors.New("it says too much")

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Identity names implementation and version.
func (p Python) Identity() string { return p.identity }

// maxFrameBytes bounds one answer of the compiler.
const maxFrameBytes = 256 << 20

// compileSilence is how long the compiler may take for one source; the longest that we know of take
// seconds.
const compileSilence = 5 * time.Minute

// Compile runs one process for all sources of the job.
func (p Python) Compile(ctx context.Context, job engine.CompileJob) error {
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := cmp.Or(p.Timeout, compileSilence)
	silent := time.AfterFunc(patience, func() { cancel(fmt.Errorf("no answer for %v", patience)) })
	defer silent.Stop()
	cmd := exec.CommandContext(ctx, p.Path, "-s", "-S", "-c", compileScript, job.Root, strconv.Itoa(job.Optimize))
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = child(true) // it may be a script that starts the interpreter, and both hold the pipes
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = []string{
		"PYTHONHASHSEED=0",
		"LANG=C.UTF-8",
	} // before 3.11 sets in bytecode are in the order of hashes; -I would ignore the seed
	var stderr limited
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}

	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}

	if err := cmd.Start(); err != nil {
		return fault.New(fault.ToolMissing, "run", p.Path, err)
	}

	g := new(errgroup.Group)
	g.Go(func() error {
		defer in.Close()
		w := bufio.NewWriterSize(in, 1<<16)
		for _, e := range job.Sources {
			src, err := e.Bytes(maxFrameBytes)
			if err != nil {
				cancel(err)
				return &sourceError{damaged("compile", e, err)}
			}

			for _, field := range [][]byte{[]byte(e.Name), src} {
				if err := binary.Write(w, binary.LittleEndian, uint32(len(field))); err != nil {
					return err
				}

				if _, err := w.Write(field); err != nil {
					return err
				}
			}
		}

		return w.Flush()
	})
	answers := 0
	readErr := func() error {
		r := bufio.NewReaderSize(out, 1<<16)
		for {
			var failed uint32
			if err := binary.Read(r, binary.LittleEndian, &failed); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}

			name, err := readFrame(r)
			if err != nil {
				return err
			}

			data, err := readFrame(r)
			if err != nil {
				return err
			}

			answers++
			silent.Reset(patience)
			if failed != 0 {
				job.Failed(string(name), string(data))
			} else if err := job.Emit(string(name), data); err != nil {
				return emitError{err}
			}
		}
	}()
	if readErr != nil {
		cancel(readErr)
	}

	writeErr := g.Wait()
	waitErr := cmd.Wait()
	var source *sourceError
	var emit emitError
	switch cause := context.Cause(ctx); {
	case caller.Err() != nil:
		return caller.Err()
	case errors.As(readErr, &emit):
		return emit.error
	case errors.As(writeErr, &source): // before what it says about its input's early end
		return source.error
	case cause != nil: // what we ended it for, not what it said when it was ended
		return p.broken(cause, "")
	case waitErr != nil:
		return p.broken(waitErr, lastLines(stderr.String(), 1))
	case answers != len(job.Sources):
		return p.broken(fmt.Errorf("%d answers for %d sources", answers, len(job.Sources)),
			lastLines(stderr.String(), 1))
	case writeErr != nil:
		return p.broken(writeErr, lastLines(stderr.String(), 1))
	}

	return nil
}

// sourceError and emitError are of who called the compiler, not of the compiler.
type sourceError struct{ error }
type emitError struct{ error }

const otherPython = "install that Python again, or name another with --python"

// broken is an interpreter that does not do what an interpreter does.
func (p Python) broken(err error, words string) error {
	if words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}

	return fault.New(fault.ToolMissing, "compile with", p.Path, err).WithHint(otherPython)
}

func readFrame(r io.Reader) ([]byte, error) {
	var n uint32
	if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
		return nil, io.ErrUnexpectedEOF
	}

	if n > maxFrameBytes {
		return nil, fmt.Errorf("an answer of %d bytes, limit %d", n, maxFrameBytes)
	}

	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// limited keeps the last part of what is written to it.
type limited struct{ b []byte }

const maxOutputBytes = 64 << 10

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*maxOutputBytes {
		l.b = append(l.b[:0], l.b[len(l.b)-maxOutputBytes:]...)
	}

	return len(p), nil
}

func (l *limited) String() string { return string(l.b) }

// probeTimeout ends one job; a cold start may take 10 s, a functional script is far below.
const probeTimeout = 120 * time.Second

// Probe runs jobs, as many at a time as there are processors.
func (p Python) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	results := make([]probe.Result, len(jobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, j := range jobs {
		g.Go(func() error {
			defer done()
			dir, err := os.MkdirTemp(p.Temp, tempPrefix+"probe-")
			if err != nil {
				return ours("make a folder in", p.Temp, hintCache, err)
			}
			defer os.RemoveAll(dir)
			args := []string{string(j.Kind), j.Name}
			if j.Kind == probe.Script {
				file := filepath.Join(dir, "script.py")
				if err := os.WriteFile(file, []byte(j.Source), 0o644); err != nil {
					return ours("write", file, hintCache, err)
				}

				args[1] = file
			}

			_, r, err := p.run(ctx, mount, dir, args)
			if err != nil {
				return err
			}

			r.Job = j
			r.Detail = strings.ReplaceAll(strings.ReplaceAll(r.Detail, mount, "/opt"), dir, "/tmp")
			results[i] = r
			return nil
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	return results, nil
}

// Import times imports, one fresh process at a time.
func (p Python) Import(ctx context.Context, mount string, modules []string, rounds int) (probe.ImportTime, error) {
	best := probe.ImportTime{Modules: modules}
	dir, err := os.MkdirTemp(p.Temp, tempPrefix+"probe-")
	if err != nil {
		return best, ours("make a folder in", p.Temp, hintCache, err)
	}
	defer os.RemoveAll(dir)
	for n := range rounds {
		out, r, err := p.run(ctx, mount, dir, append([]string{"import"}, modules...))
		if err != nil {
			return best, err
		}

		if !r.OK {
			return best, fault.New(fault.ProbeFailed, "import", strings.Join(modules, ", "),
				errors.New(lastLines(r.Detail, 1))).
				WithHint("name modules that can be imported together as imports in layer.yaml")
		}

		seconds, err := strconv.ParseFloat(lastLines(out, 1), 64)
		if err != nil {
			return best, fault.New(fault.ToolMissing, "time imports with", p.Path,
				fmt.Errorf("its last line is %.80q", lastLines(out, 1))).
				WithHint(otherPython)
		}

		if n == 0 || seconds < best.Seconds {
			best.Seconds = seconds
		}

		best.PeakBytes = max(best.PeakBytes, r.PeakBytes)
	}

	return best, nil
}

// searchPath is what Lambda puts on sys.path for layers, in its order, and the mount itself for a
// function's own package.
func (p Python) searchPath(mount string) string {
	_, full, _ := strings.Cut(p.identity, "-")
	version := full[:max(0, strings.LastIndexByte(full, '.'))]
	layer := filepath.Join(mount, "python")
	return strings.Join([]string{filepath.Join(layer, "lib", "python"+version, "site-packages"), layer, mount},
		string(os.PathListSeparator))
}

// run runs the probe's runner against a mounted stack. Python sees the stack and its own library,
// no other site folder; no variable of the user's reaches it. The process and all that it starts
// end with it, or after probeTimeout.
func (p Python) run(ctx context.Context, mount, dir string, args []string) (stdout string, r probe.Result, err error) {
	timeout := cmp.Or(p.Timeout, probeTimeout)
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(limit, p.Path, append([]string{"-S", "-B", "-c", probe.Runner()}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/bin:/bin",
		"HOME=" + dir,
		"TMPDIR=" + dir,
		"LANG=C.UTF-8",
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHONSAFEPATH=1",
		"PYTHONPATH=" + p.searchPath(mount),
		"LD_LIBRARY_PATH=" + filepath.Join(mount, "lib"),
		"AWS_EC2_METADATA_DISABLED=true",
		"MPLCONFIGDIR=" + dir,
	}
	cmd.SysProcAttr = child(true)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	var out, diagnostics limited
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	start := time.Now()
	err = cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left running
	}

	r.Seconds = time.Since(start).Seconds()
	if ctx.Err() != nil {
		return "", r, ctx.Err()
	}

	if cmd.ProcessState == nil {
		return "", r, fault.New(fault.ToolMissing, "run", p.Path, err)
	}

	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.PeakBytes = usage.Maxrss * 1024
	}

	switch {
	case limit.Err() != nil && !errors.Is(err, exec.ErrWaitDelay):
		r.Detail = fmt.Sprintf("did not end within %v", timeout)
	case errors.Is(err, exec.ErrWaitDelay): // it ended well; what it left running held its output open
		r.OK = true
	case err != nil:
		r.Detail = strings.TrimSpace(lastLines(diagnostics.String(), 12))
		if r.Detail == "" {
			r.Detail = err.Error()
		}
	default:
		r.OK = true
	}

	return out.String(), r, nil
}
