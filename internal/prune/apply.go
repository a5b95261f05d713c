package prune

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Cache stores the results of transforms in packs. A pack is a zip with one entry per input file,
// under the file's Site, and a note on each entry. It is replaced as a whole.
type Cache interface {
	// Load opens a pack. A missing pack is the empty tree.
	Load(ctx context.Context, key string) (ziptree.Tree, error)
	// Store writes a pack and opens it. The previous pack stays until the new one is complete.
	Store(ctx context.Context, key string, write func(add func(ziptree.Entry) error) error) (ziptree.Tree, error)
}

// MaxInFlightBytes limits the inflated bytes that are transformed at the same time. A larger file
// is transformed alone.
const MaxInFlightBytes = 16 << 20

// maxTransformedBytes is the size of the largest file that transforms are tried on: Lambda's limit
// for a function and its layers.
const maxTransformedBytes = 250 << 20

// Notes of entries in packs.
const (
	noteUnchanged = "unchanged" // the transform made the file no smaller
	noteFailed    = "failed: "  // prefix of the reason why the result was not used
	noteSHA256    = "sha256:"   // prefix of the digest of the result
)

// leftAlone separates a rule and the reason why its transform failed, in Decision.Why.
const leftAlone = " left it alone: "

// prebuilt is the origin of cached results for files without a wheel. Changing it would orphan
// existing caches.
const prebuilt = "foreign"

// Pruned is a layer after pruning.
type Pruned struct {
	Tree      ziptree.Tree
	Decisions []Applied
	Notes     []string // files that a transform failed on, and why, and what could be left out: sorted
	plan      Plan
}

// Applied is a decision and its result. If a transform fails or gains nothing, its file becomes a
// kept one.
type Applied struct {
	Decision
	Result ziptree.Entry // zero if dropped
}

// Apply carries the plan out. Results of transforms are read from the cache, and added to it.
func Apply(ctx context.Context, p Plan, cache Cache) (Pruned, error) {
	out := Pruned{plan: p, Decisions: make([]Applied, len(p.decisions))}
	for i, d := range p.decisions {
		out.Decisions[i].Decision = d
		if d.Fate == Kept {
			out.Decisions[i].Result = d.Entry
		}
	}

	w := worker{pool: newPool(), cache: cache}
	if err := out.transformAll(ctx, w, p.policy); err != nil {
		return Pruned{}, err
	}

	if err := out.describe(); err != nil {
		return Pruned{}, err
	}

	if err := out.deflateLoose(ctx, w); err != nil {
		return Pruned{}, err
	}

	return out, out.buildTree()
}

// describe makes what follows from the decisions: the notes and each distribution's RECORD.
func (out *Pruned) describe() error {
	out.collectNotes()
	return out.rewriteRecords(out.plan.input.Distributions)
}

// collectNotes lists the files that a transform failed on, after the notes of the plan.
func (out *Pruned) collectNotes() {
	out.Notes = slices.Clone(out.plan.notes)
	for _, o := range out.Decisions {
		if strings.HasPrefix(o.Why, o.Rule+leftAlone) {
			out.Notes = append(out.Notes, o.Site+": "+o.Why)
		}
	}

	sort.Strings(out.Notes)
}

// buildTree makes the tree of the files that are not dropped.
func (out *Pruned) buildTree() (err error) {
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

// Origin returns the part of a cache key that identifies the input, for files of one wheel: the
// wheel's digest. Files of prebuilt layers may differ under the same name, so their origin is a
// digest of their names and stored bytes.
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

	return prebuilt + "/" + h.Sum().String(), nil
}

// transformAll fills in the results of all transforms. The files of one wheel and one transform
// share a pack.
func (out *Pruned) transformAll(ctx context.Context, w worker, pol policy.Policy) error {
	batches := map[string][]int{} // positions in out.Decisions, by wheel and transform
	for i, o := range out.Decisions {
		if o.Fate == Transformed {
			key := o.Wheel + "/" + o.transform.pack()
			batches[key] = append(batches[key], i)
		}
	}

	g, running := errgroup.WithContext(ctx)
	for _, key := range slices.Sorted(maps.Keys(batches)) {
		g.Go(func() error { return out.transform(running, w, pol, batches[key]) })
	}

	if err := g.Wait(); err != nil {
		return err
	}

	return ctx.Err()
}

// transform fills in the results of one batch.
func (out *Pruned) transform(ctx context.Context, w worker, pol policy.Policy, batch []int) error {
	files := out.filesAt(batch)
	origin, err := Origin(files)
	if err != nil {
		return err
	}

	key := origin + "/" + files[0].transform.pack()
	rewrite := func(d Decision) (ziptree.Entry, error) { return d.rewrite(pol) }
	pack, err := w.complete(ctx, key, files, rewrite)
	if err != nil {
		return err
	}

	for _, i := range batch {
		o := &out.Decisions[i]
		made, _ := pack.Lookup(o.Site)
		o.useTransformed(made)
	}

	return nil
}

// filesAt returns the decisions at positions, as a copy.
func (out *Pruned) filesAt(positions []int) []Decision {
	files := make([]Decision, len(positions))
	for n, i := range positions {
		files[n] = out.Decisions[i].Decision
	}

	return files
}

// useTransformed takes a file's result from a pack, or keeps the file if there is none.
func (o *Applied) useTransformed(made ziptree.Entry) {
	if strings.HasPrefix(made.Note, noteSHA256) {
		o.Result = made.Named(o.Entry.Name)
		o.Result.Exec = o.Entry.Exec
		return
	}

	if reason, failed := strings.CutPrefix(made.Note, noteFailed); failed {
		o.Why = o.Rule + leftAlone + reason
	}

	o.Fate = Kept
	o.Result = o.Entry
}

// deflated identifies the packs of files from a folder, which have no compressed form.
var deflated = Transform{ID: "deflate", Version: "1"}

// deflateLoose compresses kept files that came from a folder.
func (out *Pruned) deflateLoose(ctx context.Context, w worker) error {
	var loose []int
	for i, o := range out.Decisions {
		if o.Fate == Kept && o.Entry.Loose {
			loose = append(loose, i)
		}
	}

	if len(loose) == 0 {
		return nil
	}

	files := out.filesAt(loose)
	origin, err := Origin(files)
	if err != nil {
		return err
	}

	deflate := func(d Decision) (ziptree.Entry, error) {
		e, err := d.Entry.Deflated()
		return e.Named(d.Site), err
	}

	pack, err := w.complete(ctx, origin+"/"+deflated.pack(), files, deflate)
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

// pack returns the name of the packs with the transform's results.
func (t *Transform) pack() string {
	return fmt.Sprintf("%s-%s-%s", t.ID, t.Version, ziptree.DeflateVersion)
}

// rewrite returns the pack's entry for one file. It fails only if the input cannot be read. If the
// transform fails, the note of the entry says so.
func (d Decision) rewrite(pol policy.Policy) (ziptree.Entry, error) {
	note := func(n string) (ziptree.Entry, error) {
		e := ziptree.File(d.Site, nil, d.transform.ID)
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

	after, err := d.transform.Rewrite(d.Site, before, pol)
	if err == nil && len(after) < len(before) {
		err = d.transform.Verify(d.Site, before, after)
	}

	switch {
	case err != nil:
		return note(noteFailed + clip(err.Error()))
	case len(after) >= len(before):
		return note(noteUnchanged)
	}

	e := ziptree.File(d.Site, after, d.transform.ID)
	e.Note = noteSHA256 + digest.Of(after).String()
	return e, nil
}

// clip limits the length of a reason in a report.
func clip(s string) string {
	const maxBytes = 300
	if len(s) > maxBytes {
		return s[:maxBytes] + "..."
	}

	return s
}
