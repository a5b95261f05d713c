package localport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// Python is an interpreter on this machine.
type Python struct {
	Path     string
	Temp     string        // the folder for temporary files of probes
	Timeout  time.Duration // of one job; 0 for probeTimeout and compileTimeout
	identity string        // see Identity
	platform string        // "Linux-aarch64"; under emulation not the machine's own
}

var _ engine.Interpreter = Python{}

// Runs says whether the interpreter can load extension modules of the target's platform. Bytecode
// is the same for all architectures.
func (p Python) Runs(t pydist.Target) bool {
	return p.platform == map[string]string{"x86_64": "Linux-x86_64", "arm64": "Linux-aarch64"}[t.Arch()]
}

// Identity names implementation and version, for example "cpython-3.13.5".
func (p Python) Identity() string { return p.identity }

// probeTimeout is for one job. A cold start of a large layer may take 10 s.
const probeTimeout = 120 * time.Second

// Probe runs jobs, as many at a time as there are processors.
func (p Python) Probe(ctx context.Context, mount string, jobs []probe.Job, done func()) ([]probe.Result, error) {
	results := make([]probe.Result, len(jobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, j := range jobs {
		g.Go(func() (err error) {
			defer done()
			results[i], err = p.probe(ctx, mount, j)
			return err
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	return results, nil
}

// probe runs one job in a folder of its own.
func (p Python) probe(ctx context.Context, mount string, j probe.Job) (probe.Result, error) {
	dir, err := os.MkdirTemp(p.Temp, tempPrefix+"probe-")
	if err != nil {
		return probe.Result{}, ours("make a folder in", p.Temp, hintCache, err)
	}
	defer os.RemoveAll(dir)

	args := []string{string(j.Kind), j.Name}
	if j.Kind == probe.Script {
		file := filepath.Join(dir, "script.py")
		if err := os.WriteFile(file, []byte(j.Source), 0o644); err != nil {
			return probe.Result{}, ours("write", file, hintCache, err)
		}

		args[1] = file
	}

	_, r, err := p.run(ctx, mount, dir, args)
	if err != nil {
		return probe.Result{}, err
	}

	r.Job = j
	r.Detail = strings.NewReplacer(mount, "/opt", dir, "/tmp").Replace(r.Detail)
	return r, nil
}

// Import measures the import of all modules together: the fastest of some rounds, each in a new
// process, and the highest memory.
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

// searchPath is PYTHONPATH: the folders of layers in the order of Lambda's sys.path, and the mount
// itself for a function's own package.
func (p Python) searchPath(mount string) string {
	_, full, _ := strings.Cut(p.identity, "-")
	version := full[:max(0, strings.LastIndexByte(full, '.'))]
	layer := filepath.Join(mount, "python")
	return strings.Join([]string{filepath.Join(layer, "lib", "python"+version, "site-packages"), layer, mount},
		string(os.PathListSeparator))
}

// run runs the probe's runner on a mounted stack. Python sees the stack and its own standard
// library, no site folder and no variable of the user. The process and everything that it starts
// end with it, or after the timeout. An error means that it could not be started, or that ctx
// ended.
func (p Python) run(ctx context.Context, mount, dir string, args []string) (stdout string, r probe.Result, err error) {
	timeout := cmp.Or(p.Timeout, probeTimeout)
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var out, diagnostics limited
	cmd := exec.CommandContext(limit, p.Path, append([]string{"-S", "-B", "-c", probe.Runner()}, args...)...)
	cmd.Dir = dir
	cmd.Env = p.environment(mount, dir)
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = child(true)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	start := time.Now()
	err = cmd.Run()
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // processes that it left running
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
	case errors.Is(err, exec.ErrWaitDelay): // it ended with 0, but a process that it started held its output
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

func (p Python) environment(mount, dir string) []string {
	return []string{
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
}
