// Package scripts runs testscript files (.txtar) with the real command line, the real uv and a real
// Python on synthetic wheels, without a network.
package scripts

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/testenv/host"
)

// Main is the TestMain of a package of scripts: it makes layersmith a command of the scripts.
func Main(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"layersmith": func() { os.Exit(cli.Main(os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr})) },
	})
}

// Run runs the scripts of a folder, relative to the test's package. A script finds
//
//	$WORK/index   uv's only index: the commands wheel and sdist add files to it; there is no network
//	$WORK/cache   the wheel store and the caches
//	$WORK/bin     uv, and the target's interpreter as python3.N; a script removes a file to test without it
//	$FOREIGN      the same runtime on another architecture than this machine's
//	$MACHINE      this machine's architecture in platform tags: x86_64, aarch64
//	$VERSION      the version of that interpreter, 3.N, and $RELEASE its full version
//	$TARGET       the target of that interpreter; it is also replaced in the script's *.yaml files
//	$PYTHON       that interpreter
//
// A layers folder without a workspace.yaml gets one that names the target.
func Run(t *testing.T, dir string) {
	t.Helper()
	uv, err := host.UV()
	if err != nil {
		t.Fatal(err)
	}

	python, err := host.Python()
	if err != nil {
		t.Fatal(err)
	}

	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			return setUp(e, uv, python)
		},
		Cmds: Commands(),
	})
}

// Commands are the commands that scripts have beside those of testscript. A Setup that is not Run's
// calls Prepare.
func Commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"code":      runWithCode,
		"interrupt": interrupt,
		"ended":     ended,
		"wheel":     makeWheel,
		"sdist":     makeSdist,
		"elf":       makeELF,
		"binary":    makeBinary,
		"zip":       makeZip,
		"unzip":     unpackZip,
		"inzip":     inZip,
		"jsonget":   jsonGet,
		"digest":    sameDigest,
		"same":      sameBytes,
		"truncate":  truncate,
		"append":    appendLine,
		"empty":     emptyFolder,
		"replace":   replaceText,
	}
}

// Prepare makes room for what commands of one script remember.
func Prepare(e *testscript.Env) { e.Values["state"] = &state{} }

// state is what commands of one script remember.
type state struct{ background *exec.Cmd }

func setUp(e *testscript.Env, uv string, python host.Interpreter) error {
	in := func(name string) string { return filepath.Join(e.WorkDir, name) }
	for _, dir := range []string{"index", "home", "bin"} {
		if err := os.MkdirAll(in(dir), 0o755); err != nil {
			return err
		}
	}

	version := python.Target.PythonVersion()
	release, err := releaseOf(python.Path)
	if err != nil {
		return err
	}

	for name, program := range map[string]string{
		"uv":               uv,
		"python" + version: python.Path,
		"python3":          python.Path, // uv itself needs any Python
	} {
		if err := os.Symlink(program, in("bin/"+name)); err != nil {
			return err
		}
	}

	if err := os.WriteFile(in("uv.toml"), []byte("no-index = true\n"), 0o644); err != nil {
		return err
	}

	Prepare(e)
	own, _, _ := strings.Cut(e.Getenv("PATH"), string(os.PathListSeparator)) // where testscript put layersmith
	otherArch := map[string]string{"x86_64": "arm64", "arm64": "x86_64"}[python.Target.Arch()]
	const noNetwork = "http://127.0.0.1:1" // nothing listens there

	for name, value := range map[string]string{
		"PATH":    own + string(os.PathListSeparator) + in("bin"),
		"HOME":    in("home"),
		"TARGET":  python.Target.String(),
		"MACHINE": map[string]string{"x86_64": "x86_64", "arm64": "aarch64"}[python.Target.Arch()],
		"FOREIGN": "python" + version + "-" + otherArch,
		"VERSION": version,
		"RELEASE": release,
		"CPYTHON": strings.ReplaceAll(version, ".", ""),
		"LOCK":    "pylock." + strings.ReplaceAll(python.Target.String(), ".", "_") + ".toml",
		"PYTHON":  in("bin/python" + version),

		"LAYERSMITH_CACHE": in("cache"),
		"UV_CACHE_DIR":     in("uvcache"),
		"UV_CONFIG_FILE":   in("uv.toml"),
		"UV_FIND_LINKS":    in("index"),

		"HTTP_PROXY": noNetwork, "HTTPS_PROXY": noNetwork, "ALL_PROXY": noNetwork, "NO_PROXY": "",
		"http_proxy": noNetwork, "https_proxy": noNetwork, "all_proxy": noNetwork, "no_proxy": "",
	} {
		e.Setenv(name, value)
	}

	return targetInFiles(e.WorkDir, python.Target)
}

// releaseOf asks an interpreter for its full version.
func releaseOf(python string) (string, error) {
	out, err := exec.Command(python, "-I", "-S", "-c", "import sys; print(sys.version.split()[0])").Output()
	return strings.TrimSpace(string(out)), err
}

// targetInFiles puts the target into workspaces.
func targetInFiles(work string, target pydist.Target) error {
	layers := filepath.Join(work, "layers")
	file := filepath.Join(layers, "workspace.yaml")
	if _, err := os.Stat(layers); err == nil {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(file, []byte("targets: [$TARGET]\n"), 0o644); err != nil {
				return err
			}
		}
	}

	return filepath.WalkDir(work, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".yaml" {
			return err
		}

		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}

		return os.WriteFile(p, bytes.ReplaceAll(b, []byte("$TARGET"), []byte(target.String())), 0o644)
	})
}

// refuseNot is for commands that cannot be negated.
func refuseNot(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

// code N COMMAND...: the command must end with that exit code.
func runWithCode(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: code N command...")
	}

	got := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}

	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// interrupt PATTERN: waits for a file that the background command makes, and presses Ctrl-C.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	running := ts.BackgroundCmds()
	if len(args) != 1 || len(running) != 1 {
		ts.Fatalf("usage: interrupt pattern, with one background command")
	}

	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if found, _ := filepath.Glob(ts.MkAbs(args[0])); len(found) > 0 {
			break
		}

		if time.Now().After(end) {
			ts.Fatalf("%s did not appear", args[0])
		}
	}

	ts.Value("state").(*state).background = running[0]
	ts.Check(running[0].Process.Signal(syscall.SIGINT))
}

// ended N: the command that was interrupted, and waited for, ended with that exit code.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	c := ts.Value("state").(*state).background
	if len(args) != 1 || c == nil || c.ProcessState == nil {
		ts.Fatalf("usage: ended N, after interrupt and wait")
	}

	if got := strconv.Itoa(c.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// wheel [-to FOLDER] [-from FOLDER] [-tag TAG] NAME==VERSION [REQUIREMENT...]: puts a wheel into
// the index. Its files are those of wheels/NAME, with their own entry_points.txt if there is one;
// without that folder it has one module that knows its version.
func makeWheel(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	flags := flag.NewFlagSet("wheel", flag.ContinueOnError)
	to := flags.String("to", "$WORK/index", "")
	from := flags.String("from", "", "")
	tag := flags.String("tag", "py3-none-any", "")
	ts.Check(flags.Parse(args))
	name, version, ok := strings.Cut(flags.Arg(0), "==")
	if !ok {
		ts.Fatalf("usage: wheel [-to folder] [-from folder] [-tag tag] NAME==VERSION [requirement...]")
	}

	module := strings.ReplaceAll(name, "-", "_")
	files := map[string][]byte{}
	folder := ts.MkAbs(filepath.Join("wheels", name))
	if *from != "" {
		folder = ts.MkAbs(*from)
	}

	var executable map[string]bool
	if _, err := os.Stat(folder); err == nil {
		executable = readFolder(ts, folder, files)
	} else {
		files[module+"/__init__.py"] = fmt.Appendf(nil, "__version__ = %q\n", version)
	}

	info := module + "-" + version + ".dist-info/"
	if b, ok := files["entry_points.txt"]; ok {
		files[info+"entry_points.txt"] = b
		delete(files, "entry_points.txt")
	}

	files[info+"METADATA"] = metadata(name, version, flags.Args()[1:])
	files[info+"WHEEL"] = fmt.Appendf(nil, "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: %s\n",
		*tag)
	var record strings.Builder
	for _, f := range sortedNames(files) {
		sum := sha256.Sum256(files[f])
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[f]))
	}

	files[info+"RECORD"] = []byte(record.String() + info + "RECORD,,\n")
	dir := strings.ReplaceAll(*to, "$WORK", ts.Getenv("WORK"))
	ts.Check(os.MkdirAll(ts.MkAbs(dir), 0o755))
	file := fmt.Sprintf("%s-%s-%s.whl", module, version, *tag)
	ts.Check(writeZip(filepath.Join(ts.MkAbs(dir), file), files, executable))
}

func metadata(name, version string, requires []string) []byte {
	b := fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, r := range requires {
		b = fmt.Appendf(b, "Requires-Dist: %s\n", r)
	}

	return b
}

// readFolder adds a folder's files to a map, and returns which of them are executable.
func readFolder(ts *testscript.TestScript, folder string, files map[string][]byte) map[string]bool {
	executable := map[string]bool{}
	ts.Check(fs.WalkDir(os.DirFS(folder), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		info, err := d.Info()
		if err != nil {
			return err
		}

		executable[p] = info.Mode()&0o100 != 0
		files[p], err = os.ReadFile(filepath.Join(folder, filepath.FromSlash(p)))
		return err
	}))
	return executable
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}

	sort.Strings(names)
	return names
}

func writeZip(file string, files map[string][]byte, executable map[string]bool) error {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range sortedNames(files) {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate, Modified: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
		if executable[n] {
			h.SetMode(0o755)
		}

		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}

		if _, err := w.Write(files[n]); err != nil {
			return err
		}
	}

	if err := z.Close(); err != nil {
		return err
	}

	return os.WriteFile(file, b.Bytes(), 0o644)
}

// sdist NAME==VERSION: puts a source distribution into the index.
func makeSdist(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	name, version, ok := strings.Cut(strings.Join(args, " "), "==")
	if !ok {
		ts.Fatalf("usage: sdist NAME==VERSION")
	}

	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	archive := tar.NewWriter(compressed)
	for file, content := range map[string][]byte{
		"PKG-INFO":            metadata(name, version, nil),
		"setup.py":            []byte("from setuptools import setup\nsetup()\n"),
		name + "/__init__.py": nil,
	} {
		ts.Check(
			archive.WriteHeader(
				&tar.Header{Name: path.Join(name+"-"+version, file), Mode: 0o644, Size: int64(len(content))},
			),
		)
		_, err := archive.Write(content)
		ts.Check(err)
	}

	ts.Check(errors.Join(archive.Close(), compressed.Close()))
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), "index", name+"-"+version+".tar.gz"), b.Bytes(), 0o644))
}

// elf MACHINE FILE: writes the smallest shared object that a loader would look at.
func makeELF(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: elf machine file")
	}

	machine, ok := map[string]uint16{"x86_64": 62, "arm64": 183}[args[0]]
	if !ok {
		ts.Fatalf("unknown machine %q", args[0])
	}

	const headers = 64 + 56
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	for _, v := range []any{
		// header
		uint16(3), machine, uint32(1), uint64(0), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		// one PT_LOAD
		uint32(1), uint32(4), uint64(0), uint64(0), uint64(0), uint64(headers), uint64(headers), uint64(0x1000),
	} {
		var err error
		b, err = binary.Append(b, binary.LittleEndian, v)
		ts.Check(err)
	}

	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[1])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o644))
}

// zip FILE FOLDER: zips a folder.
func makeZip(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: zip file folder")
	}

	files := map[string][]byte{}
	executable := readFolder(ts, ts.MkAbs(args[1]), files)
	ts.Check(writeZip(ts.MkAbs(args[0]), files, executable))
}

// unzip FILE FOLDER: unpacks a zip.
func unpackZip(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: unzip file folder")
	}

	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer z.Close()
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), z))
}

// inzip FILE PATTERN...: each pattern (as path.Match has them) finds an entry; negated, none does.
func inZip(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] inzip file pattern...")
	}

	z, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	defer z.Close()
	for _, pattern := range args[1:] {
		found := ""
		for _, f := range z.File {
			if ok, err := path.Match(pattern, f.Name); err != nil {
				ts.Check(err)
			} else if ok {
				found = f.Name
			}
		}

		switch {
		case found == "" && !neg:
			var names []string
			for _, f := range z.File {
				names = append(names, f.Name)
			}

			ts.Fatalf("%s has no %s; it has %s", args[0], pattern, strings.Join(names, " "))
		case found != "" && neg:
			ts.Fatalf("%s has %s", args[0], found)
		}
	}
}

// jsonget FILE PATH [VALUE]: the file, which may be stdout, is one JSON document, and what is at
// the path (names and indexes with dots between them; # for the length) is there, and is the value.
// Negated: it is not there, or is something else.
func jsonGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: [!] jsonget file path [value]")
	}

	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	var at any
	ts.Check(d.Decode(&at))
	if d.More() {
		ts.Fatalf("%s: more than one JSON document", args[0])
	}

	at, there := valueAt(at, args[1])
	got := fmt.Sprint(at)
	switch {
	case !there && !neg:
		ts.Fatalf("%s: nothing at %s", args[0], args[1])
	case len(args) == 2 && there && neg:
		ts.Fatalf("%s: %s is %s", args[0], args[1], got)
	case len(args) == 3 && (there && got == args[2]) == neg:
		ts.Fatalf("%s: %s is %q, want%s %q", args[0], args[1], got, map[bool]string{true: " not"}[neg], args[2])
	}
}

// valueAt follows a path of names and indexes into a JSON document; # is the length of a list.
func valueAt(at any, path string) (any, bool) {
	for key := range strings.SplitSeq(path, ".") {
		var there bool
		switch v := at.(type) {
		case map[string]any:
			at, there = v[key]
		case []any:
			at, there = elementAt(v, key)
		}

		if !there {
			return at, false
		}
	}

	return at, true
}

func elementAt(list []any, key string) (any, bool) {
	if key == "#" {
		return json.Number(strconv.Itoa(len(list))), true
	}

	n, err := strconv.Atoi(key)
	if err != nil || n < 0 || n >= len(list) {
		return nil, false
	}

	return list[n], true
}

// digest FILE JSON PATH: the file's SHA-256 is what the document says.
func sameDigest(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] digest file json path")
	}

	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	sum := sha256.Sum256(b)
	jsonGet(ts, neg, []string{args[1], args[2], hex.EncodeToString(sum[:])})
}

// same ONE OTHER: as cmp, for files that nobody wants to see a difference of.
func sameBytes(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] same one other")
	}

	a, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if bytes.Equal(a, b) == neg {
		ts.Fatalf("%s (%d bytes) and %s (%d bytes): equal is %v", args[0], len(a), args[1], len(b), neg)
	}
}

// truncate PATTERN: cuts the files in half.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	found, err := filepath.Glob(ts.MkAbs(strings.Join(args, " ")))
	ts.Check(err)
	if len(found) == 0 {
		ts.Fatalf("no file %s", args)
	}

	for _, f := range found {
		info, err := os.Stat(f)
		ts.Check(err)
		ts.Check(os.Truncate(f, info.Size()/2))
	}
}

// replace FILE OLD NEW: replaces a text in a file, which must have it.
func replaceText(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 3 {
		ts.Fatalf("usage: replace file old new")
	}

	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	if !bytes.Contains(b, []byte(args[1])) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}

	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.ReplaceAll(b, []byte(args[1]), []byte(args[2])), 0o644))
}

// append FILE LINE: adds a line to a file.
func appendLine(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: append file line")
	}

	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o644))
}

// empty FOLDER...: no file is in any of them, at any depth; a folder that is not there is empty.
func emptyFolder(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	for _, dir := range args {
		err := filepath.WalkDir(ts.MkAbs(dir), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}

			if err == nil && !d.IsDir() {
				return fmt.Errorf("%s is there", p)
			}

			return err
		})
		ts.Check(err)
	}
}
