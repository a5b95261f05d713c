package prune

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// minRecompressed is the smallest member that is worth a second try.
const minRecompressed = 128

// Recompress deflates every member again with the strongest effort, and keeps the smaller form.
// Results are in packs, by wheel; a member is known there by its name, size and checksum, since
// what transforms and compilers made of a wheel changes with them.
func Recompress(ctx context.Context, p Pruned, cache Cache) (Pruned, error) {
	out := p
	out.Decisions = append([]Outcome(nil), p.Decisions...)
	byWheel := map[string][]int{}
	for i, o := range out.Decisions {
		if o.Fate != Dropped && o.Rule != ByRecord && o.Result.Size >= minRecompressed {
			byWheel[o.Wheel] = append(byWheel[o.Wheel], i)
		}
	}

	pool := newPool()
	g, running := errgroup.WithContext(ctx)
	for _, w := range slices.Sorted(maps.Keys(byWheel)) {
		g.Go(func() error { return out.recompress(running, pool, cache, w, byWheel[w]) })
	}

	if err := g.Wait(); err != nil {
		return Pruned{}, err
	}

	return out, out.gather()
}

func memberName(o Outcome) string {
	return fmt.Sprintf("%s@%08x-%d", o.Site, o.Result.CRC32, o.Result.Size)
}

func (out *Pruned) recompress(ctx context.Context, pool pool, cache Cache, wheel string, members []int) error {
	if wheel == "" {
		wheel = "foreign"
	}

	files := make([]Decision, len(members))
	for n, i := range members {
		o := out.Decisions[i]
		files[n] = o.Decision
		files[n].Entry = o.Result
		files[n].Site = memberName(o)
	}

	pack, err := complete(
		ctx,
		pool,
		cache,
		wheel+"/"+ziptree.BestVersion,
		files,
		func(d Decision) (ziptree.Entry, error) {
			e, err := d.Entry.Recompressed()
			return e.Named(d.Site), err
		},
	)
	if err != nil {
		return err
	}

	for _, i := range members {
		o := &out.Decisions[i]
		if e, ok := pack.Lookup(memberName(*o)); ok && e.ZippedBytes < o.Result.ZippedBytes {
			note := o.Result.Note
			exec := o.Result.Exec
			o.Result = e.Named(o.Result.Name)
			o.Result.Note = note
			o.Result.Exec = exec
		}
	}

	return nil
}
