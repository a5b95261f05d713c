package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) explainCommand() *cobra.Command {
	var layer string
	c := &cobra.Command{
		Use:   "explain FILE_OR_PACKAGE",
		Short: "Why a file or package is kept, dropped or changed, by which rule, and who requires it",
		Example: `  layersmith explain pandas/tests
  layersmith explain numpy
  layersmith explain numpy/_core/tests/_natype.py --layer core-data-science`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			w, t, m, err := a.start(ctx)
			if err != nil {
				return err
			}
			defer m.close()
			b, err := a.read(lock.FileName(t))
			if err != nil {
				return fault.New(fault.BadInput, "read", filepath.Join(a.workspaceDir, lock.FileName(t)),
					unwrapPath(err)).
					WithHint("run: layersmith build")
			}

			l, err := lock.Open(b)
			if err != nil {
				return fault.New(fault.BadInput, "read", lock.FileName(t), err)
			}

			what := strings.Trim(strings.TrimPrefix(filepath.ToSlash(args[0]), place.Layer.Prefix), "/")
			found := false
			var all []explanation
			for _, spec := range w.Layers {
				if layer != "" && spec.Name != layer {
					continue
				}

				pruned, err := a.buildStage(m).Inspect(ctx, l, w, spec)
				if err != nil {
					return err
				}

				for _, e := range explain(what, spec, pruned, l) {
					found = true
					all = append(all, e)
				}
			}

			if !found {
				return fault.New(fault.BadInput, "explain", what, errors.New("no layer has it")).
					WithHint("give a path below python/, or the name of a distribution: " + names(l))
			}

			if a.json {
				return a.printJSON(all)
			}

			for _, e := range all {
				e.print(a.Out, a.workspaceDir, a.scriptsPassed(e.Layer, t))
			}

			return nil
		},
	}
	c.Flags().StringVar(&layer, "layer", "", "look in this layer only")
	return c
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

func explain(what string, spec workspace.Layer, p prune.Pruned, l lock.Lock) []explanation {
	e := explanation{Layer: spec.Name, What: what}
	owner, err := pydist.ParseName(what)
	isDist := false
	if err == nil && !strings.Contains(what, "/") {
		if d, ok := l.Find(owner); ok {
			for _, o := range p.Decisions {
				isDist = isDist || o.Owner.Name == owner
			}

			if isDist {
				e.Version = d.Version.String()
				for _, n := range l.RequiredBy(owner) {
					e.RequiredBy = append(e.RequiredBy, n.String())
				}

				for _, r := range spec.Requirements.Direct {
					if r.Name == owner {
						e.RequiredBy = append(e.RequiredBy, fmt.Sprintf("%s:%d", r.File, r.Line))
					}
				}
			}
		}
	}

	byKey := map[string]*fate{}
	var order []string
	for _, o := range p.Decisions {
		if isDist && o.Owner.Name != owner || !isDist && o.Site != what && !strings.HasPrefix(o.Site, what+"/") {
			continue
		}

		rule := o.Rule
		why := o.Why
		if o.Fate == prune.Kept && why == "" {
			rule = ""
		}

		key := o.Fate.String() + "\x00" + rule
		f := byKey[key]
		if f == nil {
			f = &fate{Fate: o.Fate.String(), Rule: rule, Why: why, Example: o.Site}
			byKey[key] = f
			order = append(order, key)
		}

		if why != "" && why != f.Why {
			f.others++
		}

		f.Before = f.Before.Add(measure.Of(o.Entry.Name, o.Entry.Size, o.Entry.ZippedBytes))
		if o.Fate != prune.Dropped {
			f.After = f.After.Add(measure.Of(o.Result.Name, o.Result.Size, o.Result.ZippedBytes))
		}
	}

	if len(order) == 0 {
		return nil
	}

	for _, k := range order {
		e.Fates = append(e.Fates, *byKey[k])
	}

	sort.SliceStable(e.Fates, func(i, j int) bool { return e.Fates[i].Before.Unzipped > e.Fates[j].Before.Unzipped })
	return []explanation{e}
}

// scriptsPassed is how many functional scripts passed on the layer in the last build; 0 when it was
// not probed, or did not pass.
func (a *app) scriptsPassed(layer string, t pydist.Target) int {
	r, err := a.lastReport()
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

func (e explanation) print(w io.Writer, workspaceDir string, scripts int) {
	book, err := policy.Builtin()
	if err != nil {
		return
	}

	title := e.What
	if e.Version != "" {
		title += " " + e.Version
	}

	fmt.Fprintf(w, "%s in %s\n", title, e.Layer)
	if len(e.RequiredBy) > 0 {
		fmt.Fprintf(w, "  required by %s\n", strings.Join(e.RequiredBy, ", "))
	}

	for _, f := range e.Fates {
		by := ""
		switch {
		case f.Fate == "kept" && f.Rule != "":
			by = " against rule " + f.Rule
		case f.Rule != "":
			by = " by rule " + f.Rule
		}

		files := fmt.Sprintf("%d files", f.Before.Files)
		if f.Before.Files == 1 {
			files = f.Example
		}

		fmt.Fprintf(w, "  %s%s: %s, %s unzipped, %s zipped", f.Fate, by, files, f.Before.Unzipped, f.Before.Zipped)
		if f.Fate == "transformed" {
			fmt.Fprintf(w, " -> %s, %s", f.After.Unzipped, f.After.Zipped)
		}

		fmt.Fprintln(w)
		for _, r := range book {
			if r.ID == f.Rule && f.Fate != "kept" {
				fmt.Fprintf(w, "    why    %s\n", r.Why)
				if f.Fate == "dropped" {
					proof := "no rule looks at references here: see its risk with `layersmith rules " + r.ID + "`"
					if r.References != "ignore" {
						proof = "nothing that is kept refers to it"
					}

					if scripts > 0 {
						proof += fmt.Sprintf("; in the last build %s passed without it",
							report.Count(scripts, "functional script"))
					}

					fmt.Fprintf(w, "    proof  %s\n", proof)
				}

				fmt.Fprintf(w, "    undo   keep: [{ match: %q, reason: ... }] in %s\n", undo(e.What, f),
					filepath.ToSlash(filepath.Join(workspaceDir, e.Layer, "layer.yaml")))
			}
		}

		if f.Why != "" {
			others := ""
			if f.others > 0 {
				others = fmt.Sprintf(" (%d files have other reasons: ask for them by name)", f.others)
			}

			fmt.Fprintf(w, "    why    %s%s\n", f.Why, others)
		}
	}
}

func undo(what string, f fate) string {
	if f.Before.Files == 1 {
		return f.Example
	}

	return cmp.Or(strings.TrimSuffix(what, "/"), "**") + "/**"
}
