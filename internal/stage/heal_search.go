package stage

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// job finds the fewest removals that one job cannot do without, beside what is restored already.
func (h *healer) job(
	ctx context.Context,
	w *work,
	f probe.Result,
	have []removal,
) (found []removal, trial report.Healing, err error) {
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
	for _, by := range []func(removal) string{
		func(r removal) string { return path.Dir(r.site) },
		func(r removal) string { return r.site },
	} {
		h.tried = fmt.Sprintf("it needs some of %d files of %s", len(found), list(rules))
		if ok, err := passes(found); err != nil || !ok {
			return nil, report.Healing{
				Why: fmt.Sprintf("%s %s passes without %s, but not with their files kept", f.Kind, f.Name, list(rules)),
			}, err
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

// diagnose says why a job fails though everything that rules did is undone: what layer.yaml chose,
// or the form of its bytecode.
func (h *healer) diagnose(ctx context.Context, w *work, j probe.Job, restored []removal) (report.Healing, error) {
	t := report.Healing{
		Why: fmt.Sprintf("%s %s fails even with all restored that %s removed or changed", j.Kind, j.Name,
			list(restored)),
	}
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
			t.Cause = "it needs the sources, docstrings or asserts that " + strings.Join(modes,
				", ") + " takes away; set bytecode: unchecked-hash or auto there"
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

		for name, said := range map[string]bool{
			"services":  len(p.Services) > 0,
			"modules":   len(p.Modules) > 0,
			"languages": len(p.Languages) > 0,
		} {
			if said {
				out = append(out, name)
			}
		}
	}

	sort.Strings(out)
	return slices.Compact(out)
}

// smallest finds removals among units that pass together with fixed, and do not when one unit is
// taken away. All units together are known to pass, none of them to fail. It halves: one run where
// the first half is enough, two where it is not. That more restored never breaks a job is taken for
// granted.
func smallest(passes func([]removal) (bool, error), fixed []removal, units [][]removal) ([]removal, error) {
	if len(units) == 1 {
		return units[0], nil
	}

	left := units[:len(units)/2]
	right := units[len(units)/2:]
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
			i = len(out)
			at[k] = len(out)
			out = append(out, nil)
		}

		out[i] = append(out[i], r)
	}

	return out
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

// named are the removals that the last line of an error names: a file, a module with its package,
// or all below a folder.
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
				case rest == "",
					rest[0] == '.' && !strings.Contains(rest, "/"),
					path.Dir(rest) == "/" && strings.HasPrefix(rest, "/__init__."):
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
