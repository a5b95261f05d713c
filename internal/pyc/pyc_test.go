package pyc

import (
	"testing"

	"github.com/layersmith/layersmith/internal/pydist"
)

func target(t testing.TB, s string) pydist.Target {
	t.Helper()
	made, err := pydist.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}

	return made
}

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func TestMagicIsKnownForEveryTarget(t *testing.T) {
	t.Parallel()
	runtimes := map[[4]byte]string{}
	for _, target := range pydist.Targets() {
		m := Magic(target)
		if m[0] == 0 && m[1] == 0 || m[2] != '\r' || m[3] != '\n' {
			t.Errorf("%s: % x", target, m)
		}

		if other, ok := runtimes[m]; ok && other != target.Runtime() {
			t.Errorf("%s and %s have one magic number", target.Runtime(), other)
		}

		runtimes[m] = target.Runtime()
	}
}

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	const rest = "\x01\x02\x03\x04\x05\x06\x07\x08"
	const m313 = "\xf3\x0d\r\n"
	for sentence, tt := range map[string]struct{ head, err string }{
		"hash-based and unchecked": {head: m313 + "\x01\x00\x00\x00" + rest + "code"},
		"nothing":                  {head: "", err: "bytecode of 0 bytes is shorter than a header"},
		"cut off": {
			head: m313 + "\x01\x00\x00\x00" + rest[1:],
			err:  "bytecode of 15 bytes is shorter than a header",
		},
		"of another Python version": {
			head: "\xcb\x0d\r\n\x01\x00\x00\x00" + rest,
			err:  "bytecode has the magic number 3531, python3.13 needs 3571",
		},
		"mangled as text": {
			head: "\xf3\x0d\n\n\x01\x00\x00\x00" + rest,
			err:  "bytecode has the magic number 3571, python3.13 needs 3571",
		},
		"with a timestamp": {
			head: m313 + "\x00\x00\x00\x00" + rest,
			err:  "bytecode is timestamp-based, but a layer does not preserve the times of sources",
		},
		"hash-based and checked": {
			head: m313 + "\x03\x00\x00\x00" + rest,
			err:  "bytecode is hash-based and checked: the source is read and hashed at every start",
		},
		"unknown flags": {head: m313 + "\x02\x00\x00\x00" + rest, err: "bytecode has unknown flags 0x2"},
		"unknown flags in the upper bytes": {
			head: m313 + "\x01\x00\x00\x80" + rest,
			err:  "bytecode has unknown flags 0x80000001",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if err := CheckHeader([]byte(tt.head), target(t, "python3.13-arm64")); errText(err) != tt.err {
				t.Errorf("error %v\n want %s", err, tt.err)
			}
		})
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"a/__pycache__/b.cpython-313.pyc":        "a/b.py",
		"a/__pycache__/b.cpython-313.opt-2.pyc":  "a/b.py",
		"a/__pycache__/b.pypy39.pyc":             "a/b.py",
		"__pycache__/b.cpython-313.pyc":          "b.py",
		"a/__pycache__/__init__.cpython-313.pyc": "a/__init__.py",
		"a/b.pyc":                                "a/b.py",
		"b.pyo":                                  "b.py",
		"a/b.c.pyc":                              "a/b.c.py",
		"my__pycache__/b.pyc":                    "my__pycache__/b.py",
		"__pycache__/a/b.pyc":                    "__pycache__/a/b.py",
		"a/b.py":                                 "",
		"a/b.pyc.gz":                             "",
		"pyc":                                    "",
		"a/__pycache__/hook-x.api.cpython-313.pyc":          "a/hook-x.api.py",
		"a/__pycache__/hook-x.api.cpython-313.opt-2.pyc":    "a/hook-x.api.py",
		"a/__pycache__/hook-x.api.pypy311.pyc":              "a/hook-x.api.py",
		"a/__pycache__/hook-x.api.pypy311.opt-1.pyc":        "a/hook-x.api.py",
		"a/__pycache__/test_b.cpython-313-pytest-8.3.2.pyc": "a/test_b.py",
		"": "",
	} {
		got, ok := Source(file)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", file, got, ok, want)
		}
	}
}

func TestIsFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file, target string
		want         bool
	}{
		{"a/__pycache__/b.cpython-313.pyc", "python3.13-x86_64", true},
		{"__pycache__/b.cpython-39.pyc", "python3.9-arm64", true},
		{"a/__pycache__/b.cpython-312.pyc", "python3.13-x86_64", false},
		{"a/__pycache__/b.cpython-313.opt-1.pyc", "python3.13-x86_64", false},
		{"a/__pycache__/b.pyc", "python3.13-x86_64", false},
		{"a/__pycache__/b.cpython-313.pyo", "python3.13-x86_64", false},
		{"a/b.pyc", "python3.13-x86_64", true},
		{"a/b.pyo", "python3.13-x86_64", false},
		{"a/b.py", "python3.13-x86_64", false},
	} {
		if got := IsFor(tt.file, target(t, tt.target)); got != tt.want {
			t.Errorf("%s for %s: %v", tt.file, tt.target, got)
		}
	}
}

// Source and IsFor accept the paths that Cached and Legacy return.
func TestCachedAndLegacyBelongToTheirSource(t *testing.T) {
	t.Parallel()
	places := map[string][2]string{
		"a/b.py":        {"a/__pycache__/b.cpython-313.pyc", "a/b.pyc"},
		"b.py":          {"__pycache__/b.cpython-313.pyc", "b.pyc"},
		"a/__init__.py": {"a/__pycache__/__init__.cpython-313.pyc", "a/__init__.pyc"},
	}
	for source, want := range places {
		py := target(t, "python3.13-x86_64")
		if got := [2]string{Cached(source, py), Legacy(source)}; got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}

		for _, file := range want {
			if back, ok := Source(file); back != source || !ok || !IsFor(file, py) {
				t.Errorf("%s belongs to %q, not to %q", file, back, source)
			}
		}
	}
}
