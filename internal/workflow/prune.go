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

// Prune prunes one artifact of a run. It takes the bytecode that the build compiled and chose.
type Prune struct {
	Ledger
	Cache engine.Cache // of this invocation only: cache keys need the wheels, which are unknown here
}

// LayerInput is one layer of a run.
type LayerInput struct {
	Run   string `json:"run"`
	Layer Item   `json:"layer"`
}

// Run prunes, stores the zip and the document, and returns the item for the next stage.
func (s Prune) Run(ctx context.Context, in LayerInput) (Item, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	built, err := readDocument[release.BuiltLayer](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.checkBelongs(built.Layer, built.Target); err != nil {
		return Item{}, err
	}

	w, err := readWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return Item{}, err
	}

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

	made, err := s.prune(ctx, built, spec, tree)
	if err != nil {
		return Item{}, err
	}

	doc, err := s.store(ctx, built, made)
	if err != nil {
		return Item{}, err
	}

	before, after := doc.Report.Before.Unzipped, doc.Report.After.Unzipped
	summary := fmt.Sprintf("%s %s -> %s MB", built.Layer, before.MB(), after.MB())
	ref, err := s.putDocument(ctx, doc)
	return in.Layer.next(ref, summary), err
}

// prune prunes the artifact and adds its bytecode.
func (s Prune) prune(
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

// store stores the zip and returns its document.
func (s Prune) store(ctx context.Context, built release.BuiltLayer, made engine.Made) (release.PrunedLayer, error) {
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
