package stage

import (
	"context"
	"io"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Prune prunes a layer that something else built. The cache must be one for this run: there is no
// wheel to know its files by.
type Prune struct {
	Tool     string
	Cache    Cache
	Python   Interpreter // nil: existing bytecode is selected, none is made
	NoPython string
	Mounts   Mounts
	Progress Progress
}

// PruneInput is what to prune, by which spec. Below are the layers that it lies on.
type PruneInput struct {
	Name     string
	Target   pydist.Target
	Tree     ziptree.Tree
	Spec     workspace.Layer // policy, budget, bytecode, imports; the zero layer for the defaults
	Below    []ziptree.Tree
	OwnProbe string
	NoProbe  bool
	Reason   string                                  // of NoProbe, where it is not that the user said so
	Write    func(write func(io.Writer) error) error // stores the result; not called when only checking
	Total    measure.Bytes
}

// Run prunes, gates, writes and probes. The report is complete also when it says no.
func (s Prune) Run(ctx context.Context, in PruneInput) (report.Layer, error) {
	place := PlaceOf(in.Tree, in.Target)
	if err := misplaced(in.Tree, in.Target, place); err != nil {
		return report.Layer{}, err
	}

	sums, err := verified(ctx, in.Tree)
	if err != nil {
		return report.Layer{}, err
	}

	a, err := Foreign(ctx, in.Target, place, in.Tree)
	if err != nil {
		return report.Layer{}, err
	}

	a.correct(sums)
	book, err := policy.Builtin()
	if err != nil {
		return report.Layer{}, err
	}

	pol, err := policy.New(book, in.Spec.Policy)
	if err != nil {
		return report.Layer{}, err
	}

	p, err := prune.NewPlan(a.input(), pol)
	if err != nil {
		return report.Layer{}, err
	}

	w := &work{spec: in.Spec, policy: pol, artifact: a, plan: p, mode: in.Spec.Bytecode}
	w.spec.Name = in.Name
	if w.mode == "" {
		w.mode = workspace.Auto
	}

	w.spec.Bytecode = w.mode
	b := Build{
		Tool:     s.Tool,
		Cache:    s.Cache,
		Python:   s.Python,
		NoPython: s.NoPython,
		Mounts:   s.Mounts,
		Progress: s.Progress,
	}
	works := []*work{w}
	if err := b.compile(ctx, Assemble{Cache: s.Cache, Python: s.Python}, works); err != nil {
		return report.Layer{}, err
	}

	if err := b.prune(ctx, works); err != nil {
		return report.Layer{}, err
	}

	ws := workspace.Workspace{Layers: []workspace.Layer{w.spec}, Total: in.Total}
	b.decideBytecode(ws, works)
	if err := b.finish(ctx, works); err != nil {
		return report.Layer{}, err
	}

	under, err := partsOf(ctx, s.Cache, in.Target, in.Below)
	if err != nil {
		return report.Layer{}, err
	}

	if err := b.check(ctx, ws, works, under); err != nil {
		return report.Layer{}, err
	}

	w.report.Name = in.Name
	w.report.Target = in.Target.String()
	w.report.SchemaVersion = report.SchemaVersion
	Summarize(&w.report, w.pruned, in.Tree)
	w.report.Bytecode.Mode = string(w.mode)
	w.report.Bytecode.Reason = w.reason
	w.report.Bytecode.Partial = w.partial
	w.report.Choices = Choices(in.Spec.Policy)
	w.report.Notes = append(append([]string(nil), a.Notes...), w.pruned.Notes...)
	accept(&w.report, in.Spec.Allow)
	var written ziptree.Written
	if err := in.Write(func(out io.Writer) (err error) {
		written, err = ziptree.Write(ctx, out, w.pruned.Tree)
		return err
	}); err != nil {
		return report.Layer{}, err
	}

	w.report.Zip = report.File{Name: in.Name, Bytes: measure.Bytes(written.Bytes), SHA256: written.SHA256}
	w.report.Budget = in.Spec.Budget
	w.report.Verdict = measure.Judge(w.report.After.Unzipped, w.report.Zip.Bytes, in.Spec.Budget)
	return w.report, s.probe(ctx, in, w, place)
}

func (s Prune) probe(ctx context.Context, in PruneInput, w *work, place Place) (err error) {
	jobs := probe.Jobs(w.pruned.Tree, place.Prefix, w.artifact.Distributions, in.OwnProbe)
	if p, not := notAsked(jobs, w.report.Gate, in.NoProbe, in.Reason, s.Python, s.NoPython); not {
		w.report.Probe = p
		return nil
	}

	p := ProbeInput{
		Name:          in.Name,
		Stack:         []string{in.Name},
		Prefix:        place.Prefix,
		Distributions: w.artifact.Distributions,
		Own:           in.OwnProbe,
		Trees:         append(append([]ziptree.Tree(nil), in.Below...), w.pruned.Tree),
		Unpruned:      append(append([]ziptree.Tree(nil), in.Below...), in.Tree),
		Imports:       in.Spec.Imports,
		Bytecode:      w.mode != workspace.NoBytecode && w.mode != workspace.Sourceless,
		Chosen:        w.chosen,
	}
	w.report.Probe, err = (Probe{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress}).Run(ctx, p)
	return err
}

// Check looks at a zip as it is: gate, sizes, probe. It writes nothing.
type Check struct {
	Cache    Cache
	Python   Interpreter
	NoPython string
	Mounts   Mounts
	Progress Progress
}

// CheckInput is one zip with those that it lies on.
type CheckInput struct {
	Name     string
	Target   pydist.Target
	Tree     ziptree.Tree
	ZipBytes int64
	Spec     workspace.Layer
	Below    []ziptree.Tree
	OwnProbe string
	NoProbe  bool
	Reason   string // of NoProbe, where it is not that the user said so
	Explain  bool   // say in the report what was looked at, and what was not
}

// Run checks.
func (s Check) Run(ctx context.Context, in CheckInput) (r report.Layer, err error) {
	place := PlaceOf(in.Tree, in.Target)
	if err := misplaced(in.Tree, in.Target, place); err != nil {
		return report.Layer{}, err
	}

	sums, err := verified(ctx, in.Tree)
	if err != nil {
		return report.Layer{}, err
	}

	below, err := partsOf(ctx, s.Cache, in.Target, in.Below)
	if err != nil {
		return report.Layer{}, err
	}

	top, err := Installed(in.Target, place, in.Tree)
	if err != nil {
		return report.Layer{}, err
	}

	top.correct(sums)
	asIs := prune.Untouched(top.input())
	part, err := partOf(ctx, s.Cache, in.Name, top, asIs)
	if err != nil {
		return report.Layer{}, err
	}

	r = report.Layer{
		SchemaVersion: report.SchemaVersion,
		Name:          in.Name,
		Target:        in.Target.String(),
		Budget:        in.Spec.Budget,
	}
	gated := gate.Input{Target: in.Target, Part: part, Below: below}
	r.Gate = gate.Check(gated)
	accept(&r, in.Spec.Allow)
	Summarize(&r, asIs, in.Tree)
	r.Bytecode.Mode = "as it is"
	r.Notes = top.Notes
	r.Zip = report.File{Name: in.Name, Bytes: measure.Bytes(in.ZipBytes)}
	r.Verdict = measure.Judge(r.After.Unzipped, r.Zip.Bytes, in.Spec.Budget)
	jobs := probe.Jobs(in.Tree, place.Prefix, top.Distributions, in.OwnProbe)
	if in.Explain {
		defer func() {
			if err == nil {
				r.Explained, err = explain(ctx, r, gated, jobs)
			}
		}()
	}

	if p, not := notAsked(jobs, r.Gate, in.NoProbe, in.Reason, s.Python, s.NoPython); not {
		r.Probe = p
		return r, nil
	}

	p := ProbeInput{
		Name:          in.Name,
		Stack:         []string{in.Name},
		Prefix:        place.Prefix,
		Distributions: top.Distributions,
		Own:           in.OwnProbe,
		Trees:         append(append([]ziptree.Tree(nil), in.Below...), in.Tree),
		Imports:       in.Spec.Imports,
		Bytecode:      r.Bytecode.Size.Files > 0,
	}
	if r.Probe, err = (Probe{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress}).Run(ctx, p); err != nil {
		return report.Layer{}, err
	}

	return r, nil
}

// partsOf makes parts for the gate of the layers that something lies on.
func partsOf(ctx context.Context, cache Cache, t pydist.Target, trees []ziptree.Tree) ([]gate.Part, error) {
	var parts []gate.Part
	for _, tree := range trees {
		a, err := Installed(t, PlaceOf(tree, t), tree)
		if err != nil {
			return nil, err
		}

		p, err := partOf(ctx, cache, "layer below", a, prune.Untouched(a.input()))
		if err != nil {
			return nil, err
		}

		parts = append(parts, p)
	}

	return parts, nil
}

func partOf(ctx context.Context, cache Cache, name string, a Artifact, p prune.Pruned) (gate.Part, error) {
	facts, broken, err := Objects{Cache: cache}.Run(ctx, a.Place.Prefix, p)
	return gate.Part{
		Name:          name,
		Prefix:        a.Place.Prefix,
		Tree:          p.Tree,
		Distributions: a.Distributions,
		Objects:       facts,
		Broken:        broken,
	}, err
}

// Judge is the fault that a single layer's report amounts to; nil when all is well.
func Judge(l report.Layer, strict bool) error {
	return judge(report.Report{Layers: []report.Layer{l}}, BuildInput{Strict: strict})
}
