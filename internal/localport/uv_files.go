package localport

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// located is a distribution and the address of its file: a URL or a path. others are its files that
// were not chosen: an older lock may name one of them.
type located struct {
	lock.Distribution
	address string
	others  []locatedFile
}

type locatedFile struct {
	sum     digest.SHA256
	address string
}

// pylock is what this package reads of pylock.toml (PEP 751).
type pylock struct {
	Packages []pylockPackage `toml:"packages"`
}

type pylockPackage struct {
	Name      string       `toml:"name"`
	Version   string       `toml:"version"`
	Wheels    []pylockFile `toml:"wheels"`
	Sdist     *pylockFile  `toml:"sdist"`
	Archive   *pylockFile  `toml:"archive"`
	Directory any          `toml:"directory"`
	VCS       any          `toml:"vcs"`
}

type pylockFile struct {
	Name   string            `toml:"name"`
	URL    string            `toml:"url"`
	Path   string            `toml:"path"`
	Size   int64             `toml:"size"` // bytes
	Hashes map[string]string `toml:"hashes"`
}

// hashes are those that requirements give with --hash, such as "sha256:0a...", by distribution.
type hashes map[pydist.Name][]string

func hashesOf(w workspace.Workspace) hashes {
	h := hashes{}
	for _, l := range w.Layers {
		for _, q := range l.Requirements.Direct {
			h[q.Name] = append(h[q.Name], q.Hashes...)
		}
	}

	return h
}

// files returns the files of pinned requirements, without resolving anything. Where trusted has
// hashes of a distribution, only files that have one of them are chosen, as pip does.
func (u UV) files(
	ctx context.Context, program, pins string, o compileOptions, trusted hashes,
) ([]located, error) {
	out, err := u.compile(ctx, program, o, "--no-deps", "--format", "pylock.toml", pins)
	if err != nil {
		return nil, err
	}

	var answer pylock
	if err := toml.Unmarshal(out, &answer); err != nil {
		return nil, unreadable(program, err)
	}

	var found []located
	for _, p := range answer.Packages {
		l, err := p.trusted(trusted).locate(o.target)
		var known *fault.Error
		if errors.As(err, &known) {
			return nil, err
		}

		if err != nil {
			return nil, unreadable(program, err)
		}

		found = append(found, l)
	}

	return found, nil
}

// locate returns a fault for a package without a file that can be locked, and another error for one
// that cannot be parsed.
func (p pylockPackage) locate(t pydist.Target) (l located, err error) {
	if l.Name, err = pydist.ParseName(p.Name); err != nil {
		return located{}, err
	}

	f, err := p.file(t)
	if err != nil {
		return located{}, err
	}

	l.Direct = p.Archive != nil
	l.address = f.address()
	l.File = lock.File{Name: f.name(), Size: f.Size}
	if l.File.SHA256, err = f.sum(); err != nil {
		return located{}, err
	}

	for _, w := range p.Wheels {
		sum, err := w.sum()
		if err != nil {
			return located{}, err
		}

		l.others = append(l.others, locatedFile{sum, w.address()})
	}

	version := p.Version
	if version == "" {
		if w, err := pydist.ParseWheelName(l.File.Name); err == nil {
			version = w.Version().String()
		}
	}

	if l.Version, err = pydist.ParseVersion(version); err != nil {
		return located{}, fmt.Errorf("%s: %w", p.Name, err)
	}

	return l, nil
}

// trusted is the package with only those wheels that have one of the hashes, if any has.
func (p pylockPackage) trusted(h hashes) pylockPackage {
	name, err := pydist.ParseName(p.Name)
	if err != nil {
		return p // locate reports it
	}

	var known []pylockFile
	for _, w := range p.Wheels {
		if slices.Contains(h[name], "sha256:"+w.Hashes["sha256"]) {
			known = append(known, w)
		}
	}

	if len(known) > 0 {
		p.Wheels = known
	}

	return p
}

// file is the one that an installer would take for the target.
func (p pylockPackage) file(t pydist.Target) (pylockFile, error) {
	switch {
	case p.Archive != nil:
		return *p.Archive, nil
	case p.VCS != nil || p.Directory != nil:
		return pylockFile{}, fault.New(fault.BadInput, "lock", p.Name,
			errors.New("it comes from a repository or a folder, which has no hash")).
			WithHint("build a wheel of it and name the wheel")
	}

	if w, ok := p.wheel(t); ok {
		return w, nil
	}

	if p.Sdist != nil {
		return *p.Sdist, nil
	}

	return pylockFile{}, p.noFile(t)
}

// wheel chooses among all wheels of the version: uv lists them in the order of the index.
func (p pylockPackage) wheel(t pydist.Target) (pylockFile, bool) {
	var names []pydist.WheelName
	byName := map[string]pylockFile{}
	for _, f := range p.Wheels {
		w, err := pydist.ParseWheelName(f.name())
		if err != nil {
			continue // an old file of a form that no installer takes
		}

		names = append(names, w)
		byName[w.String()] = f
	}

	best, ok := t.Choose(names)
	return byName[best.String()], ok
}

// noFile is the fault of a version without a file for the target. It names the tags that there are.
func (p pylockPackage) noFile(t pydist.Target) error {
	subject := p.Name + "==" + p.Version
	if len(p.Wheels) == 0 {
		return fault.New(fault.WheelMissing, "lock", subject, errors.New("uv lists no file of it")).
			WithHint("choose another version")
	}

	const shown = 5
	var names []string
	for _, f := range p.Wheels {
		names = append(names, f.name())
	}

	slices.Sort(names)
	if more := len(names) - shown; more > 0 {
		names = append(names[:shown], fmt.Sprintf("and %d more", more))
	}

	return fault.New(fault.WheelMissing, "lock", subject,
		fmt.Errorf("none of its wheels runs on %s: %s", t, strings.Join(names, ", "))).
		WithHint("choose a version that has a wheel for " + t.String())
}

// sum is the file's digest; zero when uv gives none, as for a wheel of this machine.
func (f pylockFile) sum() (digest.SHA256, error) {
	text, ok := f.Hashes["sha256"]
	if !ok {
		return digest.SHA256{}, nil
	}

	return digest.Parse(text)
}

func (f pylockFile) address() string {
	if f.URL != "" {
		return f.URL
	}

	return f.Path
}

// name is the file's name. PEP 751 allows to omit it when it is the last part of the address.
func (f pylockFile) name() string {
	if f.Name != "" {
		return f.Name
	}

	address := f.address()
	if parsed, err := url.Parse(address); err == nil {
		return path.Base(parsed.Path)
	}

	withoutHash, _, _ := strings.Cut(address, "#")
	return path.Base(withoutHash)
}

// Locate returns the address of each wanted file of a lock. Files from an index are asked of uv.
func (u UV) Locate(ctx context.Context, r engine.LocateRequest) (map[digest.SHA256]string, error) {
	program, err := u.program(ctx)
	if err != nil {
		return nil, err
	}

	addresses := map[digest.SHA256]string{}
	var indexed []lock.Distribution
	for _, d := range r.Wanted {
		if !d.Direct {
			indexed = append(indexed, d)
		} else if address, ok := directAddress(r, d); ok {
			addresses[d.File.SHA256] = address
		}
	}

	if len(indexed) == 0 {
		return addresses, nil
	}

	files, err := u.locateIndexed(ctx, program, r, indexed)
	if err != nil {
		return nil, err
	}

	for _, f := range files {
		addresses[f.File.SHA256] = f.address
		for _, other := range f.others {
			addresses[other.sum] = other.address
		}
	}

	delete(addresses, digest.SHA256{}) // of files whose digest uv does not give
	return addresses, nil
}

func (u UV) locateIndexed(
	ctx context.Context, program string, r engine.LocateRequest, indexed []lock.Distribution,
) ([]located, error) {
	temp, err := os.MkdirTemp("", "layersmith-fetch-")
	if err != nil {
		return nil, unwritten(err)
	}
	defer os.RemoveAll(temp)

	pins := filepath.Join(temp, "pins.txt")
	if err := os.WriteFile(pins, pinned(indexed), 0o644); err != nil {
		return nil, unwritten(err)
	}

	options := compileOptions{
		target:      r.Lock.Target,
		allowSource: slices.ContainsFunc(r.Wanted, func(d lock.Distribution) bool { return d.File.IsSource() }),
	}
	files, err := u.files(ctx, program, pins, options, nil)
	if err != nil {
		return nil, explain(err, r.Workspace, r.Lock.Target, filepath.ToSlash(u.Root))
	}

	return files, nil
}

// directAddress is the address of a distribution in the requirements that name one; in the last of
// them when several do.
func directAddress(r engine.LocateRequest, d lock.Distribution) (address string, ok bool) {
	for _, l := range r.Workspace.Layers {
		for _, q := range l.Requirements.Direct {
			if q.Name == d.Name && q.URL != "" {
				withoutHash, _, _ := strings.Cut(q.URL, "#")
				address = relative(withoutHash, l.Name)
				ok = true
			}
		}
	}

	return address, ok
}

// relative makes a local path of a layer's requirements relative to the workspace.
func relative(address, dir string) string {
	if strings.Contains(address, "://") || strings.HasPrefix(address, "/") {
		return address
	}

	return path.Join(dir, address)
}
