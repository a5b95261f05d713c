// Package cli is the command line: flags, composition of use cases with adapters, printing and exit
// codes.
//
// Rules of its output: data goes to stdout, progress and errors to stderr. An error is one line
// "error: ..." and, where there is something to do, one line "hint: ...". With --json, stdout is
// one JSON document and nothing else. With --quiet, only errors are printed. Color is used on
// terminals only, and never with NO_COLOR.
package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Streams are where a command writes.
type Streams struct{ Out, Err io.Writer }

// Exit codes.
const (
	exitOK       = 0
	exitInternal = 1
	exitInput    = 2
	exitVerdict  = 3
	exitCanceled = 130 // as shells report an interrupt
)

// heapLimit keeps the collector from trading memory for time beyond what the engine promises (128
// MB at its peak).
const heapLimit = 96 << 20

// Main runs one command and returns its exit code.
func Main(args []string, streams Streams) int {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(heapLimit)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{Streams: streams}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	return a.exit(ctx, err)
}

// app is what the commands share: streams and the common flags.
type app struct {
	Streams
	workspaceDir string
	outputDir    string
	targets      []string // the values of --target
	target       string   // the one that is worked on; "" for the workspace's first
	python       string
	offline      bool
	json         bool
	quiet        bool
	verbose      bool
	cacheDir     string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "layersmith",
		Short: "Make Lambda layers for Python smaller and faster to start",
		Long: `Layersmith turns requirements into Lambda layers that are small, start fast and are tested.

It resolves all layers of a workspace together (with uv), copies what a program needs out of the
wheels without recompressing it, strips shared libraries, adds the bytecode that Lambda cannot
cache, and tests the result with the real interpreter.

Exit codes: 0 success, 1 internal error, 2 bad input, 3 built, but a check failed.`,
		Example: `  layersmith init pandas numpy        write a workspace with one layer
  layersmith build                    lock, fetch, prune, test, report
  layersmith explain pandas/tests     say why it was removed`,
		Version:       versionText(),
		SilenceErrors: true,

		PersistentPreRunE: a.oneTarget,
		SilenceUsage:      true,
	}
	a.globalFlags(root.PersistentFlags())
	completeFlag(root, "target", completeTargets)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fault.New(fault.BadInput, "", "", err).WithHint("run: layersmith --help")
	})
	addGroup(root, "machine", "On this machine:",
		a.initCommand(), a.lockCommand(), a.buildCommand(), a.pruneCommand(), a.checkCommand(), a.reportCommand(),
		a.explainCommand(), a.rulesCommand(), a.statusCommand(), a.cleanCommand())
	addGroup(root, "account", "In your account:",
		a.pushCommand(), a.startCommand(), a.watchCommand(), a.executionsCommand(), a.versionsCommand(),
		a.rollbackCommand())
	root.AddGroup(&cobra.Group{ID: "other", Title: "Other:"})
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	root.AddCommand(a.artifactsCommand())
	wrapFlagUsages(root, columns(a.Out))
	return root
}

func addGroup(root *cobra.Command, id, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, c := range commands {
		c.GroupID = id
		root.AddCommand(c)
	}
}

// globalFlags are those of all commands.
func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringVar(&a.workspaceDir, "workspace", "layers", "folder of the workspace")
	f.StringVar(&a.outputDir, "output", "dist", "folder for zips and report")
	f.StringArrayVar(&a.targets, "target", nil,
		"runtime and architecture, for example python3.13-arm64; repeatable, or all (default: those of the workspace)")
	f.StringVar(&a.python, "python", "",
		"the target's interpreter: a path or a command (default: found on PATH, in pyenv's and uv's folders)")
	f.BoolVar(&a.offline, "offline", false, "use only wheels that were downloaded before")
	f.BoolVar(&a.json, "json", false, "print one JSON document on stdout")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print more")
	f.StringVar(&a.cacheDir, "cache", "",
		"folder for wheels and caches (default: $LAYERSMITH_CACHE, or layersmith in the user's cache folder)")
}

// exit prints an error as people read it and chooses the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}

	if ctx.Err() != nil {
		what := "no file was left half-written"
		var i *interrupted
		if errors.As(err, &i) {
			what = i.what
		}

		fmt.Fprintln(a.Err, "interrupted: "+what)
		return exitCanceled
	}

	var failed *failedExecution
	if errors.As(err, &failed) {
		a.complain(err.Error(), "look at "+failed.console)
		return failed.code
	}

	var findings workspace.Findings
	if errors.As(err, &findings) {
		for _, f := range findings {
			a.complain(f.Error(), cmp.Or(f.Hint, hintForFinding(f.Error())))
		}

		return exitInput
	}

	a.complain(err.Error(), cmp.Or(fault.HintOf(err), hintFor(err)))
	return exitCode(err)
}

// exitCode is that of a command that failed.
func exitCode(err error) int {
	switch fault.CodeOf(err) {
	case fault.GateFailed, fault.ProbeFailed, fault.OverLimit, fault.NotProbed:
		return exitVerdict
	case fault.Internal:
		if !isUsage(err) {
			return exitInternal
		}
	}

	return exitInput
}

// isUsage reports whether an error is cobra's own about a command line. It has no type for them.
func isUsage(err error) bool {
	return slices.ContainsFunc([]string{"unknown command", "accepts ", "requires "}, func(begin string) bool {
		return strings.HasPrefix(err.Error(), begin)
	})
}

func (a *app) complain(problem, hint string) {
	fmt.Fprintln(a.Err, a.paint(a.Err, "31", "error:"), problem)
	if hint != "" {
		fmt.Fprintln(a.Err, a.paint(a.Err, "36", "hint:"), hint)
	}
}

// paint colors a word on a terminal. color is an SGR code.
func (a *app) paint(w io.Writer, color, s string) string {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(w) {
		return s
	}

	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}

	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// say prints for people: nothing with --quiet or --json.
func (a *app) say(format string, args ...any) {
	if !a.quiet && !a.json {
		fmt.Fprintf(a.Out, format+"\n", args...)
	}
}

// printJSON is all of stdout with --json.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
