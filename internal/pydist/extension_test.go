package pydist

import "testing"

func TestParseExtension(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]Extension{
		"a/_b.cpython-313-x86_64-linux-gnu.so":  {"a/_b", "cp313", ""},
		"_b.cpython-313-aarch64-linux-gnu.so":   {"_b", "cp313", ""},
		"a/_b.cpython-311-darwin.so":            {"a/_b", "cp311", "macOS"},
		"a/_b.cpython-313t-x86_64-linux-gnu.so": {"a/_b", "cp313t", ""},
		"a/_b.cpython-313-x86_64-linux-musl.so": {"a/_b", "cp313", "musl Linux"},
		"a/_b.cp311-win_amd64.pyd":              {"a/_b", "cp311", "Windows"},
		"a/_b.cp313-win32.pyd":                  {"a/_b", "cp313", "Windows"},
		"a/_b.pypy39-pp73-x86_64-linux-gnu.so":  {"a/_b", "pypy", ""},
		"a/_b.abi3.so":                          {"a/_b", "", ""},
		"a/_b.so":                               {"a/_b", "", ""},
		"a/_b.pyd":                              {"a/_b", "", "Windows"},
	} {
		if got, ok := ParseExtension(file); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
	}

	for _, file := range []string{"a/b.py", "a/libx.so.1", "a/so"} {
		if got, ok := ParseExtension(file); ok {
			t.Errorf("%s: %+v", file, got)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	target := mustTarget(t, "python3.13-x86_64")
	for tag, want := range map[string]struct {
		system string
		python bool
	}{
		"cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64": {"", true},
		"py2.py3-none-any":                  {"", true},
		"cp39-abi3-macosx_10_9_universal2":  {"macOS", true},
		"cp311-cp311-win_amd64":             {"Windows", false},
		"cp313-cp313-win32":                 {"Windows", true},
		"cp313-cp313t-musllinux_1_2_x86_64": {"musl Linux", false},
		"nonsense":                          {"", true},
	} {
		if got := TagSystem(tag); got != want.system {
			t.Errorf("%s: system %q", tag, got)
		}

		if got := target.SupportsPython(tag); got != want.python {
			t.Errorf("%s: python %v", tag, got)
		}
	}

	if got, ok := TargetOf("cp312", "arm64"); !ok || got.String() != "python3.12-arm64" {
		t.Error(got, ok)
	}

	for _, python := range []string{"cp36", "pypy", ""} {
		if got, ok := TargetOf(python, "arm64"); ok {
			t.Error(python, got)
		}
	}
}
