package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	files := layout{at: map[string]int{}, order: installOrder(dists)}
	for _, d := range dists {
		if err := s.add(ctx, &a, &files, d); err != nil {
			a.Close()
			return Artifact{}, err
		}
	}

	a.disown(files.clashes)
	a.Links = readLinks(a.links)
	var err error
	if a.Tree, err = ziptree.New(files.entries); err != nil {
		a.Close()
		return Artifact{}, err
	}

	return a, nil
}

// disown takes clashing files away from the distributions whose file is not used: from their lists
// of files, which RECORD is written from, and from their references.
func (a *Artifact) disown(clashes []Clash) {
	lost := map[pydist.Name]map[string]bool{}
	for i, c := range clashes {
		clashes[i].equalNamespace = sameNamespace(c.winner, c.loser)
		if lost[c.Loser] == nil {
			lost[c.Loser] = map[string]bool{}
		}

		lost[c.Loser][c.Site] = true
	}

	a.Clashes = clashes
	for i, d := range a.Distributions {
		if files := lost[d.Name]; files != nil {
			a.Distributions[i].Files = slices.DeleteFunc(slices.Clone(d.Files), func(f string) bool { return files[f] })
			a.Indexes[i].Files = slices.DeleteFunc(slices.Clone(a.Indexes[i].Files), func(f prune.FileRefs) bool {
				return files[f.Path]
			})
		}
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
	owners  []pydist.Name       // of entries
	at      map[string]int      // position in entries by name in the layer
	order   map[pydist.Name]int // see installOrder
	clashes []Clash
}

// add adds a wheel's files. Where another wheel has a different file of the same name, the one that
// is installed last stays.
func (l *layout) add(at place.Place, d pydist.Name, wheel ziptree.Tree) {
	for _, e := range wheel.Entries() {
		site := e.Name
		e = e.Named(at.Prefix + site)
		i, twice := l.at[e.Name]
		if !twice {
			l.at[e.Name] = len(l.entries)
			l.entries = append(l.entries, e)
			l.owners = append(l.owners, d)
			continue
		}

		other := l.entries[i]
		if other.CRC32 == e.CRC32 && other.Size == e.Size {
			continue
		}

		c := Clash{Site: site, Winner: l.owners[i], Loser: d, winner: other, loser: e}
		if l.order[d] > l.order[l.owners[i]] {
			c = Clash{Site: site, Winner: d, Loser: l.owners[i], winner: e, loser: other}
			l.entries[i] = e
			l.owners[i] = d
		}

		l.clashes = append(l.clashes, c)
	}
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
