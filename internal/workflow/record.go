package workflow

import (
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

// Record finds the consumers of a run, checks that each can take what is coming, and writes down
// how each is before anything is touched. It refuses here rather than later: nothing is published
// yet.
type Record struct {
	Ledger
	Functions Functions
	Versions  LayerVersions
	Alarms    Alarms
}

// RecordInput is the run and its layers; there are none when a run goes back to released versions,
// or when only the consumers changed.
type RecordInput struct {
	Run    string `json:"run"`
	Layers []Item `json:"layers"`
}

// RecordOutput is what will be changed.
type RecordOutput struct {
	Consumers []Consumer `json:"consumers"`
	Summary   string     `json:"summary"`
}

// maxItems is how many layers and consumers an execution carries: Step Functions passes at most 256
// KiB between two states, and 172 of each take that (test/workflow).
const maxItems = 300

// coming is the version of a layer that consumers get.
type coming struct {
	layerName string
	arn       string // "" when it is not published yet
	unzipped  measure.Bytes
	isNew     bool // of this run
}

// Run records.
func (s Record) Run(ctx context.Context, in RecordInput) (RecordOutput, error) {
	out := RecordOutput{Consumers: []Consumer{}}
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return out, err
	}

	w, _, closeIt, err := openWorkspace(ctx, s.Blobs, run.Workspace)
	if err != nil {
		return out, err
	}

	closeIt()
	versions, err := s.coming(ctx, run, in.Layers)
	if err != nil {
		return out, err
	}

	wishes, err := s.wishes(ctx, w)
	if err != nil {
		return out, err
	}

	for _, wish := range wishes {
		change, err := s.change(ctx, run, w, wish.consumer, wish.function, versions)
		if err != nil {
			return out, err
		}

		if change == nil {
			continue
		}

		change.Sequence = len(out.Consumers) + 1
		name := release.ChangeName(run.Run, change.Sequence)
		if err := s.write(ctx, name, *change); err != nil {
			return out, err
		}

		out.Consumers = append(out.Consumers,
			Consumer{Function: change.Function, Change: name, Summary: release.FunctionNameOf(change.Function)})
	}

	if n := len(out.Consumers) + len(in.Layers); n > maxItems {
		return out, fault.New(fault.OverLimit, "record", "the run",
			fmt.Errorf("%s and %s, at most %d of both fit into one execution", report.Count(len(in.Layers), "layer"),
				report.Count(len(out.Consumers), "consumer"), maxItems)).
			WithHint("release some layers at a time, or split the workspace over two stacks")
	}

	out.Summary = report.Count(len(out.Consumers), "function") + " to move"
	return out, nil
}

// wish is a function and the entry of consumers.yaml that says what it gets.
type wish struct {
	consumer workspace.Consumer
	function Function
}

// wishes finds the functions: first those that are named, then those that have the tags and are not
// named. Two entries that find a function by tags have to want the same of it.
func (s Record) wishes(ctx context.Context, w workspace.Workspace) ([]wish, error) {
	var all []wish
	seen := map[string]int{} // ARN to its place in all
	for _, c := range w.Consumers {
		if c.Function != "" {
			f, err := s.Functions.Get(ctx, c.Function, "")
			if err != nil {
				return nil, err
			}

			seen[f.ARN] = len(all)
			all = append(all, wish{c, f})
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
			if i, ok := seen[arn]; ok {
				if o := all[i].consumer; o.Function == "" &&
					(o.Alias != c.Alias || o.Health != c.Health || !slices.Equal(o.Layers, c.Layers)) {
					return nil, fault.New(fault.BadInput, "record", arn,
						fmt.Errorf("lines %d and %d of layers/consumers.yaml find it by its tags and want different "+
							"things of it",
							o.Line, c.Line)).
						WithHint("give it an entry of its own: function: " + release.FunctionNameOf(arn))
				}

				continue
			}

			f, err := s.Functions.Get(ctx, arn, "")
			if err != nil {
				return nil, err
			}

			seen[arn] = len(all)
			all = append(all, wish{c, f})
		}
	}

	return all, nil
}

func (s Record) write(ctx context.Context, name string, c release.Change) error {
	old, tag, found, err := load[release.Change](ctx, s.Registers, name)
	if err != nil {
		return err
	}

	if found && old.After != nil {
		return fault.New(fault.LeaseLost, "record", c.Function, errors.New("the run has touched it already")).
			WithHint("start a new execution")
	}

	_, err = store(ctx, s.Registers, name, c, tag)
	return err
}

// coming lists, by layer and target, what consumers are to have.
func (s Record) coming(ctx context.Context, run release.Run, items []Item) (map[string]coming, error) {
	released, _, err := s.released(ctx)
	if err != nil {
		return nil, err
	}

	all := map[string]coming{}
	for _, l := range released.Layers {
		v := l.Current
		back := run.Request.Rollback != nil && run.Request.Rollback.Layer == l.Layer
		if back {
			if v, err = l.Back(run.Request.Rollback.To); err != nil {
				return nil, fault.New(fault.BadInput, "roll back", l.Layer, err).
					WithHint("choose one of: " + l.Versions())
			}
		}

		all[l.Layer+" "+l.Target.String()] = coming{
			layerName: l.LayerName,
			arn:       v.ARN,
			unzipped:  v.UnzippedBytes,
			isNew:     back,
		}
	}

	for _, i := range items {
		m, err := open[release.Measured](ctx, s.Blobs, i.Doc)
		if err != nil {
			return nil, err
		}

		all[i.Layer+" "+i.Target.String()] = coming{
			layerName: m.Built.LayerName,
			unzipped:  m.Report.After.Unzipped,
			isNew:     true,
		}
	}

	return all, nil
}

// change is what a consumer needs; nil when it has everything already.
func (s Record) change(
	ctx context.Context,
	run release.Run,
	w workspace.Workspace,
	c workspace.Consumer,
	f Function,
	versions map[string]coming,
) (*release.Change, error) {
	t, err := pydist.ParseTarget(f.Runtime + "-" + f.Arch)
	if err != nil || !slices.Contains(w.Targets, t) {
		var have []string
		for _, t := range w.Targets {
			have = append(have, t.String())
		}

		return nil, fault.New(fault.BadInput, "record", f.ARN,
			fmt.Errorf("it runs %s on %s, the workspace builds for %s", orImage(f.Runtime), f.Arch,
				strings.Join(have, ", "))).
			WithHint("add the target to layers/workspace.yaml, or take the function out of layers/consumers.yaml")
	}

	change := &release.Change{SchemaVersion: release.SchemaVersion, Run: run.Run, Function: f.ARN, Alias: c.Alias,
		Alarm: c.Health.AlarmOf(f.ARN), WindowSeconds: c.Health.WindowSeconds, Before: stateOf(f)}
	needed := false
	have := map[string]coming{} // by ARN or, unpublished, by layer name: what the function will have of ours
	for _, layer := range c.Layers {
		v, ok := versions[layer+" "+t.String()]
		if !ok {
			return nil, fault.New(fault.BadInput, "record", f.ARN,
				fmt.Errorf("it is to have %s, which is neither released for %s nor in this run", layer, t)).
				WithHint(`start again with {"force": true}`)
		}

		if run.Request.Rollback != nil && !v.isNew {
			continue // going back with one layer leaves the others alone
		}

		change.Replaces = append(change.Replaces, release.Replace{Layer: layer, LayerName: v.layerName, ARN: v.arn})
		have[v.layerName] = v
		needed = needed || v.arn == "" || !slices.Contains(change.Before.Layers, v.arn)
	}

	if !needed {
		return nil, nil
	}

	if err := s.fits(ctx, f, have); err != nil {
		return nil, err
	}

	if err := s.alias(ctx, f, change); err != nil {
		return nil, err
	}

	return change, s.quiet(ctx, *change)
}

// fits checks Lambda's limits for the function with what it will have: five layers, 250 MiB
// unzipped in all.
func (s Record) fits(ctx context.Context, f Function, have map[string]coming) error {
	own, err := s.Functions.CodeUnzipped(ctx, f.ARN, "")
	if err != nil {
		return err
	}

	total := own
	n := len(have)
	for _, v := range have {
		total += v.unzipped
	}

	for _, l := range f.Layers {
		name := release.LayerNameOf(l.ARN)
		if _, replaced := have[name]; replaced && release.SameAccount(l.ARN, f.ARN) {
			continue
		}

		size, err := s.Versions.Unzipped(ctx, l.ARN)
		if err != nil {
			return err
		}

		total += size
		n++
	}

	if n > workspace.MaxLayers {
		return fault.New(fault.OverLimit, "record", f.ARN,
			fmt.Errorf("it would have %d layers, Lambda allows %d", n, workspace.MaxLayers)).
			WithHint("take a layer off the function, or merge two in the workspace")
	}

	if total > measure.MaxUnzippedBytes {
		return fault.New(fault.OverLimit, "record", f.ARN,
			fmt.Errorf("its code (%s) and its layers would weigh %d bytes unzipped, Lambda's limit is %d", own, total,
				measure.MaxUnzippedBytes)).
			WithHint("make its code or a layer smaller: layersmith report shows what weighs most")
	}

	return nil
}

// alias records where the alias points, and refuses when moving it would release more than layers:
// publishing $LATEST takes everything in it along.
func (s Record) alias(ctx context.Context, f Function, c *release.Change) error {
	if c.Alias == "" {
		return nil
	}

	a, err := s.Functions.Alias(ctx, f.ARN, c.Alias)
	if err != nil {
		return err
	}

	refuse := func(code fault.Code, why, hint string) error {
		return fault.New(code, "record", f.ARN+":"+c.Alias, errors.New(why)).WithHint(hint)
	}
	if a.Version == latest {
		return refuse(fault.BadInput, "the alias points to $LATEST, which cannot be gone back to",
			"publish a version and point the alias to it, or leave out alias in layers/consumers.yaml")
	}

	if len(a.Weights) > 0 {
		return refuse(fault.Changed, "the alias is in the middle of a weighted deployment",
			"finish it, then start again")
	}

	v, err := s.Functions.Get(ctx, f.ARN, a.Version)
	if err != nil {
		return err
	}

	if v.CodeSHA256 != f.CodeSHA256 || v.ConfigHash != f.ConfigHash ||
		!slices.Equal(stateOf(v).Layers, c.Before.Layers) {
		return refuse(
			fault.Changed,
			fmt.Sprintf("$LATEST is not what version %s is: moving the alias would release changes that are not ours",
				a.Version),
			"publish $LATEST and move the alias to it, or take the changes back, then start again",
		)
	}

	c.Before.AliasVersion = a.Version
	return nil
}

// quiet refuses to change a function whose alarm is raised already: nobody could tell afterwards
// whose fault it was.
func (s Record) quiet(ctx context.Context, c release.Change) error {
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
			WithHint("mend the function first, then start again")
	}

	return nil
}

const latest = "$LATEST"

func orImage(runtime string) string {
	if runtime == "" {
		return "a container image"
	}

	return runtime
}

func stateOf(f Function) release.State {
	s := release.State{CodeSHA256: f.CodeSHA256, Layers: []string{}}
	for _, l := range f.Layers {
		s.Layers = append(s.Layers, l.ARN)
	}

	return s
}
