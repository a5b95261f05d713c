package pydist

import (
	"fmt"
	"strconv"
	"strings"
)

// Target is a Lambda runtime on an architecture, written "python3.13-x86_64".
type Target struct{ runtime, arch string }

// architectures maps Lambda's word to the one in platform tags. firstGlibcMinor is the glibc before
// which the architecture had no manylinux (PEP 599): nothing tags it lower, so a lower tag is a
// mistake.
var architectures = []struct {
	name, machine   string
	firstGlibcMinor int
}{
	{"arm64", "aarch64", 17},
	{"x86_64", "x86_64", 5},
}

// uvManylinuxMinors are the glibc minors that uv's --python-platform can name
// ({x86_64,aarch64}-manylinux_2_N) up to the newest runtime's.
var uvManylinuxMinors = []int{17, 28, 31, 32, 33, 34}

var legacyManylinux = map[string]int{"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

// ParseTarget accepts exactly the spelling that String gives.
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

// Runtime is Lambda's word, "python3.13".
func (t Target) Runtime() string { return t.runtime }

// PythonVersion is "3.13".
func (t Target) PythonVersion() string { return strings.TrimPrefix(t.runtime, "python") }

// Arch is Lambda's word, "arm64" or "x86_64".
func (t Target) Arch() string { return t.arch }

// CacheTag is what the interpreter puts into the names of .pyc files, "cpython-313".
func (t Target) CacheTag() string {
	if t.runtime == "" {
		return ""
	}

	return "cpython-" + strings.ReplaceAll(t.PythonVersion(), ".", "")
}

// UVPlatform is the value of uv's --python-platform: the highest it can name that the runtime's
// glibc satisfies. On Amazon Linux 2 that is manylinux_2_17, so uv will not choose a wheel tagged
// between 2_18 and 2_26 although Supports says that it runs.
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

// supportsPython follows packaging.tags: an extension's ABI never goes with the platform "any";
// cpXY-none means that interpreter only; py3 and py3Y up to ours promise that source runs on every
// later version.
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
		return ok && minor >= 2 && minor <= ours && !anyPlatform // PEP 384 began with 3.2
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

// tagNumber is the number that follows prefix, in its one spelling: installers compare tags as
// text.
func tagNumber(tag, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(tag, prefix)
	if !ok {
		return 0, false
	}

	n, err := strconv.Atoi(digits)
	return n, err == nil && strconv.Itoa(n) == digits && n >= 0
}

// Targets lists every legal target, oldest runtime first.
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
