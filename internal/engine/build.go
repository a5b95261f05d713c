package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Build makes the layers of a locked and fetched workspace: assemble, plan, prune, compile
// bytecode, check, probe, heal, write, report.
type Build struct {
	Tool     string // name and version, for reports
	Wheels   WheelStore
	Cache    Cache
	Python   Interpreter // nil when there is none for the target
	NoPython string      // why there is none
	Mounts   Mounts
	Outputs  Outputs
	Progress Progress
	Heal     *Heal // nil: failures are only reported
}

// BuildInput is what to build.
type BuildInput struct {
	Workspace workspace.Workspace
	Lock      lock.Lock
	Layers    []string                          // names; empty for all
	ReadFile  func(name string) ([]byte, error) // a file of the workspace: probe.py, layer.yaml
	NoProbe   string                            // why not to probe; "" to probe
	Strict    bool                              // a layer that is not probed is a fault
	PlanOnly  bool                              // write unpruned artifacts with bytecode instead of layers
	Paranoid  bool                              // inflate members that are only copied, to check their CRC-32
	Rebuild   bool                              // even if nothing changed
}

// Run builds. A failing check, probe or budget is a fault with a complete report. changed is false
// when the outputs are up to date already.
//
// All layers of the workspace are made, also those that Layers does not name: how much bytecode
// fits depends on the other layers of the same stacks, and the gate and the probe need the layers
// below. Only what Layers names is written.
func (s Build) Run(ctx context.Context, in BuildInput) (rep report.Report, changed bool, err error) {
	names, err := selection(in)
	if err != nil {
		return report.Report{}, false, err
	}

	jobs, err := s.jobs(in)
	if err != nil {
		return report.Report{}, false, err
	}

	if in.PlanOnly {
		rep, err := s.artifacts(ctx, in, jobs, names)
		return rep, err == nil, err
	}

	old, _ := s.readReport(ctx, in.Lock.Target.String())
	if !in.Rebuild && s.unchanged(ctx, in, old, pick(jobs, names)) && !s.healable(in, old, names) {
		rep, err := s.again(ctx, in, old)
		if err != nil {
			return report.Report{}, false, err
		}

		return rep, false, judge(rep, in.Strict)
	}

	// Nothing is written before the probe: it takes long, and users interrupt it.
	last, err := s.proven(ctx, round{in: in, jobs: jobs, names: names}, old)
	defer last.close()
	if err != nil {
		return report.Report{}, false, err
	}

	rep, err = s.write(ctx, last, old)
	if err != nil {
		return report.Report{}, false, err
	}

	return rep, rep.Written > 0, judge(rep, in.Strict)
}

// selection returns the names of the layers to write, in the workspace's order.
func selection(in BuildInput) ([]string, error) {
	all := in.Workspace.Names()
	if len(in.Layers) == 0 {
		return all, nil
	}

	for _, name := range in.Layers {
		if !slices.Contains(all, name) {
			return nil, fault.New(fault.BadInput, "build", name, errors.New("no such layer")).
				WithHint("layers here: " + strings.Join(all, ", "))
		}
	}

	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(in.Layers, name) }), nil
}

func pick(jobs []Job, names []string) []Job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j Job) bool { return !slices.Contains(names, j.Spec.Name) })
}

// round is one pass from jobs to probed layers. Healing starts another one.
type round struct {
	in     BuildInput
	jobs   []Job
	names  []string // of the layers that will be written, in the workspace's order
	plans  []Planned
	made   map[string]Made // all layers, by name
	tested map[string]Seen // the layers of names
}

func (r round) close() {
	for _, p := range r.plans {
		p.Artifact.Close()
	}
}

// stack is a layer with those below it, lowest first.
func (r round) stack(layer string) []Made {
	var out []Made
	for _, name := range append(r.in.Workspace.Below(layer), layer) {
		out = append(out, r.made[name])
	}

	return out
}

// proven makes and tests layers, and repeats that after healing has changed a keep list. The caller
// closes the round, also after an error.
func (s Build) proven(ctx context.Context, r round, old report.Report) (round, error) {
	h := newHealing(old)
	for {
		var err error
		if r, err = s.test(ctx, r, h.known); err != nil || s.Heal == nil {
			return r, err
		}

		next, more, err := s.heal(ctx, r, h)
		if err != nil || !more {
			return r, err
		}

		r.close()
		r = next
		if r.jobs, err = s.jobs(r.in); err != nil {
			return r, err
		}
	}
}

// test makes the layers of a round, and runs gate and probe.
func (s Build) test(ctx context.Context, r round, known map[string]report.Probe) (round, error) {
	var err error
	if r.plans, err = s.plan(ctx, r.in, r.jobs); err != nil {
		return r, err
	}

	if err := checkNames(r.in.Workspace, r.plans); err != nil {
		return r, err
	}

	made, err := s.maker().run(ctx, r.in.Workspace, r.plans)
	if err != nil {
		return r, err
	}

	if err := setKeys(r.in.Workspace, made); err != nil {
		return r, err
	}

	r.made = make(map[string]Made, len(made))
	for _, m := range made {
		r.made[m.Spec.Name] = m
	}

	if r.tested, err = s.gate(ctx, r); err != nil {
		return r, err
	}

	return r, s.probe(ctx, r, known)
}

// plan assembles the layers and decides about their files. The caller closes the plans, also after
// an error.
func (s Build) plan(ctx context.Context, in BuildInput, jobs []Job) ([]Planned, error) {
	assemble := Assemble{Wheels: s.Wheels, Cache: s.Cache}
	var plans []Planned
	for _, j := range jobs {
		a, err := assemble.Run(ctx, in.Lock.Target, j.Spec.Place(), j.Carries)
		if err != nil {
			return plans, err
		}

		p, err := j.Plan(a)
		p.Artifact = a
		plans = append(plans, p)
		if err == nil && in.Paranoid {
			err = verifyAll(ctx, a.Tree)
		}

		if err != nil {
			return plans, err
		}
	}

	return plans, nil
}

func (s Build) maker() maker {
	return maker{cache: s.Cache, python: s.Python, noPython: s.NoPython, progress: s.Progress}
}

// gate runs the static checks on the round's layers, each with those below it.
func (s Build) gate(ctx context.Context, r round) (map[string]Seen, error) {
	parts := map[string]gate.Part{}
	for name, m := range r.made {
		part, err := partOf(ctx, s.Cache, m)
		if err != nil {
			return nil, err
		}

		parts[name] = part
	}

	seen := map[string]Seen{}
	for _, name := range r.names {
		in := gate.Input{Target: r.in.Lock.Target, Part: parts[name]}
		for _, b := range r.in.Workspace.Below(name) {
			in.Below = append(in.Below, parts[b])
		}

		seen[name] = Seen{Interpreter: identity(s.Python), Gate: gate.Check(in)}
	}

	return seen, nil
}

// Inspect plans and prunes one layer, without bytecode, and writes nothing: what explain prints.
func (s Build) Inspect(
	ctx context.Context, l lock.Lock, ws workspace.Workspace, spec workspace.Layer,
) (prune.Pruned, error) {
	j, err := NewJob(spec, l.Carries(spec.Name, ws.Below(spec.Name)))
	if err != nil {
		return prune.Pruned{}, err
	}

	plans, err := s.plan(ctx, BuildInput{Lock: l}, []Job{j})
	defer round{plans: plans}.close()
	if err != nil {
		return prune.Pruned{}, err
	}

	m, err := plans[0].Make(ctx, s.Cache)
	return m.Pruned, err
}

// report is the report of the round's layers, and of layers that an earlier build made.
func (s Build) report(r round, old report.Report) report.Report {
	t := r.in.Lock.Target
	rep := report.Report{
		SchemaVersion: report.SchemaVersion,
		Tool:          s.Tool,
		Target:        t.String(),
		Lock:          digest.Of(r.in.Lock.Marshal()),
	}
	var built []report.Layer
	for _, name := range r.names {
		built = append(built, r.made[name].Report(r.tested[name]))
	}

	rep.Layers = merge(r.in.Workspace, built, old, t)
	return Judged(r.in.Workspace, rep)
}
