package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script writes a program for /bin/sh.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// interpreter answers as the script in program does, with a path.
func interpreter(version, path string) string {
	return fmt.Sprintf("echo cpython %s '%s'", version, path)
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	t.Setenv("HOME", home)

	in := func(name string) string { return filepath.Join(dir, name) }
	script(t, in("real"), interpreter("3.13", in("real")))
	script(t, in("shim"), `[ "$HOME" = '`+home+`' ] && exec '`+in("real")+`'; exit 127`)
	script(t, in("by-home"), `[ "$HOME" = '`+home+`' ] && `+interpreter("3.13", in("by-home")))
	script(t, in("other-version"), interpreter("3.12", in("other-version")))
	script(t, in("other-kind"), "echo pypy 3.13 "+in("other-kind"))
	script(t, in("failing"), interpreter("3.13", in("failing"))+"; exit 1")

	for name, want := range map[string]string{
		"real": "real",
		"shim": "real", // what it starts
		// These are refused.
		"by-home": "", "other-version": "", "other-kind": "", "failing": "", "missing": "",
	} {
		got, ok := program(in(name), "3.13")
		if ok != (want != "") || ok && got != in(want) {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}

func TestProgramsAreAbsolute(t *testing.T) {
	uv, err := UV()
	if err != nil {
		t.Fatal(err)
	}

	python, err := Python()
	if err != nil {
		t.Fatal(err)
	}

	for _, path := range []string{uv, python.Path} {
		if !filepath.IsAbs(path) || filepath.Base(filepath.Dir(path)) == "shims" {
			t.Errorf("%s is not the absolute path of a program", path)
		}
	}
}

func TestKeeps(t *testing.T) {
	for name, want := range map[string]bool{
		"PATH": true, "HOME": true, "HTTPS_PROXY": true, "SSL_CERT_FILE": true, "NETRC": true, "GOFLAGS": true,
		"UV_INDEX": true, "UV_INDEX_MINE_PASSWORD": true, "UV_DEFAULT_INDEX": true, "UV_CONFIG_FILE": true,
		"PIP_INDEX_URL": true, "PIP_CERT": true, "PIP_TRUSTED_HOST": true, "LAYERSMITH_CACHE": true,

		"UV_RESOLUTION": false, "UV_EXCLUDE_NEWER": false, "UV_PYTHON": false, "UV_CONSTRAINT": false,
		"PIP_TARGET": false, "PIP_USER": false, "PIP_NO_BINARY": false, "PYTHONHOME": false, "PYTHONPATH": false,
		"LAYERSMITH_STACK": false, "NO_COLOR": false, "CLICOLOR_FORCE": false, "VIRTUAL_ENV": false,
	} {
		if got := keeps(name); got != want {
			t.Errorf("%s: kept is %v, want %v", name, got, want)
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Setenv("PIP_TARGET", "/nowhere")
	t.Setenv("PIP_INDEX_URL", "https://index.example")
	t.Setenv("PATH", "/usr/bin")
	if err := prepare(); err != nil {
		t.Fatal(err)
	}

	if path := os.Getenv("PATH"); !strings.HasSuffix(path, ":/usr/bin") || strings.Count(path, ":") != 2 {
		t.Errorf("PATH %s", path)
	}

	got := strings.Join(os.Environ(), "\n")
	if strings.Contains(got, "PIP_TARGET") || !strings.Contains(got, "PIP_INDEX_URL=https://index.example") {
		t.Errorf("environment:\n%s", got)
	}
}
