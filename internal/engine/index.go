package engine

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// indexes are what a plan knows of the files of one wheel, or of one prebuilt layer.
type indexes struct {
	imports  prune.Index
	binaries prune.Binaries
	links    func() (prune.Links, error)
}

// index returns a wheel's indexes, which it caches. Links are read where a rule asks.
func (s Assemble) index(ctx context.Context, w wheel.Wheel) (x indexes, err error) {
	imports := indexer[prune.Index]{
		version: prune.IndexVersion,
		decode:  prune.DecodeIndex,
		make:    func() (prune.Index, error) { return prune.NewIndex(ctx, w.Tree.Entries()) },
	}
	if x.imports, err = imports.read(ctx, s.Cache, w); err != nil {
		return indexes{}, err
	}

	binaries := indexer[prune.Binaries]{
		version: prune.BinariesVersion,
		decode:  prune.DecodeBinaries,
		make:    func() (prune.Binaries, error) { return prune.NewBinaries(ctx, w.Tree.Entries()) },
	}
	if x.binaries, err = binaries.read(ctx, s.Cache, w); err != nil {
		return indexes{}, err
	}

	links := indexer[prune.Links]{
		version: prune.LinksVersion,
		decode:  prune.DecodeLinks,
		make:    func() (prune.Links, error) { return prune.NewLinks(ctx, w.Tree.Entries(), x.binaries) },
	}
	x.links = func() (prune.Links, error) { return links.read(ctx, s.Cache, w) }
	return x, nil
}

// encodable is an index that can be cached.
type encodable interface{ Encode() ([]byte, error) }

// indexer reads one kind of index from the cache, or makes and caches it.
type indexer[T encodable] struct {
	version string
	decode  func([]byte) (T, error)
	make    func() (T, error)
}

func (x indexer[T]) read(ctx context.Context, cache Cache, w wheel.Wheel) (none T, err error) {
	key := w.Wheel + "/" + x.version
	pack, err := cache.Load(ctx, key)
	if err != nil {
		return none, err
	}

	if e, ok := pack.Lookup("index"); ok {
		b, err := e.Bytes(maxCachedFile)
		if err != nil {
			return none, err
		}

		return x.decode(b)
	}

	made, err := x.make()
	if err != nil {
		return none, err
	}

	b, err := made.Encode()
	if err != nil {
		return none, err
	}

	return made, storeFile(ctx, cache, key, "index", b)
}

// add adds the indexes of one wheel.
func (a *Artifact) add(x indexes) {
	a.Indexes = append(a.Indexes, x.imports)
	a.Binaries = append(a.Binaries, x.binaries)
	a.links = append(a.links, x.links)
}

// indexed adds the indexes that a plan needs to a prebuilt layer.
func (a Artifact) indexed(ctx context.Context) (Artifact, error) {
	var site, all []ziptree.Entry
	for _, e := range a.Tree.Entries() {
		name, inside := a.Place.Site(e.Name)
		if inside {
			site = append(site, e.Named(name))
		} else {
			name = prune.Outside + e.Name
		}

		all = append(all, e.Named(name))
	}

	imports, err := prune.NewIndex(ctx, site)
	if err != nil {
		return Artifact{}, corrupt(err)
	}

	binaries, err := prune.NewBinaries(ctx, all)
	if err != nil {
		return Artifact{}, corrupt(err)
	}

	links := func() (prune.Links, error) {
		l, err := prune.NewLinks(ctx, all, binaries)
		if err != nil {
			err = corrupt(err)
		}

		return l, err
	}
	a.add(indexes{imports, binaries, links})
	a.Links = readLinks(a.links)
	return a, nil
}

func corrupt(err error) error { return fault.New(fault.CorruptArchive, "open", "", err) }

// readLinks returns a function that reads the links of all wheels, once.
func readLinks(of []func() (prune.Links, error)) func() ([]prune.Links, error) {
	return sync.OnceValues(func() ([]prune.Links, error) {
		all := make([]prune.Links, len(of))
		g := new(errgroup.Group)
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i, read := range of {
			g.Go(func() (err error) {
				all[i], err = read()
				return err
			})
		}

		return all, g.Wait()
	})
}
