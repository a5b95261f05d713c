package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) checkCommand() *cobra.Command {
	var noProbe, strict, explain bool
	c := &cobra.Command{
		Use:   "check [LAYER or ZIP...]",
		Short: "Gate, budgets and probe of what is there; writes nothing",
		Example: `  layersmith check                     all built layers
  layersmith check old-layer.zip       a zip from anywhere
  layersmith check --explain main      what was looked at, what passed, and what no check can see`,
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
			packs, discard, err := m.scratch()
			if err != nil {
				return err
			}
			defer discard()
			s := engine.Check{
				Cache:    packs,
				Python:   m.python,
				NoPython: m.noPython,
				Mounts:   m.mounts,
				Progress: m.progress,
			}
			rep := report.Report{SchemaVersion: report.SchemaVersion, Tool: engine.Tool, Target: t.String()}
			for _, arg := range args {
				in := engine.CheckInput{
					Name:    arg,
					Target:  t,
					NoProbe: m.noProbe(noProbe, t),
					Explain: explain,
				}
				file := arg
				if spec, ok := ws.Layer(arg); ok && wsErr == nil {
					in.Spec = spec
					file = filepath.Join(a.outputDir, engine.ZipName(arg, t))
					var closeBelow func()
					var err error
					if in.Below, closeBelow, err = a.openBelow(ws, arg, t); err != nil {
						return err
					}

					defer closeBelow()
					if in.OwnProbe, err = a.ownProbe(spec); err != nil {
						return err
					}
				}

				tree, closeTree, err := openTree(file)
				if errors.Is(err, fs.ErrNotExist) && wsErr == nil {
					if _, isLayer := ws.Layer(arg); isLayer {
						return fault.New(fault.BadInput, "check", arg, errors.New("is not built")).
							WithHint("run: layersmith build")
					}

					if !strings.ContainsAny(arg, "./") {
						return fault.New(fault.BadInput, "check", arg, errors.New("no such layer, and no such file")).
							WithHint(suggestLayer(ws.Names()))
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
				rep.Stacks = engine.Stacks(ws, rep.Layers)
			}

			m.close()
			if a.json {
				err = a.printJSON(rep)
			} else if !a.quiet {
				report.Text(a.Out, rep, report.TextOptions{Verbose: a.verbose, CheckOnly: true})
				for _, l := range rep.Layers {
					report.Explain(a.Out, l, a.verbose)
				}
			}

			for _, l := range rep.Layers {
				err = errors.Join(err, engine.Judge(l, strict))
			}

			return err
		},
	}
	c.Flags().BoolVar(&noProbe, "no-probe", false, "do not run the interpreter")
	c.Flags().
		BoolVar(&explain, "explain", false,
			"say for each check and each kind of job what it looked at, what passed, and what it cannot see")
	c.Flags().BoolVar(&strict, "strict", false, "not probed is an error")
	return c
}
