package localport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
)

// UV resolves requirements with the program uv. Index, credentials and certificates come from the
// configuration of uv itself: environment, uv.toml, netrc.
type UV struct {
	Path   string // of the program; without a slash it is looked up on PATH
	Root   string // the workspace's folder
	Python string // the interpreter that uv runs; with "" uv chooses one
	Tools  string // the folder where make installs a pinned uv, used when Path is not found
}

var _ engine.Resolver = UV{}

// MinimumUV is the first version that writes pylock.toml (PEP 751) as this package reads it.
const MinimumUV = "0.7.0"

const reinstallUV = "install uv again (pip install --force-reinstall uv)"

// program returns the path of uv after a check of its version.
func (u UV) program(ctx context.Context) (string, error) {
	path, err := u.find()
	if err != nil {
		return "", fault.New(fault.ToolMissing, "find", "uv", err).
			WithHint("install uv (pip install uv), or run: make layers, which installs a pinned one for this project")
	}

	version, err := askVersion(ctx, path)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}

	if err != nil {
		return "", fault.New(fault.ToolMissing, "run", path, err).WithHint(reinstallUV)
	}

	if !isAtLeast(version, MinimumUV) {
		return "", fault.New(fault.ToolMissing, "run", path,
			fmt.Errorf("it is version %s, at least %s is needed", version, MinimumUV)).
			WithHint("upgrade uv (pip install --upgrade uv)")
	}

	return path, nil
}

func (u UV) find() (string, error) {
	path, err := exec.LookPath(u.Path)
	if err == nil {
		return path, nil
	}

	if u.Tools == "" {
		return "", errors.New("not on PATH")
	}

	if path, err = exec.LookPath(filepath.Join(u.Tools, "uv")); err != nil {
		return "", fmt.Errorf("not on PATH, not in %s", u.Tools)
	}

	return path, nil
}

var uvVersion = regexp.MustCompile(`^uv (\d+\.\d+\.\d+)`)

func askVersion(ctx context.Context, path string) (string, error) {
	out, err := ask(ctx, path, "--version")
	if errors.Is(err, errNoAnswer) {
		return "", err
	}

	m := uvVersion.FindSubmatch(out)
	if err != nil || m == nil {
		return "", fmt.Errorf(`--version printed %.80q, not "uv VERSION"`, out)
	}

	return string(m[1]), nil
}

func isAtLeast(version, minimum string) bool {
	have, err1 := pydist.ParseVersion(version)
	want, err2 := pydist.ParseVersion(minimum)
	return err1 == nil && err2 == nil && have.Compare(want) >= 0
}

// resolveTimeout is for one run of uv.
const resolveTimeout = 10 * time.Minute

// run runs uv in the workspace's folder and returns its standard output. A failure of uv is a
// *uvError.
func (u UV) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()

	var out bytes.Buffer
	var diagnostics limited
	cmd := exec.CommandContext(limit, program, args...)
	cmd.Dir = u.Root
	cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never", "NO_COLOR=1", "UV_NO_PROGRESS=1",
		"UV_CUSTOM_COMPILE_COMMAND=layersmith")
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = child(false)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }

	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit.Err() != nil:
		return nil, fault.New(fault.Unreachable, "resolve", "", fmt.Errorf("uv did not end within %v", resolveTimeout)).
			WithHint("check the network and your index configuration")
	case err != nil:
		return nil, &uvError{program: program, text: diagnostics.String(), err: err}
	}

	return out.Bytes(), nil
}

// unreadable is a fault: this package cannot parse the output of uv.
func unreadable(program string, err error) error {
	return fault.New(fault.ToolMissing, "read the answer of", program, err).WithHint(reinstallUV)
}

// unwritten is a fault: the input for uv cannot be written to a temporary file.
func unwritten(err error) error {
	return ours("write a temporary file in", os.TempDir(),
		"make room and permission for it, or name another folder with TMPDIR", err)
}

// uvError is a failure of uv, with what it wrote to standard error.
type uvError struct {
	program string
	text    string
	err     error
}

func (e *uvError) Error() string { return e.text }

// compileOptions are common to all runs of `uv pip compile` for one command.
type compileOptions struct {
	target       pydist.Target
	allowSource  bool   // also source distributions
	offline      bool   // only from uv's cache
	excludeNewer string // a date or time as uv reads it; files uploaded later do not exist
}

// compile runs `uv pip compile`.
func (u UV) compile(ctx context.Context, program string, o compileOptions, more ...string) ([]byte, error) {
	args := []string{
		"pip", "compile",
		"--python-version", o.target.PythonVersion(),
		"--python-platform", o.target.UVPlatform(),
		"--no-header",
		"--quiet",
	}
	if !o.allowSource {
		args = append(args, "--only-binary", ":all:")
	}

	if o.offline {
		args = append(args, "--offline")
	}

	if u.Python != "" {
		args = append(args, "--python", u.Python)
	}

	if o.excludeNewer != "" {
		args = append(args, "--exclude-newer", o.excludeNewer)
	}

	return u.run(ctx, program, append(args, more...)...)
}

// BuildWheel builds a wheel of a source distribution, in the same folder. It returns the wheel's
// path.
func (u UV) BuildWheel(ctx context.Context, sdist string, t pydist.Target) (string, error) {
	program, err := u.program(ctx)
	if err != nil {
		return "", err
	}

	python := u.Python
	if python == "" {
		python = t.PythonVersion()
	}

	dir := filepath.Dir(sdist)
	_, err = u.run(ctx, program, "build", "--wheel", "--quiet", "--python", python, "--out-dir", dir, sdist)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}

	if err != nil {
		return "", fault.New(fault.WheelMissing, "build", filepath.Base(sdist), errors.New(lastLines(err.Error(), 5))).
			WithHint("install what it needs to compile, or choose a version that has a wheel")
	}

	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("build %s: %d wheels, want 1", filepath.Base(sdist), len(wheels))
	}

	return wheels[0], nil
}
