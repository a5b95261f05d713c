// Package host gives tests the programs of this machine, and clean environments to run them in.
//
// .ci/setup installs pinned programs into .tools, or accepts those of the machine that also work
// with an empty HOME. This package accepts the same programs. It returns absolute paths of the
// programs themselves, never a shim of pyenv, which selects a version by HOME and working folder.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/pydist"
)

// timeout is for a program that prints its version.
const timeout = 20 * time.Second

// UV returns the path of uv: the pinned one in .tools/bin, else the first one on PATH.
var UV = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}

	path := filepath.Join(root, ".tools", "bin", "uv")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("uv"); err != nil {
			return "", fmt.Errorf("find uv: %w; run: make setup", err)
		}
	}

	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}

	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}

	out, err := runClean(path, "--version")
	if err != nil || !uvVersion.MatchString(out) {
		return "", fmt.Errorf("run %s --version with an empty HOME: %q, %w; run: make setup", path, out, err)
	}

	return path, nil
})

var uvVersion = regexp.MustCompile(`^uv \d`)

// Interpreter is a CPython of this machine whose version Lambda has too.
type Interpreter struct {
	Path   string
	Target pydist.Target // its version, and the architecture of this machine
}

// preferred is the version that .ci/setup installs, then the others, newest first.
var preferred = []string{"3.13", "3.14", "3.12", "3.11", "3.10", "3.9"}

// Python returns an interpreter of any version that Lambda has. Python 3.13 is preferred.
var Python = sync.OnceValues(func() (Interpreter, error) {
	for _, version := range preferred {
		if found, err := PythonOf(version); err == nil {
			return found, nil
		}
	}

	return Interpreter{}, errors.New("no CPython 3.9 to 3.14 runs with an empty HOME; run: make setup")
})

// PythonOf returns the interpreter of a version, for example "3.13". It searches .tools/python, the
// folders of pyenv and uv, and PATH.
func PythonOf(version string) (Interpreter, error) {
	architecture := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	target, err := pydist.ParseTarget("python" + version + "-" + architecture)
	if err != nil {
		return Interpreter{}, err
	}

	candidates, err := pythons("python" + version)
	if err != nil {
		return Interpreter{}, err
	}

	for _, candidate := range candidates {
		if path, ok := program(candidate, version); ok {
			return Interpreter{path, target}, nil
		}
	}

	return Interpreter{}, fmt.Errorf("no python%s runs with an empty HOME; run: make setup", version)
}

// pythons lists the files with a command's name, most wanted first.
func pythons(command string) ([]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}

	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}

	var candidates []string
	for _, folder := range []string{
		filepath.Join(root, ".tools", "python"),
		filepath.Join(home, ".pyenv", "versions"),
		os.Getenv("UV_PYTHON_INSTALL_DIR"),
		filepath.Join(home, ".local", "share", "uv", "python"),
	} {
		if folder == "" {
			continue
		}

		found, err := filepath.Glob(filepath.Join(folder, "*", "bin", command))
		if err != nil {
			return nil, err
		}

		candidates = append(candidates, found...)
	}

	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		candidates = append(candidates, filepath.Join(folder, command))
	}

	return candidates, nil
}

// program returns the interpreter that a candidate starts. A shim of pyenv and the link of a
// virtual environment start another one, which must run with an empty HOME.
func program(candidate, version string) (string, bool) {
	const script = `import sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2], sys._base_executable)`
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()

	// The first run has the environment of the user, who may have selected a version for a shim.
	out, err := exec.CommandContext(ctx, candidate, "-I", "-S", "-c", script).Output()
	path, isVersion := strings.CutPrefix(strings.TrimSpace(string(out)), "cpython "+version+" ")
	if err != nil || !isVersion {
		return "", false
	}

	again, err := runClean(path, "-I", "-S", "-c", script)
	return path, err == nil && again == string(out)
}

func runClean(program string, args ...string) (string, error) {
	home, err := os.MkdirTemp("", "layersmith-home-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)

	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()

	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = home
	cmd.Env = Environ(home)
	out, err := cmd.Output()
	return string(out), err
}

// Root is the repository: the nearest folder with go.mod, from the working folder upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}

	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}

		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no go.mod from the working folder upwards")
		}

		dir = parent
	}
}
