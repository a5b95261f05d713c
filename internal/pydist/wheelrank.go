package pydist

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Kinds of tag triples, best first, in the order of packaging.tags.sys_tags.
const (
	ownABI      = iota // cp313-cp313-manylinux_2_34_x86_64
	stableABI          // cp313-abi3-..., then cp312-abi3-...
	noABI              // cp313-none-...
	olderABI           // abi3 of older versions
	pureNative         // py313-none-manylinux..., then py3, py312, ...
	ownAny             // cp313-none-any
	pureAny            // py313-none-any, then py3, py312, ...
	unsupported        // of no triple that runs on the target
)

// tagRank is the place of a tag triple in the target's order of preference. Lower is better.
type tagRank struct {
	kind     int
	python   int // distance of the version from the target's
	platform int // distance of the glibc from the target's, twice; the legacy name of a platform comes after its own
}

func (r tagRank) compare(other tagRank) int {
	return cmp.Or(
		cmp.Compare(r.kind, other.kind),
		cmp.Compare(r.python, other.python),
		cmp.Compare(r.platform, other.platform),
	)
}

// Choose returns the wheel that an installer takes for the target among wheels of one version, and
// false if none runs there. It is the one with the best tag triple in the order of
// packaging.tags.sys_tags, then the one with the highest build number (binary distribution format),
// then the first by name.
func (t Target) Choose(wheels []WheelName) (WheelName, bool) {
	var fitting []WheelName
	for _, w := range wheels {
		if t.Supports(w) {
			fitting = append(fitting, w)
		}
	}

	if len(fitting) == 0 {
		return WheelName{}, false
	}

	return slices.MinFunc(fitting, func(a, b WheelName) int {
		return cmp.Or(
			t.rank(a).compare(t.rank(b)),
			compareBuilds(b.build, a.build),
			strings.Compare(a.file, b.file),
		)
	}), true
}

// rank is the best rank of a wheel's tag triples.
func (t Target) rank(w WheelName) tagRank {
	best := tagRank{kind: unsupported}
	for _, platform := range w.Platforms() {
		if platform != "any" && !t.supportsPlatform(platform) {
			continue
		}

		for _, abi := range w.ABIs() {
			for _, python := range w.Pythons() {
				if !t.supportsPython(python, abi, platform == "any") {
					continue
				}

				if r := t.rankTriple(python, abi, platform); r.compare(best) < 0 {
					best = r
				}
			}
		}
	}

	return best
}

// rankTriple ranks a triple that the target supports.
func (t Target) rankTriple(python, abi, platform string) tagRank {
	own := "cp" + strings.ReplaceAll(t.PythonVersion(), ".", "")
	isAny := platform == "any"
	r := tagRank{python: t.pythonDistance(python), platform: t.platformDistance(platform)}
	switch {
	case abi == own:
		r.kind = ownABI
	case abi == "abi3" && python == own:
		r.kind = stableABI
	case abi == "abi3":
		r.kind = olderABI
	case python == own && isAny:
		r.kind = ownAny
	case python == own:
		r.kind = noABI
	case isAny:
		r.kind = pureAny
	default:
		r.kind = pureNative
	}

	return r
}

// pythonDistance orders the python tags of one kind: py313, py3, py312, py311.
func (t Target) pythonDistance(python string) int {
	if python == "py3" {
		return 1
	}

	minor, _ := strconv.Atoi(python[len("py3"):]) // also of "cp312"
	ours, _ := strconv.Atoi(strings.TrimPrefix(t.runtime, "python3."))
	return 2 * (ours - minor)
}

// platformDistance orders platform tags: the newest glibc first, and manylinux2014 after
// manylinux_2_17.
func (t Target) platformDistance(platform string) int {
	if platform == "any" {
		return 0
	}

	_, ours := t.Glibc()
	family := platform[:strings.LastIndex(platform, "_"+architectures[archIndex(t.arch)].machine)]
	if minor, ok := legacyManylinux[family]; ok {
		return 2*(ours-minor) + 1
	}

	minor, _ := tagNumber(family, "manylinux_2_")
	return 2 * (ours - minor)
}

// compareBuilds compares build numbers: first the leading digits as a number, then the rest as
// text. No build number is the lowest.
func compareBuilds(a, b string) int {
	digits := func(s string) (string, string) {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(s)
		}

		return strings.TrimLeft(s[:end], "0"), s[end:]
	}
	numberA, restA := digits(a)
	numberB, restB := digits(b)
	return cmp.Or(
		cmp.Compare(min(len(a), 1), min(len(b), 1)),
		cmp.Compare(len(numberA), len(numberB)),
		strings.Compare(numberA, numberB),
		strings.Compare(restA, restB),
	)
}
