package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// checkFlags are the flags of check.
type checkFlags struct{ noProbe, strict, explain bool }

func (a *app) checkCommand() *cobra.Command {
	var flags checkFlags
	c := &cobra.Command{
		Use:   "check [LAYER or ZIP...]",
		Short: "Check built layers or any zip: compatibility, size budgets, tests",
		Long: `Check built layers, or zips and folders of any tool: static checks (the gate), size budgets, and a
test with the target's interpreter (the probe). Nothing is written. The target of a zip or folder is found by its
files, unless --target names it.`,
		Example: `  layersmith check                     all built layers
  layersmith check old-layer.zip       any zip or folder
  layersmith check --explain main      what was checked, what passed, what no check covers`,
		ValidArgsFunction: a.completeLayersAndFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.areLayers(args) {
				return a.eachTarget(cmd.Context(), func(a *app) error { return a.check(cmd.Context(), args, flags) })
			}

			return a.check(cmd.Context(), args, flags)
		},
	}
	f := c.Flags()
	f.BoolVar(&flags.noProbe, "no-probe", false, "do not test with the interpreter")
	f.BoolVar(&flags.explain, "explain", false, "list what each check covered, what passed, and what it does not cover")
	f.BoolVar(&flags.strict, "strict", false, "fail when a layer cannot be tested")
	return c
}

func (a *app) check(ctx context.Context, names []string, flags checkFlags) error {
	c := checker{app: a, flags: flags}
	names, err := c.find(names)
	if err != nil {
		return err
	}

	if err := c.guessTarget(names); err != nil {
		return err
	}

	if c.machine, err = a.withPython(ctx, c.target, false); err != nil {
		return err
	}

	defer c.machine.close()

	packs, discard, err := c.machine.scratch()
	if err != nil {
		return err
	}
	defer discard()

	c.packs = packs
	rep := report.Report{SchemaVersion: report.SchemaVersion, Tool: engine.Tool, Target: c.target.String()}
	for _, name := range names {
		r, err := c.one(ctx, name)
		if err != nil {
			return err
		}

		rep.Layers = append(rep.Layers, r)
	}

	if c.inWorkspace {
		last, _ := a.lastReport(c.target.String())
		rep.Stacks = engine.StacksOf(c.ws, rep, last)
	}

	c.machine.close()
	return a.showChecked(rep, flags.strict)
}

// showChecked prints the report, and returns the faults of its layers.
func (a *app) showChecked(rep report.Report, strict bool) error {
	var err error
	if a.json {
		err = a.printJSON(rep)
	} else if !a.quiet {
		report.Text(a.text(), rep, report.TextOptions{Verbose: a.verbose, CheckOnly: true})
		for _, l := range rep.Layers {
			report.Explain(a.text(), l, a.verbose)
		}
	}

	return errors.Join(err, engine.JudgeAll(rep, strict))
}

// areLayers says whether all names are layers of the workspace. No names are all layers.
func (a *app) areLayers(names []string) bool {
	w, _, err := a.open()
	return err == nil && !slices.ContainsFunc(names, func(n string) bool {
		_, ok := w.Layer(n)
		return !ok
	})
}

// checker checks layers of the workspace by name, and zips and folders by path.
type checker struct {
	*app
	flags       checkFlags
	ws          workspace.Workspace
	inWorkspace bool // ws was read from the workspace's files
	target      pydist.Target
	machine     *machine
	packs       engine.Cache
}

// find opens the workspace, which zips and folders can do without, and returns what to check: what
// is named, else all layers.
func (c *checker) find(names []string) ([]string, error) {
	var err error
	if c.ws, c.target, err = c.open(); err == nil {
		c.inWorkspace = true
		if len(names) == 0 {
			names = c.ws.Names()
		}

		return names, nil
	}

	if len(names) == 0 {
		return nil, err
	}

	_, c.target, c.ws, err = c.specFor("")
	return names, err
}

// guessTarget chooses the target by the first zip or folder, if no layer of the workspace is
// checked.
func (c *checker) guessTarget(names []string) error {
	for _, name := range names {
		if _, ok := c.layer(name); ok {
			return nil
		}
	}

	tree, closeTree, err := openTree(names[0])
	if err != nil {
		return c.missing(names[0], err)
	}
	defer closeTree()

	c.target = c.guess(tree, c.target)
	return nil
}

// one checks a layer, a zip or a folder.
func (c checker) one(ctx context.Context, name string) (report.Layer, error) {
	in := engine.CheckInput{
		Name:    name,
		Target:  c.target,
		NoProbe: c.machine.noProbe(c.flags.noProbe, c.target),
		Explain: c.flags.explain,
	}
	file := name
	if spec, ok := c.layer(name); ok {
		in.Spec = spec
		file = filepath.Join(c.outputDir, engine.ZipName(name, c.target))
		below, closeBelow, err := c.openBelow(c.ws, name, c.target)
		if err != nil {
			return report.Layer{}, err
		}
		defer closeBelow()

		in.Below = below
		if in.OwnProbe, err = c.ownProbe(spec); err != nil {
			return report.Layer{}, err
		}
	}

	tree, closeTree, err := openTree(file)
	if err != nil {
		return report.Layer{}, c.missing(name, err)
	}
	defer closeTree()

	in.Tree = tree
	if info, err := os.Stat(file); err == nil && !info.IsDir() {
		in.ZipBytes = info.Size()
	}

	s := engine.Check{
		Cache:    c.packs,
		Python:   c.machine.python,
		NoPython: c.machine.noPython,
		Mounts:   c.machine.mounts,
		Progress: c.machine.progress,
	}
	return s.Run(ctx, in)
}

// layer is the spec of a layer of the workspace.
func (c checker) layer(name string) (workspace.Layer, bool) {
	spec, ok := c.ws.Layer(name)
	return spec, ok && c.inWorkspace
}

// missing is the fault of a name that nothing was found for.
func (c checker) missing(name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) || !c.inWorkspace {
		return err
	}

	if _, isLayer := c.layer(name); isLayer {
		return fault.New(fault.BadInput, "check", name, errors.New("is not built")).WithHint("run: layersmith build")
	}

	if strings.ContainsAny(name, "./") {
		return err
	}

	return fault.New(fault.BadInput, "check", name, errors.New("no such layer, and no such file")).
		WithHint(suggestLayer(c.ws.Names()))
}
