package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/heal"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// HealRuns is the largest number of runs of the interpreter to heal one layer. A file that the
// error names takes one run. A file that it does not name, among sixteen thousand files of ten
// rules, takes 26 runs on average and 36 at most. Two files among a thousand take as many.
const HealRuns = 40

// Heal makes a build repair what pruning broke. A job of the probe that fails on the pruned layer
// and passes on the unpruned one is run again with some files restored (see package heal). The
// files that it needs are added to the keep list in the layer.yaml of their layer, which may be one
// below. Then the layers are made again. Files that layer.yaml drops, or that a rule removes which
// layer.yaml switches on, are never restored.
type Heal struct {
	Now   Clock                                    // for the date in the reason
	Write func(name string, b []byte) error        // replaces a file of the workspace as a whole
	Told  func(layer string, healed report.Healed) // called for each entry after it is written; nil for none
	Runs  int                                      // limit for one layer; 0 for HealRuns
}

// healing is what earlier rounds of a build did.
type healing struct {
	healed map[string][]report.Healed // by the layer whose layer.yaml was written
	trials map[string]report.Healing  // by the layer whose probe failed
	jobs   map[string]bool            // layer, kind and name of what was healed
	known  map[string]report.Probe    // results of earlier builds and rounds, by layer
}

func newHealing(old report.Report) *healing {
	h := &healing{
		healed: map[string][]report.Healed{},
		trials: map[string]report.Healing{},
		jobs:   map[string]bool{},
		known:  map[string]report.Probe{},
	}
	for _, l := range old.Layers {
		h.known[l.Name] = l.Probe
	}

	return h
}

// errSpent ends a search at the limit of runs.
var errSpent = errors.New("the limit is reached")

// heal repairs layers whose probes failed because of pruning. more reports whether the layers have
// to be made again, in the round next.
func (s Build) heal(ctx context.Context, r round, done *healing) (next round, more bool, err error) {
	h := newHealer(s, r)
	for _, name := range r.names {
		if err := h.layer(ctx, name, done); err != nil {
			return round{}, false, err
		}
	}

	for _, name := range r.names {
		r.tested[name] = done.seen(name, r.tested[name])
	}

	if len(h.why) == 0 {
		return round{}, false, nil
	}

	next = round{in: r.in, names: r.names}
	next.in.Workspace.Layers = slices.Clone(r.in.Workspace.Layers)
	for i, l := range next.in.Workspace.Layers {
		if len(h.kept[l.Name]) == 0 {
			continue
		}

		healed, err := h.write(&next.in.Workspace.Layers[i], h.entries(r.made[l.Name], h.kept[l.Name]))
		if err != nil {
			return round{}, false, err
		}

		done.healed[l.Name] = append(done.healed[l.Name], healed...)
		if len(next.in.Layers) > 0 && !slices.Contains(next.in.Layers, l.Name) {
			// A layer below was not asked for, but its zip has to change.
			next.in.Layers = append(slices.Clone(next.in.Layers), l.Name)
		}
	}

	for _, name := range r.names {
		done.known[name] = r.tested[name].Probe
	}

	next.names, err = selection(next.in)
	return next, true, err
}

// seen adds what rounds of this build did to the results of a layer.
func (done *healing) seen(layer string, s Seen) Seen {
	s.Healed = done.healed[layer]
	if t, ok := done.trials[layer]; ok {
		s.Probe.Healing = &t
	}

	return s
}

func jobName(layer string, f probe.Result) string { return layer + " " + string(f.Kind) + " " + f.Name }

// pruningFailed are the failures that do not occur on the unpruned layer.
func pruningFailed(p report.Probe) []probe.Result {
	if p.Status != report.ProbeFailed {
		return nil
	}

	return slices.DeleteFunc(slices.Clone(p.Failures), func(f probe.Result) bool { return f.Inherited })
}

// healable reports whether an earlier build ended with a failure that it did not try to heal.
func (s Build) healable(in BuildInput, old report.Report, names []string) bool {
	return s.Heal != nil && s.Python != nil && in.NoProbe == "" && slices.ContainsFunc(names, func(name string) bool {
		i := indexOf(old.Layers, name)
		return i >= 0 && old.Layers[i].Probe.Healing == nil && len(pruningFailed(old.Layers[i].Probe)) > 0
	})
}

// healer finds what to restore in one round.
type healer struct {
	Build
	round   round
	kept    map[string][]heal.Removal // what this round restores, by layer
	why     map[heal.Removal]string   // the reason for each of kept
	results map[digest.SHA256]probe.Result
	trees   map[string]madeTree // the last trial of each layer
	task    Task
	runs    int
}

func newHealer(s Build, r round) *healer {
	s.Cache = &memory{Cache: s.Cache}
	return &healer{
		Build:   s,
		round:   r,
		kept:    map[string][]heal.Removal{},
		why:     map[heal.Removal]string{},
		results: map[digest.SHA256]probe.Result{},
		trees:   map[string]madeTree{},
	}
}

// layer heals one layer, unless an earlier round has failed to.
func (h *healer) layer(ctx context.Context, name string, done *healing) error {
	failed := pruningFailed(h.round.tested[name].Probe)
	last, tried := done.trials[name]
	again := slices.ContainsFunc(failed, func(f probe.Result) bool { return done.jobs[jobName(name, f)] })
	if again && last.Why == "" {
		last.Why = "what was restored made it pass, but it fails again on the finished layer"
		done.trials[name] = last
	}

	if len(failed) == 0 || tried && last.Why != "" {
		return nil
	}

	found, trial, err := h.jobs(ctx, name, failed, last.Runs)
	if err != nil {
		return err
	}

	done.trials[name] = trial
	for _, f := range failed {
		done.jobs[jobName(name, f)] = true
	}

	for _, n := range found {
		if _, known := h.why[n.Removal]; !known {
			h.why[n.Removal] = n.why
			h.kept[n.Layer] = append(h.kept[n.Layer], n.Removal)
		}
	}

	return nil
}

// needed is a removal to restore, and the reason.
type needed struct {
	heal.Removal
	why string
}

// jobs heals the failed jobs of one layer. runs is the number of runs that earlier rounds took. It
// returns what to restore, or why that does not help: when one job cannot be healed, nothing is
// restored for the layer.
func (h *healer) jobs(
	ctx context.Context, name string, failed []probe.Result, runs int,
) ([]needed, report.Healing, error) {
	h.runs = runs
	h.task = h.Progress.Start("heal "+name, int64(h.limit()), "runs")
	defer h.task.Done()

	m := h.round.made[name]
	var found []needed
	var restored []heal.Removal
	for _, f := range failed {
		more, trial, err := h.job(ctx, m, f, restored)
		trial.Runs = h.runs
		if err != nil || trial.Why != "" {
			return nil, trial, err
		}

		for _, r := range more {
			found = append(found, needed{r, because(f, m.Artifact.Place)})
		}

		restored = append(restored, more...)
	}

	return found, report.Healing{Runs: h.runs}, nil
}

func (h *healer) limit() int { return cmp.Or(h.Heal.Runs, HealRuns) }

// job finds the removals to restore for one job, beside have.
func (h *healer) job(
	ctx context.Context, m Made, f probe.Result, have []heal.Removal,
) ([]heal.Removal, report.Healing, error) {
	at := m.Artifact.Place
	s := heal.Search{
		Files:  h.undoable(m.Spec.Name),
		Prefix: at.Prefix,
		Mount:  place.LayerMount,
		Try: func(restored []heal.Removal) (heal.Answer, error) {
			r, err := h.try(ctx, m, f.Job, trial{restored: slices.Concat(have, restored)})
			return heal.Answer{Passed: r.OK, Detail: r.Detail}, err
		},
	}

	if len(have)+len(h.kept) > 0 { // what an earlier job needed may be enough
		a, err := s.Try(nil)
		if errors.Is(err, errSpent) {
			return nil, h.spent(f, ""), nil
		}

		if err != nil || a.Passed {
			return nil, report.Healing{}, err
		}
	}

	found, err := s.Find(f.Detail)
	if err == nil && found.Failed == heal.NotRules {
		var t report.Healing
		t, err = h.diagnose(ctx, m, f.Job, slices.Concat(have, found.Rules))
		if err == nil {
			return nil, t, nil
		}
	}

	if errors.Is(err, errSpent) {
		return nil, h.spent(f, found.Tried), nil
	}

	if found.Failed == heal.NotFiles {
		return nil, report.Healing{Why: fmt.Sprintf("%s %s passes without %s, but not with their files kept",
			f.Kind, f.Name, heal.List(found.Rules))}, err
	}

	return found.Needed, report.Healing{}, err
}

// spent is the result of a search that reached the limit of runs.
func (h *healer) spent(f probe.Result, tried string) report.Healing {
	return report.Healing{Why: fmt.Sprintf("%s %s: the limit of %s of the interpreter is reached; %s",
		f.Kind, f.Name, report.Count(h.limit(), "run"), tried)}
}

// undoable is what the default rules removed or changed in a stack, file by file.
func (h *healer) undoable(layer string) []heal.Removal {
	var out []heal.Removal
	for _, m := range h.round.stack(layer) {
		for _, o := range m.Pruned.Decisions {
			if m.undoable(o) {
				out = append(out, heal.Removal{Layer: m.Spec.Name, Rule: o.Rule, Site: o.Site})
			}
		}
	}

	return out
}

// undoable reports whether a default rule removed or changed a file. Bytecode whose source is in
// the artifact is restored with its source, and not by itself.
func (m Made) undoable(o prune.Applied) bool {
	byDefault := func(r policy.Rule) bool { return r.ID == o.Rule && r.Default && r.Select == nil }
	if o.Fate == prune.Kept || !slices.ContainsFunc(m.Policy.Rules(), byDefault) {
		return false
	}

	if source, ok := pyc.Source(o.Site); ok {
		_, there := m.Artifact.Tree.Lookup(m.Artifact.Place.Prefix + source)
		return !there
	}

	return true
}

// because is the reason in layer.yaml: which job fails, and where if that is in the layer.
func because(f probe.Result, at place.Place) string {
	what := fmt.Sprintf("%s %s fails without it", f.Kind, f.Name)
	if f.Kind == probe.Module {
		what = fmt.Sprintf("import %s fails without it", f.Name)
	}

	if site, line, ok := raisedIn(f.Detail, at); ok {
		what += fmt.Sprintf(" (%s:%s)", site, line)
	}

	return what
}

// madeTree is a layer with something restored; of describes what.
type madeTree struct {
	of   string
	tree ziptree.Tree
}
