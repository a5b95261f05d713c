package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func dist(t *testing.T, name string, files ...string) wheel.Distribution {
	t.Helper()
	n, err := pydist.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}

	return wheel.Distribution{Name: n, Files: files}
}

func tree(t *testing.T, names ...string) ziptree.Tree {
	t.Helper()
	var entries []ziptree.Entry
	for _, n := range names {
		entries = append(entries, ziptree.File(n, nil, "test"))
	}

	out, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

func TestJobs(t *testing.T) {
	for name, c := range map[string]struct {
		files string
		dists []wheel.Distribution
		own   string
		want  string
	}{
		"modules and the packages directly below": {
			files: "python/a.py python/p/__init__.py python/p/q/__init__.py python/p/q/r/__init__.py python/p/m.py",
			want:  "module a, module p, module p.q",
		},
		"extension modules": {
			files: "python/x.cpython-313-x86_64-linux-gnu.so python/y.abi3.so",
			want:  "module x, module y",
		},
		"bytecode without a source is a module": {
			files: "python/p/__init__.pyc python/a.pyc",
			want:  "module a, module p",
		},
		"bytecode beside its source is no module": {
			files: "python/a.py python/__pycache__/a.cpython-313.pyc",
			want:  "module a",
		},
		"private packages and tests are left out": {
			files: "python/p/__init__.py python/p/_q/__init__.py python/p/tests/__init__.py " +
				"python/p/test/__init__.py python/p/ok/__init__.py",
			want: "module p, module p.ok",
		},
		"a private top-level module": {
			files: "python/_cffi.py python/__main__.py",
			want:  "module _cffi",
		},
		"below a namespace package, each module is a top-level one": {
			files: "python/ns/sub/__init__.py python/ns/sub/deep/__init__.py python/ns/sub/m.py python/ns/in/one.py " +
				"python/ns/in/two/__init__.py python/ns/in/_no.py python/ns/sub/deep/er/__init__.py",
			want: "module ns.in.one, module ns.in.two, module ns.sub, module ns.sub.deep",
		},
		"folders of programs are no namespace packages": {
			files: "python/scripts/run.py python/examples/a/b.py python/tests/helper.py",
			want:  "",
		},
		"files outside site-packages are left out": {files: "lib/a.py bin/tool", want: ""},
		"modules that no distribution owns": {
			files: "python/a.py python/b.py python/c/__init__.py",
			dists: []wheel.Distribution{dist(t, "one", "a.py")},
			want:  "metadata one, module a, module b, module c",
		},
		"files in the folder of a distribution that does not own them": {
			files: "python/a/__init__.py python/a/b/__init__.py",
			dists: []wheel.Distribution{dist(t, "one", "a/__init__.py")},
			want:  "metadata one, module a",
		},
		"programs that no distribution owns are left out": {
			files: "python/a.py python/setup.py python/conftest.py python/test_a.py",
			dists: []wheel.Distribution{dist(t, "one", "a.py")},
			want:  "metadata one, module a",
		},
		"sourceless bytecode belongs to the owner of its source": {
			files: "python/p/__init__.pyc python/p/q/__init__.pyc",
			dists: []wheel.Distribution{dist(t, "one", "p/__init__.py")},
			want:  "metadata one, module p",
		},
		"built-in scripts and probe.py": {
			files: "python/six.py",
			dists: []wheel.Distribution{dist(t, "six", "six.py")},
			own:   "pass",
			want:  "metadata six, module six, script probe.py, script six/*",
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tree(t, strings.Fields(c.files)...)
			var got []string
			for _, j := range Jobs(tr, "python/", c.dists, c.own) {
				what := string(j.Kind) + " " + j.Name
				if strings.Contains(j.Name, "/") {
					what = string(j.Kind) + " " + j.Name[:strings.Index(j.Name, "/")] + "/*"
				}

				if (j.Kind == Script) != (j.Source != "") {
					t.Errorf("%s has a source of %d bytes", what, len(j.Source))
				}

				if !slices.Contains(got, what) {
					got = append(got, what)
				}
			}

			if g := strings.Join(got, ", "); g != c.want {
				t.Errorf("got %q, want %q", g, c.want)
			}
		})
	}
}

// A function's own modules are not imported: they may need its configuration.
func TestJobsLeaveTheFunctionAlone(t *testing.T) {
	var got []string
	for _, j := range Jobs(tree(t, "app.py", "a.py"), "", []wheel.Distribution{dist(t, "one", "a.py")}, "") {
		got = append(got, string(j.Kind)+" "+j.Name)
	}

	if g := strings.Join(got, ", "); g != "metadata one, module a" {
		t.Error(g)
	}
}

func TestJobsAreInAFixedOrder(t *testing.T) {
	tr := tree(
		t,
		"python/c.py",
		"python/a.py",
		"python/b.py",
		"python/six.py",
		"python/p/__init__.py",
		"python/p/x/__init__.py",
	)
	all := []string{"c.py", "a.py", "b.py", "six.py", "p/__init__.py", "p/x/__init__.py"}
	d := []wheel.Distribution{dist(t, "six", all...), dist(t, "pandas"), dist(t, "numpy")}
	want := Digest(Jobs(tr, "python/", d, "x"))
	for range 20 {
		slices.Reverse(d)
		if got := Digest(Jobs(tr, "python/", d, "x")); got != want {
			t.Fatal("the order of distributions changes the digest")
		}
	}
}

func TestDigestTellsJobsApart(t *testing.T) {
	seen := map[string]string{}
	for _, jobs := range [][]Job{
		nil,
		{{Kind: Module, Name: "a"}},
		{{Kind: Metadata, Name: "a"}},
		{{Kind: Script, Name: "a", Source: "x"}},
		{{Kind: Script, Name: "a", Source: "y"}},
		{{Kind: Module, Name: "a"}, {Kind: Module, Name: "b"}},
	} {
		d := Digest(jobs).String()
		if other, ok := seen[d]; ok {
			t.Errorf("%v and %s have one digest", jobs, other)
		}

		seen[d] = fmt.Sprint(jobs)
	}
}

// A script says what it proves, and is found by the normalized name of its distribution.
func TestScriptsHaveADocstring(t *testing.T) {
	folders, err := scripts.ReadDir("scripts")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}

	for _, f := range folders {
		n, err := pydist.ParseName(f.Name())
		if err != nil || n.String() != f.Name() {
			t.Errorf("scripts/%s: the name is not normalized (%v)", f.Name(), err)
			continue
		}

		jobs := Scripts(n)
		if len(jobs) == 0 {
			t.Errorf("scripts/%s is empty", f.Name())
		}

		for _, j := range jobs {
			if !strings.HasPrefix(j.Source, `"""`) {
				t.Errorf("%s does not begin with a docstring that says what it proves", j.Name)
			}
		}
	}
}

func TestTopLevel(t *testing.T) {
	d := dist(
		t,
		"demo",
		"demo/__init__.py",
		"demo/sub/__init__.py",
		"single.py",
		"_private.py",
		"tests/__init__.py",
		"ext.cpython-313-x86_64-linux-gnu.so",
		"data/x.txt",
		"ns/only/__init__.py",
		"demo-1.0.dist-info/METADATA",
	)
	if got := fmt.Sprint(TopLevel(d)); got != "[demo ext single]" {
		t.Errorf("got %s", got)
	}
}

func TestResultsSayWhatIsMissing(t *testing.T) {
	for detail, want := range map[string]string{
		"Traceback\nModuleNotFoundError: No module named 'a.b'":           "a.b",
		"ModuleNotFoundError: No module named 'x'\nValueError: something": "",
		"ImportError: cannot import name 'y' from 'z'":                    "",
		"": "",
	} {
		if got := (Result{Detail: detail}).Missing(); got != want {
			t.Errorf("%q: missing %q, want %q", detail, got, want)
		}
	}

	if !(Result{Job: Job{Kind: Metadata}, Detail: "x\nentry point run: no such"}).EntryPoint() ||
		(Result{Job: Job{Kind: Script}, Detail: "entry point run"}).EntryPoint() {
		t.Error("an entry point is not told from others")
	}
}
