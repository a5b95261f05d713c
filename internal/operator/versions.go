package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
)

// VersionRow is a released version of a layer.
type VersionRow struct {
	Target        pydist.Target `json:"target"`
	LayerName     string        `json:"layerName"`
	Version       int64         `json:"version"`
	ARN           string        `json:"arn"`
	Current       bool          `json:"current"`
	ReleasedAt    time.Time     `json:"releasedAt"`
	Run           string        `json:"run"`
	UnzippedBytes measure.Bytes `json:"unzippedBytes"`
	ZippedBytes   measure.Bytes `json:"zippedBytes"`
	ImportSeconds float64       `json:"importSeconds,omitempty"`
	Consumers     []string      `json:"consumers,omitempty"` // of the current version
}

// Versions lists the released versions of a layer, by target and number, newest first. The zero
// target is all targets. targets is the number of targets that the layer is released for.
func (a Account) Versions(
	ctx context.Context, layer string, only pydist.Target,
) (rows []VersionRow, targets int, err error) {
	const op = "list versions of"
	released, layers, err := a.releasedLayer(ctx, op, layer)
	if err != nil {
		return nil, 0, err
	}

	for _, l := range layers {
		if only != (pydist.Target{}) && l.Target != only {
			continue
		}

		consumers, err := a.consumers(ctx, l.Current, released.Run)
		if err != nil {
			return nil, 0, err
		}

		rows = append(rows, versionRows(l, consumers)...)
	}

	if len(rows) == 0 {
		return nil, 0, fault.New(fault.NotFound, op, layer, fmt.Errorf("nothing is released for %s", only)).
			WithHint("leave --target out to see all")
	}

	return rows, len(layers), nil
}

// versionRows are sorted by version number. After a rollback the current one is not the newest.
func versionRows(l release.ReleasedLayer, consumers []string) []VersionRow {
	var rows []VersionRow
	for _, v := range append([]release.ReleasedVersion{l.Current}, l.Earlier...) {
		rows = append(rows, VersionRow{
			Target:        l.Target,
			LayerName:     l.LayerName,
			Version:       v.Version,
			ARN:           v.ARN,
			ReleasedAt:    v.At.UTC(),
			Run:           v.Run,
			UnzippedBytes: v.UnzippedBytes,
			ZippedBytes:   v.ZippedBytes,
			ImportSeconds: v.ImportSeconds,
		})
	}

	rows[0].Current = true
	rows[0].Consumers = consumers
	slices.SortStableFunc(rows, func(a, b VersionRow) int { return int(b.Version - a.Version) })
	return rows
}

// wrongVersion is the hint for a document that this version cannot read.
const wrongVersion = "it was written by another version of Layersmith: use the one that is deployed"

// released reads what is released; found is false when nothing ever was.
func (a Account) released(ctx context.Context) (r release.Released, found bool, err error) {
	err = a.load(ctx, release.ReleasedName, &r)
	if fault.CodeOf(err) == fault.NotFound {
		return r, false, nil
	}

	return r, err == nil, err
}

// load reads a document of the store.
func (a Account) load(ctx context.Context, name string, into any) error {
	b, _, err := a.Registers.Load(ctx, name)
	if err != nil {
		return err
	}

	if err := release.Decode(b, into); err != nil {
		return fault.New(fault.ProvenanceMismatch, "read", "s3://"+a.StoreBucket+"/"+name, err).WithHint(wrongVersion)
	}

	return nil
}

// releasedLayer returns the released layer of a name, once for each target.
func (a Account) releasedLayer(
	ctx context.Context, op, layer string,
) (release.Released, []release.ReleasedLayer, error) {
	r, found, err := a.released(ctx)
	if err != nil {
		return r, nil, err
	}

	if !found || len(r.Layers) == 0 {
		return r, nil, fault.New(fault.NotFound, op, layer, errors.New("nothing is released yet")).
			WithHint("run: layersmith push, then layersmith watch")
	}

	var names []string
	var these []release.ReleasedLayer
	for _, l := range r.Layers {
		if l.Layer == layer {
			these = append(these, l)
		}

		if !slices.Contains(names, l.Layer) {
			names = append(names, l.Layer)
		}
	}

	if len(these) == 0 {
		return r, nil, fault.New(fault.NotFound, op, layer, errors.New("no layer of that name is released")).
			WithHint("released are: " + strings.Join(names, " "))
	}

	return r, these, nil
}

// consumers are the functions that were moved to a version, by the run that released it or by the
// last run, which may have rolled back to it. This reads one document for each function. Lambda
// itself lists the layers of a function, but not the functions of a layer.
func (a Account) consumers(ctx context.Context, v release.ReleasedVersion, last string) ([]string, error) {
	runs := []string{v.Run}
	if last != v.Run {
		runs = append(runs, last)
	}

	var found []string
	for _, run := range runs {
		moved, err := a.movedBy(ctx, run, v.ARN)
		if err != nil {
			return nil, err
		}

		found = append(found, moved...)
	}

	slices.Sort(found)
	return slices.Compact(found), nil
}

// movedBy returns the functions that a run moved to a layer version.
func (a Account) movedBy(ctx context.Context, run, arn string) ([]string, error) {
	if release.CheckRun(run) != nil {
		return nil, nil
	}

	names, err := a.Registers.List(ctx, release.ChangesPrefix(run))
	if err != nil {
		return nil, err
	}

	var found []string
	for _, name := range names {
		var change release.Change
		if err := a.load(ctx, name, &change); err != nil {
			return nil, err
		}

		has := slices.ContainsFunc(change.Replaces, func(r release.Replace) bool { return r.ARN == arn })
		if has && change.After != nil && !change.Undone {
			found = append(found, consumerName(change))
		}
	}

	return found, nil
}

// consumerName is "function:alias", or the function's name for one without an alias.
func consumerName(c release.Change) string {
	name := release.FunctionNameOf(c.Function)
	if c.Alias != "" {
		name += ":" + c.Alias
	}

	return name
}
