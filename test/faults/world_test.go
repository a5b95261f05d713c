// Package faults runs the real command line on bad input and failing machines: with the real uv and
// a real Python, synthetic wheels, a loopback index, full and read-only disks, and signals. Each
// fault asserts the whole message, the exit code, and that existing files are unchanged.
// docs/bad-input.md is made from the same tables.
package faults

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/testenv/host"
)

// asProgram makes the test binary run as layersmith, so that it can be sent signals.
const asProgram = "LAYERSMITH_FAULTS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Main(os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr}))
	}

	code := m.Run()
	for _, dir := range []string{template.dir} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}

	os.Exit(code)
}

// machine has the programs of this machine.
type machine struct {
	uv, python string
	target     pydist.Target
	err        error
}

var thisMachine = sync.OnceValue(func() machine {
	uv, uvErr := host.UV()
	python, pythonErr := host.Python()
	return machine{uv, python.Path, python.Target, errors.Join(uvErr, pythonErr)}
})

// world is a folder with a workspace, its output, a cache, an index of wheels and a PATH of its
// own:
//
//	layers/main   requires alpha; locked and built, unless the world is empty
//	dist, cache   as that build left them
//	index         wheels, which uv finds there; there is no network
//	bin           uv and python3.N
//	tmp           where temporary files go
type world struct {
	*testing.T
	dir string
	env map[string]string

	released func() // what takes away a hold on a build
}

// template is a world in which alpha was built. Other worlds are copies of it.
var template struct {
	sync.Once
	dir string
}

// empty is a world in which nothing was built.
func empty(t *testing.T) *world {
	t.Helper()
	m := thisMachine()
	if m.err != nil {
		t.Fatal(m.err)
	}

	w := &world{T: t, dir: t.TempDir(), env: map[string]string{}}
	w.folders(m)
	w.write("layers/workspace.yaml", "targets: ["+m.target.String()+"]\n")
	w.write("layers/main/requirements.txt", "alpha\n")
	w.wheel("alpha", "1.0", nil)
	return w
}

// built is a world in which layers/main was built.
func built(t *testing.T) *world {
	t.Helper()
	m := thisMachine()
	if m.err != nil {
		t.Fatal(m.err)
	}

	template.Do(func() {
		dir, err := os.MkdirTemp("", "faults-")
		if err != nil {
			t.Fatal(err)
		}

		w := empty(t)
		if out := w.run("build"); out.code != 0 {
			t.Fatalf("the first build: %+v", out)
		}

		for _, folder := range []string{"layers", "dist", "cache", "index", "uvcache"} {
			if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(w.path(folder))); err != nil {
				t.Fatal(err)
			}
		}

		template.dir = dir
	})
	if template.dir == "" {
		t.Fatal("there is no first build")
	}

	w := &world{T: t, dir: t.TempDir(), env: map[string]string{}}
	if err := os.CopyFS(w.dir, os.DirFS(template.dir)); err != nil {
		t.Fatal(err)
	}

	w.folders(m)
	return w
}

func (w *world) folders(m machine) {
	w.Helper()
	for _, dir := range []string{"index", "home", "bin", "tmp"} {
		if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
			w.Fatal(err)
		}
	}

	for name, to := range map[string]string{
		"uv":                                m.uv,
		"python3":                           m.python,
		"python" + m.target.PythonVersion(): m.python,
	} {
		if err := os.Symlink(to, w.path("bin/"+name)); err != nil {
			w.Fatal(err)
		}
	}

	w.write("uv.toml", "no-index = true\n")
	w.env = map[string]string{
		"PATH":             w.path("bin") + ":/usr/bin:/bin",
		"HOME":             w.path("home"),
		"TMPDIR":           w.path("tmp"),
		"LAYERSMITH_CACHE": w.path("cache"),
		asProgram:          "1",
		"NO_COLOR":         "1",
		"UV_CONFIG_FILE":   w.path("uv.toml"),
		"UV_CACHE_DIR":     w.path("uvcache"),
		"UV_FIND_LINKS":    w.path("index"),
		"UV_HTTP_RETRIES":  "0",
		"HTTP_PROXY":       "http://127.0.0.1:1",
		"HTTPS_PROXY":      "http://127.0.0.1:1",
		"ALL_PROXY":        "http://127.0.0.1:1", // whatever would ask a network ends there
		"NO_PROXY":         "127.0.0.1",
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) write(name, content string) {
	w.Helper()
	p := w.path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.Fatal(err)
	}

	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.Fatal(err)
	}

	return string(b)
}

// edit replaces a text in a file.
func (w *world) edit(name, old, new string) {
	w.Helper()
	text := w.read(name)
	if !strings.Contains(text, old) {
		w.Fatalf("%s has no %q:\n%s", name, old, text)
	}

	w.write(name, strings.Replace(text, old, new, 1))
}

// program replaces a command with a shell script.
func (w *world) program(name, script string) {
	w.Helper()
	p := w.path("bin/" + name)
	if err := os.RemoveAll(p); err != nil {
		w.Fatal(err)
	}

	if err := os.WriteFile(p, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		w.Fatal(err)
	}
}

// python is the name of the target's interpreter.
func (w *world) python() string { return "python" + thisMachine().target.PythonVersion() }

// lockName is the file of the lock.
func (w *world) lockName() string { return "layers/" + lock.FileName(thisMachine().target) }

// zipName is the file of the layer main.
func (w *world) zipName() string { return "dist/" + engine.ZipName("main", thisMachine().target) }

// entry is a file of an archive. header is for what zip.Writer does not write.
type entry struct {
	name, content string
	header        func(*zip.FileHeader)
	raw           []byte // as it stands in the archive; header says the rest
}

// wheel adds a wheel to the index, with a module that has its version, and more files.
func (w *world) wheel(name, version string, requires []string, more ...entry) string {
	w.Helper()
	return w.tagged(name, version, "py3-none-any", requires, more...)
}

func (w *world) tagged(name, version, tag string, requires []string, more ...entry) string {
	w.Helper()
	info := name + "-" + version + ".dist-info/"
	meta := "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}

	entries := []entry{
		{name: name + "/__init__.py", content: "__version__ = '" + version + "'\n"},
		{name: info + "METADATA", content: meta},
		{
			name:    info + "WHEEL",
			content: "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: " + tag + "\n",
		},
	}
	var record strings.Builder
	for _, e := range append(slices.Clone(entries), more...) {
		if e.raw == nil && e.header == nil && !strings.HasPrefix(e.name, info) && fs.ValidPath(e.name) {
			sum := sha256.Sum256([]byte(e.content))
			fmt.Fprintf(&record, "%s,sha256=%s,%d\n",
				e.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(e.content))
		}
	}

	entries = append(entries, entry{name: info + "RECORD", content: record.String() + info + "RECORD,,\n"})
	for _, e := range more { // what is given replaces what is made
		generated := func(o entry) bool { return o.name == e.name && strings.HasPrefix(e.name, info) }
		if i := slices.IndexFunc(entries, generated); i >= 0 {
			entries[i] = e
		} else {
			entries = append(entries, e)
		}
	}

	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.content == absent })
	file := name + "-" + version + "-" + tag + ".whl"
	w.archive("index/"+file, entries...)
	return file
}

// absent as a content leaves a file out.
const absent = "\x00absent"

// archive writes a zip.
func (w *world) archive(name string, entries ...entry) {
	w.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
		if strings.HasSuffix(e.name, "/") {
			h.Method = zip.Store
		}

		if e.header != nil {
			e.header(h)
		}

		create := z.CreateHeader
		content := []byte(e.content)
		if e.raw != nil {
			create = z.CreateRaw
			content = e.raw
		}

		out, err := create(h)
		if err == nil {
			_, err = out.Write(content)
		}

		if err != nil {
			w.Fatal(err)
		}
	}

	if err := z.Close(); err != nil {
		w.Fatal(err)
	}

	w.write(name, b.String())
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	code           int // -1 when a signal ended it
}

func (w *world) command(args ...string) (c *exec.Cmd, out, problems *bytes.Buffer) {
	w.Helper()
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}

	c = exec.Command(self, args...)
	c.Dir = w.dir
	for _, k := range slices.Sorted(maps.Keys(w.env)) {
		c.Env = append(c.Env, k+"="+w.env[k])
	}

	out = &bytes.Buffer{}
	problems = &bytes.Buffer{}
	c.Stdout = out
	c.Stderr = problems
	c.WaitDelay = 20 * time.Second // for what was killed and left something running that holds its output
	return c, out, problems
}

// run runs layersmith to its end.
func (w *world) run(args ...string) result {
	w.Helper()
	c, out, problems := w.command(args...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		w.Fatal(err)
	}

	return result{out.String(), problems.String(), c.ProcessState.ExitCode()}
}

// must runs a command that must succeed.
func (w *world) must(args ...string) result {
	w.Helper()
	r := w.run(args...)
	if r.code != 0 {
		w.Fatalf("layersmith %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}

	return r
}

// snapshot describes all files in some folders of the world: kinds, modes, sizes, digests.
func (w *world) snapshot(folders ...string) map[string]string {
	w.Helper()
	s := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(w.path(folder), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}

			if err != nil {
				return err
			}

			rel, err := filepath.Rel(w.dir, p)
			if err != nil {
				return err
			}

			info, err := d.Info()
			if err != nil {
				return err
			}

			what := info.Mode().String()
			switch {
			case info.Mode().IsRegular():
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}

				what += fmt.Sprintf(" %d bytes %x", len(b), sha256.Sum256(b))
			case info.Mode()&fs.ModeSymlink != 0:
				to, err := os.Readlink(p)
				if err != nil {
					return err
				}

				what += " " + to
			}

			s[filepath.ToSlash(rel)] = what
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
	}

	return s
}

// all is a snapshot of workspace, output, cache, index, home and temporary files.
func (w *world) all() map[string]string {
	w.Helper()
	return w.snapshot("layers", "dist", "cache", "index", "home", "tmp", "in", "out")
}

// unharmed compares a snapshot with the current files. Only the cache may have new files: identities
// of interpreters, packs, and files of the wheel store below their digest. No temporary file may be
// left.
func (w *world) unharmed(before map[string]string, allowed ...string) {
	w.Helper()
	now := w.all()
	for name, what := range now {
		if _, was := before[name]; !was && w.isCache(name, what, allowed) {
			delete(now, name)
		}
	}

	if before["cache/interpreters.json"] != "" { // what is known about interpreters grows in place
		now["cache/interpreters.json"] = before["cache/interpreters.json"]
	}

	if diff := cmp.Diff(before, now); diff != "" {
		w.Errorf("what was there changed (- before, + now):\n%s", diff)
	}
}

func (w *world) isCache(name, what string, allowed []string) bool {
	if slices.Contains(allowed, name) {
		return true
	}

	for _, pattern := range allowed {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}

	if strings.Contains(name, "/.tmp-") {
		return false
	}

	switch {
	case strings.HasPrefix(name, "home/.local"): // where uv keeps credentials
		return true
	case name == "cache",
		name == "cache/temp",
		name == "cache/wheels",
		name == "cache/interpreters.json",
		strings.HasPrefix(name, "cache/packs"):
		return true
	case strings.HasPrefix(name, "cache/wheels/"):
		return strings.HasPrefix(what, "d") ||
			strings.HasSuffix(what, " "+filepath.Base(name)) // it is what its name says
	}

	return false
}

// matches compares a text with a pattern in which … matches anything within a line.
func matches(pattern, text string) bool {
	want := strings.Split(strings.TrimSuffix(pattern, "\n"), "\n")
	got := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return slices.EqualFunc(want, got, func(want, got string) bool {
		parts := strings.Split(want, "…")
		if len(parts) == 1 {
			return want == got
		}

		first := parts[0]
		last := parts[len(parts)-1]
		if !strings.HasPrefix(got, first) || !strings.HasSuffix(got[len(first):], last) {
			return false
		}

		got = got[len(first) : len(got)-len(last)]
		for _, part := range parts[1 : len(parts)-1] {
			_, rest, ok := strings.Cut(got, part)
			if !ok {
				return false
			}

			got = rest
		}

		return true
	})
}

// notRun skips a test that this machine cannot run, with its name and the reason.
func notRun(t *testing.T, why string, err error) {
	t.Helper()
	t.Skipf("NOT RUN: %s: %s: %v", t.Name(), why, err)
}
