package workflow

import (
	"context"
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

// StackInput is one layer of a run, and all layers of the run.
type StackInput struct {
	Run    string `json:"run"`
	Layer  Item   `json:"layer"`
	Layers []Item `json:"layers"`
}

// Measure runs the gate on a pruned layer and compares its size with the budgets, together with the
// layers that it extends.
type Measure struct {
	Ledger
	Cache engine.Cache
}

// verifiedLater is the reason why the report of a measured layer has no probe.
const verifiedLater = "verified after publishing"

// Run measures. Findings of the gate and sizes over the budget are faults, so that no such layer is
// published.
func (s Measure) Run(ctx context.Context, in StackInput) (Item, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	pruned, err := readDocument[release.PrunedLayer](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.checkBelongs(pruned.Built.Layer, pruned.Built.Target); err != nil {
		return Item{}, err
	}

	found, err := s.check(ctx, run, pruned, in)
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
	doc.Report.Probe = report.Probe{Status: report.NotProbed, Reason: verifiedLater}
	if err := engine.Judge(doc.Report, false); err != nil {
		return Item{}, err
	}

	summary := fmt.Sprintf("%s %s MB, %s", doc.Report.Name, doc.Report.After.Unzipped.MB(), doc.Report.Verdict)
	ref, err := s.putDocument(ctx, doc)
	return in.Layer.next(ref, summary), err
}

// check runs the engine's checks on the layer and the layers that it extends.
func (s Measure) check(
	ctx context.Context, run release.Run, pruned release.PrunedLayer, in StackInput,
) (report.Layer, error) {
	w, err := readWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return report.Layer{}, err
	}

	tree, f, err := openZip(ctx, s.Blobs, pruned.Zip)
	if err != nil {
		return report.Layer{}, err
	}
	defer f.Close()

	spec, _ := w.Layer(pruned.Built.Layer)
	check := engine.CheckInput{
		Name:     pruned.Built.Layer,
		Target:   pruned.Built.Target,
		Tree:     tree,
		ZipBytes: pruned.Zip.Size,
		Spec:     spec,
		NoProbe:  verifiedLater,
	}
	released, _, err := s.readReleased(ctx)
	if err != nil {
		return report.Layer{}, err
	}

	for _, name := range pruned.Built.Below {
		ref, err := s.zipOf(ctx, name, in, released)
		if err != nil {
			return report.Layer{}, err
		}

		below, f, err := openZip(ctx, s.Blobs, ref)
		if err != nil {
			return report.Layer{}, err
		}
		defer f.Close()

		check.Below = append(check.Below, below)
	}

	return engine.Check{Cache: s.Cache}.Run(ctx, check)
}

// zipOf finds the pruned zip of a layer that the input's layer extends: the one of this run, or
// else the released one.
func (s Measure) zipOf(ctx context.Context, name string, in StackInput, released release.Released) (blob.Ref, error) {
	if i, ok := in.find(name); ok {
		p, err := readDocument[release.PrunedLayer](ctx, s.Blobs, i.Doc)
		return p.Zip, err
	}

	if l, ok := released.Find(name, in.Layer.Target); ok {
		return l.Current.Zip, nil
	}

	return blob.Ref{}, notReleased(in.Layer.Layer, name)
}

// find returns the item of a layer of the run, for the same target as the input's layer.
func (in StackInput) find(name string) (Item, bool) {
	i := slices.IndexFunc(in.Layers, func(i Item) bool { return i.Layer == name && i.Target == in.Layer.Target })
	if i < 0 {
		return Item{}, false
	}

	return in.Layers[i], true
}

func notReleased(layer, below string) error {
	return fault.New(fault.ProvenanceMismatch, "measure", layer,
		fmt.Errorf("it extends %s, which is neither part of this run nor released", below)).
		WithHint(`start again with {"force": true}`)
}
