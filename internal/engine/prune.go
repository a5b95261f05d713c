package engine

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Prune prunes a prebuilt layer, one that another tool built. The cache must be used for one run
// only, since its keys are the digests of wheels, which a prebuilt layer does not have.
type Prune struct {
	Cache    Cache
	Python   Interpreter // nil for none: nothing is compiled
	NoPython string      // why there is none
	Mounts   Mounts
	Progress Progress
}

// PruneInput is what to prune, and by which spec.
type PruneInput struct {
	Name     string
	Target   pydist.Target
	Tree     ziptree.Tree
	Spec     workspace.Layer // policy, budget, bytecode, imports; the zero layer for the defaults
	Below    []ziptree.Tree  // the layers that it extends, lowest first
	OwnProbe string          // source of the layer's own probe script
	NoProbe  string          // why not to probe; "" to probe
	Total    measure.Bytes   // budget of a stack

	// Write stores the zip. It is called after gate and probe, whether they pass or not.
	Write func(write func(io.Writer) error) error
}

// Run prunes, checks, probes and writes. The report is complete also when a check fails.
func (s Prune) Run(ctx context.Context, in PruneInput) (report.Layer, error) {
	p, err := in.plan(ctx)
	if err != nil {
		return report.Layer{}, err
	}

	if err := checkPrebuilt(&p); err != nil {
		return report.Layer{}, err
	}

	ws := workspace.Workspace{Layers: []workspace.Layer{p.Spec}, Total: in.room()}
	m := maker{cache: s.Cache, python: s.Python, noPython: s.NoPython, progress: s.Progress}
	made, err := m.run(ctx, ws, []Planned{p})
	if err != nil {
		return report.Layer{}, err
	}

	made[0].Remarks = append(made[0].Remarks, opened(in.Tree)...)
	t := tester{s.Cache, Prober{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress}, s.NoPython}
	seen, _, err := t.run(ctx, made[0], in.Below, testOptions{
		own:      in.OwnProbe,
		noProbe:  in.NoProbe,
		unpruned: slices.Concat(in.Below, []ziptree.Tree{in.Tree}),
	})
	if err != nil {
		return report.Layer{}, err
	}

	if err := in.Write(func(out io.Writer) error {
		seen.Zip, err = zipTo(ctx, out, in.Name, made[0].Pruned.Tree)
		return err
	}); err != nil {
		return report.Layer{}, err
	}

	return made[0].Report(seen), nil
}

// Inspect is what Run would remove and keep. Nothing is compiled, tested or written.
func (s Prune) Inspect(ctx context.Context, in PruneInput) (prune.Pruned, error) {
	p, err := in.plan(ctx)
	if err != nil {
		return prune.Pruned{}, err
	}

	m, err := p.Make(ctx, s.Cache)
	return m.Pruned, err
}

// opened is a remark on the files that could be read by their owner only; none when there are none.
// Files that are written can be read by everybody.
func opened(t ziptree.Tree) []string {
	n := 0
	for _, e := range t.Entries() {
		if e.Closed {
			n++
		}
	}

	if n == 0 {
		return nil
	}

	return []string{report.Count(n, "file") + " that only the owner could read, or nobody: readable now"}
}

// room is what the layers below leave of the budget. With no room at all it is one byte: zero would
// be no budget.
func (in PruneInput) room() measure.Bytes {
	room := autoTotal(workspace.Workspace{Total: in.Total})
	for _, b := range in.Below {
		room -= measure.Bytes(b.UnzippedBytes())
	}

	return max(room, 1)
}

// plan decides about the files of the layer.
func (in PruneInput) plan(ctx context.Context) (Planned, error) {
	spec := in.Spec
	spec.Name = in.Name
	spec.Bytecode = cmp.Or(spec.Bytecode, workspace.Auto)
	a, err := openPrebuilt(ctx, in.Target, in.Tree)
	if err != nil {
		return Planned{}, err
	}

	if a, err = a.indexed(ctx); err != nil {
		return Planned{}, err
	}

	j, err := NewJob(spec, nil)
	if err != nil {
		return Planned{}, err
	}

	return j.Plan(a)
}
