package workflow

import (
	"context"
	"fmt"
	"io"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Prune prunes one artifact of a run. The build has compiled and chosen its bytecode; here it is
// only selected.
type Prune struct {
	Ledger
	Cache engine.Cache // for this invocation: wheels, which a cache goes by, are not known here
}

// LayerInput is one layer of a run.
type LayerInput struct {
	Run   string `json:"run"`
	Layer Item   `json:"layer"`
}

// Run prunes, stores the zip and the document, and returns the item for the next state.
func (s Prune) Run(ctx context.Context, in LayerInput) (Item, error) {
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

	made, err := s.make(ctx, built, spec, tree)
	if err != nil {
		return Item{}, err
	}

	doc, err := s.pruned(ctx, built, made)
	if err != nil {
		return Item{}, err
	}

	before, after := doc.Report.Before.Unzipped, doc.Report.After.Unzipped
	ref, err := s.document(ctx, doc)
	return in.Layer.next(ref, fmt.Sprintf("%s %s -> %s MB", built.Layer, before.MB(), after.MB())), err
}

// make prunes the artifact.
func (s Prune) make(
	ctx context.Context, built release.BuiltLayer, spec workspace.Layer, tree ziptree.Tree,
) (engine.Made, error) {
	a, err := engine.Prebuilt(ctx, built.Target, spec.Place(), tree)
	if err != nil {
		return engine.Made{}, err
	}

	j, err := engine.NewJob(spec, nil)
	if err != nil {
		return engine.Made{}, err
	}

	j.Key = built.Key
	p, err := j.Plan(a)
	if err != nil {
		return engine.Made{}, err
	}

	made, err := p.Make(ctx, s.Cache)
	if err != nil {
		return engine.Made{}, err
	}

	mode := workspace.Mode(built.Bytecode.Mode)
	made, err = made.WithBytecode(engine.Bytecode{
		Mode:    mode,
		Entries: p.Compiled(mode),
		Reason:  built.Bytecode.Reason,
		Partial: built.Bytecode.Partial,
	})
	if err != nil {
		return engine.Made{}, err
	}

	return made.Recompressed(ctx, s.Cache)
}

// pruned stores the zip and describes it.
func (s Prune) pruned(ctx context.Context, built release.BuiltLayer, made engine.Made) (release.PrunedLayer, error) {
	zip, err := s.Blobs.Put(ctx, "pruned/", ".zip", func(out io.Writer) error {
		_, err := ziptree.Write(ctx, out, made.Pruned.Tree)
		return err
	})
	if err != nil {
		return release.PrunedLayer{}, err
	}

	r := made.Report(engine.Seen{})
	r.Inputs.Wheels = built.Wheels
	r.Before = built.Before
	r.Zip = report.File{
		Name:   engine.ZipName(built.Layer, built.Target),
		Bytes:  bytesOf(zip),
		SHA256: zip.SHA256,
	}

	return release.PrunedLayer{
		SchemaVersion: release.SchemaVersion,
		Built:         built,
		Zip:           zip,
		Report:        r,
		Chosen:        made.LeftOut(),
	}, nil
}
