package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

// Rollback undoes the changes of a run in reverse order, reads the functions back, and deletes the
// candidates. It uses only the stored documents, so it works for a run that died, and it may run
// any number of times. It never changes a function that somebody else has changed.
type Rollback struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Sandboxes Sandboxes
	Probes    string // prefix of the names of probe functions
}

// Run undoes the run and returns its ending. A run that was promoted is not undone.
func (s Rollback) Run(ctx context.Context, in RunInput) (release.Ending, error) {
	run, err := s.readRun(ctx, in.Run)
	if err != nil {
		return release.Ending{}, err
	}

	if run.Ending != nil {
		return *run.Ending, nil
	}

	released, _, err := s.readReleased(ctx)
	if err != nil {
		return release.Ending{}, err
	}

	if released.Run == run.Run {
		return s.endRun(ctx, run.Run, release.Ending{
			Outcome: release.Promoted,
			Message: fmt.Sprintf("Released: run %s was promoted; a later failure did not change that", run.Run),
		})
	}

	restored, conflicts, err := s.undoChanges(ctx, run)
	if err != nil {
		return release.Ending{}, err
	}

	kept, err := s.deleteCandidates(ctx, run)
	if err != nil {
		return release.Ending{}, err
	}

	return s.endRun(ctx, run.Run, undoneEnding(restored, conflicts, kept))
}

// undoneEnding is the ending of an undone run: the functions that were restored, why others were
// not, and the versions that were not deleted.
func undoneEnding(restored, conflicts, kept []string) release.Ending {
	end := release.Ending{
		Outcome: release.FailedClean,
		Message: "FailedClean: no function was changed, nothing is left.",
	}
	switch {
	case len(conflicts) > 0:
		end = release.Ending{
			Outcome: release.FailedDirty,
			Message: "FailedDirty: " + strings.Join(conflicts, "; ") + ".",
		}
	case len(restored) > 0:
		end = release.Ending{
			Outcome: release.RolledBack,
			Message: fmt.Sprintf("RolledBack: %s restored (%s), candidates deleted.",
				report.Count(len(restored), "function"), strings.Join(restored, ", ")),
		}
	}

	if len(kept) > 0 {
		end.Message += " Kept because functions use them: " + strings.Join(kept, ", ") + "."
	}

	return end
}

// undoChanges undoes the changes of a run in reverse order. It returns the functions that are
// restored, and for each other one the reason why it was not.
func (s Rollback) undoChanges(ctx context.Context, run release.Run) (restored, conflicts []string, err error) {
	names, err := s.Registers.List(ctx, release.ChangesPrefix(run.Run))
	if err != nil {
		return nil, nil, err
	}

	slices.Sort(names)
	slices.Reverse(names)
	for _, name := range names {
		c, conflict, err := s.undoChange(ctx, run, name)
		switch {
		case err != nil:
			return nil, nil, err
		case c.After == nil: // the function was recorded, and not changed
		case conflict != "":
			conflicts = append(conflicts, conflict)
		case c.Alias == "":
			restored = append(restored, release.FunctionNameOf(c.Function))
		default:
			restored = append(restored, release.FunctionNameOf(c.Function)+" "+c.Before.AliasVersion)
		}
	}

	return restored, conflicts, nil
}

// undoChange marks a change, so that an update stops, undoes it and marks it as undone.
func (s Rollback) undoChange(ctx context.Context, run release.Run, name string) (release.Change, string, error) {
	c, tag, err := s.readChange(ctx, run.Run, name)
	if err != nil {
		return c, "", err
	}

	if !c.Undoing {
		c.Undoing = true
		if tag, err = store(ctx, s.Registers, name, c, tag); err != nil {
			return c, "", err
		}
	}

	if c.After == nil || c.Undone {
		return c, "", nil
	}

	conflict, err := s.restore(ctx, c)
	if err != nil || conflict != "" {
		return c, conflict, err
	}

	c.Undone = true
	_, err = store(ctx, s.Registers, name, c, tag)
	return c, "", err
}

// restore restores a function. It returns a conflict, and stops, if somebody else has changed the
// function.
//
// It writes alias and layers even if they are as before. That gives them new revisions, so that an
// update of the run that has read the old ones fails.
func (s Rollback) restore(ctx context.Context, c release.Change) (conflict string, err error) {
	now, err := stateNow(ctx, s.Functions, c)
	if fault.CodeOf(err) == fault.NotFound {
		return c.Function + " does not exist any more", nil
	}

	if err != nil {
		return "", err
	}

	if c.Standing(now) == release.Diverged {
		return conflictOf(c, now), nil
	}

	for _, step := range []func(context.Context, release.Change, release.State) (string, error){
		s.restoreAlias, s.restoreLayers, s.readBack,
	} {
		if conflict, err := step(ctx, c, now); err != nil || conflict != "" {
			return conflict, err
		}
	}

	return "", s.deleteVersion(ctx, c)
}

// restoreAlias moves the alias back.
func (s Rollback) restoreAlias(ctx context.Context, c release.Change, now release.State) (conflict string, err error) {
	if c.Alias == "" {
		return "", nil
	}

	a, err := s.Functions.Alias(ctx, c.Function, c.Alias)
	if err != nil {
		return "", err
	}

	if a.Version != c.After.AliasVersion && a.Version != c.Before.AliasVersion {
		return conflictOf(c, now), nil
	}

	_, err = s.Functions.MoveAlias(ctx, c.Function, c.Alias, c.Before.AliasVersion, a.RevisionID)
	return s.explain(ctx, c, err)
}

// restoreLayers sets the layers of $LATEST to those before the change.
func (s Rollback) restoreLayers(ctx context.Context, c release.Change, now release.State) (conflict string, err error) {
	f, err := s.Functions.Get(ctx, c.Function, "")
	if err != nil {
		return "", err
	}

	layers := stateOf(f).Layers
	if !slices.Equal(layers, c.After.Layers) && !slices.Equal(layers, c.Before.Layers) {
		return conflictOf(c, now), nil
	}

	_, err = s.Functions.SetLayers(ctx, c.Function, c.Before.Layers, f.RevisionID)
	return s.explain(ctx, c, err)
}

// readBack checks that the function is as before.
func (s Rollback) readBack(ctx context.Context, c release.Change, _ release.State) (conflict string, err error) {
	now, err := stateNow(ctx, s.Functions, c)
	if err != nil {
		return "", err
	}

	if c.Standing(now) != release.AtBefore {
		return conflictOf(c, now), nil
	}

	return "", nil
}

// explain turns the fault Changed of a write into a conflict if somebody else has changed the
// function. Otherwise an update of the run was still working, and the rollback must be retried:
// fault Unreachable.
func (s Rollback) explain(ctx context.Context, c release.Change, err error) (conflict string, _ error) {
	if fault.CodeOf(err) != fault.Changed {
		return "", err
	}

	now, readErr := stateNow(ctx, s.Functions, c)
	if readErr != nil {
		return "", errors.Join(err, readErr)
	}

	if c.Standing(now) == release.Diverged {
		return conflictOf(c, now), nil
	}

	return "", fault.New(fault.Unreachable, "undo", c.Function, err).WithHint("the rollback is retried")
}

// deleteVersion deletes the version of the function that the run has published. A version that may
// not be deleted, or that is used by now, stays.
func (s Rollback) deleteVersion(ctx context.Context, c release.Change) error {
	version := c.After.AliasVersion
	if version == "" || version == c.Before.AliasVersion {
		return nil
	}

	published, err := s.Functions.Get(ctx, c.Function, version)
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}

	if err != nil {
		return err
	}

	if published.Description != versionDescription(c.Run) {
		return nil // it existed before the run: $LATEST had not changed since
	}

	err = s.Functions.DeleteVersion(ctx, c.Function, version)
	if code := fault.CodeOf(err); code == fault.Changed || code == fault.NotAllowed {
		return nil
	}

	return err
}

// conflictOf describes a function that somebody else has changed, for the ending of the run.
func conflictOf(c release.Change, now release.State) string {
	has := "$LATEST"
	if c.Alias != "" {
		has = "alias " + c.Alias + " at version " + now.AliasVersion
	}

	var layers []string
	for _, r := range c.Replaces {
		layers = append(layers, r.Layer)
	}

	return fmt.Sprintf("%s was changed by somebody else during the run and was not restored; it has %s. "+
		"If it needs the earlier layers, run: layersmith rollback %s", c.Function, has, strings.Join(layers, " / "))
}

// deleteCandidates deletes the layer versions that the run has published and its probe functions.
// It keeps versions that a function uses, because a deleted version can never be attached again,
// and returns them.
func (s Rollback) deleteCandidates(ctx context.Context, run release.Run) (kept []string, err error) {
	names, err := s.Registers.List(ctx, release.CandidatesPrefix(run.Run))
	if err != nil {
		return nil, err
	}

	var published []LayerVersion
	for _, name := range names {
		c, _, _, err := load[release.Candidate](ctx, s.Registers, name)
		if err != nil {
			return nil, err
		}

		if err := s.Sandboxes.Delete(ctx, sandboxName(s.Probes, run.Run, c)); err != nil {
			return nil, err
		}

		versions, err := s.Versions.List(ctx, c.LayerName)
		if err != nil {
			return nil, err
		}

		for _, v := range versions {
			if _, by := parseDescription(v.Description); by == run.Run && !c.Reused {
				published = append(published, v)
			}
		}
	}

	if len(published) == 0 {
		return nil, nil
	}

	used, err := s.Functions.LayersInUse(ctx)
	if err != nil {
		return nil, err
	}

	for _, v := range published {
		if used[v.ARN] {
			kept = append(kept, fmt.Sprintf("%s:%d", v.LayerName, v.Version))
			continue
		}

		if err := s.Versions.Delete(ctx, v.ARN); err != nil {
			return nil, err
		}
	}

	return kept, nil
}
