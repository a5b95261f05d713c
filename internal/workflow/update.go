package workflow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Update moves one consumer: its layers, a version, its alias. Every step is written down before it
// is made, and a step that is made already is not made again.
//
// A neighbour in the same Map may fail while this one works, and then the run is rolled back under
// its feet. The rollback first marks the change, then writes to function and alias, also when they
// are as before, which gives both a new revision. So: read a revision, then look at the mark, then
// write with that revision. Either the mark is seen or the revision is old.
type Update struct {
	Ledger
	Functions Functions
}

// ConsumerInput is one consumer of a run.
type ConsumerInput struct {
	Run      string   `json:"run"`
	Consumer Consumer `json:"consumer"`
}

// UpdateOutput says how long to wait before the first look at the consumer's health.
type UpdateOutput struct {
	Consumer    Consumer  `json:"consumer"`
	WaitSeconds int       `json:"waitSeconds"`
	Since       time.Time `json:"since"`
}

// lookEverySeconds is how often a consumer's alarm is looked at; CloudWatch's shortest period for
// most metrics is a minute.
const lookEverySeconds = 30

// Run moves the consumer.
func (s Update) Run(ctx context.Context, in ConsumerInput) (UpdateOutput, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return UpdateOutput{}, err
	}

	c, tag, err := s.change(ctx, run.Run, in.Consumer.Change)
	if err != nil {
		return UpdateOutput{}, err
	}

	if c.Undoing {
		return UpdateOutput{}, s.going(ctx, run.Run, in.Consumer.Change)
	}

	if c.After == nil {
		if tag, err = s.intend(ctx, in.Consumer.Change, &c, tag); err != nil {
			return UpdateOutput{}, err
		}
	}

	f, err := s.Functions.Get(ctx, c.Function, "")
	if err != nil {
		return UpdateOutput{}, err
	}

	if f.CodeSHA256 != c.Before.CodeSHA256 {
		return UpdateOutput{}, changed(c, "its code was changed during the run")
	}

	if now := stateOf(f).Layers; !slices.Equal(now, c.After.Layers) {
		if !slices.Equal(now, c.Before.Layers) {
			return UpdateOutput{}, changed(c, "its layers were changed during the run")
		}

		if err := s.going(ctx, run.Run, in.Consumer.Change); err != nil {
			return UpdateOutput{}, err
		}

		if f, err = s.Functions.SetLayers(ctx, c.Function, c.After.Layers, f.RevisionID); err != nil {
			return UpdateOutput{}, err
		}
	}

	said := release.FunctionNameOf(c.Function)
	if c.Alias != "" {
		if c.After.AliasVersion == "" {
			if c.After.AliasVersion, err = s.Functions.PublishVersion(ctx, c.Function, versionDescription(run.Run),
				f.RevisionID); err != nil {
				return UpdateOutput{}, err
			}

			if _, err = store(ctx, s.Registers, in.Consumer.Change, c, tag); err != nil {
				return UpdateOutput{}, err
			}
		}

		a, err := s.Functions.Alias(ctx, c.Function, c.Alias)
		if err != nil {
			return UpdateOutput{}, err
		}

		if a.Version != c.After.AliasVersion {
			if a.Version != c.Before.AliasVersion || len(a.Weights) > 0 {
				return UpdateOutput{}, changed(c, "its alias was moved during the run")
			}

			if err := s.going(ctx, run.Run, in.Consumer.Change); err != nil {
				return UpdateOutput{}, err
			}

			if _, err = s.Functions.MoveAlias(ctx, c.Function, c.Alias, c.After.AliasVersion,
				a.RevisionID); err != nil {
				return UpdateOutput{}, err
			}
		}

		said = fmt.Sprintf("%s %s %s -> %s", said, c.Alias, c.Before.AliasVersion, c.After.AliasVersion)
	}

	in.Consumer.Summary = said
	out := UpdateOutput{Consumer: in.Consumer, Since: s.Now().UTC()}
	if c.Alarm != "" {
		out.WaitSeconds = min(lookEverySeconds, c.WindowSeconds)
	}

	return out, nil
}

// going looks whether the change is still wanted.
func (s Update) going(ctx context.Context, run, name string) error {
	c, _, err := s.change(ctx, run, name)
	if err == nil && c.Undoing {
		err = fault.New(fault.LeaseLost, "update", c.Function, errors.New("the run is being rolled back")).
			WithHint("look at the run's first error")
	}

	return err
}

// intend writes down what the function is to become, if it still is what was recorded.
func (s Update) intend(ctx context.Context, name string, c *release.Change, tag string) (string, error) {
	for i, r := range c.Replaces {
		if r.ARN != "" {
			continue
		}

		candidate, _, found, err := load[release.Candidate](ctx, s.Registers, release.CandidateName(c.Run, r.LayerName))
		if err != nil {
			return "", err
		}

		if !found || candidate.ARN == "" {
			return "", fault.New(fault.ProvenanceMismatch, "update", c.Function,
				fmt.Errorf("layer %s of this run is not published", r.Layer)).
				WithHint("start a new execution")
		}

		c.Replaces[i].ARN = candidate.ARN
	}

	layers, err := c.WithLayers()
	if err != nil {
		return "", err
	}

	now, err := stateNow(ctx, s.Functions, *c)
	if err != nil {
		return "", err
	}

	if c.Standing(now) != release.AtBefore {
		return "", changed(*c, "it was changed between being recorded and being updated")
	}

	c.After = &release.State{Layers: layers, CodeSHA256: c.Before.CodeSHA256}
	return store(ctx, s.Registers, name, *c, tag)
}

// change reads a change of the run.
func (l Ledger) change(ctx context.Context, run, name string) (release.Change, string, error) {
	c, tag, found, err := load[release.Change](ctx, l.Registers, name)
	if err == nil && (!found || c.Run != run) {
		err = fault.New(fault.ProvenanceMismatch, "read", name, errors.New("it is no change of run "+run)).
			WithHint("start a new execution")
	}

	return c, tag, err
}

// stateNow reads what a change is about.
func stateNow(ctx context.Context, functions Functions, c release.Change) (release.State, error) {
	f, err := functions.Get(ctx, c.Function, "")
	if err != nil {
		return release.State{}, err
	}

	now := stateOf(f)
	if c.Alias != "" {
		a, err := functions.Alias(ctx, c.Function, c.Alias)
		if err != nil {
			return release.State{}, err
		}

		now.AliasVersion = a.Version
	}

	return now, nil
}

func changed(c release.Change, why string) error {
	return fault.New(fault.Changed, "update", c.Function, errors.New(why)).
		WithHint("agree with whoever deploys it, then start again")
}
