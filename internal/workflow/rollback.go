package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Rollback undoes what a run did, in reverse order, from what the run wrote down, and reads back
// what it undid. It may be run again at any time, also for a run that died: what is undone already
// is left as it is. What somebody else changed meanwhile is never touched.
type Rollback struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Sandboxes Sandboxes
	Probes    string // prefix of the names of throw-away functions
}

// Run undoes and says what came of it. A run that was promoted is not undone: it is done.
func (s Rollback) Run(ctx context.Context, in RunInput) (release.Ending, error) {
	run, err := s.known(ctx, in.Run)
	if err != nil {
		return release.Ending{}, err
	}

	if run.Ending != nil {
		return *run.Ending, nil
	}

	released, _, err := s.released(ctx)
	if err != nil {
		return release.Ending{}, err
	}

	if released.Run == run.Run {
		return s.close(ctx, run.Run, release.Ending{
			Outcome: release.Promoted,
			Message: fmt.Sprintf("Released: run %s was promoted; what failed after that changed nothing", run.Run),
		})
	}

	touched, dirty, err := s.consumers(ctx, run)
	if err != nil {
		return release.Ending{}, err
	}

	kept, err := s.candidates(ctx, run)
	if err != nil {
		return release.Ending{}, err
	}

	end := release.Ending{
		Outcome: release.FailedClean,
		Message: "FailedClean: no function was touched, nothing is left behind.",
	}
	switch {
	case len(dirty) > 0:
		end = release.Ending{Outcome: release.FailedDirty, Message: "FailedDirty: " + strings.Join(dirty, "; ") + "."}
	case len(touched) > 0:
		end = release.Ending{
			Outcome: release.RolledBack,
			Message: fmt.Sprintf("RolledBack: %s as before (%s), candidates deleted.", isAre(len(touched)),
				strings.Join(touched, ", ")),
		}
	}

	if len(kept) > 0 {
		end.Message += " Kept because functions have them: " + strings.Join(kept, ", ") + "."
	}

	return s.close(ctx, run.Run, end)
}

func isAre(n int) string {
	if n == 1 {
		return "the function is"
	}

	return fmt.Sprintf("all %d functions are", n)
}

// close marks the run as over: it will not be recovered.
func (l Ledger) close(ctx context.Context, name string, end release.Ending) (release.Ending, error) {
	run, tag, found, err := load[release.Run](ctx, l.Registers, release.RunName(name))
	if err != nil || !found {
		return end, err
	}

	if run.Ending == nil {
		run.Ending = &end
		if _, err = store(ctx, l.Registers, release.RunName(name), run, tag); err != nil {
			return end, err
		}
	}

	return end, nil
}

// consumers puts back what was changed, the last first.
func (s Rollback) consumers(ctx context.Context, run release.Run) (touched, dirty []string, err error) {
	names, err := s.Registers.List(ctx, release.ChangesPrefix(run.Run))
	if err != nil {
		return nil, nil, err
	}

	slices.Sort(names)
	slices.Reverse(names)
	for _, name := range names {
		c, tag, err := s.change(ctx, run.Run, name)
		if err != nil {
			return nil, nil, err
		}

		if !c.Undoing {
			c.Undoing = true
			if tag, err = store(ctx, s.Registers, name, c, tag); err != nil {
				return nil, nil, err
			}
		}

		if c.After == nil {
			continue // recorded, never touched: and now an update cannot begin any more
		}

		back := release.FunctionNameOf(c.Function)
		if c.Alias != "" {
			back += " " + c.Before.AliasVersion
		}

		if !c.Undone {
			why, err := s.undo(ctx, c)
			if err != nil {
				return nil, nil, err
			}

			if why != "" {
				dirty = append(dirty, why)
				continue
			}

			c.Undone = true
			if _, err := store(ctx, s.Registers, name, c, tag); err != nil {
				return nil, nil, err
			}
		}

		touched = append(touched, back)
	}

	return touched, dirty, nil
}

// undo puts one function back, and returns why it must be left alone; "" when it is as before.
func (s Rollback) undo(ctx context.Context, c release.Change) (why string, err error) {
	now, err := stateNow(ctx, s.Functions, c)
	if fault.CodeOf(err) == fault.NotFound {
		return c.Function + " is not there any more", nil
	}

	if err != nil {
		return "", err
	}

	if c.Standing(now) == release.Diverged {
		return s.foreign(c, now), nil
	}

	// Both are written also when they are as before: an update that is still going on has read
	// their revisions, and these are old then.
	if c.Alias != "" {
		a, err := s.Functions.Alias(ctx, c.Function, c.Alias)
		if err != nil {
			return "", err
		}

		if a.Version != c.After.AliasVersion && a.Version != c.Before.AliasVersion {
			return s.foreign(c, now), nil
		}

		if _, err = s.Functions.MoveAlias(ctx, c.Function, c.Alias, c.Before.AliasVersion, a.RevisionID); err != nil {
			return s.left(ctx, c, err)
		}
	}

	f, err := s.Functions.Get(ctx, c.Function, "")
	if err != nil {
		return "", err
	}

	if have := stateOf(f).Layers; !slices.Equal(have, c.After.Layers) && !slices.Equal(have, c.Before.Layers) {
		return s.foreign(c, now), nil
	}

	if _, err = s.Functions.SetLayers(ctx, c.Function, c.Before.Layers, f.RevisionID); err != nil {
		return s.left(ctx, c, err)
	}

	if now, err = stateNow(ctx, s.Functions, c); err != nil {
		return "", err
	}

	if c.Standing(now) != release.AtBefore {
		return s.foreign(c, now), nil
	}

	if v := c.After.AliasVersion; v != "" && v != c.Before.AliasVersion {
		published, err := s.Functions.Get(ctx, c.Function, v)
		switch {
		case fault.CodeOf(err) == fault.NotFound:
		case err != nil:
			return "", err
		case published.Description == versionDescription(c.Run): // not a version that was there before
			// A version that may not be deleted, or that somebody uses by now, stays, and the
			// candidate with it.
			if err := s.Functions.DeleteVersion(ctx, c.Function,
				v); err != nil && fault.CodeOf(err) != fault.Changed &&
				fault.CodeOf(err) != fault.NotAllowed {
				return "", err
			}
		}
	}

	return "", nil
}

// left tells a change by somebody else, who was faster, from a fault that is worth another try.
func (s Rollback) left(ctx context.Context, c release.Change, err error) (string, error) {
	if fault.CodeOf(err) != fault.Changed {
		return "", err
	}

	now, readErr := stateNow(ctx, s.Functions, c)
	if readErr != nil {
		return "", errors.Join(err, readErr)
	}

	if c.Standing(now) == release.Diverged {
		return s.foreign(c, now), nil
	}

	return "", fault.New(fault.Unreachable, "undo", c.Function, err).
		WithHint("it is tried again")
	// still ours: an update was going on
}

func (s Rollback) foreign(c release.Change, now release.State) string {
	runs := "$LATEST"
	if c.Alias != "" {
		runs = "alias " + c.Alias + " at version " + now.AliasVersion
	}

	var to []string
	for _, r := range c.Replaces {
		to = append(to, r.Layer)
	}

	return fmt.Sprintf(
		"%s was changed by somebody else during the run and was left alone; it has %s. Decide, then go back with: "+
			"layersmith rollback %s",
		c.Function,
		runs,
		strings.Join(to, " / "),
	)
}

// versionDescription marks the versions of functions that a run published.
func versionDescription(run string) string { return "layersmith run " + run }

// candidates deletes what the run published, and throw-away functions that are left. What a
// function has must stay: a deleted version can never be attached again.
func (s Rollback) candidates(ctx context.Context, run release.Run) (kept []string, err error) {
	names, err := s.Registers.List(ctx, release.CandidatesPrefix(run.Run))
	if err != nil || len(names) == 0 {
		return nil, err
	}

	var doomed []LayerVersion
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
			if _, by := madeOf(v.Description); by == run.Run && !c.Reused {
				doomed = append(doomed, v)
			}
		}
	}

	if len(doomed) == 0 {
		return nil, nil
	}

	used, err := s.Functions.LayersInUse(ctx)
	if err != nil {
		return nil, err
	}

	for _, v := range doomed {
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
