package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Artifact is a layer before pruning: the files that pip would install. Their bytes are read from
// the wheels, or from a prebuilt zip.
type Artifact struct {
	Target        pydist.Target
	Place         place.Place
	Tree          ziptree.Tree
	Distributions []wheel.Distribution
	Indexes       []prune.Index
	Clashes       []Clash
	Binaries      []prune.Binaries
	Links         func() ([]prune.Links, error) // inflates every ELF file, see prune.Input
	Notes         []string
	blobs         []Blob
	links         []func() (prune.Links, error) // as Indexes
}

// Close closes the wheels. Entries of the tree cannot be read after it.
func (a Artifact) Close() {
	for _, b := range a.blobs {
		b.Close()
	}
}

// Assemble makes the artifact of a layer from its wheels.
type Assemble struct {
	Wheels WheelStore
	Cache  Cache // of indexes
}

// Run puts the files of wheels where an installer would. The caller closes the artifact.
func (s Assemble) Run(
	ctx context.Context, t pydist.Target, at place.Place, dists []lock.Distribution,
) (Artifact, error) {
	a := Artifact{Target: t, Place: at}
	files := layout{at: map[string]int{}, claims: map[int][]claim{}}
	for _, d := range dists {
		if err := s.add(ctx, &a, &files, d); err != nil {
			a.Close()
			return Artifact{}, err
		}
	}

	if err := files.folders(); err != nil {
		a.Close()
		return Artifact{}, err
	}

	a.disown(files.settle(at, installOrder(dists)))
	a.Links = readLinks(a.links)
	var err error
	if a.Tree, err = ziptree.New(files.entries); err != nil {
		a.Close()
		return Artifact{}, err
	}

	return a, nil
}

// disown takes clashing files away from the distributions whose file is not used: from their lists
// of files, which RECORD is written from, from their references, and from what is known of their
// programs and libraries.
func (a *Artifact) disown(clashes []Clash) {
	lost := map[pydist.Name]map[string]bool{}
	for _, c := range clashes {
		if lost[c.Loser] == nil {
			lost[c.Loser] = map[string]bool{}
		}

		lost[c.Loser][c.Site] = true
	}

	a.Clashes = clashes
	for i, d := range a.Distributions {
		files := lost[d.Name]
		if files == nil {
			continue
		}

		a.Distributions[i].Files = slices.DeleteFunc(slices.Clone(d.Files), func(f string) bool { return files[f] })
		a.Indexes[i].Files = slices.DeleteFunc(slices.Clone(a.Indexes[i].Files), func(f prune.FileRefs) bool {
			return files[f.Path]
		})
		a.Binaries[i].Files = slices.DeleteFunc(slices.Clone(a.Binaries[i].Files), func(f prune.Binary) bool {
			return files[f.Path]
		})
		a.links[i] = linksWithout(a.links[i], files)
	}
}

// add opens a distribution's wheel and adds its files.
func (s Assemble) add(ctx context.Context, a *Artifact, files *layout, d lock.Distribution) error {
	b, err := s.Wheels.Open(ctx, d.File.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.BadInput, "assemble", d.File.Name, errors.New("not in the wheel store")).
			WithHint("run: layersmith build")
	}

	if err != nil {
		return err
	}

	a.blobs = append(a.blobs, b)
	w, err := openWheel(b, d)
	if err != nil {
		return unreadable(b, d, err)
	}

	x, err := s.index(ctx, w)
	if err != nil && ctx.Err() == nil {
		err = unreadable(b, d, err)
	}

	if err != nil {
		return err
	}

	a.add(x)
	a.Distributions = append(a.Distributions, w.Distribution)
	files.add(a.Place, d.Name, w.Tree)
	return nil
}

// layout collects the files of a layer.
type layout struct {
	entries []ziptree.Entry
	owners  []pydist.Name   // of entries
	at      map[string]int  // position in entries by name in the layer
	claims  map[int][]claim // files of further wheels with the name of an entry, by its position
}

// claim is a file of a wheel whose name in the layer another wheel has too.
type claim struct {
	owner pydist.Name
	entry ziptree.Entry
}

// add adds a wheel's files.
func (l *layout) add(at place.Place, d pydist.Name, wheel ziptree.Tree) {
	for _, e := range wheel.Entries() {
		e = e.Named(at.Prefix + e.Name)
		if i, twice := l.at[e.Name]; twice {
			l.claims[i] = append(l.claims[i], claim{d, e})
			continue
		}

		l.at[e.Name] = len(l.entries)
		l.entries = append(l.entries, e)
		l.owners = append(l.owners, d)
	}
}

// folders refuses a file where another wheel has a folder. pip cannot install these either.
func (l *layout) folders() error {
	for i, e := range l.entries {
		for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
			file, ok := l.at[dir]
			if !ok {
				continue
			}

			return fault.New(fault.BadInput, "assemble", dir,
				fmt.Errorf("it is a file in %s and a folder in %s", l.owners[file], l.owners[i])).
				WithHint("they cannot be installed together; choose another version of one, or put it into another " +
					"layer that no function uses with this one")
		}
	}

	return nil
}

// settle gives each name that several wheels have the file of the one that is installed last. It
// returns the files with another content that it replaces.
func (l *layout) settle(at place.Place, order map[pydist.Name]int) []Clash {
	var clashes []Clash
	for _, i := range slices.Sorted(maps.Keys(l.claims)) {
		claims := append([]claim{{l.owners[i], l.entries[i]}}, l.claims[i]...)
		last := slices.MaxFunc(claims, func(a, b claim) int { return cmp.Compare(order[a.owner], order[b.owner]) })
		l.entries[i] = last.entry
		for _, c := range claims {
			if c.entry.CRC32 == last.entry.CRC32 && c.entry.Size == last.entry.Size {
				continue
			}

			site, _ := at.Site(c.entry.Name)
			clashes = append(clashes, Clash{
				Site:           site,
				Winner:         last.owner,
				Loser:          c.owner,
				equalNamespace: sameNamespace(last.entry, c.entry),
			})
		}
	}

	return clashes
}

// unreadable returns the fault for a wheel that cannot be opened: that of the wheel, or that of the
// wheel store when the file has changed since it was fetched. A fault stays as it is.
func unreadable(b Blob, d lock.Distribution, err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}

	f := fault.New(fault.CorruptArchive, "assemble", fmt.Sprintf("%s==%s", d.Name, d.Version), err).
		WithHint("the file is what its index serves; choose another version, or tell its maintainers")
	if sum, _, readErr := digest.Reader(io.NewSectionReader(b, 0, b.Size())); readErr == nil && sum != d.File.SHA256 {
		f.Code = fault.HashMismatch
		f.Hint = "the file was damaged in the wheel store; run: layersmith clean --wheels, then build"
	}

	return f
}

func openWheel(b Blob, d lock.Distribution) (wheel.Wheel, error) {
	name, err := pydist.ParseWheelName(d.File.Name)
	if err != nil {
		return wheel.Wheel{}, err
	}

	t, err := ziptree.Read(b, b.Size(), d.File.Name)
	if err != nil {
		return wheel.Wheel{}, err
	}

	return wheel.Open(t, name, d.File.SHA256.String())
}

// input is the artifact as a plan needs it.
func (a Artifact) input() prune.Input {
	return prune.Input{
		Target:        a.Target,
		Tree:          a.Tree,
		Prefix:        a.Place.Prefix,
		Distributions: a.Distributions,
		Indexes:       a.Indexes,
		Binaries:      a.Binaries,
		Links:         a.Links,
	}
}
