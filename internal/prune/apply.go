package prune

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Cache keeps what transforms made, in packs: zips whose entries have the name of their input and a
// note. A pack is replaced as a whole.
type Cache interface {
	// Load opens a pack; an absent one is the empty tree.
	Load(ctx context.Context, key string) (ziptree.Tree, error)
	// Store writes a pack and opens it. What was there before stays until the new one is complete.
	Store(ctx context.Context, key string, write func(add func(ziptree.Entry) error) error) (ziptree.Tree, error)
}

// MaxInFlightBytes bounds the inflated bytes that are being transformed at one time; one larger
// file is transformed alone.
const MaxInFlightBytes = 16 << 20

// maxTransformedBytes is the largest file that a transform is tried on. It is as large as Lambda's
// limit for everything.
const maxTransformedBytes = 250 << 20

// noteUnchanged marks a file in a pack of which the transform made nothing smaller; noteFailed
// begins the reason why its result was not used.
const (
	noteUnchanged = "unchanged"
	noteFailed    = "failed: "
	noteSHA256    = "sha256:"
)

// Pruned is a layer as it will be published.
type Pruned struct {
	Tree      ziptree.Tree
	Decisions []Outcome
	Notes     []string // what a transform left alone, and why: sorted
	plan      Plan
}

// Outcome is a decision and what it came to. A transform that gained nothing makes its file a kept
// one.
type Outcome struct {
	Decision
	Result ziptree.Entry // zero when dropped
}

// Apply does what the plan says.
func Apply(ctx context.Context, p Plan, cache Cache) (Pruned, error) {
	out := Pruned{plan: p, Decisions: make([]Outcome, len(p.decisions))}
	batches := map[string][]int{} // by wheel and transform: one pack each
	for i, d := range p.decisions {
		out.Decisions[i] = Outcome{Decision: d}
		switch d.Fate {
		case Kept:
			out.Decisions[i].Result = d.Entry
		case Transformed:
			key := d.Wheel + "/" + d.transform.pack()
			batches[key] = append(batches[key], i)
		}
	}

	pool := newPool()
	g, running := errgroup.WithContext(ctx)
	for _, key := range slices.Sorted(maps.Keys(batches)) {
		batch := make([]Decision, len(batches[key]))
		for n, i := range batches[key] {
			batch[n] = p.decisions[i]
		}

		g.Go(func() error {
			origin, err := Origin(batch)
			if err != nil {
				return err
			}

			return out.transform(running, pool, p, cache, origin+"/"+batch[0].transform.pack(), batches[key])
		})
	}

	if err := g.Wait(); err != nil {
		return Pruned{}, err
	}

	if err := ctx.Err(); err != nil {
		return Pruned{}, err
	}

	if err := out.describe(); err != nil {
		return Pruned{}, err
	}

	if err := out.pack(ctx, pool, cache); err != nil {
		return Pruned{}, err
	}

	return out, out.gather()
}

// describe makes what follows from the decisions: notes and each distribution's RECORD.
func (out *Pruned) describe() error {
	out.Notes = nil
	for _, o := range out.Decisions {
		if strings.HasPrefix(o.Why, o.Rule+leftAlone) {
			out.Notes = append(out.Notes, o.Site+": "+o.Why)
		}
	}

	sort.Strings(out.Notes)
	return out.records()
}

// gather makes the tree of what the decisions came to.
func (out *Pruned) gather() (err error) {
	var entries []ziptree.Entry
	for _, o := range out.Decisions {
		if o.Fate != Dropped {
			entries = append(entries, o.Result)
		}
	}

	if out.Tree, err = ziptree.New(entries); err != nil {
		return fmt.Errorf("prune: %w", err)
	}

	return nil
}

// Origin is what cached results belong to, for files of one wheel: the wheel's digest. Files that
// no wheel brought may differ under the same name from one layer to the next, so theirs is a digest
// of names and stored bytes.
func Origin(files []Decision) (string, error) {
	if len(files) > 0 && files[0].Wheel != "" {
		return files[0].Wheel, nil
	}

	h := digest.NewHasher()
	for _, d := range files {
		raw, err := d.Entry.OpenRaw()
		if err != nil {
			return "", fmt.Errorf("read %s: %w", d.Entry.Name, err)
		}

		fmt.Fprintf(h, "%s\x00%d %d %d\x00", d.Site, d.Entry.Method, d.Entry.Size, d.Entry.ZippedBytes)
		if _, err := io.Copy(h, io.LimitReader(raw, d.Entry.ZippedBytes)); err != nil {
			return "", fmt.Errorf("read %s: %w", d.Entry.Name, err)
		}
	}

	return "foreign/" + h.Sum().String(), nil
}

// pack is the name of the packs that hold what the transform made.
func (t *Transform) pack() string {
	return fmt.Sprintf("%s-%s-%s", t.ID, t.Version, ziptree.DeflateVersion)
}

// complete opens a pack and adds what it lacks of the files, made in parallel. A pack is replaced
// as a whole.
func complete(
	ctx context.Context,
	pool pool,
	cache Cache,
	key string,
	files []Decision,
	made func(Decision) (ziptree.Entry, error),
) (ziptree.Tree, error) {
	pack, err := cache.Load(ctx, key)
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

	return cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
		for _, e := range pack.Entries() {
			if err := add(e); err != nil {
				return err
			}
		}

		var mu sync.Mutex
		return parallel(ctx, pool, missing, func(d Decision) error {
			e, err := made(d)
			if err != nil {
				return err
			}

			mu.Lock()
			defer mu.Unlock()
			return add(e)
		})
	})
}

// transform fills in the results of one wheel's files, from the pack or by doing the work.
func (out *Pruned) transform(ctx context.Context, pool pool, p Plan, cache Cache, key string, batch []int) error {
	files := make([]Decision, len(batch))
	for n, i := range batch {
		files[n] = out.Decisions[i].Decision
	}

	pack, err := complete(ctx, pool, cache, key, files, func(d Decision) (ziptree.Entry, error) { return d.rewrite(p) })
	if err != nil {
		return err
	}

	for _, i := range batch {
		o := &out.Decisions[i]
		made, _ := pack.Lookup(o.Site)
		if strings.HasPrefix(made.Note, noteSHA256) {
			o.Result = made.Named(o.Entry.Name)
			o.Result.Exec = o.Entry.Exec
			continue
		}

		if reason, failed := strings.CutPrefix(made.Note, noteFailed); failed {
			o.Why = o.Rule + leftAlone + reason
		}

		o.Fate = Kept
		o.Result = o.Entry
	}

	return nil
}

// pack deflates what is kept and has no compressed form yet, because it lay in a folder.
func (out *Pruned) pack(ctx context.Context, pool pool, cache Cache) error {
	var loose []int
	for i, o := range out.Decisions {
		if o.Fate == Kept && o.Entry.Loose {
			loose = append(loose, i)
		}
	}

	if len(loose) == 0 {
		return nil
	}

	files := make([]Decision, len(loose))
	for n, i := range loose {
		files[n] = out.Decisions[i].Decision
		files[n].transform = &deflated
	}

	origin, err := Origin(files)
	if err != nil {
		return err
	}

	pack, err := complete(ctx, pool, cache, origin+"/"+deflated.pack(), files, func(d Decision) (ziptree.Entry, error) {
		e, err := d.Entry.Deflated()
		return e.Named(d.Site), err
	})
	if err != nil {
		return err
	}

	for _, i := range loose {
		o := &out.Decisions[i]
		if e, ok := pack.Lookup(o.Site); ok {
			o.Result = e.Named(o.Entry.Name)
			o.Result.Exec = o.Entry.Exec
			o.Result.Note = ""
		}
	}

	return nil
}

// deflated names the pack of files that were not compressed.
var deflated = Transform{ID: "deflate", Version: "1"}

// leftAlone stands between a rule and its reason not to rewrite a file.
const leftAlone = " left it alone: "

// pool bounds what all wheels of a layer transform at one time: a task for each processor, and
// bytes in memory.
type pool struct{ processors, room *semaphore.Weighted }

func newPool() pool {
	return pool{semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))), semaphore.NewWeighted(MaxInFlightBytes)}
}

// parallel does something with files, largest first, as many at a time as the pool allows.
func parallel(ctx context.Context, pool pool, files []Decision, do func(Decision) error) error {
	sort.SliceStable(files, func(i, j int) bool { return files[i].Entry.Size > files[j].Entry.Size })
	g, running := errgroup.WithContext(ctx)
	for _, d := range files {
		weight := min(d.Entry.Size, MaxInFlightBytes)
		if err := pool.room.Acquire(running, weight); err != nil {
			break // the group has the reason
		}

		if err := pool.processors.Acquire(running, 1); err != nil {
			pool.room.Release(weight)
			break
		}

		g.Go(func() error {
			defer pool.room.Release(weight)
			defer pool.processors.Release(1)
			return do(d)
		})
	}

	if err := g.Wait(); err != nil {
		return err
	}

	return ctx.Err()
}

// rewrite makes the pack's entry for one file. Only reading the input can fail: a transform that
// does leaves the file alone.
func (d Decision) rewrite(p Plan) (ziptree.Entry, error) {
	note := func(n string) (ziptree.Entry, error) {
		e := ziptree.File(d.Site, nil, false, d.transform.ID)
		e.Note = n
		return e, nil
	}
	if d.Entry.Size > maxTransformedBytes {
		return note(fmt.Sprintf("%s%d bytes, limit %d", noteFailed, d.Entry.Size, int64(maxTransformedBytes)))
	}

	before, err := d.Entry.Bytes(maxTransformedBytes)
	if err != nil {
		return ziptree.Entry{}, err
	}

	after, err := d.transform.Rewrite(d.Site, before, p.policy)
	if err == nil && len(after) < len(before) {
		err = d.transform.Verify(d.Site, before, after)
	}

	switch {
	case err != nil:
		return note(noteFailed + clip(err.Error()))
	case len(after) >= len(before):
		return note(noteUnchanged)
	}

	e := ziptree.File(d.Site, after, false, d.transform.ID)
	e.Note = noteSHA256 + digest.Of(after).String()
	return e, nil
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}

	return s
}

// records rewrites each distribution's RECORD so that it lists what the layer has: hashes are
// carried over from the wheel, those of transformed files come from their pack, bytecode is listed
// without (as installers do). Format: "Recording installed projects", PyPA.
func (out *Pruned) records() error {
	at := map[string]int{}
	for i := range out.Decisions {
		at[out.Decisions[i].Site] = i
	}

	files := map[pydist.Name][]int{}
	for i, o := range out.Decisions {
		if o.Fate != Dropped && o.Owner.Name != (pydist.Name{}) {
			files[o.Owner.Name] = append(files[o.Owner.Name], i)
		}
	}

	for _, d := range out.plan.input.Distributions {
		i, ok := at[d.DistInfo+"/RECORD"]
		if !ok || out.Decisions[i].Fate == Dropped {
			continue
		}

		entries := make([]pydist.RecordEntry, 0, len(files[d.Name]))
		for _, j := range files[d.Name] {
			o := out.Decisions[j]
			e := pydist.RecordEntry{Path: o.Site, Size: -1}
			if sum, ok := strings.CutPrefix(o.Result.Note, noteSHA256); ok && o.Fate == Transformed {
				parsed, err := digest.Parse(sum)
				if err != nil {
					return fmt.Errorf("rewrite RECORD of %s: %w", d.Name, err)
				}

				e.SHA256 = parsed.Record()
				e.Size = o.Result.Size
			} else if shipped, ok := d.Record[o.Site]; ok && o.Site != d.DistInfo+"/RECORD" &&
				!strings.HasSuffix(o.Site,
					".pyc") {
				e.SHA256 = shipped
				e.Size = o.Result.Size
			}

			entries = append(entries, e)
		}

		o := &out.Decisions[i]
		o.Fate = Transformed
		o.Rule = ByRecord
		o.Result = ziptree.File(o.Entry.Name, pydist.FormatRecord(entries), false, ByRecord)
	}

	return nil
}
