package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) explainCommand() *cobra.Command {
	var layer string
	c := &cobra.Command{
		Use:   "explain FILE_OR_PACKAGE [ZIP_OR_FOLDER]",
		Short: "Say why a file or package is kept, removed or changed",
		Long: `Say why a file, folder or package is kept, removed or changed in the layers of the workspace. With a
zip or folder of any tool, say what pruning it would do, by the rules of --layer or the defaults.`,
		Example: `  layersmith explain pandas/tests
  layersmith explain numpy
  layersmith explain numpy/_core/tests/_natype.py --layer core-data-science
  layersmith explain numpy/tests sam-layer.zip`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return a.explainIn(cmd.Context(), filepath.ToSlash(args[0]), args[1], layer)
			}

			return a.explain(cmd.Context(), filepath.ToSlash(args[0]), layer)
		},
	}
	c.Flags().StringVar(&layer, "layer", "", "look in this layer only")
	completeFlag(c, "layer", a.completeLayers)
	return c
}

func (a *app) explain(ctx context.Context, path, layer string) error {
	w, t, m, err := a.start(ctx)
	if err != nil {
		return err
	}
	defer m.close()

	l, err := a.readLock(t)
	if err != nil {
		return err
	}

	var all []explanation
	var what string
	for _, spec := range w.Layers {
		what = strings.Trim(strings.TrimPrefix(path, spec.Place().Prefix), "/")
		if layer != "" && spec.Name != layer {
			continue
		}

		pruned, err := a.builder(m).Inspect(ctx, l, w, spec)
		if err != nil {
			return err
		}

		if e, found := explain(what, spec, pruned, l); found {
			all = append(all, e)
		}
	}

	if len(all) == 0 {
		return fault.New(fault.BadInput, "explain", what, errors.New("no layer has it")).
			WithHint("give a path below python/, or the name of a distribution: " + names(l))
	}

	if a.json {
		return a.printJSON(all)
	}

	book, err := policy.Builtin()
	if err != nil {
		return err
	}

	for _, e := range all {
		file := filepath.ToSlash(filepath.Join(a.workspaceDir, e.Layer, "layer.yaml"))
		p := explainer{w: a.Out, book: book, file: file, scripts: a.scriptsPassed(e.Layer, t)}
		p.print(e)
	}

	return nil
}

// readLock reads the lock of the last build.
func (a *app) readLock(t pydist.Target) (lock.Lock, error) {
	b, err := a.read(lock.FileName(t))
	if err != nil {
		file := filepath.Join(a.workspaceDir, lock.FileName(t))
		return lock.Lock{}, fault.New(fault.BadInput, "read", file, unwrapPath(err)).WithHint("run: layersmith build")
	}

	l, err := lock.Open(b)
	if err != nil {
		return lock.Lock{}, fault.New(fault.BadInput, "read", lock.FileName(t), err)
	}

	return l, nil
}

func names(l lock.Lock) string {
	var s []string
	for _, d := range l.Distributions {
		s = append(s, d.Name.String())
	}

	return strings.Join(s, ", ")
}

// explanation is what became of a file, a folder or a distribution in one layer: a row for each
// fate and rule.
type explanation struct {
	Layer      string   `json:"layer"`
	What       string   `json:"what"`
	Version    string   `json:"version,omitempty"`
	RequiredBy []string `json:"requiredBy,omitempty"`
	Fates      []fate   `json:"fates"`
}

type fate struct {
	Fate    string       `json:"fate"`
	Rule    string       `json:"rule,omitempty"`
	Why     string       `json:"why,omitempty"`
	Before  measure.Size `json:"before"`
	After   measure.Size `json:"after"`
	Example string       `json:"example"`
	others  int          // files with another reason
}

// explain describes a file, a folder or a distribution in one layer; found is false when the layer
// does not have it.
func explain(what string, spec workspace.Layer, p prune.Pruned, l lock.Lock) (e explanation, found bool) {
	e = explanation{Layer: spec.Name, What: what}
	matches := func(o prune.Applied) bool { return o.Site == what || strings.HasPrefix(o.Site, what+"/") }
	if d, ok := distribution(what, p, l); ok {
		matches = func(o prune.Applied) bool { return o.Owner.Name == d.Name }
		e.Version = d.Version.String()
		e.RequiredBy = requirers(d.Name, spec, l)
	}

	e.Fates = fates(p, matches)
	return e, len(e.Fates) > 0
}

// distribution finds a distribution of the layer by its name.
func distribution(name string, p prune.Pruned, l lock.Lock) (lock.Distribution, bool) {
	n, err := pydist.ParseName(name)
	if err != nil || strings.Contains(name, "/") {
		return lock.Distribution{}, false
	}

	d, ok := l.Find(n)
	return d, ok && slices.ContainsFunc(p.Decisions, func(o prune.Applied) bool { return o.Owner.Name == n })
}

// requirers are the distributions and the lines of requirements that require a distribution.
func requirers(n pydist.Name, spec workspace.Layer, l lock.Lock) []string {
	var out []string
	for _, by := range l.RequiredBy(n) {
		out = append(out, by.String())
	}

	for _, r := range spec.Requirements.Direct {
		if r.Name == n {
			out = append(out, fmt.Sprintf("%s:%d", r.File, r.Line))
		}
	}

	return out
}

// fates groups files by what became of them and by which rule, largest first.
func fates(p prune.Pruned, matches func(prune.Applied) bool) []fate {
	byKey := map[string]*fate{}
	var order []*fate
	for _, o := range p.Decisions {
		if !matches(o) {
			continue
		}

		rule := o.Rule
		if o.Fate == prune.Kept && o.Why == "" {
			rule = ""
		}

		key := o.Fate.String() + "\x00" + rule
		f := byKey[key]
		if f == nil {
			f = &fate{Fate: o.Fate.String(), Rule: rule, Why: o.Why, Example: o.Site}
			byKey[key] = f
			order = append(order, f)
		}

		f.add(o)
	}

	slices.SortStableFunc(order, func(a, b *fate) int { return cmp.Compare(b.Before.Unzipped, a.Before.Unzipped) })
	out := make([]fate, len(order))
	for i, f := range order {
		out[i] = *f
	}

	return out
}

func (f *fate) add(o prune.Applied) {
	if o.Why != "" && o.Why != f.Why {
		f.others++
	}

	f.Before = f.Before.Add(measure.Of(o.Entry.Name, o.Entry.Size, o.Entry.ZippedBytes))
	if o.Fate != prune.Dropped {
		f.After = f.After.Add(measure.Of(o.Result.Name, o.Result.Size, o.Result.ZippedBytes))
	}
}

// scriptsPassed is how many functional scripts passed on the layer in the last build; 0 when it was
// not probed, or did not pass.
func (a *app) scriptsPassed(layer string, t pydist.Target) int {
	r, err := a.lastReport(t.String())
	if err != nil || r.Target != t.String() {
		return 0
	}

	for _, l := range r.Layers {
		if l.Name == layer && l.Probe.Status == report.ProbePassed {
			return l.Probe.Scripts
		}
	}

	return 0
}

// explainer prints explanations.
type explainer struct {
	w       io.Writer
	book    []policy.Rule
	file    string // where a keep entry is to be written
	scripts int    // functional scripts that passed in the last build
}

func (p explainer) print(e explanation) {
	title := strings.TrimSpace(e.What + " " + e.Version)
	fmt.Fprintf(p.w, "%s in %s\n", title, e.Layer)
	if len(e.RequiredBy) > 0 {
		fmt.Fprintf(p.w, "  required by %s\n", strings.Join(e.RequiredBy, ", "))
	}

	for _, f := range e.Fates {
		p.fate(f)
		i := slices.IndexFunc(p.book, func(r policy.Rule) bool { return r.ID == f.Rule })
		if i >= 0 && f.Fate != "kept" {
			p.rule(e, f, p.book[i])
		}

		p.reason(f)
	}
}

// fate prints what became of how many files.
func (p explainer) fate(f fate) {
	by := ""
	switch {
	case f.Fate == "kept" && f.Rule != "":
		by = " against rule " + f.Rule
	case f.Rule != "":
		by = " by rule " + f.Rule
	}

	files := report.Count(f.Before.Files, "file")
	if f.Before.Files == 1 {
		files = f.Example
	}

	fmt.Fprintf(p.w, "  %s%s: %s, %s unzipped, %s zipped", f.Fate, by, files, f.Before.Unzipped, f.Before.Zipped)
	if f.Fate == "transformed" {
		fmt.Fprintf(p.w, " -> %s, %s", f.After.Unzipped, f.After.Zipped)
	}

	fmt.Fprintln(p.w)
}

// rule prints why a rule did that, what shows that it is right, and how to undo it.
func (p explainer) rule(e explanation, f fate, r policy.Rule) {
	fmt.Fprintf(p.w, "    why    %s\n", r.Why)
	if f.Fate == "dropped" {
		fmt.Fprintf(p.w, "    proof  %s\n", p.proof(r))
	}

	fmt.Fprintf(p.w, "    undo   keep: [{ match: %q, reason: ... }] in %s\n", undo(e.What, f), p.file)
}

func (p explainer) proof(r policy.Rule) string {
	proof := "no kept file refers to it"
	if r.References == "ignore" {
		proof = "this rule does not check references: see its risk with `layersmith rules " + r.ID + "`"
	}

	if p.scripts > 0 {
		proof += fmt.Sprintf("; in the last build %s passed without it", report.Count(p.scripts, "functional script"))
	}

	return proof
}

func (p explainer) reason(f fate) {
	if f.Why == "" {
		return
	}

	others := ""
	if f.others > 0 {
		others = fmt.Sprintf(" (%s with other reasons: explain them by name)", report.Count(f.others, "file"))
	}

	fmt.Fprintf(p.w, "    why    %s%s\n", f.Why, others)
}

func undo(what string, f fate) string {
	if f.Before.Files == 1 {
		return f.Example
	}

	return cmp.Or(strings.TrimSuffix(what, "/"), "**") + "/**"
}
