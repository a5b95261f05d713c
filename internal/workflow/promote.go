package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Promote makes the candidates of a run the released versions. The run is done once the register of
// released versions is stored, whatever fails after that. It deletes old versions that are unused.
type Promote struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Account   Account
}

// Run promotes the verified layers of the input. There are none if the run restores a version, or
// if only consumers changed.
func (s Promote) Run(ctx context.Context, in RecordInput) (release.Ending, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return release.Ending{}, err
	}

	released, tag, err := s.readReleased(ctx)
	if err != nil {
		return release.Ending{}, err
	}

	changes, err := s.Registers.List(ctx, release.ChangesPrefix(run.Run))
	if err != nil {
		return release.Ending{}, err
	}

	var warnings []string
	if released.Run != run.Run { // else an earlier call stored it, and its answer was lost
		if released, err = s.promoted(ctx, run, in.Layers, released); err != nil {
			return release.Ending{}, err
		}

		unused := s.trim(ctx, released.Layers)
		if _, err := store(ctx, s.Registers, release.ReleasedName, released, tag); err != nil {
			return release.Ending{}, err
		}

		warnings = s.delete(ctx, unused)
	}

	return ending(run, released, len(changes), warnings), nil
}

// promoted returns the released versions after the run.
func (s Promote) promoted(
	ctx context.Context, run release.Run, items []Item, before release.Released,
) (release.Released, error) {
	now := before
	now.SchemaVersion = release.SchemaVersion
	now.Run = run.Run
	now.At = s.Now().UTC()
	now.Layers = slices.Clone(before.Layers)
	if run.Request.Rollback != nil {
		return now, restore(&now, *run.Request.Rollback)
	}

	return now, s.addBuild(ctx, &now, run, items)
}

// restore makes an earlier version the current one. The workspace is not what is released then.
func restore(now *release.Released, want release.Restore) error {
	for i, l := range now.Layers {
		if l.Layer != want.Layer {
			continue
		}

		v, err := restored(l, want)
		if err != nil {
			return err
		}

		now.Layers[i] = l.With(v)
	}

	now.Workspace = digest.SHA256{}
	return nil
}

// addBuild adds the versions of the run, and records what they were built from.
func (s Promote) addBuild(ctx context.Context, now *release.Released, run release.Run, items []Item) error {
	built, err := s.readBuilt(ctx, run)
	if err != nil {
		return err
	}

	w, files, closeFiles, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return err
	}
	defer closeFiles()

	for _, i := range items {
		if err := s.addVersion(ctx, now, i); err != nil {
			return err
		}
	}

	now.Tool = built.Tool
	now.Locks = datedLocks(now.Locks, built.Locks, now.At)
	if now.Consumers, err = consumersDigest(files); err != nil {
		return err
	}

	removeLayersNotIn(w, now)
	now.Workspace = digest.SHA256{}
	if !slices.ContainsFunc(built.Layers, func(b release.BuiltLayer) bool { return isStale(b, *now) }) {
		now.Workspace = run.Workspace.SHA256
	}

	return nil
}

// addVersion makes the candidate of a verified layer the current version of the layer.
func (s Promote) addVersion(ctx context.Context, now *release.Released, i Item) error {
	v, err := readDocument[release.Verified](ctx, s.Blobs, i.Doc)
	if err != nil {
		return err
	}

	c := v.Candidate
	if c.Run != now.Run || c.ARN == "" {
		return fault.New(fault.ProvenanceMismatch, "promote", i.Layer,
			fmt.Errorf("its candidate belongs to run %s", c.Run)).
			WithHint("start a new execution")
	}

	m, err := readDocument[release.Measured](ctx, s.Blobs, c.Measured)
	if err != nil {
		return err
	}

	version := release.ReleasedVersion{
		ARN:           c.ARN,
		Version:       c.Version,
		Run:           now.Run,
		At:            now.At,
		Key:           c.Key,
		Measured:      c.Measured,
		Zip:           m.Zip,
		UnzippedBytes: m.Report.After.Unzipped,
		ZippedBytes:   bytesOf(m.Zip),
		Wheels:        m.Report.Inputs.Wheels,
		UnprunedBytes: m.Report.Before.Unzipped,
	}
	if v.Probe.Import != nil {
		version.ImportSeconds = v.Probe.Import.WithSeconds
	}

	setCurrent(now, release.ReleasedLayer{Layer: c.Layer, Target: c.Target, LayerName: c.LayerName}, version)
	return nil
}

// setCurrent makes a version the current one of a layer. The layers stay sorted by LayerName.
func setCurrent(now *release.Released, l release.ReleasedLayer, v release.ReleasedVersion) {
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

// removeLayersNotIn removes layers and targets that the workspace does not have. Their versions
// stay in Lambda, since functions may use them.
func removeLayersNotIn(w workspace.Workspace, now *release.Released) {
	now.Layers = slices.DeleteFunc(now.Layers, func(l release.ReleasedLayer) bool {
		_, ok := w.Layer(l.Layer)
		return !ok || !slices.Contains(w.Targets, l.Target)
	})
}

// datedLocks returns the locks of a build with the time of their first release: that of the same
// lock before, or else now.
func datedLocks(before, built []release.LockFile, now time.Time) []release.LockFile {
	old := map[pydist.Target]release.LockFile{}
	for _, l := range before {
		old[l.Target] = l
	}

	var out []release.LockFile
	for _, l := range built {
		l.Since = now
		if o := old[l.Target]; o.File.SHA256 == l.File.SHA256 && !o.Since.IsZero() {
			l.Since = o.Since
		}

		out = append(out, l)
	}

	return out
}

// trim removes the versions that are older than Account.Keep and unused, and returns their ARNs. It
// removes nothing if it cannot find out which versions are used.
func (s Promote) trim(ctx context.Context, layers []release.ReleasedLayer) (unused []string) {
	keep := max(1, s.Account.Keep) - 1
	var used map[string]bool
	for i := range layers {
		l := &layers[i]
		if len(l.Earlier) <= keep {
			continue
		}

		if used == nil {
			var err error
			if used, err = s.Functions.LayersInUse(ctx); err != nil {
				return nil
			}
		}

		kept := slices.Clone(l.Earlier[:keep])
		for _, v := range l.Earlier[keep:] {
			if used[v.ARN] {
				kept = append(kept, v)
			} else {
				unused = append(unused, v.ARN)
			}
		}

		l.Earlier = kept
	}

	return unused
}

// delete deletes layer versions. Errors do not undo the release: they are warnings.
func (s Promote) delete(ctx context.Context, arns []string) (warnings []string) {
	for _, arn := range arns {
		if err := s.Versions.Delete(ctx, arn); err != nil {
			warnings = append(warnings, "version "+arn+" could not be deleted: "+err.Error())
		}
	}

	return warnings
}

// ending is the ending of a promoted run that moved so many functions.
func ending(run release.Run, released release.Released, moved int, warnings []string) release.Ending {
	layers := namesOfPromoted(run, released)
	if len(layers) == 0 && moved == 0 {
		return release.Ending{
			Outcome: release.Unchanged,
			Message: "Unchanged: the layers are as released and every consumer has them.",
		}
	}

	functions := report.Count(moved, "function")
	message := fmt.Sprintf("Released: %s moved to the released layers.", functions)
	if len(layers) > 0 {
		message = fmt.Sprintf("Released: %s (%s), %s moved.",
			report.Count(len(layers), "layer"), strings.Join(layers, ", "), functions)
	}

	return release.Ending{
		Outcome: release.Promoted,
		Message: strings.Join(append([]string{message}, warnings...), " "),
	}
}

// namesOfPromoted lists the versions that the run made current: "layersmith-base:7".
func namesOfPromoted(run release.Run, released release.Released) (names []string) {
	for _, l := range released.Layers {
		if l.Current.Run == run.Run {
			names = append(names, fmt.Sprintf("%s:%d", l.LayerName, l.Current.Version))
		}
	}

	if run.Request.Rollback == nil {
		return names
	}

	for _, l := range released.Layers {
		if l.Layer == run.Request.Rollback.Layer {
			names = append(names, fmt.Sprintf("back to %s:%d", l.LayerName, l.Current.Version))
		}
	}

	return names
}
