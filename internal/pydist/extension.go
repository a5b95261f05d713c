package pydist

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Extension is what the name of an extension module says (PEP 3149, PEP 384, and Windows'
// suffixes).
type Extension struct {
	Module string // its path without the suffix: "numpy/_core/_multiarray_umath"
	Python string // the only Python that imports it, "cp311"; "" for the stable ABI and names without a tag
	System string // "macOS", "Windows", "musl Linux"; "" for Linux with glibc, and for names without a tag
}

var (
	taggedSO  = regexp.MustCompile(`^(.+?)\.(cpython-3(\d+)([a-z]*)|pypy\d+-pp\d+)-([A-Za-z0-9_-]+)\.so$`)
	taggedPYD = regexp.MustCompile(`^(.+?)\.(cp3\d+t?)-win[a-z0-9_]*\.pyd$`)
)

// ParseExtension reads the name of an extension module; false for other files.
func ParseExtension(file string) (Extension, bool) {
	dir, base := path.Split(file)
	if m := taggedPYD.FindStringSubmatch(base); m != nil {
		return Extension{dir + m[1], m[2], "Windows"}, true
	}

	if m := taggedSO.FindStringSubmatch(base); m != nil {
		e := Extension{Module: dir + m[1], Python: "pypy"}
		if m[3] != "" {
			e.Python = "cp3" + m[3] + m[4]
		}

		switch {
		case strings.HasPrefix(m[5], "darwin"):
			e.System = "macOS"
		case strings.HasSuffix(m[5], "musl"):
			e.System = "musl Linux"
		}

		return e, true
	}

	for suffix, system := range map[string]string{".pyd": "Windows", ".abi3.so": "", ".so": ""} {
		if module, ok := strings.CutSuffix(base, suffix); ok {
			return Extension{dir + strings.TrimSuffix(module, ".abi3"), "", system}, true
		}
	}

	return Extension{}, false
}

// Imports reports whether the target's Python imports an extension module for a Python such as
// "cp311"; "" is any.
func (t Target) Imports(python string) bool {
	return python == "" || python == "cp"+strings.ReplaceAll(t.PythonVersion(), ".", "")
}

// TagSystem is the system of a wheel's tag such as "cp313-cp313-macosx_11_0_arm64", if it is not
// Linux with glibc.
func TagSystem(tag string) string {
	platform := tag[strings.LastIndexByte(tag, '-')+1:]
	for prefix, system := range map[string]string{
		"macosx_": "macOS", "win": "Windows", "musllinux_": "musl Linux", "ios_": "iOS", "android_": "Android",
	} {
		if strings.HasPrefix(platform, prefix) {
			return system
		}
	}

	return ""
}

// TagPython is the Python and ABI of a wheel's tag: "cp313-cp313".
func TagPython(tag string) string {
	if i := strings.LastIndexByte(tag, '-'); i >= 0 {
		return tag[:i]
	}

	return tag
}

// SupportsPython reports whether the target's Python can use a wheel with such a tag, whatever its
// platform. A tag that cannot be read counts as supported.
func (t Target) SupportsPython(tag string) bool {
	parts := strings.Split(tag, "-")
	if len(parts) != 3 {
		return true
	}

	for python := range strings.SplitSeq(parts[0], ".") {
		for abi := range strings.SplitSeq(parts[1], ".") {
			if t.supportsPython(python, abi, parts[2] == "any") {
				return true
			}
		}
	}

	return false
}

// TargetOf is the target of a Python such as "cp311" and an architecture; false if it is not
// supported.
func TargetOf(python, arch string) (Target, bool) {
	minor, err := strconv.Atoi(strings.TrimPrefix(python, "cp3"))
	if err != nil {
		return Target{}, false
	}

	t, err := ParseTarget("python3." + strconv.Itoa(minor) + "-" + arch)
	return t, err == nil
}
