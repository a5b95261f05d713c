package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) buildCommand() *cobra.Command {
	var in engine.BuildInput
	var clean, allowSource, noHeal, noProbe bool
	c := &cobra.Command{
		Use:   "build [LAYER...]",
		Short: "Build layers: lock if stale, fetch, assemble, prune, measure, gate, probe, report",
		Example: `  layersmith build
  layersmith build core-data-science --target python3.13-arm64
  layersmith build --no-probe --json`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, layers []string) error {
			ctx := cmd.Context()
			start := time.Now()
			w, t, err := a.open()
			if err != nil {
				return err
			}

			names := layers
			if len(names) == 0 {
				names = w.Names()
			}

			for _, n := range names {
				if _, ok := w.Layer(n); !ok {
					return fault.New(fault.BadInput, "build", n, errors.New("no such layer")).
						WithHint(suggestLayer(w.Names()))
				}
			}

			m, err := a.machine(ctx, t)
			if err != nil {
				return err
			}
			defer m.close()
			in.Workspace = w
			in.Layers = layers
			in.ReadFile = a.read
			in.Rebuild = in.Rebuild || clean
			if in.Lock, err = a.lockAndFetch(ctx, m,
				engine.LockInput{Workspace: w, Target: t, AllowSource: allowSource, Offline: a.offline}); err != nil {
				return err
			}

			in.NoProbe = m.noProbe(noProbe, t)

			build := a.buildStage(m)
			told := func() {}
			if !noHeal && !in.Strict {
				build.Heal, told = a.heal()
			}

			rep, changed, err := build.Run(ctx, in)
			m.close()
			told() // whatever else comes, files of the workspace were changed
			if len(rep.Layers) == 0 {
				return err
			}

			if a.json {
				return errors.Join(a.printJSON(rep), err)
			}

			if !a.quiet {
				report.Text(a.Out, rep, report.TextOptions{Verbose: a.verbose, PlanOnly: in.PlanOnly, HealedPrinted: true})
				if changed {
					what := report.Count(len(names), "zip") + ", " + engine.ReportName
					if in.PlanOnly {
						what = report.Count(len(names), "artifact")
					}

					a.say("wrote   %s/ (%s) in %s", filepath.ToSlash(filepath.Clean(a.outputDir)), what,
						seconds(time.Since(start)))
				} else {
					a.say("nothing changed: %s/ is up to date, checked in %s",
						filepath.ToSlash(filepath.Clean(a.outputDir)), seconds(time.Since(start)))
				}
			}

			return err
		},
	}
	f := c.Flags()
	f.BoolVar(&noProbe, "no-probe", false, "do not run the interpreter on the result")
	f.BoolVar(&noHeal, "no-heal", false, "do not restore what a failing probe needs, nor write that into layer.yaml")
	f.BoolVar(&in.Strict, "strict", false,
		"not probed is an error, and nothing is healed: a build that changes its own input is no proof")
	f.BoolVar(&in.PlanOnly, "plan", false, "stop at the unpruned artifacts (what a remote builder runs)")
	f.BoolVar(&in.Paranoid, "paranoid", false, "inflate every file that is copied and check its CRC")
	f.BoolVar(&clean, "clean", false, "build again even if nothing changed")
	f.BoolVar(&allowSource, "allow-source", false, "allow source distributions when locking")
	return c
}

// heal lets a build write into the workspace what it restored. told prints that: on stderr, also
// with --quiet and --json, since files that are under version control were changed.
func (a *app) heal() (h *engine.Heal, told func()) {
	var lines []string
	h = &engine.Heal{Now: time.Now, Write: a.replace, Told: func(layer string, e report.Healed) {
		lines = append(lines,
			report.HealedText(layer, e, filepath.ToSlash(filepath.Join(a.workspaceDir, filepath.FromSlash(e.File)))))
	}}
	return h, func() {
		for _, l := range lines {
			fmt.Fprintln(a.Err, a.paint(a.Err, "33", "healed:"), l)
		}
	}
}

// replace writes a file of the workspace that people edit: where a link leads to, and with the mode
// that it has.
func (a *app) replace(name string, b []byte) error {
	file := filepath.Join(a.workspaceDir, filepath.FromSlash(name))
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}

	info, statErr := os.Stat(file)
	err := localport.WriteFile(file, func(w io.Writer) error { _, err := w.Write(b); return err })
	if err == nil && statErr == nil {
		err = os.Chmod(file, info.Mode().Perm())
	}

	return unwrapPath(err)
}

// lockAndFetch is how every build begins: a lock that belongs to the requirements, and its wheels
// in the store.
func (a *app) lockAndFetch(ctx context.Context, m *machine, in engine.LockInput) (lock.Lock, error) {
	locked, err := a.lockStage(m).Run(ctx, in)
	if err != nil {
		return lock.Lock{}, err
	}

	a.sayLock(locked)
	http := localport.HTTP{
		Client: localport.NewClient(),
		Agent:  "layersmith/" + engine.Version,
		Getenv: os.Getenv,
		Root:   a.workspaceDir,
	}
	fetch := engine.Fetch{
		Wheels:   m.wheels,
		Cache:    m.packs,
		Resolver: m.resolver(a),
		Download: http.Download,
		Progress: m.progress,
		Builds:   m.builds,
		Unpack:   m.unpack,
	}
	fetched, err := fetch.Run(ctx, locked.Lock, in.Workspace, in.Workspace.Names(), in.Offline)
	if err != nil {
		return lock.Lock{}, err
	}

	if fetched.Downloaded == 0 {
		a.say("fetch   %s, %s MB, all in the store", report.Count(fetched.Wheels, "wheel"),
			measure.Bytes(fetched.Bytes).MB())
	} else {
		a.say("fetch   %s, %s MB; %d downloaded, %s MB", report.Count(fetched.Wheels, "wheel"),
			measure.Bytes(fetched.Bytes).MB(), fetched.Downloaded, measure.Bytes(fetched.Came).MB())
	}

	if fetched.Built > 0 {
		a.say("        %d built from source", fetched.Built)
	}

	return fetched.Lock, nil
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}

	return d.Round(100 * time.Millisecond).String()
}

func suggestLayer(names []string) string {
	if len(names) == 0 {
		return ""
	}

	s := "layers here:"
	for _, n := range names {
		s += " " + n
	}

	return s
}

func (a *app) completeLayers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	w, _, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	return w.Names(), cobra.ShellCompDirectiveNoFileComp
}
