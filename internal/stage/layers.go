package stage

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// PruneArtifact prunes one artifact of a run. Its bytecode was compiled where an interpreter is,
// and chosen where all layers were known: here it is only selected.
type PruneArtifact struct {
	Ledger
	Cache Cache // for this invocation: what a bucket holds cannot be known by wheel
}

// LayerInput is one layer of a run.
type LayerInput struct {
	Run   string `json:"run"`
	Layer Item   `json:"layer"`
}

// StackInput is one layer of a run with all of them.
type StackInput struct {
	Run    string `json:"run"`
	Layer  Item   `json:"layer"`
	Layers []Item `json:"layers"`
}

// Run prunes, stores the zip and the document, and returns the way on.
func (s PruneArtifact) Run(ctx context.Context, in LayerInput) (Item, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	built, err := open[release.BuiltLayer](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.names(built.Layer, built.Target); err != nil {
		return Item{}, err
	}

	w, _, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return Item{}, err
	}
	defer closeIt()
	spec, ok := w.Layer(built.Layer)
	if !ok {
		return Item{}, fault.New(fault.ProvenanceMismatch, "prune", built.Layer,
			fmt.Errorf("the workspace of run %s has no such layer", run.Run))
	}

	tree, f, err := openZip(ctx, s.Blobs, built.Artifact)
	if err != nil {
		return Item{}, err
	}
	defer f.Close()
	work, err := s.prune(ctx, built, spec, tree)
	if err != nil {
		return Item{}, err
	}

	doc := release.Pruned{
		SchemaVersion: release.SchemaVersion,
		Built:         built,
		Report:        work.report,
		Chosen:        work.choices(),
	}
	doc.Zip, err = s.Blobs.Put(ctx, "pruned/", ".zip", func(out io.Writer) error {
		_, err := ziptree.Write(ctx, out, work.pruned.Tree)
		return err
	})
	if err != nil {
		return Item{}, err
	}

	doc.Report.Zip = report.File{
		Name:   ZipName(built.Layer, built.Target),
		Bytes:  bytesOf(doc.Zip),
		SHA256: doc.Zip.SHA256,
	}
	ref, err := s.document(ctx, doc)
	return in.Layer.next(ref,
		fmt.Sprintf("%s %s -> %s MB", built.Layer, doc.Report.Before.Unzipped.MB(), doc.Report.After.Unzipped.MB())), err
}

func (s PruneArtifact) prune(
	ctx context.Context,
	built release.BuiltLayer,
	spec workspace.Layer,
	tree ziptree.Tree,
) (*work, error) {
	a, err := Foreign(ctx, built.Target, LayerPlace, tree)
	if err != nil {
		return nil, err
	}

	book, err := policy.Builtin()
	if err != nil {
		return nil, err
	}

	w := &work{
		spec:     spec,
		artifact: a,
		key:      built.Key,
		mode:     workspace.Mode(built.Bytecode.Mode),
		reason:   built.Bytecode.Reason,
		partial:  built.Bytecode.Partial,
	}
	if w.policy, err = policy.New(book, spec.Policy); err != nil {
		return nil, err
	}

	if w.plan, err = prune.NewPlan(a.input(), w.policy); err != nil {
		return nil, err
	}

	// no RECORD in an artifact lists what was compiled: whose it is follows from its source
	if w.mode != workspace.NoBytecode {
		for _, d := range w.plan.KeptSources() {
			name := pyc.Cached(d.Site, built.Target)
			if w.mode == workspace.Sourceless {
				name = pyc.Legacy(d.Site)
			}

			if e, ok := tree.Lookup(LayerPlace.Prefix + name); ok {
				w.bytecode = append(w.bytecode, e)
			}
		}
	}

	if w.plan, err = w.plan.WithBytecode(w.bytecode, w.mode == workspace.Sourceless); err != nil {
		return nil, err
	}

	if w.pruned, err = prune.Apply(ctx, w.plan, s.Cache); err != nil {
		return nil, err
	}

	if spec.Best {
		if w.pruned, err = prune.Recompress(ctx, w.pruned, s.Cache); err != nil {
			return nil, err
		}
	}

	w.summarize(Build{}, BuildInput{Lock: lock.Lock{Target: built.Target}})
	w.report.Inputs.Wheels = built.Wheels
	w.report.Before = built.Before
	return w, nil
}

// choices are the modules that the layer itself left out; see chosen.
func (w *work) choices() []string {
	var out []string
	for _, o := range w.pruned.Decisions {
		if name, _, ok := pyimport.ModuleName(o.Site); ok && w.chose(o) {
			out = append(out, name)
		}
	}

	return out
}

// MeasureLayer is the gate and the verdict of one pruned layer on those that it lies on.
type MeasureLayer struct {
	Ledger
	Cache Cache
}

// Run measures. A finding of the gate and a size over the budget are faults: nothing is published
// that does not pass.
func (s MeasureLayer) Run(ctx context.Context, in StackInput) (Item, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	pruned, err := open[release.Pruned](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.names(pruned.Built.Layer, pruned.Built.Target); err != nil {
		return Item{}, err
	}

	w, _, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return Item{}, err
	}
	defer closeIt()
	spec, _ := w.Layer(pruned.Built.Layer)
	tree, f, err := openZip(ctx, s.Blobs, pruned.Zip)
	if err != nil {
		return Item{}, err
	}
	defer f.Close()
	check := CheckInput{
		Name:     pruned.Built.Layer,
		Target:   pruned.Built.Target,
		Tree:     tree,
		ZipBytes: pruned.Zip.Size,
		Spec:     spec,
		NoProbe:  true,
	}
	released, _, err := s.released(ctx)
	if err != nil {
		return Item{}, err
	}

	for _, name := range pruned.Built.Below {
		ref, err := s.zipBelow(ctx, released, name, in)
		if err != nil {
			return Item{}, err
		}

		below, f, err := openZip(ctx, s.Blobs, ref)
		if err != nil {
			return Item{}, err
		}
		defer f.Close()
		check.Below = append(check.Below, below)
	}

	found, err := Check{Cache: s.Cache}.Run(ctx, check)
	if err != nil {
		return Item{}, err
	}

	doc := release.Measured{
		SchemaVersion: release.SchemaVersion,
		Pruned:        in.Layer.Doc,
		Built:         pruned.Built,
		Zip:           pruned.Zip,
		Report:        pruned.Report,
	}
	doc.Report.Gate = found.Gate
	doc.Report.Allowed = found.Allowed
	doc.Report.Verdict = found.Verdict
	doc.Report.Probe = report.Probe{Status: report.NotProbed, Reason: "verified after publishing"}
	if err := Judge(doc.Report, false); err != nil {
		return Item{}, err
	}

	ref, err := s.document(ctx, doc)
	return in.Layer.next(ref,
		fmt.Sprintf("%s %s MB, %s", doc.Report.Name, doc.Report.After.Unzipped.MB(), doc.Report.Verdict)), err
}

// zipBelow finds the pruned zip of a layer that another lies on: of this run, or as it is released.
func (s MeasureLayer) zipBelow(
	ctx context.Context,
	released release.Released,
	name string,
	in StackInput,
) (blob.Ref, error) {
	for _, i := range in.Layers {
		if i.Layer == name && i.Target == in.Layer.Target {
			p, err := open[release.Pruned](ctx, s.Blobs, i.Doc)
			return p.Zip, err
		}
	}

	if l, ok := released.Find(name, in.Layer.Target); ok {
		return l.Current.Zip, nil
	}

	return blob.Ref{}, notReleased(in.Layer.Layer, name)
}

func notReleased(layer, below string) error {
	return fault.New(fault.ProvenanceMismatch, "measure", layer,
		fmt.Errorf("it lies on %s, which is neither in this run nor released", below)).
		WithHint(`start again with {"force": true}`)
}

// next is the item with the document of the next stage.
func (i Item) next(doc blob.Ref, summary string) Item {
	i.Doc = doc
	i.Summary = summary
	return i
}

// names checks that a document is that of the item's layer.
func (i Item) names(layer string, t pydist.Target) error {
	if i.Layer != layer || i.Target != t {
		return fault.New(fault.ProvenanceMismatch, "read", strings.TrimSpace(i.Layer+" "+i.Target.String()),
			fmt.Errorf("its document is that of %s on %s", layer, t)).
			WithHint("start a new execution")
	}

	return nil
}

func bytesOf(r blob.Ref) measure.Bytes { return measure.Bytes(r.Size) }
