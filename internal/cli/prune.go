package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	out, layer      string
	noProbe, strict bool
}

func (a *app) pruneCommand() *cobra.Command {
	var flags pruneFlags
	c := &cobra.Command{
		Use:   "prune ARCHIVE_OR_FOLDER -o OUT.zip",
		Short: "Prune and test a layer that another tool built",
		Example: `  layersmith prune sam-layer.zip -o small.zip
  layersmith prune build/python-folder -o small.zip --target python3.12-arm64 --layer ml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.prune(cmd.Context(), args[0], flags)
		},
	}
	f := c.Flags()
	f.StringVarP(&flags.out, "out", "o", "", "the zip to write")
	f.StringVar(&flags.layer, "layer", "", "take rules, budget and probe.py of this layer of the workspace")
	completeFlag(c, "layer", a.completeLayers)
	f.BoolVar(&flags.noProbe, "no-probe", false, "do not test the layer with the interpreter")
	f.BoolVar(&flags.strict, "strict", false, "fail when the layer cannot be tested")
	return c
}

func (a *app) prune(ctx context.Context, path string, flags pruneFlags) error {
	if err := checkOut(path, flags.out); err != nil {
		return err
	}

	spec, t, ws, err := a.specFor(flags.layer)
	if err != nil {
		return err
	}

	tree, closeTree, err := openPython(path)
	if err != nil {
		return err
	}
	defer closeTree()

	t = a.guess(tree, t)

	m, err := a.withPython(ctx, t, false)
	if err != nil {
		return err
	}
	defer m.close()

	below, closeBelow, err := a.openBelow(ws, flags.layer, t)
	if err != nil {
		return err
	}
	defer closeBelow()

	own, err := a.ownProbe(spec)
	if err != nil {
		return err
	}

	packs, discard, err := m.scratch()
	if err != nil {
		return err
	}
	defer discard()

	s := engine.Prune{Cache: packs, Python: m.python, NoPython: m.noPython, Mounts: m.mounts, Progress: m.progress}
	r, err := s.Run(ctx, engine.PruneInput{
		Name:     filepath.Base(flags.out),
		Target:   t,
		Tree:     tree,
		Spec:     spec,
		Below:    below,
		OwnProbe: own,
		NoProbe:  m.noProbe(flags.noProbe, t),
		Total:    ws.Total,
		Write: func(write func(io.Writer) error) error {
			if err := localport.WriteFile(flags.out, write); err != nil {
				return fault.New(fault.BadInput, "write", flags.out, unwrapPath(err))
			}

			return nil
		},
	})
	if err != nil {
		return err
	}

	m.close()
	return a.showOne(r, flags.strict)
}

// checkOut refuses a result without a name, and one that would replace the input.
func checkOut(path, out string) error {
	if out == "" {
		return fault.New(fault.BadInput, "prune", path, errors.New("no output file is named")).
			WithHint("name the result: -o OUT.zip")
	}

	same, err := sameFile(path, out)
	if err != nil {
		return err
	}

	if same {
		return fault.New(fault.BadInput, "prune", out, errors.New("is the input")).
			WithHint("write the result to another file")
	}

	return nil
}

// openPython opens a zip or folder that holds Python files.
func openPython(path string) (ziptree.Tree, func(), error) {
	tree, closeTree, err := openTree(path)
	if err != nil || holdsPython(tree) {
		return tree, closeTree, err
	}

	closeTree()
	hint := "give a layer's zip or folder: python/..., or what pip installed with --target"
	if inner := zipIn(tree); inner != "" {
		hint = "it holds another archive, " + inner + ": unpack it, and give that one"
	}

	return tree, nil, fault.New(fault.BadInput, "prune", path, errors.New("there is no Python in it")).WithHint(hint)
}

// openBelow opens the built zips of the layers below a layer, lowest first.
func (a *app) openBelow(
	ws workspace.Workspace, layer string, t pydist.Target,
) (trees []ziptree.Tree, closeAll func(), err error) {
	var closers []func()
	closeAll = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, name := range ws.Below(layer) {
		tree, closeTree, err := openTree(filepath.Join(a.outputDir, engine.ZipName(name, t)))
		if err != nil {
			closeAll()
			if errors.Is(err, fs.ErrNotExist) {
				err = fault.New(fault.BadInput, "open", name, errors.New("is not built")).
					WithHint("run: layersmith build " + name)
			}

			return nil, nil, err
		}

		trees = append(trees, tree)
		closers = append(closers, closeTree)
	}

	return trees, closeAll, nil
}

// ownProbe reads a layer's probe.py; "" when it has none.
func (a *app) ownProbe(spec workspace.Layer) (string, error) {
	if spec.Probe == "" {
		return "", nil
	}

	b, err := a.read(spec.Probe)
	return string(b), err
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

// zipIn is the first archive among the files; "" for none.
func zipIn(t ziptree.Tree) string {
	for _, e := range t.Entries() {
		for _, ending := range []string{".zip", ".whl", ".tar.gz", ".pex"} {
			if strings.HasSuffix(e.Name, ending) {
				return e.Name
			}
		}
	}

	return ""
}

func sameFile(a, b string) (bool, error) {
	infoA, err := os.Stat(a)
	if err != nil {
		return false, fault.New(fault.BadInput, "open", a, unwrapPath(err))
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
		return workspace.Layer{}, t, ws, fault.New(fault.BadInput, "find", layer, errors.New("no such layer")).
			WithHint(suggestLayer(ws.Names()))
	}

	return spec, t, ws, nil
}

// openTree opens a zip or a folder.
func openTree(path string) (ziptree.Tree, func(), error) {
	info, err := os.Stat(path)
	if err != nil {
		return ziptree.Tree{}, nil, fault.New(fault.BadInput, "open", path, unwrapPath(err))
	}

	if info.IsDir() {
		if err := notVenv(path); err != nil {
			return ziptree.Tree{}, nil, err
		}

		t, err := ziptree.ReadFolder(os.DirFS(path), path)
		if err != nil {
			return ziptree.Tree{}, nil, unreadable(err)
		}

		return t, func() {}, nil
	}

	b, err := localport.OpenBlob(path)
	if err != nil {
		return ziptree.Tree{}, nil, fault.New(fault.BadInput, "open", path, unwrapPath(err))
	}

	t, err := ziptree.Read(b, b.Size(), path)
	if err != nil {
		b.Close()
		return ziptree.Tree{}, nil, unreadable(err)
	}

	return t, func() { b.Close() }, nil
}

// notVenv refuses a virtual environment, whose interpreter is a link.
func notVenv(path string) error {
	if _, err := os.Stat(filepath.Join(path, "pyvenv.cfg")); err != nil {
		return nil
	}

	packages := filepath.Join(path, "lib", "python3.N", "site-packages")
	if found, _ := filepath.Glob(filepath.Join(path, "lib", "python3.*", "site-packages")); len(found) > 0 {
		packages = found[0]
	}

	return fault.New(fault.BadInput, "open", path, errors.New("is a virtual environment")).
		WithHint("give the folder of its packages: " + filepath.ToSlash(packages))
}

// unreadable is the fault of a zip or folder that has other things than regular files. The error
// names it.
func unreadable(err error) error {
	hint := "make the zip again; layersmith reads plain zips of regular files"
	switch {
	case strings.Contains(err.Error(), "symbolic link") && strings.Contains(err.Error(), "bin/python"):
		hint = "it is a virtual environment: zip what is in its lib/python3.N/site-packages, as python/"
	case strings.Contains(err.Error(), "symbolic link"):
		hint = "replace the link by the file that it points to: zip -r without -y does that, and cp -rL for a folder"
	}

	return fault.New(fault.CorruptArchive, "", "", err).WithHint(hint)
}

func (a *app) showOne(r report.Layer, strict bool) error {
	err := engine.Judge(r, strict)
	if a.json {
		return errors.Join(a.printJSON(r), err)
	}

	if !a.quiet {
		report.Text(a.text(), report.Report{Layers: []report.Layer{r}}, report.TextOptions{Verbose: a.verbose})
	}

	return err
}
