package workflow

import (
	"context"
	"fmt"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

// StackInput is one layer of a run with all of them.
type StackInput struct {
	Run    string `json:"run"`
	Layer  Item   `json:"layer"`
	Layers []Item `json:"layers"`
}

// Measure is the gate and the verdict of one pruned layer on those that it lies on.
type Measure struct {
	Ledger
	Cache engine.Cache
}

// verifiedLater is why a layer is not probed before it is published.
const verifiedLater = "verified after publishing"

// Run measures. A finding of the gate and a size over the budget are faults: nothing is published
// that does not pass.
func (s Measure) Run(ctx context.Context, in StackInput) (Item, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	pruned, err := open[release.PrunedLayer](ctx, s.Blobs, in.Layer.Doc)
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
	check := engine.CheckInput{
		Name:     pruned.Built.Layer,
		Target:   pruned.Built.Target,
		Tree:     tree,
		ZipBytes: pruned.Zip.Size,
		Spec:     spec,
		NoProbe:  verifiedLater,
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

	found, err := engine.Check{Cache: s.Cache}.Run(ctx, check)
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

	ref, err := s.document(ctx, doc)
	return in.Layer.next(ref,
		fmt.Sprintf("%s %s MB, %s", doc.Report.Name, doc.Report.After.Unzipped.MB(), doc.Report.Verdict)), err
}

// zipBelow finds the pruned zip of a layer that another lies on: of this run, or as it is released.
func (s Measure) zipBelow(
	ctx context.Context,
	released release.Released,
	name string,
	in StackInput,
) (blob.Ref, error) {
	for _, i := range in.Layers {
		if i.Layer == name && i.Target == in.Layer.Target {
			p, err := open[release.PrunedLayer](ctx, s.Blobs, i.Doc)
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
