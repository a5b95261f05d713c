package pyimport

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// corpusCase is one case of testdata/*.txt: a sentence, the source and, after `-->`, the expected
// findings.
type corpusCase struct{ sentence, source, want string }

func readCorpus(t testing.TB) []corpusCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the corpus: %v, %d files", err, len(files))
	}

	var cases []corpusCase
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		for part := range strings.SplitSeq("\n"+string(data), "\n### ") {
			if strings.TrimSpace(part) == "" {
				continue
			}

			sentence, rest, _ := strings.Cut(part, "\n")
			source, want, ok := strings.Cut("\n"+rest, "\n-->")
			if !ok {
				t.Fatalf("%s: %q: no line -->", file, sentence)
			}

			source = strings.TrimPrefix(source, "\n") + "\n"
			cases = append(cases, corpusCase{sentence, source, strings.TrimSpace(want)})
		}
	}

	return cases
}

// describe prints a scan, one finding a line.
func describe(s Scan) string {
	var b strings.Builder
	for _, i := range s.Imports {
		fmt.Fprintf(&b, "%d ", i.Line)
		if i.Guarded {
			b.WriteString("guarded ")
		}

		module := strings.Repeat(".", i.Level) + i.Module
		switch {
		case i.Dynamic:
			fmt.Fprintf(&b, "dynamic %s\n", module)
		case i.Names == nil:
			fmt.Fprintf(&b, "import %s\n", module)
		default:
			fmt.Fprintf(&b, "from %s import %s\n", module, strings.Join(i.Names, " "))
		}
	}

	for _, v := range s.Strings {
		fmt.Fprintf(&b, "string %s\n", v)
	}

	for _, v := range s.PathParts {
		fmt.Fprintf(&b, "part %s\n", v)
	}

	if s.GetAttrLazy {
		b.WriteString("lazy\n")
	}

	if s.StubLoader {
		b.WriteString("stubs\n")
	}

	return strings.TrimSpace(b.String())
}

func TestSourceReportsTheCorpus(t *testing.T) {
	for _, c := range readCorpus(t) {
		t.Run(c.sentence, func(t *testing.T) {
			for lineEnd, convert := range map[string]string{"LF": "\n", "CR LF": "\r\n", "CR": "\r"} {
				scan, err := Source([]byte(strings.ReplaceAll(c.source, "\n", convert)))
				if err != nil {
					t.Fatal(err)
				}

				if diff := cmp.Diff(c.want, describe(scan)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", lineEnd, diff)
				}
			}
		})
	}
}

// Bytes that the corpus, a text file, cannot contain.
func TestSourceReadsBytes(t *testing.T) {
	for sentence, c := range map[string]struct{ source, want string }{
		"a byte order mark is not a name": {"\xef\xbb\xbfimport a\n", "1 import a"},
		"the last line needs no line end": {"import a", "1 import a"},
		"a form feed starts the indentation over": {
			"try:\n  import a\n  \fimport b\n",
			"2 guarded import a\n3 import b",
		},
		"a form feed is blank elsewhere": {"import\fa\n", "1 import a"},
		"a tab goes to the next multiple of eight": {
			"try:\n    if x:\n\timport a\nimport b\n",
			"3 guarded import a\n4 import b",
		},
		"latin-1 bytes are part of names and comments": {
			"# -*- coding: latin-1 -*-\nx\xe9 = '\xe9' # \xe9\nimport a\xe9\n",
			"3 import a\xe9",
		},
		"line ends may be mixed": {
			"import a\rimport b\r\nimport c\n\rimport d\n",
			"1 import a\n2 import b\n3 import c\n5 import d",
		},
		"NUL bytes do no harm":              {"\x00import a\x00\nimport b\n", "2 import b"},
		"an empty source refers to nothing": {"", ""},
		"a backslash may end the source":    {"import a\nx = '\\", "1 import a"},
	} {
		t.Run(sentence, func(t *testing.T) {
			scan, err := Source([]byte(c.source))
			if err != nil {
				t.Fatal(err)
			}

			if diff := cmp.Diff(c.want, describe(scan)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSourceRefusesMoreThanTheLimit(t *testing.T) {
	_, err := Source(make([]byte, MaxSourceBytes+1))
	if want := "scan Python source: 33554433 bytes, limit 33554432"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestResolve(t *testing.T) {
	for sentence, c := range map[string]struct {
		in        Import
		module    string
		isPackage bool
		want      []string
	}{
		"an import loads the parents too": {
			Import{Module: "a.b.c"},
			"m",
			false,
			[]string{"a", "a.b", "a.b.c"},
		},
		"an imported name may be a submodule": {
			Import{Module: "a.b", Names: []string{"c", "d"}},
			"m",
			false,
			[]string{"a", "a.b", "a.b.c", "a.b.d"},
		},
		"a star is no submodule": {
			Import{Module: "a", Names: []string{"*"}},
			"m",
			false,
			[]string{"a"},
		},
		"two dots in a module leave its package": {
			Import{Level: 2, Module: "a", Names: []string{"b"}},
			"x.y.z",
			false,
			[]string{"x.a", "x.a.b"},
		},
		"one dot in a package is the package": {
			Import{Level: 1, Names: []string{"b"}},
			"x.y",
			true,
			[]string{"x.y", "x.y.b"},
		},
		"one dot in a module is its package": {
			Import{Level: 1, Names: []string{"b"}},
			"x.y",
			false,
			[]string{"x", "x.b"},
		},
		"parents below the base are loaded": {
			Import{Level: 1, Module: "a.b", Names: []string{"c"}},
			"x",
			true,
			[]string{"x.a", "x.a.b", "x.a.b.c"},
		},
		"a relative dynamic import is like a from": {
			Import{Level: 1, Module: "a", Dynamic: true},
			"x.y",
			false,
			[]string{"x.a"},
		},
		"more dots than packages name nothing":          {Import{Level: 3, Module: "a"}, "x.y", true, nil},
		"a top-level module has no package":             {Import{Level: 1, Module: "a"}, "six", false, nil},
		"a script without a name has no package":        {Import{Level: 1, Module: "a"}, "", true, nil},
		"a malformed importing name resolves nothing":   {Import{Level: 1, Module: "a"}, "x..y", false, nil},
		"a malformed module resolves nothing":           {Import{Module: "a..b"}, "m", false, nil},
		"an import that names nothing resolves nothing": {Import{Names: []string{"a"}}, "m", false, nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.in.Resolve(c.module, c.isPackage), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"numpy/testing/__init__.py":            "numpy.testing package",
		"six.py":                               "six",
		"a/_b.cpython-313-x86_64-linux-gnu.so": "a._b",
		"a/_b.abi3.so":                         "a._b",
		"a/_b.so":                              "a._b",
		"a/__init__.cpython-313-aarch64-linux.so": "a package",
		"a/__main__.py":                      "a.__main__",
		"caf\u00e9/x1.py":                    "caf\u00e9.x1",
		"__init__.py":                        "",
		"numpy.libs/libgfortran-105e6576.so": "",
		"a/libx.so.1":                        "",
		"a/b.c.so":                           "",
		"a/b.pyi":                            "",
		"a-1.0.dist-info/x.py":               "",
		"a/1b.py":                            "",
		"a//b.py":                            "",
		"/a.py":                              "",
		".py":                                "",
		"":                                   "",
	} {
		got, isPackage, ok := ModuleName(file)
		if isPackage {
			got += " package"
		}

		if got != want || ok != (want != "") {
			t.Errorf("ModuleName(%q) = %q, %v; want %q", file, got, ok, want)
		}
	}
}

// Inputs on which a scanner with unbounded lookahead or recursion would be quadratic or run out of
// stack.
func TestSourceIsLinear(t *testing.T) {
	const size = 2 << 20
	for _, unit := range []string{
		"(", ")", "[{(", "'", "\"", "'''", "\\", "\\'", "\\\n", "\r", "#\r",
		"f'{", "f\"{f'{", "f'''{x:{", "f'{x:", "rb", ".", "import a.", "from .", "from a import (",
		"try:", "if TYPE_CHECKING:", "import_module('a',", "import_module('.a'", "join(", "a.join(",
		"''", "'/a'", "\n ", "def ", "\\N{", "f'\\N{", "x/'a'", "{{", "__getattr__", "1.", "\xff", "\x00",
	} {
		src := bytes.Repeat([]byte(unit), size/len(unit))
		start := time.Now()
		if _, err := Source(src); err != nil {
			t.Fatal(err)
		}

		if took := time.Since(start); took > 5*time.Second { // 10-100 ms in practice
			t.Errorf("%q repeated to %d bytes took %v", unit, len(src), took)
		}
	}
}

// checkLines checks that line numbers do not decrease and are in the source.
func checkLines(t *testing.T, src []byte, imports []Import) {
	t.Helper()
	line := 1
	last := 1 + bytes.Count(src, []byte("\n")) + bytes.Count(src, []byte("\r"))
	for _, i := range imports {
		if i.Line < line || i.Line > last {
			t.Fatalf("%+v: expected a line from %d to %d", i, line, last)
		}

		line = i.Line
	}
}

func FuzzSource(f *testing.F) {
	for _, c := range readCorpus(f) {
		f.Add([]byte(c.source), "x.y.z", true)
	}

	f.Fuzz(func(t *testing.T, src []byte, module string, isPackage bool) {
		start := time.Now()
		scan, err := Source(src)
		if err != nil {
			t.Fatal(err)
		}

		if took := time.Since(start); took > time.Second+time.Duration(len(src))*time.Microsecond {
			t.Fatalf("%d bytes took %v", len(src), took)
		}

		checkLines(t, src, scan.Imports)
		for _, i := range scan.Imports {
			if i.Level == 0 && len(i.Resolve("m", false)) == 0 {
				t.Fatalf("%+v resolves to nothing", i)
			}

			for _, name := range i.Resolve(module, isPackage) {
				if slices.Contains(strings.Split(name, "."), "") {
					t.Fatalf("%+v in %q resolves to %q", i, module, name)
				}
			}
		}

		for _, v := range append(scan.Strings, scan.PathParts...) {
			if v == "" || len(v) > maxPathBytes || v[0] == '/' || v[len(v)-1] == '/' {
				t.Fatalf("path %q", v)
			}
		}
	})
}

func BenchmarkSource(b *testing.B) {
	var src bytes.Buffer
	for i := 0; src.Len() < 1<<20; i++ {
		fmt.Fprintf(&src, "from ..package%d import (name_a, name_b as c)  # why\nimport os.path, sys\n\n\n", i%50)
		fmt.Fprintf(&src, "def function_%d(self, value: int = %d, *, axis=None):\n", i, i)
		src.WriteString("    \"\"\"Return the value along an axis.\n\n    Parameters\n    ----------\n" +
			"    value : int\n        The value; it's copied.\n    \"\"\"\n")
		src.WriteString("    # A comment of ordinary length, as there is one on many lines.\n" +
			"    if value is None and axis in (0, 1, -1):\n" +
			"        raise ValueError(f'unexpected value {value!r:>{axis}} for axis {self.names[\"axis\"]}')\n")
		fmt.Fprintf(&src, "    path = os.path.join(HERE, \"data\", 'file%d.csv')\n"+
			"    return {'result': [float(x) * 1.5e-3 for x in open(path)]}\n\n\n", i%20)
	}

	b.SetBytes(int64(src.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Source(src.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
