package prune

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// minRecompressed is the size, in bytes, of the smallest file that is worth recompressing.
const minRecompressed = 128

// Recompress deflates every file again at the highest effort, and keeps the smaller form. Results
// are cached in packs, one per wheel. Their names contain the checksum and size, because transforms
// and compilers may give a wheel's file other bytes in another layer.
func Recompress(ctx context.Context, p Pruned, cache Cache) (Pruned, error) {
	out := p
	out.Decisions = slices.Clone(p.Decisions)
	byWheel := map[string][]int{}
	for i, o := range out.Decisions {
		if o.Fate != Dropped && o.Rule != ByRecord && o.Result.Size >= minRecompressed {
			byWheel[o.Wheel] = append(byWheel[o.Wheel], i)
		}
	}

	w := worker{pool: newPool(), cache: cache}
	g, running := errgroup.WithContext(ctx)
	for _, digest := range slices.Sorted(maps.Keys(byWheel)) {
		g.Go(func() error { return out.recompress(running, w, digest, byWheel[digest]) })
	}

	if err := g.Wait(); err != nil {
		return Pruned{}, err
	}

	return out, out.buildTree()
}

// recompressedName is the name of a file's result in a pack of Recompress.
func recompressedName(o Applied) string {
	return fmt.Sprintf("%s@%08x-%d", o.Site, o.Result.CRC32, o.Result.Size)
}

// recompress handles the files of one wheel, given by their positions.
func (out *Pruned) recompress(ctx context.Context, w worker, digest string, positions []int) error {
	files := make([]Decision, len(positions))
	for n, i := range positions {
		o := out.Decisions[i]
		files[n] = o.Decision
		files[n].Entry = o.Result
		files[n].Site = recompressedName(o)
	}

	deflate := func(d Decision) (ziptree.Entry, error) {
		e, err := d.Entry.Recompressed()
		return e.Named(d.Site), err
	}

	key := cmp.Or(digest, prebuilt) + "/" + ziptree.BestVersion
	pack, err := w.complete(ctx, key, files, deflate)
	if err != nil {
		return err
	}

	for _, i := range positions {
		o := &out.Decisions[i]
		if e, ok := pack.Lookup(recompressedName(*o)); ok && e.ZippedBytes < o.Result.ZippedBytes {
			e = e.Named(o.Result.Name)
			e.Note = o.Result.Note
			e.Exec = o.Result.Exec
			o.Result = e
		}
	}

	return nil
}
