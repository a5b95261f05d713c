// Package cli is the command line: flags, composition of the stages with the adapters of this
// machine, printing and exit codes.
//
// Rules of its output: data goes to stdout, progress and errors to stderr. An error is one line
// "error: ..." and, where there is something to do, one line "hint: ...". With --json stdout is one
// JSON document and nothing else. With --quiet nothing is printed when all is well. Colour is used
// on terminals only, and never with NO_COLOR.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
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
	target       string
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

It resolves all layers of a workspace together (with uv), takes the wheels apart without
recompressing them, drops and strips what a program does not need, adds the bytecode that
Lambda cannot cache, and lets the real interpreter try the result.

Exit codes: 0 all is well, 1 our mistake, 2 something in the input must be changed,
3 built, but a budget, the gate or the probe says no.`,
		Example: `  layersmith init pandas numpy        a workspace with one layer
  layersmith build                    lock, fetch, prune, test, report
  layersmith explain pandas/tests     why is it gone?`,
		Version:       engine.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.workspaceDir, "workspace", "layers", "folder of the workspace")
	f.StringVar(&a.outputDir, "output", "dist", "folder for zips and report")
	f.StringVar(&a.target, "target", "", "runtime and architecture, python3.13-arm64 (default: the workspace's first)")
	f.StringVar(&a.python, "python", "",
		"the target's interpreter, a path or a command (default: found on PATH, in pyenv's and uv's folders)")
	f.BoolVar(&a.offline, "offline", false, "use what is in the wheel store, do not ask the index")
	f.BoolVar(&a.json, "json", false, "print one JSON document on stdout")
	f.BoolVar(&a.quiet, "quiet", false, "print nothing when all is well")
	f.BoolVar(&a.verbose, "verbose", false, "print more")
	f.StringVar(&a.cacheDir, "cache", "",
		"folder of wheel store and caches (default: $LAYERSMITH_CACHE, or layersmith in the user's cache folder)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fault.New(fault.BadInput, "", "", err).WithHint("run: layersmith --help")
	})
	root.AddCommand(
		a.initCommand(),
		a.lockCommand(),
		a.buildCommand(),
		a.pruneCommand(),
		a.checkCommand(),
		a.reportCommand(),
		a.explainCommand(),
		a.rulesCommand(),
		a.statusCommand(),
		a.cleanCommand(),
		a.pushCommand(),
		a.startCommand(),
		a.watchCommand(),
		a.executionsCommand(),
		a.versionsCommand(),
		a.rollbackCommand(),
		a.artifactsCommand(),
	)
	return root
}

// exit prints an error as people read it and chooses the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}

	if ctx.Err() != nil {
		what := "what was there before is as it was"
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
			a.complain(f.Error(), f.Hint)
		}

		return exitInput
	}

	text := err.Error()
	code := fault.CodeOf(err)
	if strings.HasPrefix(text, "unknown command") || strings.HasPrefix(text, "accepts ") ||
		strings.HasPrefix(text, "requires ") { // cobra's own
		code = fault.BadInput
	}

	a.complain(text, fault.HintOf(err))
	switch code {
	case fault.Internal:
		return exitInternal
	case fault.GateFailed, fault.ProbeFailed, fault.OverLimit, fault.NotProbed:
		return exitVerdict
	}

	return exitInput
}

func (a *app) complain(problem, hint string) {
	fmt.Fprintln(a.Err, a.paint(a.Err, "31", "error:"), problem)
	if hint != "" {
		fmt.Fprintln(a.Err, a.paint(a.Err, "36", "hint:"), hint)
	}
}

// paint colours a word on a terminal.
func (a *app) paint(w io.Writer, colour, s string) string {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(w) {
		return s
	}

	return "\x1b[" + colour + "m" + s + "\x1b[0m"
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
