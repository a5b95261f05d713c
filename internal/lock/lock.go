// Package lock reads and writes the lock of a workspace for one target: its exact distributions,
// and which of them each layer needs.
//
// The lock is stored as a PEP 751 lock file, pylock.<target>.toml. Dots of the target are written
// as underscores, since PEP 751 allows no more dots in the name. A file is identified by name, size
// and SHA-256, never by its URL: any mirror can serve it, and no host or credential is committed.
// uv finds the URL when the file is fetched. The table [tool.layersmith] adds what PEP 751 has no
// key for: the target, a digest of the requirements, and the distributions of each layer.
package lock

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
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

// MaxBytes is the largest lock file that Open reads.
const MaxBytes = 16 << 20

// FileName is the name of a target's lock file.
func FileName(t pydist.Target) string {
	return "pylock." + strings.ReplaceAll(t.String(), ".", "_") + ".toml"
}

// File is a wheel, or a source distribution where the user allowed it.
type File struct {
	Name   string
	Size   int64 // bytes; 0 when the index does not give it
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

// Lock is the lock of one target. New and Open return checked locks.
type Lock struct {
	Target        pydist.Target
	Inputs        digest.SHA256 // digest of the requirements that were resolved
	Python        string        // the interpreter's full version, such as 3.13.0; "" when none was there
	Distributions []Distribution
	Closures      map[string][]pydist.Name // layer -> all distributions that it needs, sorted
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
	sort.Slice(l.Distributions, func(i, j int) bool {
		return l.Distributions[i].Name.String() < l.Distributions[j].Name.String()
	})
	known := map[pydist.Name]bool{}
	for _, d := range l.Distributions {
		if known[d.Name] {
			return Lock{}, fmt.Errorf("%s is locked twice", d.Name)
		}

		known[d.Name] = true
		if err := d.check(target); err != nil {
			return Lock{}, err
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

// WithPython is the lock with the full version of the interpreter that compiles its layers: two
// releases of one minor version write different bytecode. "" is for none.
func (l Lock) WithPython(version string) (Lock, error) {
	if version != "" && !release.MatchString(version) {
		return Lock{}, fmt.Errorf("python %q is not the full version of a release, such as 3.13.0", version)
	}

	l.Python = version
	return l, nil
}

// release is an interpreter's full version: 3.13.5, or 3.14.0rc1 before the first release.
var release = regexp.MustCompile(`^3\.[0-9]{1,3}\.[0-9]{1,3}(?:(?:a|b|rc)[0-9]{1,3})?$`)

// check reports whether the file is the distribution's, and runs on the target.
func (d Distribution) check(target pydist.Target) error {
	if d.File.SHA256.IsZero() {
		return fmt.Errorf("%s==%s has no sha256", d.Name, d.Version)
	}

	if !isFileName(d.File.Name) {
		return fmt.Errorf("%s==%s: %q is not the name of a file", d.Name, d.Version, d.File.Name)
	}

	if d.File.Size < 0 {
		return fmt.Errorf("%s==%s: %s has a size of %d bytes", d.Name, d.Version, d.File.Name, d.File.Size)
	}

	if d.File.IsSource() {
		return nil
	}

	w, err := pydist.ParseWheelName(d.File.Name)
	if err != nil {
		return fmt.Errorf("%s==%s: %w", d.Name, d.Version, err)
	}

	if w.Distribution() != d.Name || w.Version().Compare(d.Version) != 0 {
		return fmt.Errorf("%s==%s: %s is another distribution", d.Name, d.Version, d.File.Name)
	}

	if !target.Supports(w) {
		return fmt.Errorf("%s==%s: %s does not run on %s", d.Name, d.Version, d.File.Name, target)
	}

	return nil
}

// isFileName refuses paths, URLs, and characters that TOML and Go quote differently: Marshal quotes
// with %q.
func isFileName(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsAny(s, "/\\\"") &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// sortedNames returns the names sorted, each once.
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

// Carries returns the distributions that go into a layer with the given layers below it: its
// closure without theirs.
func (l Lock) Carries(layer string, below []string) []Distribution {
	carried := map[pydist.Name]bool{}
	for _, b := range below {
		for _, n := range l.Closures[b] {
			carried[n] = true
		}
	}

	var out []Distribution
	for _, n := range l.Closures[layer] {
		if d, ok := l.Find(n); ok && !carried[n] {
			out = append(out, d)
		}
	}

	return out
}

// Marshal returns the lock file. Equal locks give the same bytes.
func (l Lock) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by `layersmith lock`; commit it. Files are known by hash; the index is your uv's.\n")
	fmt.Fprintf(&b, "lock-version = \"1.0\"\ncreated-by = \"layersmith\"\nrequires-python = %q\n",
		"=="+l.Target.PythonVersion()+".*")
	for _, d := range l.Distributions {
		d.marshal(&b)
	}

	fmt.Fprintf(&b, "\n[tool.layersmith]\ntarget = %q\ninputs = %q\n", l.Target, l.Inputs)
	if l.Python != "" {
		fmt.Fprintf(&b, "python = %q\n", l.Python)
	}

	fmt.Fprint(&b, "\n[tool.layersmith.closures]\n")
	for _, layer := range slices.Sorted(maps.Keys(l.Closures)) {
		fmt.Fprintf(&b, "%q = [%s]\n", layer, joinNames(l.Closures[layer], "%q"))
	}

	return b.Bytes()
}

func (d Distribution) marshal(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n[[packages]]\nname = %q\nversion = %q\n", d.Name, d.Version)
	if len(d.Requires) > 0 {
		fmt.Fprintf(b, "dependencies = [%s]\n", joinNames(d.Requires, "{ name = %q }"))
	}

	size := ""
	if d.File.Size > 0 {
		size = ", size = " + strconv.FormatInt(d.File.Size, 10)
	}

	file := fmt.Sprintf("{ path = %q%s, hashes = { sha256 = %q } }", d.File.Name, size, d.File.SHA256)
	switch {
	case d.Direct:
		fmt.Fprintf(b, "archive = %s\n", file)
	case d.File.IsSource():
		fmt.Fprintf(b, "sdist = %s\n", file)
	default:
		fmt.Fprintf(b, "wheels = [%s]\n", file)
	}
}

func joinNames(names []pydist.Name, format string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf(format, n)
	}

	return strings.Join(parts, ", ")
}

type tomlFile struct {
	Path   string `toml:"path"`
	Size   int64  `toml:"size"`
	Hashes struct {
		SHA256 digest.SHA256 `toml:"sha256"`
	} `toml:"hashes"`
}

type tomlPackage struct {
	Name         string `toml:"name"`
	Version      string `toml:"version"`
	Dependencies []struct {
		Name string `toml:"name"`
	} `toml:"dependencies"`
	Wheels  []tomlFile `toml:"wheels"`
	Sdist   *tomlFile  `toml:"sdist"`
	Archive *tomlFile  `toml:"archive"`
}

type tomlLock struct {
	LockVersion    string        `toml:"lock-version"`
	CreatedBy      string        `toml:"created-by"`
	RequiresPython string        `toml:"requires-python"`
	Packages       []tomlPackage `toml:"packages"`
	Tool           struct {
		Layersmith struct {
			Target   string              `toml:"target"`
			Inputs   digest.SHA256       `toml:"inputs"`
			Python   string              `toml:"python"`
			Closures map[string][]string `toml:"closures"`
		} `toml:"layersmith"`
	} `toml:"tool"`
}

// Open reads a lock file that Marshal wrote. It refuses unknown keys, what New refuses, and a
// distribution that no layer needs. Errors of the TOML reader name the line.
func Open(b []byte) (Lock, error) {
	f, err := decode(b)
	if err != nil {
		return Lock{}, err
	}

	target, err := pydist.ParseTarget(f.Tool.Layersmith.Target)
	if err != nil {
		return Lock{}, err
	}

	var dists []Distribution
	for _, p := range f.Packages {
		d, err := p.distribution()
		if err != nil {
			return Lock{}, err
		}

		dists = append(dists, d)
	}

	closures := map[string][]pydist.Name{}
	for layer, names := range f.Tool.Layersmith.Closures {
		if closures[layer], err = parseNames(names); err != nil {
			return Lock{}, err
		}
	}

	l, err := New(target, f.Tool.Layersmith.Inputs, dists, closures)
	if err != nil {
		return Lock{}, err
	}

	if l, err = l.WithPython(f.Tool.Layersmith.Python); err != nil {
		return Lock{}, err
	}

	if err := l.checkNeeded(); err != nil {
		return Lock{}, err
	}

	return l, nil
}

func decode(b []byte) (tomlLock, error) {
	if len(b) > MaxBytes {
		return tomlLock{}, fmt.Errorf("%d bytes, limit %d", len(b), MaxBytes)
	}

	var f tomlLock
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&f); err != nil {
		return tomlLock{}, withLine(err)
	}

	if f.LockVersion != "1.0" {
		return tomlLock{}, fmt.Errorf("lock-version %q; known: 1.0", f.LockVersion)
	}

	return f, nil
}

// withLine adds the line number to an error of the TOML reader.
func withLine(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		row, _ := first.Position()
		return fmt.Errorf("line %d: unknown key %s", row, strings.Join(first.Key(), "."))
	}

	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, _ := at.Position()
		return fmt.Errorf("line %d: %w", row, err)
	}

	return err
}

func (p tomlPackage) distribution() (Distribution, error) {
	name, err := pydist.ParseName(p.Name)
	if err != nil {
		return Distribution{}, err
	}

	version, err := pydist.ParseVersion(p.Version)
	if err != nil {
		return Distribution{}, fmt.Errorf("%s: %w", p.Name, err)
	}

	files := p.Wheels
	if p.Sdist != nil {
		files = append(files, *p.Sdist)
	}

	if p.Archive != nil {
		files = append(files, *p.Archive)
	}

	if len(files) != 1 {
		return Distribution{}, fmt.Errorf("%s==%s has %d files, want 1", p.Name, p.Version, len(files))
	}

	d := Distribution{
		Name:    name,
		Version: version,
		File:    File{files[0].Path, files[0].Size, files[0].Hashes.SHA256},
		Direct:  p.Archive != nil,
	}
	for _, r := range p.Dependencies {
		n, err := pydist.ParseName(r.Name)
		if err != nil {
			return Distribution{}, err
		}

		d.Requires = append(d.Requires, n)
	}

	return d, nil
}

func parseNames(texts []string) ([]pydist.Name, error) {
	names := []pydist.Name{}
	for _, s := range texts {
		n, err := pydist.ParseName(s)
		if err != nil {
			return nil, err
		}

		names = append(names, n)
	}

	return names, nil
}

// checkNeeded refuses a distribution that is in no closure. The closure may have been shortened by
// hand, and its layer would then lack the distribution.
func (l Lock) checkNeeded() error {
	needed := map[pydist.Name]bool{}
	for _, names := range l.Closures {
		for _, n := range names {
			needed[n] = true
		}
	}

	for _, d := range l.Distributions {
		if !needed[d.Name] {
			return fmt.Errorf("%s==%s is locked, but no layer needs it", d.Name, d.Version)
		}
	}

	return nil
}

// Difference returns a line for each distribution that was added (+), removed (-) or changed (~),
// sorted by name.
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

	if before.Python != "" && before.Python != after.Python {
		lines = append(lines, fmt.Sprintf("~ python %s -> %s", before.Python, after.Python))
	}

	for _, d := range before.Distributions {
		if _, ok := after.Find(d.Name); !ok {
			lines = append(lines, fmt.Sprintf("- %s %s", d.Name, d.Version))
		}
	}

	sort.Slice(lines, func(i, j int) bool { return lines[i][2:] < lines[j][2:] })
	return lines
}
