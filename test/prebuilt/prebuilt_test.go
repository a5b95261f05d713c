// Package prebuilt_test prunes and checks layers and zips that other tools built of real packages:
// pip, uv, SAM, pex, strip and zip, and zips with everything that the format allows. The result
// must work, or the message must name the fault of the input and its file.
package prebuilt_test

import (
	"archive/zip"
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/testenv/host"
)

const target = "python3.13-x86_64"

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }

// packages are small: two have C code, and the last has a program and code compiled by mypyc.
var packages = []string{"markupsafe==3.0.4", "pyyaml==6.0.3", "charset-normalizer==3.5.2"}

// world has the packages that all cases use, installed once.
type world struct {
	python, uv string
	installer  []string // pip, as the interpreter has it or as uv brings it
	pip        string   // what pip install --target makes of packages
	scratch    string
}

func newWorld(t *testing.T) world {
	t.Helper()
	python, err := host.PythonOf("3.13")
	if err != nil {
		t.Fatal(err)
	}

	uv, err := host.UV()
	if err != nil {
		t.Fatal(err)
	}

	w := world{python: python.Path, uv: uv, scratch: t.TempDir()}
	w.installer = []string{w.python, "-m", "pip"}
	if err := exec.Command(w.python, "-m", "pip", "--version").Run(); err != nil {
		w.installer = []string{w.uv, "tool", "run", "--quiet", "--python", w.python, "pip"}
	}

	w.pip = filepath.Join(w.scratch, "pip")
	w.install(t, w.pip, packages...)
	return w
}

// install installs packages into a folder with pip.
func (w world) install(t *testing.T, dir string, what ...string) {
	t.Helper()
	install := []string{"install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--target", dir}
	w.run(t, w.installer[0], slices.Concat(w.installer[1:], install, what)...)
}

func (w world) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = w.scratch
	cmd.Env = append(os.Environ(), "PIP_ROOT_USER_ACTION=ignore")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// strip removes symbols with binutils, as many recipes do.
func (w world) strip(t *testing.T, dir string) {
	t.Helper()
	tool, err := exec.LookPath("strip")
	if err != nil {
		t.Skip("there is no strip on PATH")
	}

	for _, f := range filesOf(t, dir, "") {
		if strings.HasSuffix(f.name, ".so") {
			w.run(t, tool, filepath.Join(dir, filepath.FromSlash(f.name)))
		}
	}
}

func (w world) copy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(w.pip)); err != nil {
		t.Fatal(err)
	}

	return dir
}

func layersmith(args ...string) (code int, stdout, stderr string) {
	var out, diagnostics bytes.Buffer
	code = cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics})
	return code, out.String(), diagnostics.String()
}

// outcome is the expected exit code and message.
type outcome struct {
	code int    // 2: the input is refused; 3: the gate or the probe failed
	says string // on stderr
}

func refused(says string) *outcome { return &outcome{2, says} }
func found(says string) *outcome   { return &outcome{3, says} }

type input struct {
	make  func(t *testing.T, w world) string // the zip or folder
	prune *outcome                           // nil: it works
	check *outcome                           // of the input; nil: as prune
	has   []string                           // in the result
	lacks []string
	note  string // in the report of the result
	// asked in the result, at least; 4 where nothing is said: _yaml, yaml, markupsafe,
	// charset_normalizer
	modules int
}

// zipped makes a zip of an archive.
func zipped(t *testing.T, a archive) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "input.zip")
	if err := os.WriteFile(name, a.bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}

	return name
}

// asIs is what pip installed, below python/: the zip is what is special.
func asIs(a archive) func(*testing.T, world) string {
	return func(t *testing.T, w world) string {
		a.files = filesOf(t, w.pip, "python/")
		return zipped(t, a)
	}
}

// below is what pip installed, below another folder.
func below(prefix string) func(*testing.T, world) string {
	return func(t *testing.T, w world) string { return zipped(t, archive{files: filesOf(t, w.pip, prefix)}) }
}

// changed is what pip installed, below python/, with a change.
func changed(change func(t *testing.T, files []file) []file) func(*testing.T, world) string {
	return func(t *testing.T, w world) string {
		return zipped(t, archive{files: change(t, filesOf(t, w.pip, "python/"))})
	}
}

// added is what pip installed, below python/, with more files, or others in their place.
func added(more ...file) func(*testing.T, world) string {
	return changed(func(_ *testing.T, files []file) []file { return with(files, more...) })
}

const (
	deep     = "python/lib/python3.13/site-packages/"
	speedups = "markupsafe/_speedups.cpython-313-x86_64-linux-gnu.so"
	markup   = "python/markupsafe-3.0.4.dist-info/"
	cached   = "python/yaml/__pycache__/"
)

var old = "\xcb\x0d\r\n" + strings.Repeat("\x00", 12) + "code of 3.12"

// Layers and zips built by other tools.
var toolsMake = map[string]input{
	"pip install --target, below python/, zipped with timestamps and extra fields": {
		make:  asIs(archive{extra: true}),
		has:   []string{cached + "__init__.cpython-313.pyc", "python/bin/normalizer", markup + "RECORD"},
		lacks: []string{"python/markupsafe/_speedups.c"},
	},
	"the folder that pip install --target filled": {
		make: func(_ *testing.T, w world) string { return w.pip },
		has:  []string{"yaml/__init__.py"},
	},
	"a function's package by uv pip install --target, with the function": {
		has: []string{"app.py"},
		make: func(t *testing.T, w world) string {
			dir := filepath.Join(t.TempDir(), "package")
			w.run(t, w.uv, append([]string{
				"pip", "install", "--quiet", "--python", w.python, "--only-binary", ":all:", "--target", dir,
			}, packages...)...)
			app := text("app.py", "import os\nTABLE = os.environ['TABLE']\n")
			return zipped(t, archive{files: with(filesOf(t, dir, ""), app)})
		},
	},
	"SAM's layout, python/lib/python3.13/site-packages": {
		make: below(deep),
		has:  []string{deep + "yaml/__pycache__/__init__.cpython-313.pyc"},
	},
	"a layer for two Pythons": {
		has: []string{"python/lib/python3.12/site-packages/tests/data.txt"},
		make: func(t *testing.T, w world) string {
			other := text("python/lib/python3.12/site-packages/tests/data.txt", "kept: nobody knows what refers to it")
			return zipped(t, archive{files: with(filesOf(t, w.pip, deep), other)})
		},
	},
	"a pex": {prune: refused("app.pex: it is a pex (it has PEX-INFO)"), make: func(t *testing.T, w world) string {
		tool := filepath.Join(t.TempDir(), "pex")
		app := filepath.Join(t.TempDir(), "app.pex")
		w.install(t, tool, "pex==2.105.2")
		w.run(t, w.python, "-c",
			"import sys; sys.path.insert(0, sys.argv.pop(1)); from pex.bin.pex import main; main()", tool,
			"--disable-cache", packages[0], "-o", app)
		return app
	}},
	"shared objects that strip has been at": {
		note: markup[len("python/"):] + "RECORD has another hash than the file for 1 file, " + speedups + " first",
		make: func(t *testing.T, w world) string {
			dir := w.copy(t)
			w.strip(t, dir)
			return zipped(t, archive{files: filesOf(t, dir, "python/")})
		},
	},
	"numpy, which has a folder of libraries, ELF that patchelf wrote, and tests that kept code refers to": {
		modules: 10,
		lacks:   []string{"python/numpy/tests/test_ctypeslib.py"},
		make: func(t *testing.T, w world) string {
			dir := filepath.Join(t.TempDir(), "numpy")
			w.install(t, dir, "numpy==2.5.5")
			return zipped(t, archive{files: filesOf(t, dir, "python/"), extra: true, streamed: true})
		},
	},
}

// Features of the zip format.
var zipsHave = map[string]input{
	"sizes in data descriptors, as zip writes to a pipe": {make: asIs(archive{streamed: true})},
	"zip64 though nothing is that large":                 {make: asIs(archive{zip64: true})},
	"zip64 beside other extra fields":                    {make: asIs(archive{zip64: true, extra: true})},
	"nothing compressed":                                 {make: asIs(archive{stored: true})},
	"a comment, and a program before the first entry": {
		make: asIs(archive{comment: "made by hand", head: "#!/bin/sh\nexit 1\n"}),
	},
	"folders as entries, empty ones too, and odd modes": {
		lacks: []string{"python/", "python/empty/"},
		make: changed(func(_ *testing.T, files []file) []file {
			for i := range files {
				files[i].mode = []uint32{0o100600, 0o104777, 0o100000}[i%3]
			}

			return append([]file{{name: "python/"}, {name: "python/empty/"}}, files...)
		}),
		check: &outcome{code: 3, says: "can be read by their owner only, or by nobody: Lambda runs as another user"},
	},
	"what a Mac adds": {
		make: added(text("__MACOSX/python/._yaml.py", "\x00\x05\x16\x07"), text("python/.DS_Store", "\x00Bud1"),
			text("python/yaml/._loader.py", "\x00\x05\x16\x07")),
	},
	"another archive among the data": {
		has: []string{"python/yaml/more.zip"},
		make: changed(func(t *testing.T, files []file) []file {
			return with(files,
				file{name: "python/yaml/more.zip", content: archive{files: []file{text("a.py", "")}}.bytes(t)})
		}),
	},
	"bin/ and lib/ beside python/, with names that python/ has too": {
		has:   []string{"bin/normalizer", "lib/libx.so", "lib/tests/data.csv", "python/lib/libx.so"},
		lacks: []string{"lib/libx.a"},
		make: changed(func(_ *testing.T, files []file) []file {
			object := func(ending string) []byte {
				return files[slices.IndexFunc(files, func(f file) bool {
					return strings.HasSuffix(f.name, ending)
				})].content
			}
			return with(files, file{name: "lib/libx.so", content: object(speedups)},
				file{name: "python/lib/libx.so", content: object("linux-gnu.so")},
				text("bin/normalizer", "#!/bin/sh\n"), text("lib/libx.a", "!<arch>\n"),
				text("lib/tests/data.csv", "1"), text("lib/helper.py", "X = 1\n"))
		}),
	},
}

// Changes of packages that people and tools make, and that must work.
var packagesHave = map[string]input{
	"bytecode in odd places": {
		make: added(text(cached+"loader.cpython-312.pyc", old), text("python/yaml/loader.pyc", old),
			text("python/yaml/loader.pyo", old), text(cached+"gone.cpython-313.pyc", old),
			text(cached+"loader.cpython-313.opt-1.pyc", old)),
		lacks: []string{
			cached + "loader.cpython-312.pyc",
			"python/yaml/loader.pyc",
			"python/yaml/loader.pyo",
			cached + "gone.cpython-313.pyc",
			cached + "loader.cpython-313.opt-1.pyc",
		},
	},
	"sources taken out, bytecode in their place": {
		check: found("RECORD: lists"),
		has:   []string{"python/yaml/__init__.pyc", "python/yaml/tests/data.txt"},
		make: func(t *testing.T, w world) string {
			dir := w.copy(t)
			w.run(t, w.python, "-m", "compileall", "-q", "-b", dir)
			cached := func(f file) bool { return strings.Contains(f.name, "__pycache__") }
			files := slices.DeleteFunc(without(filesOf(t, dir, "python/"), ".py"), cached)
			return zipped(t, archive{files: with(files, text("python/yaml/tests/data.txt", "who knows"))})
		},
	},
	"RECORD taken out everywhere": {
		make: changed(func(_ *testing.T, files []file) []file { return without(files, ".dist-info/RECORD") }),
	},
	"RECORD lists what is gone, what is outside, and one name in another way": {
		check: found(markup + "RECORD: lists 2 files that are not there, ./markupsafe/_native.py first"),
		make: changed(func(t *testing.T, files []file) []file {
			return edited(t, files, markup+"RECORD", func(f *file) {
				const rows = "markupsafe/gone.py,,\n/usr/bin/markup,,\n../../bin/markup,,\n./markupsafe/_native.py,,\n"
				f.content = append(f.content, rows...)
			})
		}),
	},
	"RECORD has wrong hashes and sizes": {
		note: "RECORD has another hash than the file for 1 file, markupsafe/__init__.py first",
		make: changed(func(t *testing.T, files []file) []file {
			return edited(t, files, "python/markupsafe/__init__.py", func(f *file) {
				f.content = append(f.content, "\n# patched\n"...)
			})
		}),
	},
	"a module of one's own beside the packages": {
		modules: 6,
		make: added(
			text("python/ours.py", "import yaml\n"),
			text("python/setup.py", "raise SystemExit('not to be imported')\n"),
		),
	},
	"a module of one's own that cannot be imported": {
		check:   found("module ours: ModuleNotFoundError: No module named 'nowhere'"),
		modules: 6,
		make:    added(text("python/ours.py", "import nowhere\n")),
	},
}

// Faults of the input, by name.
var faults = map[string]input{
	"packages of another Python": {
		make:  below("python/lib/python3.12/site-packages/"),
		prune: refused("its packages lie in python/lib/python3.12/site-packages/, where python3.13 does not look"),
		check: refused("--target python3.12-x86_64"),
	},
	"the folder around the layer was zipped too": {
		make:  below("my-layer/python/"),
		prune: refused("its packages lie in my-layer/python/, where Lambda does not look"),
		check: refused("cd my-layer && zip -r ../layer.zip python"),
	},
	"packages in a folder of their own": {
		make:  below("vendor/"),
		prune: refused("its packages lie in vendor/, where Lambda does not look"),
	},
	"a zip in a zip": {
		prune: refused("it holds another archive, layer.zip: unpack it, and give that one"),
		check: &outcome{},
		make: func(t *testing.T, w world) string {
			return zipped(t, archive{
				files: []file{{name: "layer.zip", content: archive{files: filesOf(t, w.pip, "python/")}.bytes(t)}},
			})
		},
	},
	"METADATA taken out": {
		prune: found(markup[:len(markup)-1] + ": has no METADATA: importlib.metadata would not find markupsafe"),
		make:  changed(func(_ *testing.T, files []file) []file { return without(files, markup+"METADATA") }),
	},
	"two versions of one distribution": {
		prune: found("is a second version of markupsafe, beside python/markupsafe-2.0.0.dist-info"),
		make: added(text("python/markupsafe-2.0.0.dist-info/METADATA",
			"Metadata-Version: 2.1\nName: MarkupSafe\nVersion: 2.0.0\n")),
	},
	"a RECORD that is none": {
		prune: refused(markup + "RECORD: RECORD:1: row has 1 fields"),
		make:  added(text(markup+"RECORD", "<html>\n")),
	},
	"names that differ in case only": {
		prune: found("python/yaml/__init__.py: differs from python/YAML/__init__.py in case only"),
		make:  added(text("python/YAML/__init__.py", "")),
	},
	"a file that others lie in": {
		prune: found("python/data/x: lies in python/data, which is a file"),
		make:  added(text("python/data", "x"), text("python/data/x", "y")),
	},
	"names with backslashes": {
		prune: refused(`entry "python\\yaml\\a.py" has a backslash in its name`),
		make:  added(text(`python\yaml\a.py`, "")),
	},
	"an encrypted file": {
		prune: refused(`entry "python/key" is encrypted`),
		make:  added(file{name: "python/key", content: []byte("k"), flags: 1}),
	},
	"a compression Lambda lacks": {
		prune: refused(`entry "python/big" has compression method 12`),
		make:  added(file{name: "python/big", content: []byte("k"), method: 12}),
	},
	"damage in a file nobody reads": {
		prune: refused("read python/yaml/data.bin: CRC-32"),
		make:  added(file{name: "python/yaml/data.bin", content: []byte("k"), crc: 1}),
	},
	"one name twice": {
		prune: refused("python/yaml/loader.py"),
		make: changed(func(_ *testing.T, files []file) []file {
			return append(files, text("python/yaml/loader.py", ""))
		}),
	},
	"a symbolic link": {
		prune: refused(`entry "python/yml" is a symbolic link`),
		check: refused("zip -r without -y"),
		make:  added(file{name: "python/yml", content: []byte("yaml"), mode: 0o120777}),
	},
	"a symbolic link in a folder": {
		prune: refused(`entry "yml" is a symbolic link`),
		check: refused("cp -rL"),
		make: func(t *testing.T, w world) string {
			dir := w.copy(t)
			if err := os.Symlink("yaml", filepath.Join(dir, "yml")); err != nil {
				t.Fatal(err)
			}

			return dir
		},
	},
	"a shared object cut in half": {
		prune: found("python/" + speedups + ": "),
		make: changed(func(t *testing.T, files []file) []file {
			return edited(t, files, speedups, func(f *file) { f.content = f.content[:len(f.content)/8] })
		}),
	},
	"a segment that some tool moved": {
		prune: found("python/" + speedups + ": segment "),
		check: found("is not aligned to 0x1000, Linux will not load it"),
		make: changed(func(t *testing.T, files []file) []file {
			return edited(t, files, speedups, func(f *file) { movedSegment(t, f.content) })
		}),
	},
	"a shared object for another architecture": {
		prune: found("python/" + speedups + ": is for aarch64, python3.13-x86_64 needs x86_64"),
		make: changed(func(t *testing.T, files []file) []file {
			return edited(t, files, speedups, func(f *file) {
				binary.LittleEndian.PutUint16(f.content[18:], uint16(elf.EM_AARCH64))
			})
		}),
	},
}

// movedSegment moves the code segment in the file, as strip does after patchelf.
func movedSegment(t *testing.T, b []byte) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}

	for i, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			binary.LittleEndian.PutUint64(b[64+56*i+8:], p.Off+8)
			return
		}
	}

	t.Fatal("no code is loaded")
}

func TestPrebuiltLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	w := newWorld(t)
	for what, inputs := range map[string]map[string]input{
		"tools make":    toolsMake,
		"zips have":     zipsHave,
		"packages have": packagesHave,
		"faults":        faults,
	} {
		for sentence, c := range inputs {
			t.Run(what+"/"+sentence, func(t *testing.T) { try(t, w, c) })
		}
	}
}

// try checks and prunes an input, and then the result.
func try(t *testing.T, w world, c input) {
	c.prune = cmp.Or(c.prune, &outcome{})
	c.check = cmp.Or(c.check, c.prune)

	in := c.make(t, w)
	cache := filepath.Join(t.TempDir(), "cache")
	out := filepath.Join(t.TempDir(), "out.zip")
	common := []string{"--target", target, "--python", w.python, "--cache", cache, "--json"}
	code, _, stderr := layersmith(append([]string{"check", in}, common...)...)
	if code != c.check.code || !strings.Contains(stderr, c.check.says) {
		t.Errorf("check: exit %d, want %d, and %q in\n%s", code, c.check.code, c.check.says, stderr)
	}

	code, stdout, stderr := layersmith(append([]string{"prune", in, "-o", out}, common...)...)
	if code != c.prune.code || !strings.Contains(stderr, c.prune.says) {
		t.Fatalf("prune: exit %d, want %d, and %q in\n%s", code, c.prune.code, c.prune.says, stderr)
	}

	if code == 2 {
		if _, err := os.Stat(out); err == nil {
			t.Error("the input was refused, and there is a result")
		}

		return
	}

	var l report.Layer
	if err := json.Unmarshal([]byte(stdout), &l); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}

	c.compare(t, l, canonical(t, out))
	if code == 0 {
		c.passed(t, l)
		again(t, out, common)
	}
}

// compare compares the notes and the files of a result with the expected ones.
func (c input) compare(t *testing.T, l report.Layer, names []string) {
	t.Helper()
	if c.note != "" && !strings.Contains(strings.Join(l.Notes, "\n"), c.note) {
		t.Errorf("notes %q, want %q among them", l.Notes, c.note)
	}

	for _, name := range c.has {
		if !slices.Contains(names, name) {
			t.Errorf("the result has no %s", name)
		}
	}

	for _, name := range c.lacks {
		if slices.Contains(names, name) {
			t.Errorf("the result has %s", name)
		}
	}
}

// passed checks that the gate and the probe passed, with as many modules as expected.
func (c input) passed(t *testing.T, l report.Layer) {
	t.Helper()
	want := max(c.modules, 4)
	if l.Probe.Status != report.ProbePassed || l.Probe.Modules < want || len(l.Gate) > 0 {
		t.Errorf("probe %s with %d modules, want passed with %d or more; gate %v",
			l.Probe.Status, l.Probe.Modules, want, l.Gate)
	}
}

// again checks that the result passes check, and that pruning it changes nothing. It is not probed
// again: check compares the CRC-32 of each file, and the probed one had the same.
func again(t *testing.T, out string, common []string) {
	t.Helper()
	if code, _, stderr := layersmith(append([]string{"check", out, "--no-probe"}, common...)...); code != 0 {
		t.Errorf("check of the result: exit %d\n%s", code, stderr)
	}

	twice := filepath.Join(t.TempDir(), "again.zip")
	prune := append([]string{"prune", out, "-o", twice, "--no-probe"}, common...)
	if code, _, stderr := layersmith(prune...); code != 0 {
		t.Fatalf("prune of the result: exit %d\n%s", code, stderr)
	}

	a, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}

	b, err := os.ReadFile(twice)
	if err != nil {
		t.Fatal(err)
	}

	if !bytes.Equal(a, b) {
		t.Errorf("pruning the result changes it: %d bytes, were %d", len(b), len(a))
	}
}

// canonical checks that a zip has no extra fields, comments, flags, modes, times or order of its
// input, and returns its names.
func canonical(t *testing.T, name string) []string {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		mode := f.Mode()
		plain := len(f.Extra) == 0 && f.Comment == "" && f.Flags&^(1<<11) == 0 && f.Modified.Year() <= 1980
		if !plain || mode != 0o644 && mode != 0o755 {
			t.Errorf("%s: extra %x, comment %q, flags %#x, mode %v, %v",
				f.Name, f.Extra, f.Comment, f.Flags, mode, f.Modified)
		}
	}

	if z.Comment != "" || !slices.IsSorted(names) {
		t.Errorf("comment %q, names sorted: %v", z.Comment, slices.IsSorted(names))
	}

	return names
}
