package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// foreign is a zip or folder of any tool, and this machine's adapters for its target.
type foreign struct {
	tree    ziptree.Tree
	target  pydist.Target
	machine *machine
	packs   engine.Cache
	close   func()
}

// openForeign opens a zip or folder that holds Python. The caller closes it.
func (a *app) openForeign(ctx context.Context, path string, def pydist.Target) (foreign, error) {
	tree, closeTree, err := openPython(path)
	if err != nil {
		return foreign{}, err
	}

	f := foreign{tree: tree, target: a.guess(tree, def)}
	if f.machine, err = a.machine(ctx, f.target); err != nil {
		closeTree()
		return foreign{}, err
	}

	packs, discard, err := f.machine.scratch()
	f.packs = packs
	f.close = func() {
		discard()
		f.machine.close()
		closeTree()
	}
	if err != nil {
		f.machine.close()
		closeTree()
	}

	return f, err
}

// reportOf prints the sizes of zips and folders. Nothing is tested: check does that.
func (a *app) reportOf(ctx context.Context, paths []string) error {
	_, def, _, err := a.specFor("")
	if err != nil {
		return err
	}

	rep := report.Report{SchemaVersion: report.SchemaVersion, Tool: engine.Tool}
	for _, path := range paths {
		l, err := a.sizesOf(ctx, path, def)
		if err != nil {
			return err
		}

		rep.Layers = append(rep.Layers, l)
		rep.Target = l.Target
	}

	if a.json {
		return a.printJSON(rep)
	}

	report.Details(a.text(), rep)
	return nil
}

func (a *app) sizesOf(ctx context.Context, path string, def pydist.Target) (report.Layer, error) {
	f, err := a.openForeign(ctx, path, def)
	if err != nil {
		return report.Layer{}, err
	}
	defer f.close()

	in := engine.CheckInput{Name: filepath.Base(path), Target: f.target, Tree: f.tree, NoProbe: "report does not test"}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		in.ZipBytes = info.Size()
	}

	return engine.Check{Cache: f.packs, Mounts: f.machine.mounts, Progress: f.machine.progress}.Run(ctx, in)
}

// explainIn says what pruning a zip or folder would do with a file, a folder or a distribution.
func (a *app) explainIn(ctx context.Context, what, path, layer string) error {
	spec, def, ws, err := a.specFor(layer)
	if err != nil {
		return err
	}

	f, err := a.openForeign(ctx, path, def)
	if err != nil {
		return err
	}
	defer f.close()

	pruned, err := engine.Prune{Cache: f.packs, Progress: f.machine.progress}.Inspect(ctx, engine.PruneInput{
		Name:   filepath.Base(path),
		Target: f.target,
		Tree:   f.tree,
		Spec:   spec,
		Total:  ws.Total,
	})
	if err != nil {
		return err
	}

	e := explainForeign(strings.Trim(what, "/"), filepath.Base(path), pruned)
	if len(e.Fates) == 0 {
		return fault.New(fault.BadInput, "explain", e.What, fmt.Errorf("%s does not have it", path)).
			WithHint("give a path below python/, or the name of a distribution: " + owners(pruned))
	}

	if a.json {
		return a.printJSON([]explanation{e})
	}

	book, err := policy.Builtin()
	if err != nil {
		return err
	}

	file := "the layer.yaml of a layer, and: layersmith prune --layer LAYER"
	if layer != "" {
		file = filepath.ToSlash(filepath.Join(a.workspaceDir, layer, "layer.yaml"))
	}

	explainer{w: a.Out, book: book, file: file}.print(e)
	return nil
}

// explainForeign describes a file, a folder or a distribution in a zip. A path may be as in the
// zip.
func explainForeign(what, zip string, p prune.Pruned) explanation {
	e := explanation{Layer: zip, What: what}
	matches := func(o prune.Applied) bool {
		return slices.ContainsFunc([]string{o.Site, o.Entry.Name}, func(file string) bool {
			return file == what || strings.HasPrefix(file, what+"/")
		})
	}
	if n, err := pydist.ParseName(what); err == nil {
		owned := func(o prune.Applied) bool { return o.Owner.Name == n }
		if i := slices.IndexFunc(p.Decisions, owned); i >= 0 {
			matches = owned
			e.Version = p.Decisions[i].Owner.Version.String()
		}
	}

	e.Fates = fates(p, matches)
	return e
}

// owners are the distributions of a zip.
func owners(p prune.Pruned) string {
	var out []string
	for _, o := range p.Decisions {
		if name := o.Owner.Name.String(); name != "" {
			out = append(out, name)
		}
	}

	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}
