package loaded_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/testenv/host"
	"github.com/layersmith/layersmith/internal/testenv/loaded"
	"github.com/layersmith/layersmith/internal/ziptree"
)

const repository = "../../.."

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }

func layersmith(t *testing.T, args ...string) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	if code := cli.Main(args, cli.Streams{Out: &out, Err: &diagnostics}); code != 0 {
		t.Fatalf("layersmith %s: exit %d\n%s%s", strings.Join(args, " "), code, out.String(), diagnostics.String())
	}
}

func python(t *testing.T) string {
	t.Helper()
	p, err := host.PythonOf("3.13")
	if err != nil {
		t.Fatal(err)
	}

	return p.Path
}

func open(t *testing.T, file string) ziptree.Tree {
	t.Helper()
	b, err := localport.OpenBlob(file)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { b.Close() })
	tree, err := ziptree.Read(b, b.Size(), file)
	if err != nil {
		t.Fatal(err)
	}

	return tree
}

// kinds counts what a tree has of the things that are compared.
func kinds(before, after ziptree.Tree) (objects, models, bytecode int) {
	for _, e := range after.Entries() {
		was, ok := before.Lookup(e.Name)
		changed := ok && (was.CRC32 != e.CRC32 || was.Size != e.Size)
		switch {
		case strings.HasSuffix(e.Name, ".pyc"):
			bytecode++
		case changed && strings.Contains(e.Name, ".so"):
			objects++
		case changed && strings.Contains(e.Name, ".json"):
			models++
		}
	}

	return objects, models, bytecode
}

// The three layers of this repository, every file of them.
func TestTheThreeLayersLoadTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	ws := filepath.Join(t.TempDir(), "layers")
	plan := t.TempDir()
	out := t.TempDir()
	if err := os.CopyFS(ws, os.DirFS(filepath.Join(repository, "layers"))); err != nil {
		t.Fatal(err)
	}

	layersmith(t, "build", "--workspace", ws, "--output", plan, "--plan", "--quiet")
	layersmith(t, "build", "--workspace", ws, "--output", out, "--no-probe", "--quiet")
	interpreter := python(t)
	// At least so many files of each kind were changed or made: a comparison of nothing finds
	// nothing.
	for layer, least := range map[string][3]int{
		"core-data-science": {60, 0, 450},
		"ml-libraries":      {150, 0, 1000},
		"aws-utilities":     {0, 1500, 150},
	} {
		before := open(t, filepath.Join(plan, layer+"-python3.13-x86_64.artifact.zip"))
		after := open(t, filepath.Join(out, layer+"-python3.13-x86_64.zip"))
		found, err := loaded.Check(t.Context(), before, after, interpreter)
		if err != nil {
			t.Fatal(err)
		}

		for _, f := range found {
			t.Errorf("%s: %s", layer, f)
		}

		objects, models, bytecode := kinds(before, after)
		t.Logf("%s: %d shared objects, %d models, %d files of bytecode", layer, objects, models, bytecode)
		if got := [3]int{objects, models, bytecode}; got[0] < least[0] || got[1] < least[1] || got[2] < least[2] {
			t.Errorf("%s: %v shared objects, models and files of bytecode were compared, want at least %v",
				layer, got, least)
		}
	}
}

const prefix = "python/"

func tree(t *testing.T, files map[string]string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for name, content := range files {
		entries = append(entries, ziptree.File(prefix+name, []byte(content), "test"))
	}

	made, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return made
}

// compiled is what the interpreter makes of a source: unchecked hash-based bytecode.
func compiled(t *testing.T, interpreter, source, mode string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "m.py")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}

	const script = "import py_compile, sys; " +
		"py_compile.compile(sys.argv[1], sys.argv[2], doraise=True, optimize=int(sys.argv[4]), " +
		"invalidation_mode=py_compile.PycInvalidationMode[sys.argv[3]])"
	out, err := exec.Command(interpreter, "-I", "-S", "-c", script, file, file+"c", mode, "0").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	b, err := os.ReadFile(file + "c")
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// sharedObject is the smallest extension module that came with the interpreter.
func sharedObject(t *testing.T, interpreter string) []byte {
	t.Helper()
	dir, err := exec.Command(interpreter, "-I", "-S", "-c",
		"import sys; print(next(p for p in sys.path if p.endswith('lib-dynload')), end='')").
		Output()
	if err != nil {
		t.Fatal(err)
	}

	files, err := filepath.Glob(filepath.Join(string(dir), "*.so"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no extension module in %s: %v", dir, err)
	}

	var smallest []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		if smallest == nil || len(b) < len(smallest) {
			smallest = b
		}
	}

	return smallest
}

func TestDifferencesAreFound(t *testing.T) {
	interpreter := python(t)
	elfFile := sharedObject(t, interpreter)
	f, err := elf.NewFile(bytes.NewReader(elfFile))
	if err != nil {
		t.Fatal(err)
	}

	changedAt := func(at uint64, to byte) string {
		b := bytes.Clone(elfFile)
		b[at] ^= to
		return string(b)
	}
	noSections := bytes.Clone(elfFile)
	clear(noSections[40:48])
	clear(noSections[60:64])
	var last *elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Filesz > 0 {
			last = p
		}
	}

	const source, other = "\"\"\"Text.\"\"\"\nA = (1, 'x')\n", "A = (2, 'x')\n"
	unchecked := compiled(t, interpreter, source, "UNCHECKED_HASH")
	otherCode := compiled(t, interpreter, other, "UNCHECKED_HASH")
	const model, cache = "botocore/data/s3/1/service-2.json", "__pycache__/a.cpython-313.pyc"
	for sentence, c := range map[string]struct {
		before, after map[string]string
		want          []string
	}{
		"nothing is": {map[string]string{"a.py": source, "b.csv": "1"}, map[string]string{"a.py": source}, nil},
		"bytecode of its source, beside it or in its place": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: unchecked, "a.pyc": unchecked},
			nil,
		},
		"RECORD may change": {
			map[string]string{"a-1.dist-info/RECORD": "a"},
			map[string]string{"a-1.dist-info/RECORD": "b"},
			nil,
		},
		"documentation may go": {
			map[string]string{
				model: `{"documentation": "x", "n": 1.50, "members": {"documentation": {"documentation": "y"}}}`,
			},
			map[string]string{model: `{"n":1.50,"members":{"documentation":{}}}`},
			nil,
		},
		"what lies behind the segments may go": {
			map[string]string{"a.so": string(elfFile) + "symbols"},
			map[string]string{"a.so": string(elfFile)},
			nil,
		},
		"section headers may go": {
			map[string]string{"a.so": string(elfFile)},
			map[string]string{"a.so": string(noSections)},
			nil,
		},

		"a file from nowhere": {
			nil,
			map[string]string{"a.py": source},
			[]string{"python/a.py: it is new"},
		},
		"a changed source": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": other},
			[]string{"python/a.py: it was changed, and is neither a shared object nor a model"},
		},
		"bytecode of nothing": {
			nil,
			map[string]string{cache: unchecked},
			[]string{"python/" + cache + ": there is no source that it could be compiled from"},
		},
		"code of another file": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: otherCode},
			[]string{"python/" + cache + ": has the hash of another source"},
		},
		"another constant under the right hash": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: unchecked[:16] + otherCode[16:]},
			[]string{"python/" + cache + ": has other code than its source compiles to"},
		},
		"bytecode that is checked by time": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: compiled(t, interpreter, source, "TIMESTAMP")},
			[]string{"python/" + cache + ": is not unchecked and hash-based"},
		},
		"bytecode of another Python": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: "\xcb\x0d\r\n" + unchecked[4:]},
			[]string{"python/" + cache + ": is for another Python"},
		},
		"half of it": {
			map[string]string{"a.py": source},
			map[string]string{"a.py": source, cache: unchecked[:len(unchecked)-9]},
			[]string{"python/" + cache + ": cannot be read: "},
		},
		"a byte that is mapped": {
			map[string]string{"a.so": string(elfFile)},
			map[string]string{"a.so": changedAt(last.Off+last.Filesz-1, 1)},
			[]string{
				fmt.Sprintf("python/a.so: segment %d maps other bytes from %#x on", slices.Index(f.Progs, last),
					last.Vaddr+last.Filesz-1),
			},
		},
		"another entry point": {
			map[string]string{"a.so": string(elfFile)},
			map[string]string{"a.so": changedAt(24, 1)},
			[]string{"python/a.so: ELF headers differ"},
		},
		"a segment at another place": {
			map[string]string{"a.so": string(elfFile)},
			map[string]string{"a.so": changedAt(64+16+2, 1)},
			[]string{"python/a.so: program header 0 differs"},
		},
		"a model without a shape": {
			map[string]string{model: `{"documentation": "x", "shapes": {"A": {}}}`},
			map[string]string{model: `{"shapes":{}}`},
			[]string{"python/" + model + ": differs from the original by more than its documentation"},
		},
		"documentation that botocore reads": {
			map[string]string{model: `{"clientContextParams": {"A": {"documentation": "x"}}}`},
			map[string]string{model: `{"clientContextParams":{"A":{}}}`},
			[]string{"python/" + model + ": differs from the original by more than its documentation"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			found, err := loaded.Check(t.Context(), tree(t, c.before), tree(t, c.after), interpreter)
			if err != nil {
				t.Fatal(err)
			}

			for i := range found { // what Python and debug/elf say is theirs
				if i < len(c.want) && strings.HasPrefix(found[i], c.want[i]) {
					found[i] = c.want[i]
				}
			}

			if d := cmp.Diff(c.want, found); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNoInterpreterIsAnError(t *testing.T) {
	files := map[string]string{"a.py": "", "a.pyc": ""}
	python := filepath.Join(t.TempDir(), "python")
	if _, err := loaded.Check(t.Context(), tree(t, files), tree(t, files), python); err == nil {
		t.Error("bytecode was compared without an interpreter")
	}
}
