package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/heal"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// trial is how a layer is changed for one run.
type trial struct {
	restored []heal.Removal
	bare     bool // without bytecode
}

// try runs one job on a layer's stack with something restored. A trial that was run before gives
// the same result.
func (h *healer) try(ctx context.Context, m Made, j probe.Job, t trial) (probe.Result, error) {
	var trees []ziptree.Tree
	said := []any{j.Kind, j.Name, j.Source}
	for _, l := range h.round.stack(m.Spec.Name) {
		tree, err := h.tree(ctx, l, h.trialOf(l, t))
		if err != nil {
			return probe.Result{}, err
		}

		trees = append(trees, tree)
		said = append(said, contentOf(tree))
	}

	key, err := digest.Canonical("layersmith/heal/v1", said)
	if err != nil {
		return probe.Result{}, err
	}

	if r, ok := h.results[key]; ok {
		return r, nil
	}

	r, err := h.ask(ctx, trees, j)
	if err != nil {
		return probe.Result{}, err
	}

	if missing := r.Missing(); !r.OK && missing != "" && m.leavesOut(missing) {
		r.OK = true // the probe skips the job, since layer.yaml leaves the module out
	}

	h.results[key] = r
	return r, nil
}

// trialOf is one layer's part of a trial, with what is restored in it already.
func (h *healer) trialOf(m Made, t trial) trial {
	t.restored = slices.DeleteFunc(slices.Concat(h.kept[m.Spec.Name], t.restored), func(r heal.Removal) bool {
		return r.Layer != m.Spec.Name
	})
	return t
}

// ask runs the interpreter once, unless the limit is reached.
func (h *healer) ask(ctx context.Context, stack []ziptree.Tree, j probe.Job) (probe.Result, error) {
	if h.runs >= h.limit() {
		return probe.Result{}, errSpent
	}

	h.runs++
	mount, unmount, err := h.Mounts.Mount(ctx, stack, MountOptions{})
	if err != nil {
		return probe.Result{}, err
	}
	defer unmount()

	results, err := h.Python.Probe(ctx, mount, []probe.Job{Asked(j)}, func() { h.task.Add(1) })
	if err != nil {
		return probe.Result{}, err
	}

	return results[0], nil
}

// tree is a layer with something restored, made the way a build makes it.
func (h *healer) tree(ctx context.Context, m Made, t trial) (ziptree.Tree, error) {
	if len(t.restored) == 0 && !t.bare {
		return m.Pruned.Tree, nil
	}

	of := fmt.Sprint(t.bare, t.restored)
	if made := h.trees[m.Spec.Name]; made.of == of {
		return made.tree, nil
	}

	spec := m.Spec
	spec.Policy = without(spec.Policy, t.restored)
	j, err := NewJob(spec, m.Carries)
	if err != nil {
		return ziptree.Tree{}, err
	}

	p, err := j.Plan(m.Artifact)
	if err != nil {
		return ziptree.Tree{}, err
	}

	made, err := p.Make(ctx, h.Cache)
	if err == nil && !t.bare {
		made, err = h.withBytecode(ctx, made, m.Bytecode)
	}

	if err != nil {
		return ziptree.Tree{}, err
	}

	h.trees[m.Spec.Name] = madeTree{of, made.Pruned.Tree}
	return made.Pruned.Tree, nil
}

// withBytecode adds the layer's bytecode to a trial. In the modes where bytecode behaves
// differently from its source, restored files are compiled too.
func (h *healer) withBytecode(ctx context.Context, made Made, b Bytecode) (Made, error) {
	if b.Mode != workspace.NoBytecode && b.Mode != workspace.UncheckedHash {
		var err error
		if b, err = (compiler{h.Cache, h.Python}).run(
			ctx, made.Plan, made.Artifact.Place, b.Mode, idleTask{}); err != nil {
			return Made{}, err
		}
	}

	return made.WithBytecode(b)
}

// without are settings with rules off, or files in the keep list.
func without(p policy.Settings, restored []heal.Removal) policy.Settings {
	p.Rules = maps.Clone(p.Rules)
	if p.Rules == nil {
		p.Rules = map[string]policy.Switch{}
	}

	p.Keep = slices.Clone(p.Keep)
	for _, r := range restored {
		if r.Site == "" {
			p.Rules[r.Rule] = policy.Switch{}
		} else {
			p.Keep = append(p.Keep, policy.Choice{Match: literally(r.Site)})
		}
	}

	return p
}

type idleTask struct{}

func (idleTask) Add(int64) {}
func (idleTask) Done()     {}

// memory is a cache that keeps opened packs: each trial needs the same ones.
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
	ctx context.Context, key string, write func(add func(ziptree.Entry) error) error,
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
