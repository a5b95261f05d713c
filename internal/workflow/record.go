package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Record finds the consumers of a run, checks that each can get the new layers, and stores the
// state of each before the run changes it. All checks are here because nothing is published yet.
type Record struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Alarms    Alarms
}

// RecordInput is a run and its layers. There are none if the run restores a version, or if only
// consumers changed.
type RecordInput struct {
	Run    string `json:"run"`
	Layers []Item `json:"layers"`
}

// RecordOutput lists the consumers that will be changed.
type RecordOutput struct {
	Consumers []Consumer `json:"consumers"`
	Summary   string     `json:"summary"`
}

// maxItems limits the sum of layers and consumers in an execution. Step Functions passes at most
// 256 KiB between two states, which is enough for 172 of each (test/workflow).
const maxItems = 300

// latest is the qualifier of a function's unpublished version.
const latest = "$LATEST"

// Run records.
func (s Record) Run(ctx context.Context, in RecordInput) (RecordOutput, error) {
	out := RecordOutput{Consumers: []Consumer{}}
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return out, err
	}

	w, err := readWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return out, err
	}

	versions, err := s.versions(ctx, run, in.Layers)
	if err != nil {
		return out, err
	}

	matches, err := s.matches(ctx, w)
	if err != nil {
		return out, err
	}

	plan := changePlan{Record: s, run: run, targets: w.Targets, versions: versions}
	for _, m := range matches {
		change, err := plan.change(ctx, m)
		if err != nil {
			return out, err
		}

		if change == nil {
			continue
		}

		change.Sequence = len(out.Consumers) + 1
		name := release.ChangeName(run.Run, change.Sequence)
		if err := s.storeChange(ctx, name, *change); err != nil {
			return out, err
		}

		out.Consumers = append(out.Consumers,
			Consumer{Function: change.Function, Change: name, Summary: release.FunctionNameOf(change.Function)})
	}

	if len(out.Consumers)+len(in.Layers) > maxItems {
		return out, fault.New(fault.OverLimit, "record", "the run",
			fmt.Errorf("%s and %s, at most %d of both fit into one execution", report.Count(len(in.Layers), "layer"),
				report.Count(len(out.Consumers), "consumer"), maxItems)).
			WithHint("release some layers at a time, or split the workspace into two stacks")
	}

	out.Summary = report.Count(len(out.Consumers), "function") + " to move"
	return out, nil
}

// storeChange stores a change that has not begun. It may exist already: Step Functions retries
// Record.
func (s Record) storeChange(ctx context.Context, name string, c release.Change) error {
	old, tag, found, err := load[release.Change](ctx, s.Registers, name)
	if err != nil {
		return err
	}

	if found && old.After != nil {
		return fault.New(fault.LeaseLost, "record", c.Function, errors.New("the run has changed it already")).
			WithHint("start a new execution")
	}

	_, err = store(ctx, s.Registers, name, c, tag)
	return err
}

// match is a function and the entry of consumers.yaml that it matches.
type match struct {
	entry    workspace.Consumer
	function Function
}

// matches finds the functions of all entries. An entry with a function's name takes precedence over
// entries whose tags the function has.
func (s Record) matches(ctx context.Context, w workspace.Workspace) ([]match, error) {
	var all []match
	position := map[string]int{} // in all, by ARN
	add := func(c workspace.Consumer, function string) error {
		f, err := s.Functions.Get(ctx, function, "")
		if err != nil {
			return err
		}

		position[f.ARN] = len(all)
		all = append(all, match{c, f})
		return nil
	}

	for _, c := range w.Consumers {
		if c.Function == "" {
			continue
		}

		if err := add(c, c.Function); err != nil {
			return nil, err
		}
	}

	for _, c := range w.Consumers {
		if c.Function != "" {
			continue
		}

		arns, err := s.Functions.Tagged(ctx, c.Tag)
		if err != nil {
			return nil, err
		}

		for _, arn := range arns {
			if i, ok := position[arn]; ok {
				err = sameSettings(all[i].entry, c, arn)
			} else {
				err = add(c, arn)
			}

			if err != nil {
				return nil, err
			}
		}
	}

	return all, nil
}

// sameSettings checks that two entries with tags agree about a function that matches both.
func sameSettings(first, second workspace.Consumer, arn string) error {
	if first.Function != "" ||
		first.Alias == second.Alias && first.Health == second.Health && slices.Equal(first.Layers, second.Layers) {
		return nil
	}

	return fault.New(fault.BadInput, "record", arn,
		fmt.Errorf("it has the tags of lines %d and %d of layers/consumers.yaml, which have different settings",
			first.Line, second.Line)).
		WithHint("add an entry for it: function: " + release.FunctionNameOf(arn))
}

// version is the version of a layer that consumers get.
type version struct {
	layerName string
	arn       string // "" if it is not published yet
	unzipped  measure.Bytes
	ofRun     bool // built or restored by this run
}

// layerKey identifies a layer for a target.
type layerKey struct {
	layer  string
	target pydist.Target
}

// versions lists the versions that consumers get: those of the run, and the released ones of all
// other layers.
func (s Record) versions(ctx context.Context, run release.Run, items []Item) (map[layerKey]version, error) {
	released, _, err := s.readReleased(ctx)
	if err != nil {
		return nil, err
	}

	all := map[layerKey]version{}
	for _, l := range released.Layers {
		v := l.Current
		restores := run.Request.Rollback != nil && run.Request.Rollback.Layer == l.Layer
		if restores {
			if v, err = restored(l, *run.Request.Rollback); err != nil {
				return nil, err
			}
		}

		all[layerKey{l.Layer, l.Target}] = version{
			layerName: l.LayerName,
			arn:       v.ARN,
			unzipped:  v.UnzippedBytes,
			ofRun:     restores,
		}
	}

	for _, i := range items {
		m, err := readDocument[release.Measured](ctx, s.Blobs, i.Doc)
		if err != nil {
			return nil, err
		}

		all[layerKey{i.Layer, i.Target}] = version{
			layerName: m.Built.LayerName,
			unzipped:  m.Report.After.Unzipped,
			ofRun:     true,
		}
	}

	return all, nil
}

// changePlan makes the changes of a run.
type changePlan struct {
	Record
	run      release.Run
	targets  []pydist.Target // of the workspace
	versions map[layerKey]version
}

// change returns the change of a function, nil if it has all layers already. It refuses a change
// that is not possible, or that could not be undone.
func (p changePlan) change(ctx context.Context, m match) (*release.Change, error) {
	f := m.function
	t, err := p.target(f)
	if err != nil {
		return nil, err
	}

	change := &release.Change{
		SchemaVersion: release.SchemaVersion,
		Run:           p.run.Run,
		Function:      f.ARN,
		Alias:         m.entry.Alias,
		Alarm:         m.entry.Health.AlarmOf(f.ARN),
		WindowSeconds: m.entry.Health.WindowSeconds,
		Before:        stateOf(f),
	}
	needed := false
	gets := map[string]version{} // by name in Lambda
	for _, layer := range m.entry.Layers {
		v, ok := p.versions[layerKey{layer, t}]
		if !ok {
			return nil, fault.New(fault.BadInput, "record", f.ARN,
				fmt.Errorf("it needs layer %s, which is neither released for %s nor part of this run", layer, t)).
				WithHint(`start again with {"force": true}`)
		}

		if p.run.Request.Rollback != nil && !v.ofRun {
			continue // restoring one layer does not change the others
		}

		change.Replaces = append(change.Replaces, release.Replace{Layer: layer, LayerName: v.layerName, ARN: v.arn})
		gets[v.layerName] = v
		needed = needed || v.arn == "" || !slices.Contains(change.Before.Layers, v.arn)
	}

	if !needed {
		return nil, nil
	}

	if err := p.checkLimits(ctx, f, gets); err != nil {
		return nil, err
	}

	if change.Before.AliasVersion, err = p.checkAlias(ctx, f, change.Alias); err != nil {
		return nil, err
	}

	return change, p.checkAlarm(ctx, *change)
}

// target returns the target of a function, which must be one of the workspace.
func (p changePlan) target(f Function) (pydist.Target, error) {
	t, err := pydist.ParseTarget(f.Runtime + "-" + f.Arch)
	if err == nil && slices.Contains(p.targets, t) {
		return t, nil
	}

	var targets []string
	for _, t := range p.targets {
		targets = append(targets, t.String())
	}

	return t, fault.New(fault.BadInput, "record", f.ARN,
		fmt.Errorf("it runs %s on %s, the workspace builds for %s",
			cmp.Or(f.Runtime, "a container image"), f.Arch, strings.Join(targets, ", "))).
		WithHint("add the target to layers/workspace.yaml, or remove the function from layers/consumers.yaml")
}

// checkLimits checks Lambda's limits for the function after the change: five layers, and 250 MiB
// unzipped with its own code.
func (s Record) checkLimits(ctx context.Context, f Function, gets map[string]version) error {
	own, err := s.Functions.CodeUnzipped(ctx, f.ARN, "")
	if err != nil {
		return err
	}

	count := len(gets)
	total := own
	for _, v := range gets {
		total += v.unzipped
	}

	for _, l := range f.Layers {
		_, replaced := gets[release.LayerNameOf(l.ARN)]
		if replaced && release.SameAccount(l.ARN, f.ARN) {
			continue
		}

		size, err := s.Versions.Unzipped(ctx, l.ARN)
		if err != nil {
			return err
		}

		count++
		total += size
	}

	if count > workspace.MaxLayers {
		return fault.New(fault.OverLimit, "record", f.ARN,
			fmt.Errorf("it would have %d layers, Lambda allows %d", count, workspace.MaxLayers)).
			WithHint("remove a layer from the function, or merge two in the workspace")
	}

	if total > measure.MaxUnzippedBytes {
		return fault.New(fault.OverLimit, "record", f.ARN,
			fmt.Errorf("its code (%s) and its layers would be %s unzipped, %s more than Lambda's %s", own, total,
				total-measure.MaxUnzippedBytes, measure.Bytes(measure.MaxUnzippedBytes))).
			WithHint("make its code or a layer smaller: layersmith report lists the largest files")
	}

	return nil
}

// checkAlias returns the version of the alias, "" for no alias. It refuses an alias that could not
// be moved back, and one whose version differs from $LATEST in more than layers: a new version is
// made of all of $LATEST.
func (s Record) checkAlias(ctx context.Context, f Function, alias string) (string, error) {
	if alias == "" {
		return "", nil
	}

	a, err := s.Functions.Alias(ctx, f.ARN, alias)
	if err != nil {
		return "", err
	}

	refuse := func(code fault.Code, why, hint string) error {
		return fault.New(code, "record", f.ARN+":"+alias, errors.New(why)).WithHint(hint)
	}
	if a.Version == latest {
		return "", refuse(fault.BadInput, "the alias points to $LATEST, so it cannot be moved back",
			"publish a version and point the alias to it, or remove alias from layers/consumers.yaml")
	}

	if len(a.Weights) > 0 {
		return "", refuse(fault.Changed, "the alias is in the middle of a weighted deployment",
			"finish it, then start again")
	}

	v, err := s.Functions.Get(ctx, f.ARN, a.Version)
	if err != nil {
		return "", err
	}

	if v.CodeSHA256 != f.CodeSHA256 || v.ConfigHash != f.ConfigHash ||
		!slices.Equal(stateOf(v).Layers, stateOf(f).Layers) {
		why := fmt.Sprintf("$LATEST differs from version %s: moving the alias would release more than the layers",
			a.Version)
		return "", refuse(fault.Changed, why,
			"publish $LATEST and move the alias to it, or revert the differences, then start again")
	}

	return a.Version, nil
}

// checkAlarm refuses to change a function whose alarm is raised already: after the update, nobody
// could tell whether the layers are the reason.
func (s Record) checkAlarm(ctx context.Context, c release.Change) error {
	if c.Alarm == "" {
		return nil
	}

	a, err := s.Alarms(ctx, c.Alarm)
	if err != nil {
		return err
	}

	if a.State == AlarmRaised {
		return fault.New(fault.Unhealthy, "record", c.Function,
			fmt.Errorf("alarm %s is raised already: %s", c.Alarm, a.Reason)).
			WithHint("repair the function first, then start again")
	}

	return nil
}

func stateOf(f Function) release.State {
	s := release.State{CodeSHA256: f.CodeSHA256, Layers: []string{}}
	for _, l := range f.Layers {
		s.Layers = append(s.Layers, l.ARN)
	}

	return s
}
