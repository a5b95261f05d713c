package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/stage"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// lastReport reads dist/report.json.
func (a *app) lastReport() (report.Report, error) {
	file := filepath.Join(a.outputDir, stage.ReportName)
	var r report.Report
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err == nil && r.SchemaVersion != report.SchemaVersion {
		err = fmt.Errorf("schema version %d; known: %d", r.SchemaVersion, report.SchemaVersion)
	}
	if err != nil {
		return r, &fault.Error{Code: fault.BadInput, Op: "read", Subject: file, Err: unwrapPath(err), Hint: "run: layersmith build"}
	}
	return r, nil
}

// unwrapPath drops "open FILE:" from an error whose subject names the file already.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "report",
		Short:   "Sizes of the last build by layer, package, kind of file and rule; largest files",
		Example: "  layersmith report\n  layersmith report --json | jq '.layers[].packages'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := a.lastReport()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			report.Text(a.Out, r, report.TextOptions{Verbose: a.verbose})
			fmt.Fprintln(a.Out)
			report.Details(a.Out, r)
			return nil
		},
	}
}

func (a *app) rulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rules [ID]",
		Short:   "The rules: why, risk, remedy, and what each saved in the last build",
		Example: "  layersmith rules\n  layersmith rules tests",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			book, err := policy.Builtin()
			if err != nil {
				return err
			}
			saved := measure.Sizes{}
			if r, err := a.lastReport(); err == nil {
				for _, l := range r.Layers {
					for rule, s := range l.Removed {
						saved.Count(rule, s)
					}
				}
			}
			if len(args) == 1 {
				for _, r := range book {
					if r.ID == args[0] {
						book = []policy.Rule{r}
					}
				}
				if len(book) != 1 {
					return &fault.Error{Code: fault.BadInput, Op: "find rule", Subject: args[0], Err: errors.New("no such rule"), Hint: "known: " + strings.Join(policy.IDs(book), ", ")}
				}
			}
			if a.json {
				type row struct {
					policy.Rule
					Saved measure.Size `json:"savedInLastBuild"`
				}
				var rows []row
				for _, r := range book {
					rows = append(rows, row{r, saved[r.ID]})
				}
				return a.printJSON(rows)
			}
			if len(args) == 1 {
				printRule(a.Out, book[0], saved[book[0].ID])
				return nil
			}
			rows := [][]string{{"rule", "on", "saved MB", "what it is about"}}
			for _, r := range book {
				rows = append(rows, []string{r.ID, switchText(r), saved[r.ID].Unzipped.MB(), r.Title})
			}
			report.Table(a.Out, rows, map[int]bool{2: true})
			return nil
		},
	}
}

func switchText(r policy.Rule) string {
	switch {
	case r.Select != nil:
		return "by " + r.Select.From
	case r.Default:
		return "yes"
	}
	return "opt-in"
}

func printRule(w io.Writer, r policy.Rule, saved measure.Size) {
	fmt.Fprintf(w, "%s: %s (on: %s, version %d)\n", r.ID, r.Title, switchText(r), r.Version)
	fmt.Fprintf(w, "  why      %s\n  risk     %s\n  remedy   %s\n", r.Why, r.Risk, r.Remedy)
	fmt.Fprintf(w, "  files    %s\n", strings.Join(r.Match, " "))
	if len(r.Only) > 0 {
		fmt.Fprintf(w, "  only     %s\n", strings.Join(r.Only, ", "))
	}
	for _, e := range r.Except {
		fmt.Fprintf(w, "  except   %s: %s\n", strings.TrimSpace(e.Distribution+e.Versions+" "+e.Match), e.Why)
	}
	fmt.Fprintf(w, "  saved    %s unzipped, %s zipped, %d files in the last build\n", saved.Unzipped, saved.Zipped, saved.Files)
}

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
			w, t, err := a.open()
			if err != nil {
				return err
			}
			m, err := a.machine(ctx, t)
			if err != nil {
				return err
			}
			defer m.close()
			b, err := a.read(lock.FileName(t))
			if err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "read", Subject: filepath.Join(a.workspaceDir, lock.FileName(t)), Err: unwrapPath(err), Hint: "run: layersmith build"}
			}
			l, err := lock.Open(b)
			if err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "read", Subject: lock.FileName(t), Err: err}
			}
			what := strings.Trim(strings.TrimPrefix(filepath.ToSlash(args[0]), stage.LayerPlace.Prefix), "/")
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
				return &fault.Error{Code: fault.BadInput, Op: "explain", Subject: what, Err: errors.New("no layer has it"), Hint: "give a path below python/, or the name of a distribution: " + names(l)}
			}
			if a.json {
				return a.printJSON(all)
			}
			for _, e := range all {
				e.print(a.Out, a.workspaceDir)
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

// explanation is what became of a file, a folder or a distribution in one layer: a row for each fate and rule.
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
		rule, why := o.Rule, o.Why
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

func (e explanation) print(w io.Writer, workspaceDir string) {
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
					fmt.Fprintf(w, "    proof  %s\n", proof)
				}
				fmt.Fprintf(w, "    undo   keep: [{ match: %q, reason: ... }] in %s\n", undo(e.What, f), filepath.ToSlash(filepath.Join(workspaceDir, e.Layer, "layer.yaml")))
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

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "What is stale, and sizes against budgets",
		Example: "  layersmith status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, t, err := a.open()
			if err != nil {
				return err
			}
			m, err := a.machine(cmd.Context(), t)
			if err != nil {
				return err
			}
			defer m.close()
			type row struct {
				Layer    string          `json:"layer"`
				State    string          `json:"state"`
				Unzipped measure.Bytes   `json:"unzippedBytes"`
				Budget   measure.Bytes   `json:"budgetBytes"`
				Verdict  measure.Verdict `json:"verdict"`
				Probe    string          `json:"probe"`
			}
			stale, err := stage.Stale(a.read, w, t)
			if err != nil {
				return err
			}
			var states map[string]string
			if stale == "" {
				b, err := a.read(lock.FileName(t))
				if err != nil {
					return err
				}
				l, err := lock.Open(b)
				if err != nil {
					return err
				}
				if states, err = a.buildStage(m).States(cmd.Context(), stage.BuildInput{Workspace: w, Lock: l}); err != nil {
					return err
				}
			}
			last, _ := a.lastReport()
			var rows []row
			for _, l := range w.Layers {
				r := row{Layer: l.Name, State: cmp.Or(states[l.Name], "stale: "+stale), Budget: l.Budget.Unzipped, Probe: "-"}
				for _, x := range last.Layers {
					if x.Name == l.Name {
						r.Unzipped, r.Verdict, r.Probe = x.After.Unzipped, x.Verdict, string(x.Probe.Status)
					}
				}
				rows = append(rows, r)
			}
			if a.json {
				return a.printJSON(map[string]any{"schemaVersion": report.SchemaVersion, "target": t, "lock": cmp.Or(stale, "fresh"), "layers": rows, "stacks": last.Stacks})
			}
			table := [][]string{{"layer", "state", "unzipped MB", "budget MB", "verdict", "probe"}}
			for _, r := range rows {
				budget := "-"
				if r.Budget > 0 {
					budget = r.Budget.MB()
				}
				table = append(table, []string{r.Layer, r.State, r.Unzipped.MB(), budget, cmp.Or(string(r.Verdict), "-"), r.Probe})
			}
			a.say("lock    %s: %s", t, cmp.Or(stale, "fresh"))
			if !a.quiet {
				report.Table(a.Out, table, map[int]bool{2: true, 3: true})
			}
			return nil
		},
	}
}

func (a *app) cleanCommand() *cobra.Command {
	var cache, wheels bool
	c := &cobra.Command{
		Use:   "clean [LAYER...]",
		Short: "Remove outputs and, when asked, caches; says what that freed",
		Example: `  layersmith clean                    the outputs of this workspace
  layersmith clean --cache            and what can be made again
  layersmith clean --cache --wheels   and downloaded wheels`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, layers []string) error {
			w, _, err := a.open()
			if err != nil {
				return err
			}
			names := layers
			if len(names) == 0 {
				names = w.Names()
			}
			var remove []string
			for _, n := range names {
				if _, ok := w.Layer(n); !ok {
					return &fault.Error{Code: fault.BadInput, Op: "clean", Subject: n, Err: errors.New("no such layer"), Hint: suggestLayer(w.Names())}
				}
				for _, t := range pydist.Targets() {
					for _, f := range []string{stage.ZipName(n, t), stage.ManifestName(n, t), stage.ArtifactName(n, t)} {
						remove = append(remove, filepath.Join(a.outputDir, f))
					}
				}
			}
			if len(layers) == 0 {
				remove = append(remove, filepath.Join(a.outputDir, stage.ReportName))
			}
			dir, err := a.cacheFolder()
			if err != nil {
				return err
			}
			if cache {
				remove = append(remove, filepath.Join(dir, "packs"), filepath.Join(dir, "temp"), filepath.Join(dir, "interpreters.json"))
			}
			if wheels {
				remove = append(remove, filepath.Join(dir, "wheels"))
			}
			var files int
			var bytes int64
			for _, p := range remove {
				n, b := weigh(p)
				if n == 0 {
					continue
				}
				if err := os.RemoveAll(p); err != nil {
					return &fault.Error{Code: fault.BadInput, Op: "remove", Subject: p, Err: unwrapPath(err)}
				}
				files, bytes = files+n, bytes+b
			}
			if a.json {
				return a.printJSON(map[string]any{"schemaVersion": report.SchemaVersion, "files": files, "freedBytes": bytes})
			}
			a.say("removed %d files, %s", files, measure.Bytes(bytes))
			return nil
		},
	}
	c.Flags().BoolVar(&cache, "cache", false, "also what can be made again: bytecode, stripped files, indexes")
	c.Flags().BoolVar(&wheels, "wheels", false, "also the wheel store")
	return c
}

func weigh(path string) (files int, bytes int64) {
	filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error { // what cannot be read weighs nothing
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				files++
				bytes += info.Size()
			}
		}
		return nil
	})
	return files, bytes
}

func (a *app) initCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "init REQUIREMENT...",
		Short:   "Write a commented workspace with one layer for these requirements",
		Example: "  layersmith init pandas 'numpy>=2'\n  layersmith init boto3 --layer aws --workspace layers",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, reqs []string) error {
			if err := workspace.CheckLayerName(name); err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "init", Err: err, Hint: "name it with --layer"}
			}
			text := strings.Join(reqs, "\n") + "\n"
			if _, err := pydist.ParseRequirements("requirements.txt", func(string) ([]byte, error) { return []byte(text), nil }); err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "init", Err: err, Hint: fault.HintOf(err)}
			}
			if a.target == "" {
				a.target = workspace.DefaultTarget
			}
			t, err := pydist.ParseTarget(a.target)
			if err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "init", Err: err}
			}
			if entries, err := os.ReadDir(a.workspaceDir); err == nil && len(entries) > 0 {
				return &fault.Error{Code: fault.BadInput, Op: "init", Subject: a.workspaceDir, Err: errors.New("the folder is there and not empty"), Hint: "name another with --workspace"}
			}
			layer := filepath.Join(a.workspaceDir, name)
			if err := os.MkdirAll(layer, 0o755); err != nil {
				return &fault.Error{Code: fault.BadInput, Op: "init", Subject: layer, Err: unwrapPath(err)}
			}
			for file, content := range map[string]string{
				filepath.Join(a.workspaceDir, "workspace.yaml"): fmt.Sprintf(workspaceTemplate, t),
				filepath.Join(layer, "requirements.txt"):        text,
				filepath.Join(layer, "layer.yaml"):              layerTemplate,
			} {
				if err := localport.WriteFile(file, func(w io.Writer) error { _, err := io.WriteString(w, content); return err }); err != nil {
					return &fault.Error{Code: fault.BadInput, Op: "init", Subject: file, Err: unwrapPath(err)}
				}
			}
			if _, err := workspace.Load(os.DirFS(a.workspaceDir), filepath.ToSlash(a.workspaceDir)); err != nil {
				return err
			}
			a.say("wrote   %s with the layer %s; next: layersmith build", a.workspaceDir, name)
			return nil
		},
	}
	c.Flags().StringVar(&name, "layer", "main", "name of the layer")
	return c
}

const workspaceTemplate = `# yaml-language-server: $schema=https://raw.githubusercontent.com/layersmith/layersmith/main/docs/schema/workspace.schema.json
# What all layers share. Layers are the folders beside this file that hold a requirements.txt.
targets: [%s] # runtime and architecture; the first is built when none is named
budget:
  total: 225 MiB # any set of layers that one function may use; Lambda allows 250 MiB with the function's own code
`

const layerTemplate = `# yaml-language-server: $schema=https://raw.githubusercontent.com/layersmith/layersmith/main/docs/schema/layer.schema.json
# Everything about this layer that is not a requirement. All of it may go.
description: ""
# extends: other-layer            # never carries what that layer carries
# budget: { unzipped: 140 MB, zipped: 50 MB }
bytecode: auto # auto | unchecked-hash | lean | sourceless | none
# imports: [sklearn.ensemble]     # what import time is measured on
# services: [s3, dynamodb]        # AWS services that functions call; all when absent
# modules: { scipy: [linalg, sparse, special, stats] }
# rules:
#   sklearn-datasets: { enabled: true, reason: no sample data in production }
# keep:
#   - { match: "pandas/tests/data/**", reason: our probe reads it }
`

func (a *app) pruneCommand() *cobra.Command {
	var out, layer string
	var noProbe, strict bool
	c := &cobra.Command{
		Use:   "prune ARCHIVE_OR_FOLDER -o OUT.zip",
		Short: "Prune, gate, probe and report a layer that something else built",
		Example: `  layersmith prune sam-layer.zip -o small.zip
  layersmith prune build/python-folder -o small.zip --target python3.12-arm64 --layer ml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if out == "" {
				return &fault.Error{Code: fault.BadInput, Op: "prune", Subject: args[0], Err: errors.New("where to?"), Hint: "name the result: -o OUT.zip"}
			}
			same, err := sameFile(args[0], out)
			if err != nil {
				return err
			}
			if same {
				return &fault.Error{Code: fault.BadInput, Op: "prune", Subject: out, Err: errors.New("is the input"), Hint: "write the result to another file"}
			}
			spec, t, ws, err := a.specFor(layer)
			if err != nil {
				return err
			}
			m, err := a.machine(ctx, t)
			if err != nil {
				return err
			}
			defer m.close()
			tree, closeTree, err := openTree(args[0])
			if err != nil {
				return err
			}
			defer closeTree()
			dir, err := os.MkdirTemp(filepath.Join(m.cache, "temp"), ".tmp-packs-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			packs := &localport.Packs{Dir: dir}
			defer packs.Close()
			if !holdsPython(tree) {
				return &fault.Error{Code: fault.BadInput, Op: "prune", Subject: args[0], Err: errors.New("there is no Python in it"), Hint: "give a layer's zip or folder: python/..., or what pip installed with --target"}
			}
			var below []ziptree.Tree
			for _, name := range ws.Below(layer) {
				t, closeTree, err := a.openLayer(name, t)
				if err != nil {
					return err
				}
				defer closeTree()
				below = append(below, t)
			}
			own := ""
			if spec.Probe != "" {
				b, err := a.read(spec.Probe)
				if err != nil {
					return err
				}
				own = string(b)
			}
			s := stage.Prune{Tool: Tool(), Cache: packs, Python: m.python, NoPython: m.noPython, Mounts: m.mounts, Progress: m.progress}
			r, err := s.Run(ctx, stage.PruneInput{Name: filepath.Base(out), Target: t, Tree: tree, Spec: spec, Below: below, OwnProbe: own, NoProbe: noProbe || m.foreign, Total: ws.Total,
				Write: func(write func(io.Writer) error) error {
					if err := localport.WriteFile(out, write); err != nil {
						return &fault.Error{Code: fault.BadInput, Op: "write", Subject: out, Err: unwrapPath(err)}
					}
					return nil
				}})
			if err != nil {
				return err
			}
			m.close()
			return a.showOne(r, strict)
		},
	}
	c.Flags().StringVarP(&out, "out", "o", "", "the zip to write")
	c.Flags().StringVar(&layer, "layer", "", "take rules, budget and probe of this layer of the workspace")
	c.Flags().BoolVar(&noProbe, "no-probe", false, "do not run the interpreter on the result")
	c.Flags().BoolVar(&strict, "strict", false, "not probed is an error")
	return c
}

// openLayer opens the zip of a layer that was built.
func (a *app) openLayer(name string, t pydist.Target) (ziptree.Tree, func(), error) {
	tree, closeTree, err := openTree(filepath.Join(a.outputDir, stage.ZipName(name, t)))
	if errors.Is(err, fs.ErrNotExist) {
		err = &fault.Error{Code: fault.BadInput, Op: "open", Subject: name, Err: errors.New("is not built"), Hint: "run: layersmith build " + name}
	}
	return tree, closeTree, err
}

func holdsPython(t ziptree.Tree) bool {
	for _, e := range t.Entries() {
		for _, ending := range []string{".py", ".pyc", ".so"} {
			if strings.HasSuffix(e.Name, ending) {
				return true
			}
		}
	}
	return false
}

func sameFile(a, b string) (bool, error) {
	infoA, err := os.Stat(a)
	if err != nil {
		return false, &fault.Error{Code: fault.BadInput, Op: "open", Subject: a, Err: unwrapPath(err)}
	}
	infoB, err := os.Stat(b)
	return err == nil && os.SameFile(infoA, infoB), nil
}

// specFor is the spec of a layer of the workspace, or the defaults when none is named.
func (a *app) specFor(layer string) (workspace.Layer, pydist.Target, workspace.Workspace, error) {
	if layer == "" {
		ws := workspace.Workspace{Total: measure.MaxUnzippedBytes}
		def, err := pydist.ParseTarget(workspace.DefaultTarget)
		if err != nil {
			return workspace.Layer{}, pydist.Target{}, ws, err
		}
		ws.Targets = []pydist.Target{def}
		t, err := a.chooseTarget(ws)
		return workspace.Layer{Bytecode: workspace.Auto}, t, ws, err
	}
	ws, t, err := a.open()
	if err != nil {
		return workspace.Layer{}, t, ws, err
	}
	spec, ok := ws.Layer(layer)
	if !ok {
		return workspace.Layer{}, t, ws, &fault.Error{Code: fault.BadInput, Op: "find", Subject: layer, Err: errors.New("no such layer"), Hint: suggestLayer(ws.Names())}
	}
	return spec, t, ws, nil
}

// openTree opens a zip or a folder.
func openTree(path string) (ziptree.Tree, func(), error) {
	info, err := os.Stat(path)
	if err != nil {
		return ziptree.Tree{}, nil, &fault.Error{Code: fault.BadInput, Op: "open", Subject: path, Err: unwrapPath(err)}
	}
	if info.IsDir() {
		t, err := ziptree.ReadFolder(os.DirFS(path), path)
		if err != nil {
			return ziptree.Tree{}, nil, &fault.Error{Code: fault.CorruptArchive, Op: "open", Subject: path, Err: err}
		}
		return t, func() {}, nil
	}
	b, err := localport.OpenBlob(path)
	if err != nil {
		return ziptree.Tree{}, nil, &fault.Error{Code: fault.BadInput, Op: "open", Subject: path, Err: unwrapPath(err)}
	}
	t, err := ziptree.Read(b, b.Size(), path)
	if err != nil {
		b.Close()
		return ziptree.Tree{}, nil, &fault.Error{Code: fault.CorruptArchive, Err: err, Hint: "make the zip again; layersmith reads plain zips of regular files"}
	}
	return t, func() { b.Close() }, nil
}

func (a *app) showOne(r report.Layer, strict bool) error {
	err := stage.Judge(r, strict)
	if a.json {
		return errors.Join(a.printJSON(r), err)
	}
	if !a.quiet {
		report.Text(a.Out, report.Report{Layers: []report.Layer{r}}, report.TextOptions{Verbose: a.verbose})
	}
	return err
}

func (a *app) checkCommand() *cobra.Command {
	var noProbe, strict bool
	c := &cobra.Command{
		Use:   "check [LAYER or ZIP...]",
		Short: "Gate, budgets and probe of what is there; writes nothing",
		Example: `  layersmith check                     all built layers
  layersmith check old-layer.zip       a zip from anywhere`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			ws, t, wsErr := a.open()
			if wsErr != nil {
				var err error
				if _, t, ws, err = a.specFor(""); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				if wsErr != nil {
					return wsErr
				}
				args = ws.Names()
			}
			m, err := a.machine(ctx, t)
			if err != nil {
				return err
			}
			defer m.close()
			dir, err := os.MkdirTemp(filepath.Join(m.cache, "temp"), ".tmp-packs-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			packs := &localport.Packs{Dir: dir}
			defer packs.Close()
			s := stage.Check{Cache: packs, Python: m.python, NoPython: m.noPython, Mounts: m.mounts, Progress: m.progress}
			rep := report.Report{SchemaVersion: report.SchemaVersion, Tool: Tool(), Target: t.String()}
			for _, arg := range args {
				in := stage.CheckInput{Name: arg, Target: t, NoProbe: noProbe || m.foreign}
				file := arg
				if spec, ok := ws.Layer(arg); ok && wsErr == nil {
					in.Spec, file = spec, filepath.Join(a.outputDir, stage.ZipName(arg, t))
					for _, below := range ws.Below(arg) {
						tree, closeTree, err := a.openLayer(below, t)
						if err != nil {
							return err
						}
						defer closeTree()
						in.Below = append(in.Below, tree)
					}
					if spec.Probe != "" {
						b, err := a.read(spec.Probe)
						if err != nil {
							return err
						}
						in.OwnProbe = string(b)
					}
				}
				tree, closeTree, err := openTree(file)
				if errors.Is(err, fs.ErrNotExist) && wsErr == nil {
					if _, isLayer := ws.Layer(arg); isLayer {
						return &fault.Error{Code: fault.BadInput, Op: "check", Subject: arg, Err: errors.New("is not built"), Hint: "run: layersmith build"}
					}
					if !strings.ContainsAny(arg, "./") {
						return &fault.Error{Code: fault.BadInput, Op: "check", Subject: arg, Err: errors.New("no such layer, and no such file"), Hint: suggestLayer(ws.Names())}
					}
				}
				if err != nil {
					return err
				}
				defer closeTree()
				in.Tree = tree
				if info, err := os.Stat(file); err == nil && !info.IsDir() {
					in.ZipBytes = info.Size()
				}
				r, err := s.Run(ctx, in)
				if err != nil {
					return err
				}
				rep.Layers = append(rep.Layers, r)
			}
			if wsErr == nil {
				rep.Stacks = stage.Stacks(ws, rep.Layers)
			}
			m.close()
			if a.json {
				err = a.printJSON(rep)
			} else if !a.quiet {
				report.Text(a.Out, rep, report.TextOptions{Verbose: a.verbose, AsIs: true})
			}
			for _, l := range rep.Layers {
				err = errors.Join(err, stage.Judge(l, strict))
			}
			return err
		},
	}
	c.Flags().BoolVar(&noProbe, "no-probe", false, "do not run the interpreter")
	c.Flags().BoolVar(&strict, "strict", false, "not probed is an error")
	return c
}
