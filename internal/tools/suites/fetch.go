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
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// uv runs uv, which knows the user's indexes.
func (s suites) uv(ctx context.Context, in string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.uvPath, args...)
	cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never", "NO_COLOR=1", "UV_NO_PROGRESS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader(in)
	var out, diagnostics bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}

		return nil, fmt.Errorf(
			"uv %s: %w: %s",
			strings.Join(args[:2], " "),
			err,
			strings.TrimSpace(diagnostics.String()),
		)
	}

	return out.Bytes(), nil
}

// lockNeeds resolves what tests require beside a layer: in the layer's own versions, and without
// what the layer has, so that nothing hides it.
func (s suites) lockNeeds(ctx context.Context, e entry, layer lock.Lock) error {
	dir, err := os.MkdirTemp(s.temp, "needs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pins := ""
	args := []string{
		"pip",
		"compile",
		"--generate-hashes",
		"--no-header",
		"--no-annotate",
		"--python",
		s.Python.Path,
		"--python-version",
		"3.13",
		"--python-platform",
		"x86_64-manylinux_2_34",
		"--constraints",
		filepath.Join(dir, "pins.txt"),
	}
	for _, d := range layer.Distributions {
		pins += fmt.Sprintf("%s==%s\n", d.Name, d.Version)
		args = append(args, "--no-emit-package", d.Name.String())
	}

	if err := os.WriteFile(filepath.Join(dir, "pins.txt"), []byte(pins), 0o644); err != nil {
		return err
	}

	out, err := s.uv(ctx, strings.Join(e.Needs, "\n")+"\n", append(args, "--quiet", "-")...)
	if err != nil {
		return err
	}

	// uv says at the end which packages it left out, as comments.
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}

	return onelayer.WriteFile(s.needs(e), []byte(strings.Join(lines, "")))
}

func (s suites) needs(e entry) string { return filepath.Join(s.locks, e.Name+".txt") }

// environment makes a virtual environment of what tests require, and returns its interpreter.
// PYTHONPATH puts the layer before it; processes that tests start without that variable find the
// layer behind it.
func (s suites) environment(ctx context.Context, dir, layer string, e entry) (string, error) {
	if _, err := s.uv(ctx, "", "venv", "--quiet", "--python", s.Python.Path, dir); err != nil {
		return "", err
	}

	python := filepath.Join(dir, "bin", "python")
	if _, err := s.uv(
		ctx,
		"",
		"pip",
		"install",
		"--quiet",
		"--python",
		python,
		"--no-deps",
		"--require-hashes",
		"--requirements",
		s.needs(e),
	); err != nil {
		return "", err
	}

	sites, err := filepath.Glob(filepath.Join(dir, "lib", "python*", "site-packages"))
	if err != nil || len(sites) != 1 {
		return "", fmt.Errorf("find site-packages in %s: %d, %w", dir, len(sites), err)
	}

	if err := put(filepath.Join(sites[0], "layer.pth"), strings.NewReader(layer+"\n")); err != nil {
		return "", err
	}

	return python, put(filepath.Join(sites[0], recordPlugin+".py"), strings.NewReader(recordSource))
}

// source brings an entry's source distribution into the store of wheels and unpacks what the entry
// names.
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

// download asks uv where the file is and leaves it in the store, which takes nothing that has
// another hash.
func (s suites) download(ctx context.Context, wheels localport.Wheels, e entry) error {
	out, err := s.uv(
		ctx,
		fmt.Sprintf("%s==%s\n", e.Name, e.Sdist.version()),
		"pip",
		"compile",
		"--quiet",
		"--format",
		"pylock.toml",
		"--no-deps",
		"--no-header",
		"--python",
		s.Python.Path,
		"-",
	)
	if err != nil {
		return err
	}

	type place struct{ URL, Path string }
	var answer struct{ Packages []struct{ Sdist place } }
	if err := toml.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("read uv's answer: %w", err)
	}

	if len(answer.Packages) != 1 || answer.Packages[0].Sdist == (place{}) {
		return errors.New("the index has no source distribution of it")
	}

	address := answer.Packages[0].Sdist.URL + answer.Packages[0].Sdist.Path // one of them is empty
	http := localport.HTTP{Client: localport.NewClient(), Agent: "layersmith", Getenv: os.Getenv}
	return wheels.Put(
		ctx,
		lock.File{Name: e.Sdist.File, SHA256: e.Sdist.SHA256},
		func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
			return http.Download(ctx, address, offset)
		},
	)
}

// untar unpacks regular files: those that are named, and those below folders that are. The first
// folder of their names is the distribution's own.
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
			return fmt.Errorf("read %s: %q lies outside", s.File, name)
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
