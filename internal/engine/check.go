package engine

import (
	"context"
	"slices"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Check tests a zip or folder as it is: gate, probe, sizes. It writes nothing.
type Check struct {
	Cache    Cache
	Python   Interpreter // nil for none
	NoPython string      // why there is none
	Mounts   Mounts
	Progress Progress
}

// CheckInput is a layer and the layers that it extends.
type CheckInput struct {
	Name     string
	Target   pydist.Target
	Tree     ziptree.Tree
	ZipBytes int64 // 0 for a folder
	Spec     workspace.Layer
	Below    []ziptree.Tree // lowest first
	OwnProbe string         // source of the layer's own probe script
	NoProbe  string         // why not to probe; "" to probe
	Explain  bool           // say in the report what was checked, and what was not
}

// asItIs is the bytecode mode in the report of a layer that was not built.
const asItIs workspace.Mode = "as it is"

// Run returns the report of the layer. Findings and failures are in it, and no error.
func (s Check) Run(ctx context.Context, in CheckInput) (report.Layer, error) {
	a, err := openPrebuilt(ctx, in.Target, in.Tree)
	if err != nil {
		return report.Layer{}, err
	}

	m := Made{Pruned: prune.Untouched(a.input()), Bytecode: Bytecode{Mode: asItIs, Entries: pycs(in.Tree)}}
	m.Artifact = a
	m.Spec = workspace.Layer{Name: in.Name, Budget: in.Spec.Budget, Allow: in.Spec.Allow, Imports: in.Spec.Imports}
	t := tester{s.Cache, Prober{Python: s.Python, Mounts: s.Mounts, Progress: s.Progress}, s.NoPython}
	seen, gated, err := t.run(ctx, m, in.Below, testOptions{own: in.OwnProbe, noProbe: in.NoProbe})
	if err != nil {
		return report.Layer{}, err
	}

	seen.Zip = report.File{Name: in.Name, Bytes: measure.Bytes(in.ZipBytes)}
	r := m.Report(seen)
	if in.Explain {
		jobs := probe.Jobs(in.Tree, a.Place.Prefix, a.Distributions, in.OwnProbe)
		r.Explained, err = explain(ctx, r, gated, jobs)
	}

	return r, err
}

// partOf is a layer as the gate's input describes it.
func partOf(ctx context.Context, cache Cache, m Made) (gate.Part, error) {
	elf, err := readObjects(ctx, cache, m.Pruned)
	return gate.Part{
		Name:          m.Spec.Name,
		Prefix:        m.Artifact.Place.Prefix,
		Tree:          m.Pruned.Tree,
		Distributions: m.Artifact.Distributions,
		Objects:       elf.facts,
		Broken:        elf.broken,
	}, err
}

// tester runs gate and probe on a single layer whose lower layers are zips.
type tester struct {
	cache    Cache
	prober   Prober
	noPython string
}

type testOptions struct {
	own      string         // source of the layer's own probe script
	noProbe  string         // why not to probe; "" to probe
	unpruned []ziptree.Tree // the stack before pruning, to compare failures with; nil for none
}

// run returns the results, and the input of the gate.
func (t tester) run(ctx context.Context, m Made, below []ziptree.Tree, o testOptions) (Seen, gate.Input, error) {
	in, err := t.gateInput(ctx, m, below)
	if err != nil {
		return Seen{}, gate.Input{}, err
	}

	seen := Seen{Gate: gate.Check(in)}
	seen.Probe, err = t.probe(ctx, m, below, o, seen.Gate)
	return seen, in, err
}

func (t tester) gateInput(ctx context.Context, m Made, below []ziptree.Tree) (gate.Input, error) {
	part, err := partOf(ctx, t.cache, m)
	if err != nil {
		return gate.Input{}, err
	}

	part.AsItIs = m.Bytecode.Mode == asItIs
	in := gate.Input{Target: m.Artifact.Target, Part: part}
	for _, tree := range below {
		b, err := untouched(m.Artifact.Target, tree)
		if err != nil {
			return gate.Input{}, err
		}

		part, err := partOf(ctx, t.cache, b)
		if err != nil {
			return gate.Input{}, err
		}

		in.Below = append(in.Below, part)
	}

	return in, nil
}

func (t tester) probe(
	ctx context.Context, m Made, below []ziptree.Tree, o testOptions, found []gate.Finding,
) (report.Probe, error) {
	q := m.question(o.own)
	jobs := probe.Jobs(m.Pruned.Tree, q.Place.Prefix, q.Distributions, o.own)
	refused, _ := allow(found, m.Spec.Allow, m.Artifact.Place)
	why := notProbed(o.noProbe, t.prober.Python, t.noPython)
	if why == "" {
		why = cannotProbe(jobs, refused)
	}

	if why != "" {
		return report.Probe{Status: report.NotProbed, Reason: why}, nil
	}

	q.Stack = []string{m.Spec.Name}
	q.Trees = slices.Concat(below, []ziptree.Tree{m.Pruned.Tree})
	q.Unpruned = o.unpruned
	q.Imports = m.Spec.Imports
	return t.prober.Run(ctx, q)
}

// cannotProbe returns why a prebuilt layer cannot be probed; "" when it can.
func cannotProbe(jobs []probe.Job, found []gate.Finding) string {
	if len(jobs) == 0 {
		return "there is no module and no distribution in it" // a layer of shared libraries, for example
	}

	i := slices.IndexFunc(found, func(f gate.Finding) bool { return f.Check == "paths" })
	if i < 0 {
		return ""
	}

	return "it cannot be unpacked everywhere: " + found[i].Subject + " " + found[i].Message
}

// untouched is a layer below a prebuilt one.
func untouched(t pydist.Target, tree ziptree.Tree) (Made, error) {
	a, err := Installed(t, placeOf(tree, t), tree)
	if err != nil {
		return Made{}, err
	}

	m := Made{Pruned: prune.Untouched(a.input())}
	m.Artifact = a
	m.Spec.Name = "layer below"
	return m, nil
}

// pycs are the entries of bytecode in a tree.
func pycs(tree ziptree.Tree) []ziptree.Entry {
	return slices.DeleteFunc(slices.Clone(tree.Entries()), func(e ziptree.Entry) bool {
		return measure.Kind(e.Name) != "bytecode"
	})
}
