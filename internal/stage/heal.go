package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
)

// HealRuns is how often the interpreter is run to heal one layer. One file that the error names
// takes one run; one that it does not name is found among sixteen thousand in ten rules with 26 on
// average and 36 at worst, two of them among a thousand.
const HealRuns = 40

// Heal lets a build repair what pruning broke. A job of the probe that fails on the pruned layer
// and passes on the unpruned one is tried with more or less restored: first what the error names;
// if that is not enough, all that the rules did, then rules, folders and files by halving. What
// cannot be spared goes into keep of layer.yaml, in the layer of the stack that had it, and the
// build begins again. What layer.yaml itself drops, or leaves out by rules that it switched on, is
// never restored.
type Heal struct {
	Now   Clock                                    // for the date in the reason
	Write func(name string, b []byte) error        // replaces a file of the workspace as a whole
	Told  func(layer string, healed report.Healed) // hears of each entry once it is written; nil for nobody
	Runs  int                                      // of the interpreter for one layer; 0 for HealRuns
}

// healing is what earlier rounds of the same build did.
type healing struct {
	healed map[string][]report.Healed // by the layer whose layer.yaml was written
	trials map[string]report.Healing  // by the layer whose probe failed
	jobs   map[string]bool            // layer, kind and name of what was healed
	probed []report.Layer             // results of layers that the next round need not ask again
}

// ruleIn is one rule at work in one layer.
type ruleIn struct{ layer, rule string }

// removal is something that a rule did in a layer: to one file, or to all of them when site is "".
type removal struct {
	ruleIn
	site string
}

// errSpent says that the interpreter was run as often as it may be.
var errSpent = errors.New("the limit is reached")

// heal repairs layers whose probes failed for what pruning removed. It returns the build that has
// to follow, nil for none: nothing failed, or nothing helped.
func (s Build) heal(ctx context.Context, in BuildInput, works, all []*work) (*BuildInput, error) {
	if in.healing == nil {
		in.healing = &healing{
			healed: map[string][]report.Healed{},
			trials: map[string]report.Healing{},
			jobs:   map[string]bool{},
		}
	}

	h := &healer{
		Build:   s,
		in:      in,
		works:   map[string]*work{},
		kept:    map[string][]removal{},
		cache:   &memory{Cache: s.Cache},
		results: map[digest.SHA256]probe.Result{},
		trees:   map[string]madeTree{},
	}
	h.Cache = h.cache
	for _, w := range all {
		h.works[w.spec.Name] = w
	}

	why := map[removal]string{}
	for _, w := range works {
		failed := ours(w.report.Probe)
		last, tried := in.healing.trials[w.spec.Name]
		again := slices.ContainsFunc(failed, func(f probe.Result) bool { return in.healing.jobs[jobName(w, f)] })
		if again && last.Why == "" {
			last.Why = "what was restored made it pass, but it fails again on the finished layer"
			in.healing.trials[w.spec.Name] = last
		}

		if len(failed) == 0 || tried && last.Why != "" {
			continue
		}

		found, trial, err := h.layer(ctx, w, failed, last.Runs)
		if err != nil {
			return nil, err
		}

		in.healing.trials[w.spec.Name] = trial
		for _, f := range failed {
			in.healing.jobs[jobName(w, f)] = true
		}

		for _, r := range found {
			if _, known := why[r.removal]; !known {
				why[r.removal] = r.why
				h.kept[r.layer] = append(h.kept[r.layer], r.removal)
			}
		}
	}

	for _, w := range works {
		w.healed(in.healing)
	}

	if len(why) == 0 {
		return nil, nil
	}

	next := in
	next.Workspace.Layers = slices.Clone(in.Workspace.Layers)
	for i, l := range next.Workspace.Layers {
		if len(h.kept[l.Name]) == 0 {
			continue
		}

		healed, err := h.write(&next.Workspace.Layers[i], h.entries(h.works[l.Name], h.kept[l.Name], why))
		if err != nil {
			return nil, err
		}

		in.healing.healed[l.Name] = append(in.healing.healed[l.Name], healed...)
		if len(next.Layers) > 0 && !slices.Contains(next.Layers, l.Name) {
			next.Layers = append(slices.Clone(next.Layers),
				l.Name) // the layer below was not asked for, but its zip has to change
		}
	}

	in.healing.probed = nil
	for _, w := range works {
		in.healing.probed = append(in.healing.probed, w.report)
	}

	next.Rebuild = true
	return &next, nil
}

// healed copies what rounds of this build did into the layer's report.
func (w *work) healed(done *healing) {
	w.report.Healed = done.healed[w.spec.Name]
	if t, ok := done.trials[w.spec.Name]; ok {
		w.report.Probe.Healing = &t
	}
}

func jobName(w *work, f probe.Result) string {
	return w.spec.Name + " " + string(f.Kind) + " " + f.Name
}

// ours are the failures that pruning is at fault for.
func ours(p report.Probe) []probe.Result {
	if p.Status != report.ProbeFailed {
		return nil
	}

	return slices.DeleteFunc(slices.Clone(p.Failures), func(f probe.Result) bool { return f.Inherited })
}

// healable reports whether an earlier build ended with a failure that it did not try to heal.
func (s Build) healable(in BuildInput, old report.Report, works []*work) bool {
	return s.Heal != nil && s.Python != nil && !in.NoProbe && slices.ContainsFunc(works, func(w *work) bool {
		i := indexOf(old.Layers, w.spec.Name)
		return i >= 0 && old.Layers[i].Probe.Healing == nil && len(ours(old.Layers[i].Probe)) > 0
	})
}

// healer finds what to restore.
type healer struct {
	Build
	in      BuildInput
	works   map[string]*work
	kept    map[string][]removal // what is restored already, by layer
	results map[digest.SHA256]probe.Result
	trees   map[string]madeTree // the last one of each layer
	cache   *memory
	task    Task
	runs    int
	tried   string // what the bisection is at, for when it has to end
}

// layer heals one layer, for which the interpreter was run already as often as runs says: what to
// restore, each with its reason, or why that does not help. Nothing is restored for the layer when
// one of its jobs cannot be healed.
func (h *healer) layer(
	ctx context.Context,
	w *work,
	failed []probe.Result,
	runs int,
) ([]needed, report.Healing, error) {
	h.runs = runs
	h.tried = ""
	h.task = h.Progress.Start("heal "+w.spec.Name, int64(h.limit()), "runs")
	defer h.task.Done()
	var found []needed
	var chosen []removal
	for _, f := range failed {
		restored, trial, err := h.job(ctx, w, f, chosen)
		switch {
		case errors.Is(err, errSpent):
			why := fmt.Sprintf("%s %s: the limit of %s of the interpreter is reached; %s", f.Kind, f.Name,
				count(h.limit(), "run"), h.tried)
			return nil, report.Healing{Runs: h.runs, Why: why}, nil
		case err != nil:
			return nil, report.Healing{}, err
		case trial.Why != "":
			trial.Runs = h.runs
			return nil, trial, nil
		}

		for _, r := range restored {
			found = append(found, needed{r, because(f, w.artifact.Place.Prefix)})
		}

		chosen = append(chosen, restored...)
	}

	return found, report.Healing{Runs: h.runs}, nil
}

func (h *healer) limit() int { return cmp.Or(h.Heal.Runs, HealRuns) }

// because says what fails, and where when that is in the layer: it goes into layer.yaml.
func because(f probe.Result, prefix string) string {
	what := fmt.Sprintf("%s %s fails without it", f.Kind, f.Name)
	if f.Kind == probe.Module {
		what = fmt.Sprintf("import %s fails without it", f.Name)
	}

	if site, line, ok := raisedIn(f.Detail, prefix); ok {
		what += fmt.Sprintf(" (%s:%s)", site, line)
	}

	return what
}

// stack is the layer with those below it, lowest first.
func (h *healer) stack(w *work) []*work {
	var out []*work
	for _, name := range append(h.in.Workspace.Below(w.spec.Name), w.spec.Name) {
		out = append(out, h.works[name])
	}

	return out
}

// undoable reports whether pruning did something to a file that the user did not ask for. Bytecode
// whose source is there follows the source.
func (w *work) undoable(o prune.Outcome) bool {
	if o.Fate == prune.Kept ||
		!slices.ContainsFunc(w.policy.Rules(),
			func(r policy.Rule) bool { return r.ID == o.Rule && r.Default && r.Select == nil }) {
		return false
	}

	if source, ok := pyc.Source(o.Site); ok {
		_, there := w.artifact.Tree.Lookup(w.artifact.Place.Prefix + source)
		return !there
	}

	return true
}

// What an error says is missing: a path in the layers, a module, a name in a module.
var (
	namedPath   = regexp.MustCompile(`/opt/([^'":\n]+)`)
	namedModule = regexp.MustCompile(`'([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)'`)
	namedGone   = regexp.MustCompile(`No module named '([\w.]+)'`)
	namedImport = regexp.MustCompile(`cannot import name '(\w+)' from '([\w.]+)'`)
)

// known adds to an earlier report what the probe said before the build began again.
func (in BuildInput) known(old report.Report) report.Report {
	if in.healing == nil {
		return old
	}

	old.Layers = slices.DeleteFunc(slices.Clone(old.Layers),
		func(l report.Layer) bool { return indexOf(in.healing.probed, l.Name) >= 0 })
	old.Layers = append(old.Layers, in.healing.probed...)
	return old
}
