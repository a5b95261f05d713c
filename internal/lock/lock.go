// Package lock is the exact set of distributions of a workspace for one target, and which layer
// carries which.
//
// It is stored as a PEP 751 lock file, pylock.<target>.toml with the target's dots written as
// underscores (the name may have no other dots). Files are named by name, size and SHA-256 and
// never by address, so that any mirror serves them and no host or credential is ever committed;
// where they are is asked of uv when they are fetched. What PEP 751 has no key for is in
// [tool.layersmith]: the target, a digest of what was resolved, and each layer's closure.
package lock

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
)

// MaxBytes bounds the lock file that is read.
const MaxBytes = 16 << 20

// FileName is what the lock of a target is called.
func FileName(t pydist.Target) string {
	return "pylock." + strings.ReplaceAll(t.String(), ".", "_") + ".toml"
}

// File is one file of the lock: a wheel, or a source distribution where the user allowed those.
type File struct {
	Name   string
	Size   int64 // 0 when the index did not say
	SHA256 digest.SHA256
}

// IsSource reports whether the file must be built before it can be used.
func (f File) IsSource() bool { return !strings.HasSuffix(f.Name, ".whl") }

// Distribution is one locked distribution.
type Distribution struct {
	Name     pydist.Name
	Version  pydist.Version
	File     File
	Requires []pydist.Name // of this lock, sorted
	Direct   bool          // its requirement names the file itself, by URL or path
}

// Lock is the value; it is made by New and Open.
type Lock struct {
	Target        pydist.Target
	Inputs        digest.SHA256 // of the requirements that were resolved
	Distributions []Distribution
	Closures      map[string][]pydist.Name // layer -> all that its requirements need, sorted
}

// New checks and sorts a lock.
func New(
	target pydist.Target,
	inputs digest.SHA256,
	dists []Distribution,
	closures map[string][]pydist.Name,
) (Lock, error) {
	l := Lock{
		Target:        target,
		Inputs:        inputs,
		Distributions: append([]Distribution(nil), dists...),
		Closures:      map[string][]pydist.Name{},
	}
	sort.Slice(
		l.Distributions,
		func(i, j int) bool { return l.Distributions[i].Name.String() < l.Distributions[j].Name.String() },
	)
	known := map[pydist.Name]bool{}
	for _, d := range l.Distributions {
		if known[d.Name] {
			return Lock{}, fmt.Errorf("%s is locked twice", d.Name)
		}

		known[d.Name] = true
		if d.File.SHA256.IsZero() {
			return Lock{}, fmt.Errorf("%s==%s has no sha256", d.Name, d.Version)
		}

		if !isFileName(d.File.Name) {
			return Lock{}, fmt.Errorf("%s==%s: %q is not the name of a file", d.Name, d.Version, d.File.Name)
		}

		if d.File.Size < 0 {
			return Lock{}, fmt.Errorf("%s==%s: %s has a size of %d bytes", d.Name, d.Version, d.File.Name, d.File.Size)
		}

		if !d.File.IsSource() {
			w, err := pydist.ParseWheelName(d.File.Name)
			if err != nil {
				return Lock{}, fmt.Errorf("%s==%s: %w", d.Name, d.Version, err)
			}

			if w.Distribution() != d.Name || w.Version().Compare(d.Version) != 0 {
				return Lock{}, fmt.Errorf("%s==%s: %s is another distribution", d.Name, d.Version, d.File.Name)
			}

			if !target.Supports(w) {
				return Lock{}, fmt.Errorf("%s==%s: %s does not run on %s", d.Name, d.Version, d.File.Name, target)
			}
		}
	}

	for i, d := range l.Distributions {
		l.Distributions[i].Requires = sortedNames(d.Requires)
		for _, r := range d.Requires {
			if !known[r] {
				return Lock{}, fmt.Errorf("%s requires %s, which is not locked", d.Name, r)
			}
		}
	}

	for layer, names := range closures {
		if !isFileName(layer) {
			return Lock{}, fmt.Errorf("%q is not the name of a layer", layer)
		}

		for _, n := range names {
			if !known[n] {
				return Lock{}, fmt.Errorf("layer %s needs %s, which is not locked", layer, n)
			}
		}

		l.Closures[layer] = sortedNames(names)
	}

	return l, nil
}

// isFileName refuses paths and addresses, and whatever TOML and Go would quote differently.
func isFileName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsAny(s, "/\\\"") &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// sortedNames has each name once.
func sortedNames(names []pydist.Name) []pydist.Name {
	out := append([]pydist.Name(nil), names...)
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return slices.Compact(out)
}

// Find returns a distribution by name.
func (l Lock) Find(n pydist.Name) (Distribution, bool) {
	i := sort.Search(len(l.Distributions), func(i int) bool { return l.Distributions[i].Name.String() >= n.String() })
	if i < len(l.Distributions) && l.Distributions[i].Name == n {
		return l.Distributions[i], true
	}

	return Distribution{}, false
}

// RequiredBy lists the locked distributions that require n.
func (l Lock) RequiredBy(n pydist.Name) (by []pydist.Name) {
	for _, d := range l.Distributions {
		for _, r := range d.Requires {
			if r == n {
				by = append(by, d.Name)
			}
		}
	}

	return by
}

// Carries is the assignment: what the layer itself carries, when it lies on the layers below. A
// distribution goes to the lowest layer whose closure needs it; what a layer below carries is not
// repeated.
func (l Lock) Carries(layer string, below []string) []Distribution {
	there := map[pydist.Name]bool{}
	for _, b := range below {
		for _, n := range l.Closures[b] {
			there[n] = true
		}
	}

	var out []Distribution
	for _, n := range l.Closures[layer] {
		if d, ok := l.Find(n); ok && !there[n] {
			out = append(out, d)
		}
	}

	return out
}

// Marshal writes the lock file: the same lock gives the same bytes.
func (l Lock) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by `layersmith lock`; commit it. Files are known by hash; the index is your uv's.\n")
	fmt.Fprintf(
		&b,
		"lock-version = \"1.0\"\ncreated-by = \"layersmith\"\nrequires-python = %q\n",
		"=="+l.Target.PythonVersion()+".*",
	)
	for _, d := range l.Distributions {
		fmt.Fprintf(&b, "\n[[packages]]\nname = %q\nversion = %q\n", d.Name, d.Version)
		if len(d.Requires) > 0 {
			b.WriteString("dependencies = [")
			for i, r := range d.Requires {
				if i > 0 {
					b.WriteString(", ")
				}

				fmt.Fprintf(&b, "{ name = %q }", r)
			}

			b.WriteString("]\n")
		}

		size := ""
		if d.File.Size > 0 {
			size = ", size = " + strconv.FormatInt(d.File.Size, 10)
		}

		file := fmt.Sprintf("{ path = %q%s, hashes = { sha256 = %q } }", d.File.Name, size, d.File.SHA256)
		switch {
		case d.Direct:
			fmt.Fprintf(&b, "archive = %s\n", file)
		case d.File.IsSource():
			fmt.Fprintf(&b, "sdist = %s\n", file)
		default:
			fmt.Fprintf(&b, "wheels = [%s]\n", file)
		}
	}

	fmt.Fprintf(&b, "\n[tool.layersmith]\ntarget = %q\ninputs = %q\n\n[tool.layersmith.closures]\n", l.Target, l.Inputs)
	layers := make([]string, 0, len(l.Closures))
	for layer := range l.Closures {
		layers = append(layers, layer)
	}

	sort.Strings(layers)
	for _, layer := range layers {
		fmt.Fprintf(&b, "%s = [", strconv.Quote(layer))
		for i, n := range l.Closures[layer] {
			if i > 0 {
				b.WriteString(", ")
			}

			fmt.Fprintf(&b, "%q", n)
		}

		b.WriteString("]\n")
	}

	return b.Bytes()
}

type tomlFile struct {
	Path   string `toml:"path"`
	Size   int64  `toml:"size"`
	Hashes struct {
		SHA256 digest.SHA256 `toml:"sha256"`
	} `toml:"hashes"`
}

type tomlLock struct {
	LockVersion    string `toml:"lock-version"`
	CreatedBy      string `toml:"created-by"`
	RequiresPython string `toml:"requires-python"`
	Packages       []struct {
		Name         string `toml:"name"`
		Version      string `toml:"version"`
		Dependencies []struct {
			Name string `toml:"name"`
		} `toml:"dependencies"`
		Wheels  []tomlFile `toml:"wheels"`
		Sdist   *tomlFile  `toml:"sdist"`
		Archive *tomlFile  `toml:"archive"`
	} `toml:"packages"`
	Tool struct {
		Layersmith struct {
			Target   string              `toml:"target"`
			Inputs   digest.SHA256       `toml:"inputs"`
			Closures map[string][]string `toml:"closures"`
		} `toml:"layersmith"`
	} `toml:"tool"`
}

// Open reads a lock file that Marshal wrote, strictly, makes the checks of New, and that each
// distribution is some layer's. Errors name the line where TOML knows it.
func Open(b []byte) (Lock, error) {
	if len(b) > MaxBytes {
		return Lock{}, fmt.Errorf("%d bytes, limit %d", len(b), MaxBytes)
	}

	var f tomlLock
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&f); err != nil {
		if unknown, ok := err.(*toml.StrictMissingError); ok && len(unknown.Errors) > 0 {
			row, _ := unknown.Errors[0].Position()
			return Lock{}, fmt.Errorf("line %d: unknown key %s", row, strings.Join(unknown.Errors[0].Key(), "."))
		}

		if at, ok := err.(*toml.DecodeError); ok {
			row, _ := at.Position()
			return Lock{}, fmt.Errorf("line %d: %w", row, err)
		}

		return Lock{}, err
	}

	if f.LockVersion != "1.0" {
		return Lock{}, fmt.Errorf("lock-version %q; known: 1.0", f.LockVersion)
	}

	target, err := pydist.ParseTarget(f.Tool.Layersmith.Target)
	if err != nil {
		return Lock{}, err
	}

	var dists []Distribution
	for _, p := range f.Packages {
		var d Distribution
		if d.Name, err = pydist.ParseName(p.Name); err != nil {
			return Lock{}, err
		}

		if d.Version, err = pydist.ParseVersion(p.Version); err != nil {
			return Lock{}, fmt.Errorf("%s: %w", p.Name, err)
		}

		files := p.Wheels
		if p.Sdist != nil {
			files = append(files, *p.Sdist)
		}

		if p.Archive != nil {
			files = append(files, *p.Archive)
			d.Direct = true
		}

		if len(files) != 1 {
			return Lock{}, fmt.Errorf("%s==%s has %d files, want 1", p.Name, p.Version, len(files))
		}

		d.File = File{files[0].Path, files[0].Size, files[0].Hashes.SHA256}
		for _, r := range p.Dependencies {
			n, err := pydist.ParseName(r.Name)
			if err != nil {
				return Lock{}, err
			}

			d.Requires = append(d.Requires, n)
		}

		dists = append(dists, d)
	}

	closures := map[string][]pydist.Name{}
	for layer, names := range f.Tool.Layersmith.Closures {
		closures[layer] = []pydist.Name{}
		for _, s := range names {
			n, err := pydist.ParseName(s)
			if err != nil {
				return Lock{}, err
			}

			closures[layer] = append(closures[layer], n)
		}
	}

	l, err := New(target, f.Tool.Layersmith.Inputs, dists, closures)
	if err != nil {
		return Lock{}, err
	}

	needed := map[pydist.Name]bool{}
	for _, names := range closures {
		for _, n := range names {
			needed[n] = true
		}
	}

	for _, d := range l.Distributions { // a closure that somebody cut short would give a layer that lacks it
		if !needed[d.Name] {
			return Lock{}, fmt.Errorf("%s==%s is locked, but no layer needs it", d.Name, d.Version)
		}
	}

	return l, nil
}

// Difference is what changed from one lock to another, a line for each distribution, sorted.
func Difference(before, after Lock) []string {
	var lines []string
	for _, d := range after.Distributions {
		old, ok := before.Find(d.Name)
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("+ %s %s", d.Name, d.Version))
		case old.Version.String() != d.Version.String():
			lines = append(lines, fmt.Sprintf("~ %s %s -> %s", d.Name, old.Version, d.Version))
		case old.File.SHA256 != d.File.SHA256:
			lines = append(lines, fmt.Sprintf("~ %s %s: another file, %s", d.Name, d.Version, d.File.Name))
		}
	}

	for _, d := range before.Distributions {
		if _, ok := after.Find(d.Name); !ok {
			lines = append(lines, fmt.Sprintf("- %s %s", d.Name, d.Version))
		}
	}

	sort.Slice(lines, func(i, j int) bool { return lines[i][2:] < lines[j][2:] })
	return lines
}
