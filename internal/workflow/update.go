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

// Update moves one consumer to the new layers: it sets the layers, publishes a version and moves
// the alias. It stores each step first, and skips steps that an earlier call has done.
//
// The run may be rolled back during an update, because another update of the same Map failed. The
// rollback first marks the change as Undoing, and then writes function and alias, which gives both
// a new revision. An update reads the revision, then checks the mark, and then writes with that
// revision. So either it sees the mark, or its write fails because the revision is old.
type Update struct {
	Ledger
	Functions Functions
}

// ConsumerInput is one consumer of a run.
type ConsumerInput struct {
	Run      string   `json:"run"`
	Consumer Consumer `json:"consumer"`
}

// UpdateOutput is the consumer, and how long to wait before its alarm is checked.
type UpdateOutput struct {
	Consumer    Consumer  `json:"consumer"`
	WaitSeconds int       `json:"waitSeconds"`
	Since       time.Time `json:"since"` // time of the update
}

// AlarmPollSeconds is the polling interval for alarms. CloudWatch's shortest period for most
// metrics is a minute.
const AlarmPollSeconds = 30

// Run updates. Fault Changed if somebody else changed the consumer since it was recorded.
func (s Update) Run(ctx context.Context, in ConsumerInput) (UpdateOutput, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return UpdateOutput{}, err
	}

	c, tag, err := s.readChange(ctx, run.Run, in.Consumer.Change)
	if err != nil {
		return UpdateOutput{}, err
	}

	u := &consumerUpdate{Update: s, name: in.Consumer.Change, tag: tag, change: c}
	if err := u.run(ctx); err != nil {
		return UpdateOutput{}, err
	}

	in.Consumer.Summary = u.summary()
	out := UpdateOutput{Consumer: in.Consumer, Since: s.Now().UTC()}
	if c.Alarm != "" {
		out.WaitSeconds = min(AlarmPollSeconds, c.WindowSeconds)
	}

	return out, nil
}

// consumerUpdate is the update of one consumer.
type consumerUpdate struct {
	Update
	name   string // of the change's register
	tag    string // of the register
	change release.Change
}

func (u *consumerUpdate) run(ctx context.Context) error {
	if u.change.Undoing {
		return rolledBack(u.change)
	}

	if u.change.After == nil {
		if err := u.plan(ctx); err != nil {
			return err
		}
	}

	f, err := u.setLayers(ctx)
	if err != nil || u.change.Alias == "" {
		return err
	}

	if err := u.publishVersion(ctx, f); err != nil {
		return err
	}

	return u.moveAlias(ctx)
}

// plan stores what the function will have, if it still is in the recorded state.
func (u *consumerUpdate) plan(ctx context.Context) error {
	c := &u.change
	for i, r := range c.Replaces {
		if r.ARN != "" {
			continue
		}

		candidate, _, found, err := load[release.Candidate](ctx, u.Registers, release.CandidateName(c.Run, r.LayerName))
		if err != nil {
			return err
		}

		if !found || candidate.ARN == "" {
			return fault.New(fault.ProvenanceMismatch, "update", c.Function,
				fmt.Errorf("layer %s of this run is not published", r.Layer)).
				WithHint("start a new execution")
		}

		c.Replaces[i].ARN = candidate.ARN
	}

	layers, err := c.WithLayers()
	if err != nil {
		return err
	}

	now, err := stateNow(ctx, u.Functions, *c)
	if err != nil {
		return err
	}

	if c.Standing(now) != release.AtBefore {
		return changedMeanwhile(*c, "it was changed between being recorded and being updated")
	}

	c.After = &release.State{Layers: layers, CodeSHA256: c.Before.CodeSHA256}
	u.tag, err = store(ctx, u.Registers, u.name, *c, u.tag)
	return err
}

// setLayers gives $LATEST the new layers, and returns it.
func (u *consumerUpdate) setLayers(ctx context.Context) (Function, error) {
	c := u.change
	f, err := u.Functions.Get(ctx, c.Function, "")
	if err != nil {
		return f, err
	}

	if f.CodeSHA256 != c.Before.CodeSHA256 {
		return f, changedMeanwhile(c, "its code was changed during the run")
	}

	layers := stateOf(f).Layers
	if slices.Equal(layers, c.After.Layers) {
		return f, nil
	}

	if !slices.Equal(layers, c.Before.Layers) {
		return f, changedMeanwhile(c, "its layers were changed during the run")
	}

	if err := u.checkMark(ctx); err != nil {
		return f, err
	}

	return u.Functions.SetLayers(ctx, c.Function, c.After.Layers, f.RevisionID)
}

// publishVersion publishes $LATEST, and stores the number of the version.
func (u *consumerUpdate) publishVersion(ctx context.Context, latest Function) error {
	c := &u.change
	if c.After.AliasVersion != "" {
		return nil
	}

	version, err := u.Functions.PublishVersion(ctx, c.Function, versionDescription(c.Run), latest.RevisionID)
	if err != nil {
		return err
	}

	c.After.AliasVersion = version
	u.tag, err = store(ctx, u.Registers, u.name, *c, u.tag)
	return err
}

// moveAlias moves the alias to the published version.
func (u *consumerUpdate) moveAlias(ctx context.Context) error {
	c := u.change
	a, err := u.Functions.Alias(ctx, c.Function, c.Alias)
	if err != nil || a.Version == c.After.AliasVersion {
		return err
	}

	if a.Version != c.Before.AliasVersion || len(a.Weights) > 0 {
		return changedMeanwhile(c, "its alias was moved during the run")
	}

	if err := u.checkMark(ctx); err != nil {
		return err
	}

	_, err = u.Functions.MoveAlias(ctx, c.Function, c.Alias, c.After.AliasVersion, a.RevisionID)
	return err
}

// checkMark reads the change again, and returns the fault LeaseLost if a rollback has begun.
func (u *consumerUpdate) checkMark(ctx context.Context) error {
	c, _, err := u.readChange(ctx, u.change.Run, u.name)
	if err == nil && c.Undoing {
		err = rolledBack(c)
	}

	return err
}

// summary describes the update: "data-validation live 1 -> 2".
func (u *consumerUpdate) summary() string {
	c := u.change
	name := release.FunctionNameOf(c.Function)
	if c.Alias == "" {
		return name
	}

	return fmt.Sprintf("%s %s %s -> %s", name, c.Alias, c.Before.AliasVersion, c.After.AliasVersion)
}

// readChange reads a change of the run. Fault ProvenanceMismatch if there is none.
func (l Ledger) readChange(ctx context.Context, run, name string) (release.Change, string, error) {
	c, tag, found, err := load[release.Change](ctx, l.Registers, name)
	if err == nil && (!found || c.Run != run) {
		err = fault.New(fault.ProvenanceMismatch, "read", name, errors.New("it is not a change of run "+run)).
			WithHint("start a new execution")
	}

	return c, tag, err
}

// stateNow reads the current state of the function of a change.
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

// versionDescription is the description of the function versions that a run publishes.
func versionDescription(run string) string { return "layersmith run " + run }

func rolledBack(c release.Change) error {
	return fault.New(fault.LeaseLost, "update", c.Function, errors.New("the run is being rolled back")).
		WithHint("read the first error of the run")
}

func changedMeanwhile(c release.Change, why string) error {
	return fault.New(fault.Changed, "update", c.Function, errors.New(why)).
		WithHint("make sure that nothing else deploys the function, then start again")
}
