package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Promote makes a run's candidates the released versions: from here on the run is done, whatever
// fails afterwards. Versions that are older than what is kept, and that nothing uses, are deleted.
type Promote struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Account   Account
}

// Run promotes. It is told the verified layers; none when the run goes back, or only moved
// consumers.
func (s Promote) Run(ctx context.Context, in RecordInput) (release.Ending, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return release.Ending{}, err
	}

	released, tag, err := s.released(ctx)
	if err != nil {
		return release.Ending{}, err
	}

	moved, err := s.Registers.List(ctx, release.ChangesPrefix(run.Run))
	if err != nil {
		return release.Ending{}, err
	}

	var said []string
	if released.Run != run.Run { // else it was stored, and the answer was lost
		now := released
		now.SchemaVersion = release.SchemaVersion
		now.Run = run.Run
		now.At = s.Now().UTC()
		now.Layers = slices.Clone(released.Layers)
		if run.Request.Rollback != nil {
			err = s.back(run, &now)
		} else {
			err = s.forward(ctx, run, in.Layers, &now)
		}

		if err != nil {
			return release.Ending{}, err
		}

		doomed := s.trim(ctx, &now)
		if _, err := store(ctx, s.Registers, release.ReleasedName, now, tag); err != nil {
			return release.Ending{}, err
		}

		released = now
		for _, arn := range doomed {
			if err := s.Versions.Delete(ctx, arn); err != nil {
				said = append(said, "version "+arn+" could not be deleted: "+err.Error())
			}
		}
	}

	var layers []string
	for _, l := range released.Layers {
		if l.Current.Run == run.Run {
			layers = append(layers, fmt.Sprintf("%s:%d", l.LayerName, l.Current.Version))
		}
	}

	if run.Request.Rollback != nil {
		for _, l := range released.Layers {
			if l.Layer == run.Request.Rollback.Layer {
				layers = append(layers, fmt.Sprintf("back to %s:%d", l.LayerName, l.Current.Version))
			}
		}
	}

	if len(layers) == 0 && len(moved) == 0 {
		return release.Ending{
			Outcome: release.Unchanged,
			Message: "Unchanged: the layers are as released and every consumer has them.",
		}, nil
	}

	message := fmt.Sprintf("Released: %s (%s), %s moved.", report.Count(len(layers), "layer"), strings.Join(layers, ", "),
		report.Count(len(moved), "function"))
	if len(layers) == 0 {
		message = fmt.Sprintf("Released: %s moved to the released layers.", report.Count(len(moved), "function"))
	}

	return release.Ending{
		Outcome: release.Promoted,
		Message: strings.Join(append([]string{message}, said...), " "),
	}, nil
}

// forward puts the run's candidates in the place of what is released.
func (s Promote) forward(ctx context.Context, run release.Run, items []Item, now *release.Released) error {
	built, err := s.built(ctx, run)
	if err != nil {
		return err
	}

	w, files, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return err
	}
	defer closeIt()
	for _, i := range items {
		v, err := open[release.Verified](ctx, s.Blobs, i.Doc)
		if err != nil {
			return err
		}

		c := v.Candidate
		if c.Run != run.Run || c.ARN == "" {
			return fault.New(fault.ProvenanceMismatch, "promote", i.Layer,
				fmt.Errorf("its candidate is of run %s", c.Run)).
				WithHint("start a new execution")
		}

		m, err := open[release.Measured](ctx, s.Blobs, c.Measured)
		if err != nil {
			return err
		}

		version := release.ReleasedVersion{
			ARN:           c.ARN,
			Version:       c.Version,
			Run:           run.Run,
			At:            now.At,
			Key:           c.Key,
			Measured:      c.Measured,
			Zip:           m.Zip,
			UnzippedBytes: m.Report.After.Unzipped,
			ZippedBytes:   measure.Bytes(m.Zip.Size),
			Wheels:        m.Report.Inputs.Wheels,
			UnprunedBytes: m.Report.Before.Unzipped,
		}
		if v.Probe.Import != nil {
			version.ImportSeconds = v.Probe.Import.WithSeconds
		}

		put(now, release.ReleasedLayer{Layer: c.Layer, Target: c.Target, LayerName: c.LayerName}, version)
	}

	now.Tool = built.Tool
	now.Locks = locks(now.Locks, built.Locks, *now)
	if now.Consumers, err = consumersDigest(files); err != nil {
		return err
	}

	drop(now, w)
	now.Workspace = run.Workspace.SHA256
	for _, b := range built.Layers {
		if l, ok := now.Find(b.Layer, b.Target); !ok || l.Current.Key != b.Key {
			now.Workspace = digest.SHA256{} // not all of it was asked for
		}
	}

	return nil
}

// back makes an earlier version the current one. What is in the workspace was not released by that.
func (s Promote) back(run release.Run, now *release.Released) error {
	for i, l := range now.Layers {
		if l.Layer != run.Request.Rollback.Layer {
			continue
		}

		v, err := l.Back(run.Request.Rollback.To)
		if err != nil {
			return fault.New(fault.BadInput, "roll back", l.Layer, err).WithHint("choose one of: " + l.Versions())
		}

		now.Layers[i] = l.With(v)
	}

	now.Workspace = digest.SHA256{}
	return nil
}

func put(now *release.Released, l release.ReleasedLayer, v release.ReleasedVersion) {
	for i := range now.Layers {
		if now.Layers[i].LayerName == l.LayerName {
			now.Layers[i] = now.Layers[i].With(v)
			return
		}
	}

	now.Layers = append(now.Layers, l.With(v))
	slices.SortFunc(now.Layers,
		func(a, b release.ReleasedLayer) int { return strings.Compare(a.LayerName, b.LayerName) })
}

// drop forgets layers that the workspace does not have any more. Their versions stay in Lambda:
// somebody may use them.
func drop(now *release.Released, w workspace.Workspace) {
	now.Layers = slices.DeleteFunc(now.Layers, func(l release.ReleasedLayer) bool {
		_, ok := w.Layer(l.Layer)
		return !ok || !slices.Contains(w.Targets, l.Target)
	})
}

// locks are those that were built with; a lock that is the same as before keeps its date.
func locks(before, built []release.LockFile, now release.Released) []release.LockFile {
	since := map[pydist.Target]release.LockFile{}
	for _, l := range before {
		since[l.Target] = l
	}

	var out []release.LockFile
	for _, l := range built {
		l.Since = now.At
		if old := since[l.Target]; old.File.SHA256 == l.File.SHA256 && !old.Since.IsZero() {
			l.Since = old.Since
		}

		out = append(out, l)
	}

	return out
}

// trim takes versions that are too old and that nothing uses out of the list, and returns them.
// When it is not known what is used, everything stays.
func (s Promote) trim(ctx context.Context, now *release.Released) (doomed []string) {
	keep := max(1, s.Account.Keep) - 1
	var used map[string]bool
	for i := range now.Layers {
		l := &now.Layers[i]
		if len(l.Earlier) <= keep {
			continue
		}

		if used == nil {
			var err error
			if used, err = s.Functions.LayersInUse(ctx); err != nil {
				return nil
			}
		}

		stay := slices.Clone(l.Earlier[:keep])
		for _, v := range l.Earlier[keep:] {
			if used[v.ARN] {
				stay = append(stay, v)
				continue
			}

			doomed = append(doomed, v.ARN)
		}

		l.Earlier = stay
	}

	return doomed
}
