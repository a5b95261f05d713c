package stage

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// madeTree is a layer with something restored, and what that was.
type madeTree struct {
	of   string
	tree ziptree.Tree
}

// try runs one job on a layer's stack with something restored, unless that was tried before. plain
// leaves bytecode out of it.
func (h *healer) try(ctx context.Context, w *work, j probe.Job, restored []removal, plain bool) (probe.Result, error) {
	var trees []ziptree.Tree
	said := []any{j.Kind, j.Name, j.Source}
	for _, l := range h.stack(w) {
		mine := slices.DeleteFunc(append(slices.Clone(h.kept[l.spec.Name]), restored...),
			func(r removal) bool { return r.layer != l.spec.Name })
		t, err := h.tree(ctx, l, mine, plain)
		if err != nil {
			return probe.Result{}, err
		}

		trees = append(trees, t)
		said = append(said, contentOf(t))
	}

	key, err := digest.Canonical("layersmith/heal/v1", said)
	if err != nil {
		return probe.Result{}, err
	}

	if r, ok := h.results[key]; ok {
		return r, nil
	}

	if h.runs >= h.limit() {
		return probe.Result{}, errSpent
	}

	h.runs++
	mount, unmount, err := h.Mounts.Mount(ctx, trees, true)
	if err != nil {
		return probe.Result{}, err
	}
	defer unmount()
	results, err := h.Python.Probe(ctx, mount, []probe.Job{asked(j)}, func() { h.task.Add(1) })
	if err != nil {
		return probe.Result{}, err
	}

	r := results[0]
	if m := r.Missing(); !r.OK && m != "" && w.chosen(m) {
		r.OK = true // the probe skips it: the layer chose to leave that out
	}

	h.results[key] = r
	return r, nil
}

// tree is a layer with something restored, made the way a build makes it: rules off, or files in
// the keep list.
func (h *healer) tree(ctx context.Context, w *work, restored []removal, plain bool) (ziptree.Tree, error) {
	if len(restored) == 0 && !plain {
		return w.pruned.Tree, nil
	}

	of := fmt.Sprint(plain, restored)
	if t := h.trees[w.spec.Name]; t.of == of {
		return t.tree, nil
	}

	book, err := policy.Builtin()
	if err != nil {
		return ziptree.Tree{}, err
	}

	settings := w.spec.Policy
	settings.Rules = map[string]policy.Switch{}
	for id, sw := range w.spec.Policy.Rules {
		settings.Rules[id] = sw
	}

	settings.Keep = slices.Clone(settings.Keep)
	for _, r := range restored {
		if r.site == "" {
			settings.Rules[r.rule] = policy.Switch{}
		} else {
			settings.Keep = append(settings.Keep, policy.Choice{Match: literally(r.site)})
		}
	}

	pol, err := policy.New(book, settings)
	if err != nil {
		return ziptree.Tree{}, err
	}

	p, err := prune.NewPlan(w.artifact.input(), pol)
	if err != nil {
		return ziptree.Tree{}, err
	}

	if !plain && w.mode != workspace.NoBytecode {
		bytecode := w.bytecode
		if w.mode != workspace.UncheckedHash { // whether the source is there, and what it says, depends on the bytecode
			a := Assemble{Wheels: h.Wheels, Cache: h.cache, Python: h.Python}
			if bytecode, _, err = a.Bytecode(ctx, p, w.artifact.Place, w.mode, idleTask{}); err != nil {
				return ziptree.Tree{}, err
			}
		}

		if p, err = p.WithBytecode(bytecode, w.mode == workspace.Sourceless); err != nil {
			return ziptree.Tree{}, err
		}
	}

	pruned, err := prune.Apply(ctx, p, h.cache)
	if err != nil {
		return ziptree.Tree{}, err
	}

	h.trees[w.spec.Name] = madeTree{of, pruned.Tree}
	return pruned.Tree, nil
}

type idleTask struct{}

func (idleTask) Add(int64) {}
func (idleTask) Done()     {}

// memory is a cache whose packs are opened once: a trial opens the same ones as the trial before.
type memory struct {
	Cache
	mu    sync.Mutex
	packs map[string]ziptree.Tree
}

func (m *memory) Load(ctx context.Context, key string) (ziptree.Tree, error) {
	m.mu.Lock()
	t, ok := m.packs[key]
	m.mu.Unlock()
	if ok {
		return t, nil
	}

	t, err := m.Cache.Load(ctx, key)
	return m.keep(key, t, err)
}

func (m *memory) Store(
	ctx context.Context,
	key string,
	write func(add func(ziptree.Entry) error) error,
) (ziptree.Tree, error) {
	t, err := m.Cache.Store(ctx, key, write)
	return m.keep(key, t, err)
}

func (m *memory) keep(key string, t ziptree.Tree, err error) (ziptree.Tree, error) {
	if err != nil {
		return t, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.packs == nil {
		m.packs = map[string]ziptree.Tree{}
	}

	m.packs[key] = t
	return t, nil
}
