package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/release"
)

// exitByOutcome ends the help of every command that can follow an execution.
const exitByOutcome = `

When it is followed to its end, the exit code is its outcome:
  0  Released, Unchanged
  3  RolledBack, FailedClean: nothing was released, everything is as before
  1  FailedDirty, or ended without an outcome: a person must repair it
Ctrl-C stops following; the execution continues.`

// defaultInterval is the polling interval. GetExecutionHistory has a bucket of 1000 requests,
// refilled by 20 a second in the larger regions and by 5 in the smaller (Step Functions quotas).
const defaultInterval = 2 * time.Second

// follow is how to follow an execution.
type follow struct {
	watch    bool
	interval time.Duration
}

// flags adds --interval, for commands that always follow.
func (f *follow) flags(c *cobra.Command) {
	c.Flags().DurationVar(&f.interval, "interval", defaultInterval, "polling interval")
}

// optionalFlags adds --watch too, for commands that follow when asked to.
func (f *follow) optionalFlags(c *cobra.Command) {
	c.Flags().BoolVar(&f.watch, "watch", false, "follow the execution to its end")
	f.flags(c)
}

func (a *app) watchCommand() *cobra.Command {
	var in where
	var follow follow
	c := &cobra.Command{
		Use:   "watch [EXECUTION]",
		Short: "Follow an execution to its end",
		Long: `Follow an execution to its end: a line for each step on stderr, the outcome on stdout.

EXECUTION is its name, the end of its name, or its ARN. Default: the newest running execution,
else the newest.` + exitByOutcome,
		Example: `  layersmith watch
  layersmith watch 5d1f2c --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			account, err := in.connect(ctx)
			if err != nil {
				return err
			}

			x, err := account.Find(ctx, strings.Join(args, ""))
			if err != nil {
				return err
			}

			a.say("execution %s   %s", x.Name, account.Executions.Console(x.ARN))
			return a.watch(ctx, account, x.ARN, follow.interval)
		},
	}
	follow.flags(c)
	in.flags(c)
	return c
}

// watched is the document of a command that followed an execution.
type watched struct {
	SchemaVersion int            `json:"schemaVersion"`
	Execution     string         `json:"execution"`
	ARN           string         `json:"arn"`
	Console       string         `json:"console"`
	StartedAt     time.Time      `json:"startedAt"`
	Seconds       float64        `json:"seconds"`
	Outcome       string         `json:"outcome"`
	Message       string         `json:"message"`
	Acts          []operator.Act `json:"acts"`
}

// watch follows an execution to its end, prints what it does and how it ended. It returns an error
// unless the outcome is a success.
func (a *app) watch(ctx context.Context, account operator.Account, arn string, interval time.Duration) error {
	if interval <= 0 {
		return fault.New(fault.BadInput, "read", "--interval", errors.New("expected more than 0")).
			WithHint("leave it out for " + defaultInterval.String())
	}

	live := newLive(a)
	follow := operator.Follow{
		Executions: account.Executions,
		Interval:   interval,
		Done:       live.done,
		Going:      live.going,
		Pause:      operator.Pause,
	}
	acts, x, err := follow.Run(ctx, arn)
	live.clear()
	if err != nil && ctx.Err() != nil {
		name := release.ExecutionNameOf(arn)
		return &interrupted{
			fmt.Sprintf("execution %s continues; follow it again with: layersmith watch %s", name, name),
		}
	}

	if err != nil {
		return err
	}

	return a.sayEnd(x, acts, account.Executions.Console(x.ARN))
}

// sayEnd prints how an execution ended. It returns an error unless the outcome is a success.
func (a *app) sayEnd(x operator.Execution, acts []operator.Act, console string) error {
	ending := operator.EndingOf(x)
	code := exitCodeOf(ending.Outcome)
	if a.json {
		if acts == nil {
			acts = []operator.Act{}
		}

		if err := a.printJSON(watched{
			SchemaVersion: 1,
			Execution:     x.Name,
			ARN:           x.ARN,
			Console:       console,
			StartedAt:     x.Started.UTC(),
			Seconds:       x.Stopped.Sub(x.Started).Round(time.Millisecond).Seconds(),
			Outcome:       string(ending.Outcome),
			Message:       ending.Message,
			Acts:          acts,
		}); err != nil {
			return err
		}
	} else if code != exitOK || !a.quiet {
		fmt.Fprintln(a.Out, operator.Sentence(ending))
	}

	if code != exitOK {
		return &failedExecution{name: x.Name, outcome: ending.Outcome, console: console, code: code}
	}

	return nil
}

// failedExecution ends a command that followed an execution which released nothing. Its outcome is
// on stdout already.
type failedExecution struct {
	name    string
	outcome release.Outcome
	console string
	code    int
}

func (f *failedExecution) Error() string {
	return fmt.Sprintf("execution %s ended %s", f.name, f.outcome)
}

// interrupted says what is true after Ctrl-C.
type interrupted struct{ what string }

func (i *interrupted) Error() string { return i.what }

func exitCodeOf(o release.Outcome) int {
	switch o {
	case release.Promoted, release.Unchanged, operator.Running:
		return exitOK
	case release.RolledBack, release.FailedClean:
		return exitVerdict
	}

	return exitInternal
}

// live prints acts on stderr as they end and, on a terminal, a line with what goes on now.
type live struct {
	w        io.Writer // nil prints nothing
	terminal bool
	now      func() time.Time
	dirty    bool // there is a line to write over
}

func newLive(a *app) *live {
	if a.quiet || a.json {
		return &live{}
	}

	return &live{w: a.Err, terminal: isTerminal(a.Err), now: time.Now}
}

func (l *live) done(x operator.Act) {
	if l.w == nil {
		return
	}

	l.clear()
	text := x.Summary
	if x.Error != "" {
		text = strings.TrimPrefix(text+"; failed: "+x.Error, "; ")
	}

	took := span(time.Duration(x.Seconds * float64(time.Second)))
	line := fmt.Sprintf("  %-10s %10s    %s", x.State, took, text)
	fmt.Fprintln(l.w, strings.TrimRight(line, " "))
}

func (l *live) going(states []string, since time.Time) {
	if l.w == nil || !l.terminal || len(states) == 0 {
		return
	}

	l.clear()
	fmt.Fprintf(l.w, "  %-10s %10s    ...", strings.Join(states, ", "), span(max(0, l.now().Sub(since))))
	l.dirty = true
}

func (l *live) clear() {
	if l.dirty {
		fmt.Fprint(l.w, "\r\x1b[2K")
		l.dirty = false
	}
}

// span is a duration for people: whole seconds, and no seconds from an hour on.
func span(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}

	return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
}
