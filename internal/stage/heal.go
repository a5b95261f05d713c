package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// HealRuns is how often the interpreter is run to heal one layer. One file that the error names takes one run; one that it does not name is found among sixteen thousand
// in ten rules with 26 on average and 36 at worst, two of them among a thousand.
const HealRuns = 40

// Heal lets a build repair what pruning broke. A job of the probe that fails on the pruned layer and passes on the unpruned one is tried with more or less restored: first
// what the error names; if that is not enough, all that the rules did, then rules, folders and files by halving. What cannot be spared goes into keep of layer.yaml, in the
// layer of the stack that had it, and the build begins again. What layer.yaml itself drops, or leaves out by rules that it switched on, is never restored.
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

// heal repairs layers whose probes failed for what pruning removed. It returns the build that has to follow, nil for none: nothing failed, or nothing helped.
func (s Build) heal(ctx context.Context, in BuildInput, works, all []*work) (*BuildInput, error) {
	if in.healing == nil {
		in.healing = &healing{healed: map[string][]report.Healed{}, trials: map[string]report.Healing{}, jobs: map[string]bool{}}
	}
	h := &healer{Build: s, in: in, works: map[string]*work{}, kept: map[string][]removal{}, cache: &memory{Cache: s.Cache},
		results: map[digest.SHA256]probe.Result{}, trees: map[string]madeTree{}}
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
			next.Layers = append(slices.Clone(next.Layers), l.Name) // the layer below was not asked for, but its zip has to change
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

// madeTree is a layer with something restored, and what that was.
type madeTree struct {
	of   string
	tree ziptree.Tree
}

// needed is a removal that a job cannot do without.
type needed struct {
	removal
	why string
}

// layer heals one layer, for which the interpreter was run already as often as runs says: what to restore, each with its reason, or why that does not help. Nothing is
// restored for the layer when one of its jobs cannot be healed.
func (h *healer) layer(ctx context.Context, w *work, failed []probe.Result, runs int) ([]needed, report.Healing, error) {
	h.runs, h.tried = runs, ""
	h.task = h.Progress.Start("heal "+w.spec.Name, int64(h.limit()), "runs")
	defer h.task.Done()
	var found []needed
	var chosen []removal
	for _, f := range failed {
		restored, trial, err := h.job(ctx, w, f, chosen)
		switch {
		case errors.Is(err, errSpent):
			why := fmt.Sprintf("%s %s: the limit of %s of the interpreter is reached; %s", f.Kind, f.Name, count(h.limit(), "run"), h.tried)
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

// job finds the fewest removals that one job cannot do without, beside what is restored already.
func (h *healer) job(ctx context.Context, w *work, f probe.Result, have []removal) (found []removal, trial report.Healing, err error) {
	try := func(more []removal) (probe.Result, error) {
		return h.try(ctx, w, f.Job, append(slices.Clone(have), more...), false)
	}
	passes := func(more []removal) (bool, error) {
		r, err := try(more)
		return r.OK, err
	}
	stack := h.stack(w)
	if len(have)+len(h.kept) > 0 { // an earlier job may have needed the same
		if r, err := try(nil); err != nil || r.OK {
			return nil, trial, err
		}
	}
	// What the error names, which may lead to the next error, and so on.
	h.tried = "tried what the error names"
	var guessed []removal
	for detail := f.Detail; ; {
		more := slices.DeleteFunc(h.named(stack, detail), func(r removal) bool { return slices.Contains(guessed, r) })
		if len(more) == 0 {
			break
		}
		guessed = append(guessed, more...)
		r, err := try(guessed)
		if err != nil {
			return nil, trial, err
		}
		if r.OK {
			found, err = smallest(passes, nil, units(guessed, func(r removal) string { return r.site }))
			return found, trial, err
		}
		detail = r.Detail
	}
	// Rules, then folders, then files.
	rules := h.rules(stack)
	h.tried = "tried all rules: " + list(rules)
	ok, err := passes(rules)
	if err != nil {
		return nil, trial, err
	}
	if !ok {
		trial, err = h.diagnose(ctx, w, f.Job, append(slices.Clone(have), rules...))
		return nil, trial, err
	}
	rules, err = smallest(passes, nil, units(rules, func(r removal) string { return r.layer + "\x00" + r.rule }))
	if err != nil {
		return nil, trial, err
	}
	found = h.files(rules)
	for _, by := range []func(removal) string{func(r removal) string { return path.Dir(r.site) }, func(r removal) string { return r.site }} {
		h.tried = fmt.Sprintf("it needs some of %d files of %s", len(found), list(rules))
		if ok, err := passes(found); err != nil || !ok {
			return nil, report.Healing{Why: fmt.Sprintf("%s %s passes without %s, but not with their files kept", f.Kind, f.Name, list(rules))}, err
		}
		if found, err = smallest(passes, nil, units(found, by)); err != nil {
			return nil, trial, err
		}
	}
	return found, trial, nil
}

// list names rules, each once.
func list(rs []removal) string {
	var names []string
	for _, r := range rs {
		if !slices.Contains(names, r.rule) {
			names = append(names, r.rule)
		}
	}
	if len(names) == 1 {
		return "rule " + names[0]
	}
	return "rules " + strings.Join(names, ", ")
}

// diagnose says why a job fails though everything that rules did is undone: what layer.yaml chose, or the form of its bytecode.
func (h *healer) diagnose(ctx context.Context, w *work, j probe.Job, restored []removal) (report.Healing, error) {
	t := report.Healing{Why: fmt.Sprintf("%s %s fails even with all restored that %s removed or changed", j.Kind, j.Name, list(restored))}
	plain, err := h.try(ctx, w, j, restored, true)
	if err != nil {
		return t, err
	}
	if plain.OK {
		var modes []string
		for _, l := range h.stack(w) {
			if l.mode == workspace.Sourceless || l.mode == workspace.Lean {
				modes = append(modes, fmt.Sprintf("bytecode: %s in %s/layer.yaml", l.mode, l.spec.Name))
			}
		}
		t.Cause = "it passes without bytecode: set bytecode: none in " + w.spec.Name + "/layer.yaml"
		if len(modes) > 0 {
			t.Cause = "it needs the sources, docstrings or asserts that " + strings.Join(modes, ", ") + " takes away; set bytecode: unchecked-hash or auto there"
		}
		return t, nil
	}
	said := cmp.Or(strings.Join(h.choices(w), ", "), "nothing is said there")
	t.Cause = "it passes unpruned only: something that layer.yaml itself drops or leaves out (" + said + ") is needed"
	return t, nil
}

// choices are the keys of the stack's layer.yaml files that leave something out.
func (h *healer) choices(w *work) []string {
	var out []string
	for _, l := range h.stack(w) {
		p := l.spec.Policy
		for _, c := range p.Drop {
			out = append(out, "drop "+c.Match)
		}
		for _, id := range sortedKeys(p.Rules) {
			if p.Rules[id].Enabled {
				out = append(out, "rule "+id)
			}
		}
		for name, said := range map[string]bool{"services": len(p.Services) > 0, "modules": len(p.Modules) > 0, "languages": len(p.Languages) > 0} {
			if said {
				out = append(out, name)
			}
		}
	}
	sort.Strings(out)
	return slices.Compact(out)
}

// smallest finds removals among units that pass together with fixed, and do not when one unit is taken away. All units together are known to pass, none of them to fail. It
// halves: one run where the first half is enough, two where it is not. That more restored never breaks a job is taken for granted.
func smallest(passes func([]removal) (bool, error), fixed []removal, units [][]removal) ([]removal, error) {
	if len(units) == 1 {
		return units[0], nil
	}
	left, right := units[:len(units)/2], units[len(units)/2:]
	for _, half := range [][][]removal{left, right} {
		ok, err := passes(slices.Concat(fixed, slices.Concat(half...)))
		if err != nil {
			return nil, err
		}
		if ok {
			return smallest(passes, fixed, half)
		}
	}
	of, err := smallest(passes, slices.Concat(fixed, slices.Concat(left...)), right)
	if err != nil {
		return nil, err
	}
	more, err := smallest(passes, slices.Concat(fixed, of), left)
	return slices.Concat(more, of), err
}

// units groups removals that are restored together. The order is that of the removals.
func units(rs []removal, by func(removal) string) [][]removal {
	var out [][]removal
	at := map[string]int{}
	for _, r := range rs {
		k := r.layer + "\x00" + by(r)
		i, ok := at[k]
		if !ok {
			i, at[k] = len(out), len(out)
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// stack is the layer with those below it, lowest first.
func (h *healer) stack(w *work) []*work {
	var out []*work
	for _, name := range append(h.in.Workspace.Below(w.spec.Name), w.spec.Name) {
		out = append(out, h.works[name])
	}
	return out
}

// undoable reports whether pruning did something to a file that the user did not ask for. Bytecode whose source is there follows the source.
func (w *work) undoable(o prune.Outcome) bool {
	if o.Fate == prune.Kept || !slices.ContainsFunc(w.policy.Rules(), func(r policy.Rule) bool { return r.ID == o.Rule && r.Default && r.Select == nil }) {
		return false
	}
	if source, ok := pyc.Source(o.Site); ok {
		_, there := w.artifact.Tree.Lookup(w.artifact.Place.Prefix + source)
		return !there
	}
	return true
}

// rules are all rules that did something in the stack, as removals.
func (h *healer) rules(stack []*work) []removal {
	var out []removal
	for _, w := range stack {
		for _, o := range w.pruned.Decisions {
			r := removal{ruleIn: ruleIn{w.spec.Name, o.Rule}}
			if w.undoable(o) && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].rule < out[j].rule })
	return out
}

// files are what rules did, one by one.
func (h *healer) files(rules []removal) []removal {
	var out []removal
	for _, r := range rules {
		w := h.works[r.layer]
		for _, o := range w.pruned.Decisions {
			if o.Rule == r.rule && w.undoable(o) {
				out = append(out, removal{r.ruleIn, o.Site})
			}
		}
	}
	return out
}

// What an error says is missing: a path in the layers, a module, a name in a module.
var (
	namedPath   = regexp.MustCompile(`/opt/([^'":\n]+)`)
	namedModule = regexp.MustCompile(`'([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)'`)
	namedGone   = regexp.MustCompile(`No module named '([\w.]+)'`)
	namedImport = regexp.MustCompile(`cannot import name '(\w+)' from '([\w.]+)'`)
)

// named are the removals that the last line of an error names: a file, a module with its package, or all below a folder.
func (h *healer) named(stack []*work, detail string) []removal {
	line := lastLine(detail)
	var paths []string
	for _, m := range namedPath.FindAllStringSubmatch(line, -1) {
		if site, ok := strings.CutPrefix(m[1], LayerPlace.Prefix); ok {
			paths = append(paths, path.Clean(strings.TrimRight(site, ")]>,. ")))
		}
	}
	for _, names := range []*regexp.Regexp{namedGone, namedModule} {
		for _, m := range names.FindAllStringSubmatch(line, -1) {
			paths = append(paths, strings.ReplaceAll(m[1], ".", "/"))
		}
	}
	for _, m := range namedImport.FindAllStringSubmatch(line, -1) {
		paths = append(paths, strings.ReplaceAll(m[2]+"."+m[1], ".", "/"))
	}
	var files, below []removal
	for _, w := range stack {
		for _, o := range w.pruned.Decisions {
			if !w.undoable(o) {
				continue
			}
			r := removal{ruleIn{w.spec.Name, o.Rule}, o.Site}
			for _, p := range paths {
				rest, ok := strings.CutPrefix(o.Site, p)
				switch {
				case !ok || slices.Contains(files, r) || slices.Contains(below, r):
				// The file, the module whatever its ending, the package.
				case rest == "", rest[0] == '.' && !strings.Contains(rest, "/"), path.Dir(rest) == "/" && strings.HasPrefix(rest, "/__init__."):
					files = append(files, r)
				case rest[0] == '/':
					below = append(below, r)
				}
			}
		}
	}
	if len(files) > 0 {
		return files
	}
	return below
}

// try runs one job on a layer's stack with something restored, unless that was tried before. plain leaves bytecode out of it.
func (h *healer) try(ctx context.Context, w *work, j probe.Job, restored []removal, plain bool) (probe.Result, error) {
	var trees []ziptree.Tree
	said := []any{j.Kind, j.Name, j.Source}
	for _, l := range h.stack(w) {
		mine := slices.DeleteFunc(append(slices.Clone(h.kept[l.spec.Name]), restored...), func(r removal) bool { return r.layer != l.spec.Name })
		t, err := h.tree(ctx, l, mine, plain)
		if err != nil {
			return probe.Result{}, err
		}
		trees, said = append(trees, t), append(said, contentOf(t))
	}
	key, err := digest.Canonical("layersmith/heal/v1", said)
	if err != nil {
		return probe.Result{}, err
	}
	if r, ok := h.results[key]; ok {
		return r, nil
	}
	if h.runs >= h.limit() {
		return probe.Result{}, errSpent
	}
	h.runs++
	mount, unmount, err := h.Mounts.Mount(ctx, trees, true)
	if err != nil {
		return probe.Result{}, err
	}
	defer unmount()
	results, err := h.Python.Probe(ctx, mount, []probe.Job{asked(j)}, func() { h.task.Add(1) })
	if err != nil {
		return probe.Result{}, err
	}
	r := results[0]
	if m := r.Missing(); !r.OK && m != "" && w.chosen(m) {
		r.OK = true // the probe skips it: the layer chose to leave that out
	}
	h.results[key] = r
	return r, nil
}

// tree is a layer with something restored, made the way a build makes it: rules off, or files in the keep list.
func (h *healer) tree(ctx context.Context, w *work, restored []removal, plain bool) (ziptree.Tree, error) {
	if len(restored) == 0 && !plain {
		return w.pruned.Tree, nil
	}
	of := fmt.Sprint(plain, restored)
	if t := h.trees[w.spec.Name]; t.of == of {
		return t.tree, nil
	}
	book, err := policy.Builtin()
	if err != nil {
		return ziptree.Tree{}, err
	}
	settings := w.spec.Policy
	settings.Rules = map[string]policy.Switch{}
	for id, sw := range w.spec.Policy.Rules {
		settings.Rules[id] = sw
	}
	settings.Keep = slices.Clone(settings.Keep)
	for _, r := range restored {
		if r.site == "" {
			settings.Rules[r.rule] = policy.Switch{}
		} else {
			settings.Keep = append(settings.Keep, policy.Choice{Match: literally(r.site)})
		}
	}
	pol, err := policy.New(book, settings)
	if err != nil {
		return ziptree.Tree{}, err
	}
	p, err := prune.NewPlan(w.artifact.input(), pol)
	if err != nil {
		return ziptree.Tree{}, err
	}
	if !plain && w.mode != workspace.NoBytecode {
		bytecode := w.bytecode
		if w.mode != workspace.UncheckedHash { // whether the source is there, and what it says, depends on the bytecode
			a := Assemble{Wheels: h.Wheels, Cache: h.cache, Python: h.Python}
			if bytecode, _, err = a.Bytecode(ctx, p, w.artifact.Place, w.mode, idleTask{}); err != nil {
				return ziptree.Tree{}, err
			}
		}
		if p, err = p.WithBytecode(bytecode, w.mode == workspace.Sourceless); err != nil {
			return ziptree.Tree{}, err
		}
	}
	pruned, err := prune.Apply(ctx, p, h.cache)
	if err != nil {
		return ziptree.Tree{}, err
	}
	h.trees[w.spec.Name] = madeTree{of, pruned.Tree}
	return pruned.Tree, nil
}

type idleTask struct{}

func (idleTask) Add(int64) {}
func (idleTask) Done()     {}

// literally is a glob that matches one name only.
func literally(name string) string {
	var b strings.Builder
	for _, c := range name {
		if strings.ContainsRune(`*?[]{}\`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// keptFiles is one entry of a keep list that is to be.
type keptFiles struct {
	match string
	files []removal
}

// fewestInFolder is how many files make one entry for their folder, when nothing else is in it.
const fewestInFolder = 3

// entries are what to write for a layer: a file each, or a folder all of which is needed.
func (h *healer) entries(w *work, rs []removal, why map[removal]string) []report.Healed {
	sort.Slice(rs, func(i, j int) bool { return rs[i].site < rs[j].site })
	need := map[string]bool{}
	for _, r := range rs {
		need[r.site] = true
	}
	other := map[string]bool{} // folders that hold something else too
	sizes := map[string]int64{}
	for _, o := range w.pruned.Decisions {
		sizes[o.Site] = o.Entry.Size
		if source, isBytecode := pyc.Source(o.Site); need[o.Site] || isBytecode && need[source] {
			continue
		}
		for dir := path.Dir(o.Site); dir != "." && dir != "/"; dir = path.Dir(dir) {
			other[dir] = true
		}
	}
	var groups []keptFiles
	at := map[string]int{}
	for _, r := range rs {
		folder := ""
		for dir := path.Dir(r.site); dir != "." && dir != "/" && !other[dir]; dir = path.Dir(dir) {
			folder = dir
		}
		if i, ok := at[folder]; ok && folder != "" {
			groups[i].files = append(groups[i].files, r)
			continue
		}
		at[folder] = len(groups)
		groups = append(groups, keptFiles{literally(folder) + "/**", []removal{r}})
	}
	var out []report.Healed
	for _, g := range groups {
		parts := []keptFiles{g}
		if len(g.files) < fewestInFolder {
			parts = nil
			for _, r := range g.files {
				parts = append(parts, keptFiles{literally(r.site), []removal{r}})
			}
		}
		for _, p := range parts {
			e := report.Healed{Match: p.match, Files: len(p.files), Why: why[p.files[0]], File: w.spec.Name + "/layer.yaml"}
			for _, r := range p.files {
				e.Bytes += measure.Bytes(sizes[r.site])
				if !slices.Contains(e.Rules, r.rule) {
					e.Rules = append(e.Rules, r.rule)
				}
			}
			e.Reason = e.Why + "; healed " + h.Heal.Now().UTC().Format("2006-01-02")
			out = append(out, e)
		}
	}
	return out
}

// write puts entries into the layer's keep list, in its file and in memory.
func (h *healer) write(l *workspace.Layer, entries []report.Healed) ([]report.Healed, error) {
	file := l.Name + "/layer.yaml"
	read := func(name string) ([]byte, error) {
		b, err := h.in.ReadProbe(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return b, err
	}
	text, err := read(file)
	if err != nil {
		return nil, &fault.Error{Code: fault.BadInput, Op: "read", Subject: file, Err: err}
	}
	var script []byte
	if l.Probe != "" {
		if script, err = read(l.Probe); err != nil {
			return nil, &fault.Error{Code: fault.BadInput, Op: "read", Subject: l.Probe, Err: err}
		}
	}
	var add []policy.Choice
	for _, e := range entries {
		add = append(add, policy.Choice{Match: e.Match, Reason: e.Reason})
	}
	healed, text, err := l.WithKeep(text, script, add)
	if errors.Is(err, workspace.ErrChanged) {
		return nil, &fault.Error{Code: fault.BadInput, Op: "heal", Subject: file, Err: err, Hint: "build again; nothing was written"}
	}
	if err != nil {
		return nil, &fault.Error{Code: fault.BadInput, Op: "heal", Subject: file, Err: err, Hint: "add the entries by hand, or build with --no-heal"}
	}
	if err := h.Heal.Write(file, text); err != nil {
		return nil, &fault.Error{Code: fault.BadInput, Op: "write", Subject: file, Err: err, Hint: "make it writable, or build with --no-heal"}
	}
	*l = healed
	for _, e := range entries {
		if h.Heal.Told != nil {
			h.Heal.Told(l.Name, e)
		}
	}
	return entries, nil
}

// memory is a cache whose packs are opened once: a trial opens the same ones as the trial before.
type memory struct {
	Cache
	mu    sync.Mutex
	packs map[string]ziptree.Tree
}

func (m *memory) Load(ctx context.Context, key string) (ziptree.Tree, error) {
	m.mu.Lock()
	t, ok := m.packs[key]
	m.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := m.Cache.Load(ctx, key)
	return m.keep(key, t, err)
}

func (m *memory) Store(ctx context.Context, key string, write func(add func(ziptree.Entry) error) error) (ziptree.Tree, error) {
	t, err := m.Cache.Store(ctx, key, write)
	return m.keep(key, t, err)
}

func (m *memory) keep(key string, t ziptree.Tree, err error) (ziptree.Tree, error) {
	if err != nil {
		return t, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.packs == nil {
		m.packs = map[string]ziptree.Tree{}
	}
	m.packs[key] = t
	return t, nil
}

// probeHint says what to do about a failure.
func probeHint(l report.Layer, f probe.Result) string {
	if f.Inherited {
		from := "the package"
		if c := l.Probe.Cause(f); c != "" {
			from = c
		}
		return "it fails on the unpruned layer too: " + from + ", or a requirement that it does not declare, is at fault"
	}
	if h := l.Probe.Healing; h != nil && h.Cause != "" {
		return h.Cause
	}
	hint := "run: layersmith explain on the file that is missing, and keep it in " + l.Name + "/layer.yaml"
	switch l.Bytecode.Mode {
	case string(workspace.Sourceless):
		hint += "; if it reads sources (inspect.getsource), docstrings or asserts, bytecode: sourceless is the cause"
	case string(workspace.Lean):
		hint += "; if it needs docstrings or asserts, bytecode: lean is the cause"
	}
	return hint
}

// known adds to an earlier report what the probe said before the build began again.
func (in BuildInput) known(old report.Report) report.Report {
	if in.healing == nil {
		return old
	}
	old.Layers = slices.DeleteFunc(slices.Clone(old.Layers), func(l report.Layer) bool { return indexOf(in.healing.probed, l.Name) >= 0 })
	old.Layers = append(old.Layers, in.healing.probed...)
	return old
}
