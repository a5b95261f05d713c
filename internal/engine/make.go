package engine

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Planned is a job with its artifact and a decision about each of its files.
type Planned struct {
	Job
	Artifact Artifact
	Plan     prune.Plan
	Remarks  []string // on layer.yaml: entries that do nothing
}

// Plan decides about every file of the job's artifact.
func (j Job) Plan(a Artifact) (Planned, error) {
	p, err := prune.NewPlan(a.input(), j.Policy)
	return Planned{Job: j, Artifact: a, Plan: p}, err
}

// Bytecode is the compiled code of a layer: which form was chosen, why, and its entries.
type Bytecode struct {
	Mode    workspace.Mode
	Entries []ziptree.Entry
	Reason  string   // why this mode, or why not all of it; "" for the mode in layer.yaml
	Partial bool     // some or all of it was left out
	Notes   []string // sources that do not compile
}

// Made is a layer as it will be published.
type Made struct {
	Planned
	Bytecode Bytecode
	Pruned   prune.Pruned
}

// Make applies the plan. The layer has no compiled bytecode yet.
func (p Planned) Make(ctx context.Context, cache Cache) (Made, error) {
	pruned, err := prune.Apply(ctx, p.Plan, cache)
	return Made{Planned: p, Bytecode: Bytecode{Mode: workspace.NoBytecode}, Pruned: pruned}, err
}

// WithBytecode adds compiled bytecode to a layer that has none.
func (m Made) WithBytecode(b Bytecode) (Made, error) {
	m.Bytecode = b
	if b.Mode == workspace.NoBytecode {
		return m, nil
	}

	var err error
	m.Pruned, err = m.Pruned.WithBytecode(b.Entries, b.Mode == workspace.Sourceless)
	return m, err
}

// Recompressed deflates all members again where the spec asks for the smallest zip.
func (m Made) Recompressed(ctx context.Context, cache Cache) (Made, error) {
	if !m.Spec.Best {
		return m, nil
	}

	var err error
	m.Pruned, err = prune.Recompress(ctx, m.Pruned, cache)
	return m, err
}

// Compiled returns the .pyc entries in the artifact whose sources the plan keeps. The RECORD files
// of the artifact do not list them.
func (p Planned) Compiled(mode workspace.Mode) []ziptree.Entry {
	if mode == workspace.NoBytecode {
		return nil
	}

	var out []ziptree.Entry
	for _, d := range compilable(p.Plan, mode) {
		name := bytecodeName(d.Site, p.Artifact.Target, mode)
		if e, ok := p.Artifact.Tree.Lookup(p.Artifact.Place.Prefix + name); ok {
			out = append(out, e)
		}
	}

	return out
}

// maker makes layers of plans; Build and Prune share it.
type maker struct {
	cache    Cache
	python   Interpreter // nil for none
	noPython string      // why there is none
	progress Progress
}

// run makes the layers of one workspace, in the order of the plans.
func (m maker) run(ctx context.Context, ws workspace.Workspace, plans []Planned) ([]Made, error) {
	bare, bytecode, err := m.parts(ctx, ws, plans)
	if err != nil {
		return nil, err
	}

	made := make([]Made, len(plans))
	for i := range bare {
		with, err := bare[i].WithBytecode(bytecode[i])
		if err != nil {
			return nil, err
		}

		if made[i], err = m.recompress(ctx, with); err != nil {
			return nil, err
		}
	}

	return made, nil
}

func (m maker) recompress(ctx context.Context, made Made) (Made, error) {
	if !made.Spec.Best {
		return made, nil
	}

	size := made.Pruned.Tree.UnzippedBytes()
	task := m.progress.Start("compress "+made.Spec.Name, size, "bytes")
	defer task.Done()

	out, err := made.Recompressed(ctx, m.cache)
	task.Add(size)
	return out, err
}

// parts returns the layers without bytecode, and the bytecode that was chosen for each. Compiling
// and pruning run side by side: bytecode is made of sources, which no transform changes.
func (m maker) parts(ctx context.Context, ws workspace.Workspace, plans []Planned) ([]Made, []Bytecode, error) {
	bare := make([]Made, len(plans))
	var compiled []Bytecode
	both, running := errgroup.WithContext(ctx)
	both.Go(func() error { return m.apply(running, plans, bare) })
	both.Go(func() (err error) {
		compiled, err = m.compile(running, plans)
		return err
	})

	if err := both.Wait(); err != nil {
		return nil, nil, err
	}

	return bare, chooseBytecode(ws, bare, compiled), nil
}

func (m maker) apply(ctx context.Context, plans []Planned, bare []Made) error {
	task := m.progress.Start("prune", int64(len(plans)), "layers")
	defer task.Done()

	for i, p := range plans {
		made, err := p.Make(ctx, m.cache)
		if err != nil {
			return err
		}

		bare[i] = made
		task.Add(1)
	}

	return nil
}
