package pydist

import (
	"fmt"
	"strconv"
	"strings"
)

// Target is a Lambda runtime on an architecture, written "python3.13-x86_64".
type Target struct{ runtime, arch string }

// architectures lists Lambda's names of architectures and the machine names of platform tags.
// firstGlibcMinor is the glibc of the first manylinux for the architecture (PEP 513, 599). A wheel
// tagged lower is mislabeled and refused.
var architectures = []struct {
	name, machine   string
	firstGlibcMinor int // glibc 2.X
}{
	{"arm64", "aarch64", 17},
	{"x86_64", "x86_64", 5},
}

// uvManylinuxMinors are the values of N that uv's --python-platform accepts in
// {x86_64,aarch64}-manylinux_2_N, up to the glibc of the newest runtime.
var uvManylinuxMinors = []int{17, 28, 31, 32, 33, 34}

// legacyManylinux maps the names before PEP 600 to the minor version of glibc 2.
var legacyManylinux = map[string]int{"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

// ParseTarget accepts only the form that String returns.
func ParseTarget(s string) (Target, error) {
	runtime, arch, hasArch := strings.Cut(s, "-")
	if _, known := findRuntime(runtime); !known {
		return Target{}, fmt.Errorf("target %q: unknown runtime; known: %s", s, strings.Join(runtimeNames(), ", "))
	}

	if !hasArch {
		return Target{}, fmt.Errorf("target %q: architecture missing; write %s-arm64 or %s-x86_64", s, runtime, runtime)
	}

	if archIndex(arch) < 0 {
		return Target{}, fmt.Errorf("target %q: unknown architecture; known: %s", s, strings.Join(archNames(), ", "))
	}

	return Target{runtime, arch}, nil
}

func archIndex(name string) int {
	for i, a := range architectures {
		if a.name == name {
			return i
		}
	}

	return -1
}

func archNames() (names []string) {
	for _, a := range architectures {
		names = append(names, a.name)
	}

	return names
}

// String is "python3.13-x86_64", or "" for the zero Target.
func (t Target) String() string {
	if t == (Target{}) {
		return ""
	}

	return t.runtime + "-" + t.arch
}

// Runtime is Lambda's runtime identifier, "python3.13".
func (t Target) Runtime() string { return t.runtime }

// PythonVersion is "3.13".
func (t Target) PythonVersion() string { return strings.TrimPrefix(t.runtime, "python") }

// Arch is Lambda's architecture name, "arm64" or "x86_64".
func (t Target) Arch() string { return t.arch }

// CacheTag is the tag in the names of the interpreter's .pyc files, "cpython-313" (PEP 3147).
func (t Target) CacheTag() string {
	if t.runtime == "" {
		return ""
	}

	return "cpython-" + strings.ReplaceAll(t.PythonVersion(), ".", "")
}

// UVPlatform is the value for uv's --python-platform: the highest one that the runtime's glibc
// satisfies. On Amazon Linux 2 that is manylinux_2_17, so uv does not choose wheels tagged 2_18 to
// 2_26, although Supports accepts them.
func (t Target) UVPlatform() string {
	i := archIndex(t.arch)
	if i < 0 {
		return ""
	}

	_, minor := t.Glibc()
	best := 0

	for _, m := range uvManylinuxMinors {
		if m <= minor {
			best = m
		}
	}

	return fmt.Sprintf("%s-manylinux_2_%d", architectures[i].machine, best)
}

// Supports reports whether one of the wheel's tag triples runs on the target.
func (t Target) Supports(w WheelName) bool {
	if t == (Target{}) {
		return false
	}

	for _, platform := range w.Platforms() {
		if platform != "any" && !t.supportsPlatform(platform) {
			continue
		}

		for _, abi := range w.ABIs() {
			for _, python := range w.Pythons() {
				if t.supportsPython(python, abi, platform == "any") {
					return true
				}
			}
		}
	}

	return false
}

// supportsPython follows packaging.tags: a CPython ABI is never combined with the platform "any";
// cpXY-none is for that interpreter version only; py3 and py3Y run on that version and all later
// ones.
func (t Target) supportsPython(python, abi string, anyPlatform bool) bool {
	ours, err := strconv.Atoi(strings.TrimPrefix(t.runtime, "python3."))
	if err != nil {
		return false
	}

	own := "cp3" + strconv.Itoa(ours)

	switch abi {
	case "none":
		if python == own || python == "py3" {
			return true
		}

		minor, ok := tagNumber(python, "py3")
		return ok && minor <= ours
	case "abi3":
		minor, ok := tagNumber(python, "cp3")
		return ok && minor >= 2 && minor <= ours && !anyPlatform // abi3 exists since 3.2 (PEP 384)
	case own:
		return python == own && !anyPlatform
	}

	return false
}

func (t Target) supportsPlatform(platform string) bool {
	i := archIndex(t.arch)
	if i < 0 {
		return false
	}

	family, ok := strings.CutSuffix(platform, "_"+architectures[i].machine)
	if !ok {
		return false
	}

	minor, ok := legacyManylinux[family]
	if !ok {
		if minor, ok = tagNumber(family, "manylinux_2_"); !ok {
			return false
		}
	}

	_, ours := t.Glibc()
	return minor >= architectures[i].firstGlibcMinor && minor <= ours
}

// tagNumber parses the decimal number after prefix. Leading zeros and signs are refused, because
// installers compare tags as text.
func tagNumber(tag, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(tag, prefix)
	if !ok {
		return 0, false
	}

	n, err := strconv.Atoi(digits)
	return n, err == nil && strconv.Itoa(n) == digits && n >= 0
}

// Targets lists all supported targets, oldest runtime first.
func Targets() []Target {
	var all []Target
	for _, r := range runtimes {
		for _, a := range architectures {
			all = append(all, Target{r.name, a.name})
		}
	}

	return all
}

func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t *Target) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTarget(string(b))
	return err
}
