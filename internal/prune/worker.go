package prune

import (
	"context"
	"fmt"
	"runtime"
	"sort"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/layersmith/layersmith/internal/ziptree"
)

// worker produces entries of packs in parallel.
type worker struct {
	pool  pool
	cache Cache
}

// complete opens a pack and adds the entries that it lacks, produced from files in parallel. Only a
// pack that lacks an entry is written.
func (w worker) complete(
	ctx context.Context,
	key string,
	files []Decision,
	produce func(Decision) (ziptree.Entry, error),
) (ziptree.Tree, error) {
	pack, err := w.cache.Load(ctx, key)
	if err != nil {
		return ziptree.Tree{}, fmt.Errorf("read cache %s: %w", key, err)
	}

	var missing []Decision
	for _, d := range files {
		if _, ok := pack.Lookup(d.Site); !ok {
			missing = append(missing, d)
		}
	}

	if len(missing) == 0 {
		return pack, nil
	}

	return w.cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
		for _, e := range pack.Entries() {
			if err := add(e); err != nil {
				return err
			}
		}

		var mu sync.Mutex
		return w.pool.each(ctx, missing, func(d Decision) error {
			e, err := produce(d)
			if err != nil {
				return err
			}

			mu.Lock()
			defer mu.Unlock()

			return add(e)
		})
	})
}

// pool limits the work on all packs of a layer: one task per processor, and MaxInFlightBytes.
type pool struct{ processors, memory *semaphore.Weighted }

func newPool() pool {
	return pool{
		processors: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		memory:     semaphore.NewWeighted(MaxInFlightBytes),
	}
}

// each calls do for every file, the largest first, as many at the same time as the pool allows. It
// sorts its argument.
func (p pool) each(ctx context.Context, files []Decision, do func(Decision) error) error {
	sort.SliceStable(files, func(i, j int) bool { return files[i].Entry.Size > files[j].Entry.Size })
	g, running := errgroup.WithContext(ctx)
	for _, d := range files {
		weight := min(d.Entry.Size, MaxInFlightBytes)
		if err := p.memory.Acquire(running, weight); err != nil {
			break // Wait returns the cause
		}

		if err := p.processors.Acquire(running, 1); err != nil {
			p.memory.Release(weight)
			break
		}

		g.Go(func() error {
			defer p.memory.Release(weight)
			defer p.processors.Release(1)

			return do(d)
		})
	}

	if err := g.Wait(); err != nil {
		return err
	}

	return ctx.Err()
}
