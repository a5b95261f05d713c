package localport

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
)

// NoPython says that this machine has no interpreter for the target.
type NoPython struct{ Target pydist.Target }

func (e *NoPython) Error() string {
	return fmt.Sprintf("there is no %s on PATH or in the folders of pyenv and uv", e.Target.Runtime())
}

// PythonSearch is a search for an interpreter.
type PythonSearch struct {
	Target  pydist.Target
	Named   string   // a path or a command: it is that one, or an error
	Release string   // the full version to prefer, such as 3.13.0; "" for the first that is found
	Cache   string   // where answers of interpreters are kept, and where Install puts one
	Extra   []string // further folders of interpreters
}

// Find returns an interpreter of the target's version.
//
// Without a name it is the first on PATH, in the folders of pyenv and uv, in the cache and in extra
// folders that runs the target's code: one of the preferred release, else any. Else it is the first
// that only compiles for the target, else the error is a *NoPython.
func (s PythonSearch) Find(ctx context.Context) (Python, error) {
	if s.Named != "" {
		p, err := namedPython(ctx, s.Target, s.Named, s.Cache)
		if err != nil {
			return Python{}, err.WithHint("give --python the path of a " + s.Target.Runtime())
		}

		return p, nil
	}

	var runs, compiles Python // the first of each
	for _, path := range pythonCandidates(s.Target, append(s.Extra, s.installed())) {
		isShim := filepath.Base(filepath.Dir(path)) == "shims"
		if isShim && (compiles.Path != "" || runs.Path != "") {
			continue // slow to ask, and the interpreter that it starts was asked already
		}

		if !isExecutable(path) {
			continue
		}

		id, err := identify(ctx, path, s.Cache)
		if ctx.Err() != nil {
			return Python{}, ctx.Err()
		}

		if err != nil || !id.is(s.Target) {
			continue
		}

		p := id.python(path)
		switch {
		case !p.Runs(s.Target):
			compiles = cmp.Or(compiles, p)
		case s.Release == "" || s.Release == id.Full:
			return p, nil
		default:
			runs = cmp.Or(runs, p)
		}
	}

	if p := cmp.Or(runs, compiles); p.Path != "" {
		return p, nil
	}

	return Python{}, &NoPython{s.Target}
}

// installed is the folder that Install puts interpreters into.
func (s PythonSearch) installed() string { return filepath.Join(s.Cache, "python") }

// installTimeout is for one installation: a download of 30 MB.
const installTimeout = 5 * time.Minute

// Install lets uv install an interpreter into the cache: of the preferred release, else the newest
// of the target's version. The error says why there is none.
func (s PythonSearch) Install(ctx context.Context, u UV) error {
	program, err := u.program(ctx)
	if err != nil {
		return err
	}

	limit, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()

	var diagnostics limited
	cmd := exec.CommandContext(limit, program, "python", "install", "--no-bin", "--quiet",
		"--install-dir", s.installed(), cmp.Or(s.Release, s.Target.PythonVersion()))
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "UV_NO_PROGRESS=1")
	cmd.Stderr = &diagnostics
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = child(false)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }

	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limit.Err() != nil:
		return fmt.Errorf("uv did not install one within %v", installTimeout)
	case err != nil:
		return fmt.Errorf("uv could not install one (%s)", cause(diagnostics.String()))
	}

	return nil
}

// cause is the last cause in a message of uv, in one line.
func cause(message string) string {
	line := strings.TrimSpace(lastLines(message, 1))
	_, line, _ = strings.Cut(" "+line, " cause: ")
	return cmp.Or(strings.TrimSpace(line), strings.TrimSpace(lastLines(message, 1)), "it gave no reason")
}

func namedPython(ctx context.Context, t pydist.Target, named, cacheDir string) (Python, *fault.Error) {
	path, err := exec.LookPath(named)
	if err == nil {
		path, err = filepath.Abs(path) // it is run in other folders
	}

	if err != nil {
		return Python{}, fault.New(fault.BadInput, "find", named, err)
	}

	id, err := identify(ctx, path, cacheDir)
	if err != nil {
		return Python{}, fault.New(fault.BadInput, "run", named, err)
	}

	if !id.is(t) {
		return Python{}, fault.New(fault.BadInput, "run", named,
			fmt.Errorf("it is %s %s, the target needs %s", id.Implementation, id.Full, t.PythonVersion()))
	}

	return id.python(path), nil
}

// pythonCandidates lists the paths to try: those on PATH, then those in folders of interpreters,
// newest first in each. Scripts come last: a shim of pyenv is one, and is slow to say that it has
// no such version.
func pythonCandidates(t pydist.Target, extra []string) []string {
	command := "python" + t.PythonVersion()
	var candidates []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		candidates = append(candidates, filepath.Join(dir, command))
	}

	home, _ := os.UserHomeDir()
	pyenv := cmp.Or(os.Getenv("PYENV_ROOT"), filepath.Join(home, ".pyenv"))
	folders := append([]string{
		filepath.Join(pyenv, "versions"),
		os.Getenv("UV_PYTHON_INSTALL_DIR"),
		filepath.Join(home, ".local", "share", "uv", "python"),
	}, extra...)
	for _, dir := range folders {
		if dir == "" {
			continue
		}

		for _, pattern := range []string{"*", "."} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern, "bin", command))
			sort.Sort(sort.Reverse(sort.StringSlice(found)))
			candidates = append(candidates, found...)
		}
	}

	sort.SliceStable(candidates, func(i, j int) bool { return !isScript(candidates[i]) && isScript(candidates[j]) })
	return candidates
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// isScript is true also for a file that cannot be read.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()

	var start [2]byte
	_, err = io.ReadFull(f, start[:])
	return err != nil || string(start[:]) == "#!"
}

// pythonID is what an interpreter says about itself, and the file that said it.
type pythonID struct {
	Implementation string // "cpython"
	Version        string // "3.13"
	Full           string // "3.13.5"
	Platform       string // "Linux-x86_64"

	Modified int64 // of the file, in nanoseconds since 1970
	Size     int64 // of the file, in bytes
}

func (p pythonID) String() string { return p.Implementation + "-" + p.Full }

func (p pythonID) is(t pydist.Target) bool {
	return p.Implementation == "cpython" && p.Version == t.PythonVersion()
}

func (p pythonID) python(path string) Python {
	return Python{Path: path, identity: p.String(), platform: p.Platform}
}

// identityScript prints the fields of pythonID: bytecode depends on the version, extension modules
// on the platform too.
const identityScript = `import os, sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2], ` +
	`sys.version.split()[0], ` +
	`"%s-%s" % (os.uname().sysname, os.uname().machine) if hasattr(os, "uname") else sys.platform)`

// identify asks an interpreter what it is. The answer is kept until the file changes: starting an
// interpreter takes as long as a build that has nothing to do.
func identify(ctx context.Context, path, cacheDir string) (pythonID, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return pythonID{}, err
	}

	info, err := os.Stat(target)
	if err != nil {
		return pythonID{}, err
	}

	file := filepath.Join(cacheDir, "interpreters.json")
	known := map[string]pythonID{}
	if b, err := readLimited(file, 1<<20); err == nil {
		json.Unmarshal(b, &known) // a damaged file is replaced
	}

	if id, ok := known[path]; ok && id.Platform != "" && id.Modified == info.ModTime().UnixNano() &&
		id.Size == info.Size() {
		return id, nil
	}

	out, err := ask(ctx, path, "-I", "-S", "-c", identityScript)
	if err != nil && len(out) <= maxAnswerBytes {
		return pythonID{}, err
	}

	fields := strings.Fields(string(out))
	if len(fields) != 4 || len(out) > maxAnswerBytes {
		return pythonID{}, fmt.Errorf("it printed %.80q and is not a Python", out)
	}

	id := pythonID{fields[0], fields[1], fields[2], fields[3], info.ModTime().UnixNano(), info.Size()}
	known[path] = id
	if b, err := json.Marshal(known); err == nil && os.MkdirAll(cacheDir, 0o755) == nil {
		WriteFile(file, func(w io.Writer) error { _, err := w.Write(b); return err }) // a failure costs only time
	}

	return id, nil
}
