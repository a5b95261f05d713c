package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// buildFlags are the flags of build that are not the engine's input.
type buildFlags struct {
	in                 engine.BuildInput
	clean, allowSource bool
	noHeal, noProbe    bool
}

func (a *app) buildCommand() *cobra.Command {
	var flags buildFlags
	c := &cobra.Command{
		Use:   "build [LAYER...]",
		Short: "Build layers: lock, fetch, prune, compile, test, report",
		Long: `Build the layers of the workspace, or the named ones: resolve requirements if the lock is stale,
download wheels, remove and strip what programs do not need, compile bytecode, check the result and
test it with the target's interpreter. Zips and report go to the output folder.

All targets of the workspace are built, or those of --target. report.json is of the last one that was built; where
there are more, report.<target>.json is that of each. With --json and several targets, the document is
{"schemaVersion": 1, "targets": [the report of each]}; so it is with lock, status, check and report.`,
		Example: `  layersmith build
  layersmith build core-data-science --target python3.13-arm64
  layersmith build --no-probe --json`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, layers []string) error {
			return a.eachTarget(cmd.Context(), func(a *app) error { return a.build(cmd.Context(), layers, flags) })
		},
	}
	f := c.Flags()
	f.BoolVar(&flags.noProbe, "no-probe", false, "do not test layers with the interpreter")
	f.BoolVar(&flags.noHeal, "no-heal", false,
		"do not restore files that a failing test needs, and do not edit layer.yaml")
	f.BoolVar(&flags.in.Strict, "strict", false, "fail when a layer cannot be tested; implies --no-heal")
	f.BoolVar(&flags.in.PlanOnly, "plan", false, "write unpruned artifacts with bytecode, for another machine to prune")
	f.BoolVar(&flags.in.Paranoid, "paranoid", false, "check the CRC-32 of every file that is copied")
	f.BoolVar(&flags.clean, "clean", false, "build again even if nothing changed")
	f.BoolVar(&flags.allowSource, "allow-source", false, "allow source distributions when locking")
	return c
}

func (a *app) build(ctx context.Context, layers []string, flags buildFlags) error {
	start := time.Now()
	w, t, err := a.open()
	if err != nil {
		return err
	}

	names, err := layerNames("build", w, layers)
	if err != nil {
		return err
	}

	m, err := a.withPython(ctx, t, false)
	if err != nil {
		return err
	}
	defer m.close()

	in := flags.in
	in.Workspace = w
	in.Layers = layers
	in.ReadFile = a.read
	in.Rebuild = flags.clean
	in.NoProbe = m.noProbe(flags.noProbe, t)
	lockInput := engine.LockInput{Workspace: w, Target: t, AllowSource: flags.allowSource, Offline: a.offline}
	if in.Lock, err = a.lockAndFetch(ctx, m, lockInput); err != nil {
		return err
	}

	build := a.builder(m)
	printHealed := func() {}
	if !flags.noHeal && !in.Strict {
		build.Heal, printHealed = a.heal()
	}

	rep, changed, err := build.Run(ctx, in)
	m.close()
	printHealed() // also after an error: files of the workspace were changed
	if len(rep.Layers) == 0 {
		return err
	}

	if a.json {
		return errors.Join(a.printJSON(rep), err)
	}

	if !a.quiet {
		report.Text(a.text(), rep, report.TextOptions{Verbose: a.verbose, PlanOnly: in.PlanOnly, HealedPrinted: true})
		if in.PlanOnly {
			rep.Written = len(names)
		}

		a.sayWritten(changed, in.PlanOnly, rep.Written, time.Since(start))
	}

	return err
}

// layerNames are the named layers, or all. One that the workspace does not have is a fault.
func layerNames(op string, w workspace.Workspace, layers []string) ([]string, error) {
	if len(layers) == 0 {
		return w.Names(), nil
	}

	for _, n := range layers {
		if _, ok := w.Layer(n); !ok {
			return nil, fault.New(fault.BadInput, op, n, errors.New("no such layer")).
				WithHint(suggestLayer(w.Names()))
		}
	}

	return layers, nil
}

// sayWritten is the last line of a build.
func (a *app) sayWritten(changed, planOnly bool, n int, took time.Duration) {
	output := filepath.ToSlash(filepath.Clean(a.outputDir))
	if !changed {
		a.say("nothing changed: %s/ is up to date, checked in %s", output, seconds(took))
		return
	}

	what := report.Count(n, "zip") + ", " + engine.ReportName
	if planOnly {
		what = report.Count(n, "artifact")
	}

	a.say("wrote   %s/ (%s) in %s", output, what, seconds(took))
}

// heal lets a build write what it restored into the workspace. printHealed prints that on stderr,
// also with --quiet and --json: files that are under version control were changed.
func (a *app) heal() (h *engine.Heal, printHealed func()) {
	var lines []string
	h = &engine.Heal{Now: time.Now, Write: a.replace, Told: func(layer string, e report.Healed) {
		file := filepath.Join(a.workspaceDir, filepath.FromSlash(e.File))
		lines = append(lines, report.HealedText(layer, e, filepath.ToSlash(file)))
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
	in.Python = m.release()
	locked, err := a.locker(m).Run(ctx, in)
	if err != nil {
		return lock.Lock{}, err
	}

	a.sayLock(locked)
	a.sayPython(m, locked.Lock)
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

	came := ", all in the store"
	if fetched.Downloaded > 0 {
		came = fmt.Sprintf("; %d downloaded, %s MB", fetched.Downloaded, measure.Bytes(fetched.DownloadedBytes).MB())
	}

	a.say("fetch   %s, %s MB%s", report.Count(fetched.Wheels, "wheel"), measure.Bytes(fetched.Bytes).MB(), came)
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

	return "layers here: " + strings.Join(names, " ")
}

func (a *app) completeLayers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	w, _, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	return w.Names(), cobra.ShellCompDirectiveNoFileComp
}
