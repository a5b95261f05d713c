package lock

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
)

var leaves = cmpopts.EquateComparable(pydist.Name{}, pydist.Version{}, pydist.Target{}, digest.SHA256{})

func must[T any](t testing.TB, parse func(string) (T, error), s string) T {
	t.Helper()
	v, err := parse(s)
	if err != nil {
		t.Fatal(err)
	}

	return v
}

func target(t testing.TB) pydist.Target { return must(t, pydist.ParseTarget, "python3.13-x86_64") }

func list(t testing.TB, s string) []pydist.Name {
	t.Helper()
	all := []pydist.Name{}
	for _, n := range strings.Fields(s) {
		all = append(all, must(t, pydist.ParseName, n))
	}

	return all
}

func dist(t testing.TB, name, version, file string, requires string) Distribution {
	t.Helper()
	return Distribution{Name: must(t, pydist.ParseName, name), Version: must(t, pydist.ParseVersion, version),
		File: File{Name: file, Size: 1234, SHA256: digest.Of([]byte(file))}, Requires: list(t, requires)}
}

const pandasWheel = "pandas-3.1.1-cp313-cp313-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"

// example has a file of every form, and its names are not sorted.
func example(t testing.TB) Lock {
	t.Helper()
	unsized := dist(t, "six", "1.17.0", "six-1.17.0-py2.py3-none-any.whl", "")
	unsized.File.Size = 0
	direct := dist(t, "own", "0.1+local", "own-0.1+local-py3-none-any.whl", "six numpy")
	direct.Direct = true
	l, err := New(target(t), digest.Of([]byte("requirements")), []Distribution{
		unsized,
		dist(t, "pandas", "3.1.1", pandasWheel, "six numpy"),
		direct,
		dist(t, "Legacy.Thing", "2.0", "legacy-thing-2.0.tar.gz", ""),
		dist(t, "numpy", "2.5.5", "numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl", ""),
	}, map[string][]pydist.Name{
		"science": list(t, "pandas six numpy own"),
		"base":    list(t, "numpy"),
		"legacy":  list(t, "Legacy.Thing"),
		"empty":   nil,
	})
	if err != nil {
		t.Fatal(err)
	}

	return l
}

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

const golden = `# Written by ` + "`layersmith lock`" + `; commit it. Files are known by hash; the index is your uv's.
lock-version = "1.0"
created-by = "layersmith"
requires-python = "==3.13.*"

[[packages]]
name = "legacy-thing"
version = "2.0"
sdist = { path = "legacy-thing-2.0.tar.gz", size = 1234, hashes = { sha256 = "SUM0" } }

[[packages]]
name = "numpy"
version = "2.5.5"
wheels = [{ path = "numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl", size = 1234, hashes = { sha256 = "SUM1" } }]

[[packages]]
name = "own"
version = "0.1+local"
dependencies = [{ name = "numpy" }, { name = "six" }]
archive = { path = "own-0.1+local-py3-none-any.whl", size = 1234, hashes = { sha256 = "SUM2" } }

[[packages]]
name = "pandas"
version = "3.1.1"
dependencies = [{ name = "numpy" }, { name = "six" }]
wheels = [{ path = "` + pandasWheel + `", size = 1234, hashes = { sha256 = "SUM3" } }]

[[packages]]
name = "six"
version = "1.17.0"
wheels = [{ path = "six-1.17.0-py2.py3-none-any.whl", hashes = { sha256 = "SUM4" } }]

[tool.layersmith]
target = "python3.13-x86_64"
inputs = "10762e1094dbeeaba59c58cec8a91b71b99f2063f7f1f20e5c0e3e635f42b2df"

[tool.layersmith.closures]
"base" = ["numpy"]
"empty" = []
"legacy" = ["legacy-thing"]
"science" = ["numpy", "own", "pandas", "six"]
`

func goldenOf(l Lock) string {
	want := golden
	for i, d := range l.Distributions {
		want = strings.Replace(want, "SUM"+string(rune('0'+i)), d.File.SHA256.String(), 1)
	}

	return want
}

func TestMarshalWritesPEP751(t *testing.T) {
	t.Parallel()
	l := example(t)
	if d := cmp.Diff(goldenOf(l), string(l.Marshal())); d != "" {
		t.Error(d)
	}
}

func TestMarshalDoesNotDependOnTheOrderGiven(t *testing.T) {
	t.Parallel()
	l := example(t)
	dists := slices.Clone(l.Distributions)
	slices.Reverse(dists)
	again, err := New(l.Target, l.Inputs, dists, map[string][]pydist.Name{
		"empty":   {},
		"base":    list(t, "numpy"),
		"legacy":  list(t, "legacy-thing"),
		"science": list(t, "six own pandas numpy"),
	})
	if err != nil {
		t.Fatal(err)
	}

	if d := cmp.Diff(string(l.Marshal()), string(again.Marshal())); d != "" {
		t.Error(d)
	}
}

func TestOpenReadsWhatMarshalWrote(t *testing.T) {
	t.Parallel()
	l := example(t)
	again, err := Open(l.Marshal())
	if err != nil {
		t.Fatal(err)
	}

	if d := cmp.Diff(l, again, leaves, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

// A lock file must not contain a host, mirror or credential.
func TestLockHoldsNoAddress(t *testing.T) {
	t.Parallel()
	b := string(example(t).Marshal())
	if strings.Contains(b, "://") || strings.Contains(b, "url") || strings.Contains(b, "index =") {
		t.Error(b)
	}

	for _, file := range []string{
		"https://user:secret@host/six-1-py3-none-any.whl", "file:///home/a/six-1.tar.gz",
		"../six-1.tar.gz", `c:\six-1.tar.gz`, "git+ssh://git@host/six",
	} {
		_, err := New(target(t), digest.SHA256{}, []Distribution{dist(t, "six", "1", file, "")}, nil)
		if err == nil || !strings.HasSuffix(err.Error(), "is not the name of a file") {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

// PEP 751 names lock files by ^pylock\.([^.]+)\.toml$.
func TestFileNameIsOneOfPEP751(t *testing.T) {
	t.Parallel()
	legal := regexp.MustCompile(`^pylock\.([^.]+)\.toml$`)
	seen := map[string]bool{}
	for _, target := range pydist.Targets() {
		name := FileName(target)
		if !legal.MatchString(name) || seen[name] {
			t.Errorf("%s: %s", target, name)
		}

		seen[name] = true
	}

	if got := FileName(target(t)); got != "pylock.python3_13-x86_64.toml" {
		t.Error(got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const six = "six-1-py3-none-any.whl"
	for sentence, tt := range map[string]struct {
		dists    []Distribution
		closures map[string][]pydist.Name
		err      string
	}{
		"one distribution twice": {
			dists: []Distribution{dist(t, "six", "1", six, ""), dist(t, "SIX", "1", six, "")},
			err:   "six is locked twice",
		},
		"no digest": {
			dists: []Distribution{
				{
					Name:    must(t, pydist.ParseName, "six"),
					Version: must(t, pydist.ParseVersion, "1"),
					File:    File{Name: six},
				},
			},
			err: "six==1 has no sha256",
		},
		"no file name": {
			dists: []Distribution{dist(t, "six", "1", "", "")},
			err:   `six==1: "" is not the name of a file`,
		},
		"a control character": {
			dists: []Distribution{dist(t, "six", "1", "six\a.tar.gz", "")},
			err:   `six==1: "six\a.tar.gz" is not the name of a file`,
		},
		"a name that is not UTF-8": {
			dists: []Distribution{dist(t, "six", "1", "six\xff.tar.gz", "")},
			err:   `six==1: "six\xff.tar.gz" is not the name of a file`,
		},
		"an illegal wheel name": {
			dists: []Distribution{dist(t, "six", "1", "six.whl", "")},
			err: `six==1: wheel name "six.whl": has 1 parts separated by dashes; ` +
				`expected 5, or 6 with a build number`,
		},
		"a wheel for another target": {
			dists: []Distribution{dist(t, "six", "1", "six-1-cp312-cp312-manylinux_2_17_x86_64.whl", "")},
			err:   "six==1: six-1-cp312-cp312-manylinux_2_17_x86_64.whl does not run on python3.13-x86_64",
		},
		"another distribution's wheel": {
			dists: []Distribution{dist(t, "six", "1", "seven-1-py3-none-any.whl", "")},
			err:   "six==1: seven-1-py3-none-any.whl is another distribution",
		},
		"another version's wheel": {
			dists: []Distribution{dist(t, "six", "1", "six-2-py3-none-any.whl", "")},
			err:   "six==1: six-2-py3-none-any.whl is another distribution",
		},
		"a dangling dependency": {
			dists: []Distribution{dist(t, "six", "1", six, "seven")},
			err:   "six requires seven, which is not locked",
		},
		"a layer needs an unlocked distribution": {
			closures: map[string][]pydist.Name{"base": list(t, "six")},
			err:      "layer base needs six, which is not locked",
		},
		"an illegal layer name": {
			closures: map[string][]pydist.Name{"a\x00b": nil},
			err:      `"a\x00b" is not the name of a layer`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if _, err := New(target(t), digest.SHA256{}, tt.dists, tt.closures); errText(err) != tt.err {
				t.Errorf("error %v\n want %s", err, tt.err)
			}
		})
	}
}

func TestNewTakesOtherSpellingsOfAVersion(t *testing.T) {
	t.Parallel()
	for version, file := range map[string]string{
		"1.0":       "six-1.0.0-py3-none-any.whl",
		"1.0.post1": "six-1.0_1-py3-none-any.whl",
		"1.0rc1":    "Six-1.0.RC1-1-py3-none-any.whl",
	} {
		dists := []Distribution{dist(t, "six", version, file, "")}
		if _, err := New(target(t), digest.SHA256{}, dists, nil); err != nil {
			t.Error(err)
		}
	}
}

// Edits that people or merges make to lock files.
func TestOpenRefusesWhatMarshalWouldNotWrite(t *testing.T) {
	t.Parallel()
	const numpy = `wheels = [{ path = "numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl", size = 1234`
	whole := string(example(t).Marshal())
	for sentence, tt := range map[string]struct{ old, new, err string }{
		"an unknown key": {
			"created-by = \"layersmith\"\n",
			"created-by = \"x\"\nenvironments = []\n",
			"line 4: unknown key environments",
		},
		"an address": {
			`{ path = "legacy`,
			`{ url = "https://host/x", path = "legacy`,
			"line 9: unknown key packages.url",
		},
		"another version of the format": {
			`lock-version = "1.0"`,
			`lock-version = "2.0"`,
			`lock-version "2.0"; known: 1.0`,
		},
		"no version of the format": {"lock-version = \"1.0\"\n", "", `lock-version ""; known: 1.0`},
		"half a merge": {
			"[tool.layersmith]\n",
			"<<<<<<< HEAD\n[tool.layersmith]\n",
			"line 33: toml: invalid character at start of key: U+003C '<'",
		},
		"a key twice": {
			"name = \"numpy\"\nversion",
			"name = \"numpy\"\nname = \"numpy\"\nversion",
			"line 13: toml: key name is already defined",
		},
		"an unknown target": {
			`target = "python3.13-x86_64"`,
			`target = "python3.13-mips"`,
			`target "python3.13-mips": unknown architecture; known: arm64, x86_64`,
		},
		"no target": {
			"target = \"python3.13-x86_64\"\n",
			"",
			`target "": unknown runtime; known: python3.9, python3.10, python3.11, python3.12, python3.13, python3.14`,
		},
		"another target": {
			`target = "python3.13-x86_64"`,
			`target = "python3.12-x86_64"`,
			"numpy==2.5.5: numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl does not run on python3.12-x86_64",
		},
		"an illegal name": {
			`name = "numpy"` + "\nversion",
			`name = "-numpy"` + "\nversion",
			`name "-numpy": expected letters, digits, '-', '_' and '.', with a letter or digit at both ends`,
		},
		"an illegal version": {
			`version = "2.5.5"`,
			`version = ">=2"`,
			`numpy: version ">=2": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"a raised version with the old file": {
			`version = "2.5.5"`,
			`version = "2.5.6"`,
			"numpy==2.5.6: numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl is another distribution",
		},
		"two files": {
			numpy,
			`sdist = { path = "numpy-2.5.5.tar.gz" }` + "\n" + numpy,
			"numpy==2.5.5 has 2 files, want 1",
		},
		"no file": {numpy, `wheels = [] # `, "numpy==2.5.5 has 0 files, want 1"},
		"a negative size": {
			numpy,
			strings.Replace(numpy, "1234", "-1", 1),
			"numpy==2.5.5: numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl has a size of -1 bytes",
		},
		"an unlocked dependency": {
			`{ name = "six" }]`,
			`{ name = "seven" }]`,
			"own requires seven, which is not locked",
		},
		"a dependency without a name": {`{ name = "six" }]`, `{ }]`, "name is empty"},
		"a layer needs an unlocked distribution": {
			`"base" = ["numpy"]`,
			`"base" = ["scipy"]`,
			"layer base needs scipy, which is not locked",
		},
		"a closure that was cut short": {
			"\"legacy\" = [\"legacy-thing\"]\n",
			"",
			"legacy-thing==2.0 is locked, but no layer needs it",
		},
		"a layer needs an illegal name": {
			`"base" = ["numpy"]`,
			`"base" = ["a b"]`,
			`name "a b": expected letters, digits, '-', '_' and '.', with a letter or digit at both ends`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			in := strings.Replace(whole, tt.old, tt.new, 1)
			if in == whole {
				t.Fatalf("%q is not in the lock", tt.old)
			}

			if _, err := Open([]byte(in)); errText(err) != tt.err {
				t.Errorf("error %v\n want %s", err, tt.err)
			}
		})
	}
}

func TestOpenSaysWhatIsWrongWithADigest(t *testing.T) {
	t.Parallel()
	l := example(t)
	in := strings.Replace(string(l.Marshal()), l.Distributions[1].File.SHA256.String(), "abc", 1)
	if _, err := Open([]byte(in)); errText(err) != `line 14: toml: sha256 "abc": 3 digits, want 64` {
		t.Errorf("error %v", err)
	}
}

func TestOpenRefusesLocksThatAreTooLong(t *testing.T) {
	t.Parallel()
	if _, err := Open(make([]byte, MaxBytes+1)); errText(err) != "16777217 bytes, limit 16777216" {
		t.Errorf("error %v", err)
	}
}

func TestOpenTakesANameOnceOnly(t *testing.T) {
	t.Parallel()
	in := strings.Replace(string(example(t).Marshal()), `"base" = ["numpy"]`, `"base" = ["numpy", "NumPy"]`, 1)
	l, err := Open([]byte(in))
	if err != nil {
		t.Fatal(err)
	}

	if got := l.Carries("base", nil); len(got) != 1 {
		t.Errorf("base carries %v", got)
	}
}

func TestFindAndRequiredBy(t *testing.T) {
	t.Parallel()
	l := example(t)
	for _, d := range l.Distributions {
		if got, ok := l.Find(d.Name); !ok || got.Name != d.Name {
			t.Errorf("%s: %v, %v", d.Name, got.Name, ok)
		}
	}

	for _, n := range list(t, "aaa nump numpyx zzz") {
		if _, ok := l.Find(n); ok {
			t.Errorf("found %s", n)
		}
	}

	if d := cmp.Diff(list(t, "own pandas"), l.RequiredBy(must(t, pydist.ParseName, "six")), leaves); d != "" {
		t.Error(d)
	}

	if by := l.RequiredBy(must(t, pydist.ParseName, "pandas")); by != nil {
		t.Errorf("pandas is required by %v", by)
	}
}

func TestCarriesEachDistributionInTheLowestLayer(t *testing.T) {
	t.Parallel()
	var dists []Distribution
	for _, n := range []string{"numpy", "pandas", "scipy", "sklearn", "boto"} {
		dists = append(dists, dist(t, n, "1", n+"-1-py3-none-any.whl", ""))
	}

	l, err := New(target(t), digest.SHA256{}, dists, map[string][]pydist.Name{
		"base":    list(t, "numpy"),
		"science": list(t, "numpy scipy"),
		"ml":      list(t, "sklearn scipy numpy"),
		"frames":  list(t, "pandas numpy"),
		"aws":     list(t, "boto"),
	})
	if err != nil {
		t.Fatal(err)
	}

	for sentence, tt := range map[string]struct {
		layer string
		below []string
		want  string
	}{
		"alone":                              {"ml", nil, "numpy scipy sklearn"},
		"on one layer":                       {"science", []string{"base"}, "scipy"},
		"on a chain":                         {"ml", []string{"base", "science"}, "sklearn"},
		"on the middle of a chain only":      {"ml", []string{"science"}, "sklearn"},
		"a sibling's are not carried":        {"frames", []string{"base"}, "pandas"},
		"on two siblings":                    {"ml", []string{"frames", "science"}, "sklearn"},
		"nothing in common":                  {"aws", []string{"base", "science", "ml"}, "boto"},
		"everything is in the layer below":   {"base", []string{"science"}, ""},
		"a layer that is not in the lock":    {"other", []string{"base"}, ""},
		"on a layer that is not in the lock": {"base", []string{"other"}, "numpy"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, d := range l.Carries(tt.layer, tt.below) {
				got = append(got, d.Name.String())
			}

			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("carries %q, want %q", s, tt.want)
			}
		})
	}
}

func TestDifferenceHasALineForEachDistribution(t *testing.T) {
	t.Parallel()
	made := func(dists ...Distribution) Lock {
		l, err := New(target(t), digest.SHA256{}, dists, nil)
		if err != nil {
			t.Fatal(err)
		}

		return l
	}
	rebuilt := dist(t, "c", "1", "c-1-py3-none-any.whl", "")
	rebuilt.File.SHA256 = digest.Of([]byte("another"))
	before := made(
		dist(t, "same", "1", "same-1-py3-none-any.whl", ""),
		dist(t, "b", "1", "b-1-py3-none-any.whl", ""),
		dist(t, "c", "1", "c-1-py3-none-any.whl", ""),
		dist(t, "z", "1", "z-1-py3-none-any.whl", ""),
	)
	after := made(
		dist(t, "same", "1", "same-1-py3-none-any.whl", ""),
		dist(t, "a", "2", "a-2-py3-none-any.whl", ""),
		dist(t, "b", "1.5", "b-1.5-py3-none-any.whl", ""),
		rebuilt,
	)
	want := []string{"+ a 2", "~ b 1 -> 1.5", "~ c 1: another file, c-1-py3-none-any.whl", "- z 1"}
	if d := cmp.Diff(want, Difference(before, after)); d != "" {
		t.Error(d)
	}

	if lines := Difference(before, before); lines != nil {
		t.Errorf("a lock differs from itself: %q", lines)
	}

	if d := cmp.Diff([]string{"+ b 1", "+ c 1", "+ same 1", "+ z 1"}, Difference(Lock{}, before)); d != "" {
		t.Error(d)
	}
}

func FuzzOpen(f *testing.F) {
	l := example(f)
	f.Add(l.Marshal())
	f.Add([]byte(goldenOf(l)))
	for _, s := range []string{
		"lock-version = '1.0'\n[tool.layersmith]\ntarget = 'python3.9-arm64'\n[tool.layersmith.closures]\n" +
			"\"\\u0007\" = []\n'b c' = []\n",
		"lock-version = '1.0'\n[[packages]]\nname='A_b'\nversion='1!2.0-1'\n" +
			"sdist={path=\"\\u200b'.zip\",size=9,hashes={sha256='" + strings.Repeat("aF", 32) + "'}}\n" +
			"[tool.layersmith]\ntarget='python3.13-x86_64'\n",
		"lock-version = '1.0'\npackages = [{name='six',version='1'," +
			"archive={path='six-1-py3-none-any.whl',hashes.sha256='" + strings.Repeat("01", 32) + "'}," +
			"dependencies=[{name='six'},{name='Six'}]}]\n" +
			"tool.layersmith = {target='python3.13-x86_64',closures={a=['six','six']}}\n",
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := Open(in)
		if err != nil {
			return
		}

		out := l.Marshal()
		again, err := Open(out)
		if err != nil {
			t.Fatalf("what Marshal wrote: %v\n%s", err, out)
		}

		if d := cmp.Diff(l, again, leaves, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}

		if string(again.Marshal()) != string(out) {
			t.Fatalf("another text:\n%s\n%s", out, again.Marshal())
		}

		if strings.Contains(string(out), "://") {
			t.Fatalf("an address:\n%s", out)
		}

		if lines := Difference(l, again); lines != nil {
			t.Fatal(lines)
		}
	})
}
