package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/tools/batch"
)

// uv runs uv with the user's configuration of indexes, and returns its standard output.
func (s suites) uv(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.uvPath, args...)
	cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never", "NO_COLOR=1", "UV_NO_PROGRESS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader(stdin)
	var out, diagnostics bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}

	if err != nil {
		command := strings.Join(args[:2], " ")
		return nil, fmt.Errorf("uv %s: %w: %s", command, err, strings.TrimSpace(diagnostics.String()))
	}

	return out.Bytes(), nil
}

// lockNeeds resolves the requirements of the tests in the layer's own versions, and writes the lock
// without what the layer has: a second copy could hide that of the layer.
func (s suites) lockNeeds(ctx context.Context, e entry, layer lock.Lock) error {
	dir, err := os.MkdirTemp(s.temp, "needs-")
	if err != nil {
		return err
	}

	defer os.RemoveAll(dir)

	constraints := filepath.Join(dir, "pins.txt")
	args := []string{
		"pip", "compile", "--quiet",
		"--generate-hashes", "--no-header", "--no-annotate",
		"--python", s.Python.Path,
		"--python-version", "3.13",
		"--python-platform", "x86_64-manylinux_2_34",
		"--constraints", constraints,
	}
	pins := ""
	for _, d := range layer.Distributions {
		pins += fmt.Sprintf("%s==%s\n", d.Name, d.Version)
		args = append(args, "--no-emit-package", d.Name.String())
	}

	if err := os.WriteFile(constraints, []byte(pins), 0o644); err != nil {
		return err
	}

	out, err := s.uv(ctx, strings.Join(e.Needs, "\n")+"\n", append(args, "-")...)
	if err != nil {
		return err
	}

	// The last lines of uv are comments with the packages that it left out.
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}

	return batch.WriteFile(s.needs(e), []byte(strings.Join(lines, "")))
}

// needs is the lock of the requirements of an entry's tests.
func (s suites) needs(e entry) string { return filepath.Join(s.locks, e.Name+".txt") }

// environment creates a virtual environment with the requirements of the tests, and returns its
// interpreter. PYTHONPATH has the layer first. For processes that tests start without PYTHONPATH, a
// .pth file adds the layer behind the environment.
func (s suites) environment(ctx context.Context, dir, layer string, e entry) (string, error) {
	if _, err := s.uv(ctx, "", "venv", "--quiet", "--python", s.Python.Path, dir); err != nil {
		return "", err
	}

	python := filepath.Join(dir, "bin", "python")
	_, err := s.uv(ctx, "", "pip", "install", "--quiet", "--python", python,
		"--no-deps", "--require-hashes", "--requirements", s.needs(e))
	if err != nil {
		return "", err
	}

	sites, err := filepath.Glob(filepath.Join(dir, "lib", "python*", "site-packages"))
	if err != nil {
		return "", err
	}

	if len(sites) != 1 {
		return "", fmt.Errorf("%s has %d folders site-packages, not one", dir, len(sites))
	}

	if err := put(filepath.Join(sites[0], "layer.pth"), strings.NewReader(layer+"\n")); err != nil {
		return "", err
	}

	return python, put(filepath.Join(sites[0], recordPlugin+".py"), strings.NewReader(recordSource))
}

// source unpacks the files that the entry names of its source distribution, which it downloads into
// the store of wheels if it is not there.
func (s suites) source(ctx context.Context, dir string, e entry) error {
	wheels := localport.Wheels{Dir: filepath.Join(s.Cache, "wheels")}
	b, err := wheels.Open(ctx, e.Sdist.SHA256)
	if errors.Is(err, os.ErrNotExist) {
		if err = s.download(ctx, wheels, e); err == nil {
			b, err = wheels.Open(ctx, e.Sdist.SHA256)
		}
	}

	if err != nil {
		return fmt.Errorf("fetch %s: %w", e.Sdist.File, err)
	}

	defer b.Close()

	return untar(dir, io.NewSectionReader(b, 0, b.Size()), *e.Sdist)
}

// download asks uv for the address of the file and puts it into the store, which checks its hash.
func (s suites) download(ctx context.Context, wheels localport.Wheels, e entry) error {
	requirement := fmt.Sprintf("%s==%s\n", e.Name, e.Sdist.version())
	out, err := s.uv(ctx, requirement, "pip", "compile", "--quiet", "--format", "pylock.toml",
		"--no-deps", "--no-header", "--python", s.Python.Path, "-")
	if err != nil {
		return err
	}

	type place struct{ URL, Path string } // PEP 751: one of them
	var answer struct{ Packages []struct{ Sdist place } }
	if err := toml.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("read uv's answer: %w", err)
	}

	if len(answer.Packages) != 1 || answer.Packages[0].Sdist == (place{}) {
		return errors.New("the index has no source distribution of it")
	}

	address := answer.Packages[0].Sdist.URL + answer.Packages[0].Sdist.Path
	http := localport.HTTP{Client: localport.NewClient(), Agent: "layersmith", Getenv: os.Getenv}
	file := lock.File{Name: e.Sdist.File, SHA256: e.Sdist.SHA256}

	return wheels.Put(ctx, file, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return http.Download(ctx, address, offset)
	})
}

// untar unpacks the named regular files, and those below named folders, without the first folder of
// their names, which is the distribution's own.
func untar(dir string, r io.Reader, s sdist) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.File, err)
	}

	missing := slices.Clone(s.Unpack)
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}

		if err != nil {
			return fmt.Errorf("read %s: %w", s.File, err)
		}

		_, name, _ := strings.Cut(h.Name, "/")
		i := slices.IndexFunc(s.Unpack, func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") })
		if i < 0 || h.Typeflag != tar.TypeReg {
			continue
		}

		if !filepath.IsLocal(name) {
			return fmt.Errorf("read %s: %q leads out of the folder", s.File, name)
		}

		if err := put(filepath.Join(dir, filepath.FromSlash(name)), t); err != nil {
			return err
		}

		missing = slices.DeleteFunc(missing, func(u string) bool { return u == s.Unpack[i] })
	}

	if len(missing) > 0 {
		return fmt.Errorf("%s has no %s", s.File, strings.Join(missing, ", "))
	}

	return nil
}
