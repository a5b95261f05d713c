package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// exitByOutcome ends the help of every command that can follow an execution.
const exitByOutcome = `

When it is followed to its end, the exit code is its outcome:
  0  Released, Unchanged
  3  RolledBack, FailedClean: it did not go through, everything is as before
  1  FailedDirty, or stopped without an outcome: a person is needed
Ctrl-C stops following; the execution goes on.`

// defaultInterval is between two looks at an execution. GetExecutionHistory has a bucket of 1000
// requests, refilled by 20 a second in the larger regions, 5 in the smaller.
const defaultInterval = 2 * time.Second

// follow is how to follow an execution.
type follow struct {
	watch    bool
	interval time.Duration
}

func newFollow() *follow { return &follow{} }

func (f *follow) flags(c *cobra.Command, optional bool) {
	if optional {
		c.Flags().BoolVar(&f.watch, "watch", false, "follow it to its end")
	}

	c.Flags().DurationVar(&f.interval, "interval", defaultInterval, "time between two looks")
}

func (a *app) watchCommand() *cobra.Command {
	var in where
	follow := newFollow()
	c := &cobra.Command{
		Use:   "watch [EXECUTION]",
		Short: "Follow an execution to its end",
		Long: `Follow an execution to its end: one line for each act on stderr, the outcome on stdout.

EXECUTION is its name, the end of its name, or its ARN; without it, the newest that runs, else the newest.` +
			exitByOutcome,
		Example: `  layersmith watch
  layersmith watch 5d1f2c --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			account, err := in.connect(ctx)
			if err != nil {
				return err
			}

			x, err := account.find(ctx, strings.Join(args, ""))
			if err != nil {
				return err
			}

			a.say("execution %s   %s", x.Name, awsport.ConsoleURL(x.ARN))
			return a.watch(ctx, account, x.ARN, follow.interval)
		},
	}
	follow.flags(c, false)
	in.flags(c)
	return c
}

// recent is how many executions are looked at to find one by the end of its name.
const recent = 100

// find chooses an execution by what people call it; "" is the newest that runs, else the newest.
func (c *account) find(ctx context.Context, name string) (awsport.Execution, error) {
	if name == "" {
		for _, status := range []string{"RUNNING", ""} {
			found, err := c.Executions.List(ctx, status, 1)
			if err != nil {
				return awsport.Execution{}, err
			}

			if len(found) > 0 {
				return found[0], nil
			}
		}

		return awsport.Execution{}, fault.New(fault.NotFound, "watch", "stack "+c.Name,
			errors.New("there was no execution yet")).
			WithHint("run: layersmith push, or layersmith start")
	}

	x, err := c.Executions.Describe(ctx, c.Executions.ARN(name))
	if err == nil || release.IsARN(name) || fault.CodeOf(err) != fault.NotFound {
		return x, err
	}

	listed, err := c.Executions.List(ctx, "", recent)
	if err != nil {
		return awsport.Execution{}, err
	}

	var found []awsport.Execution
	for _, x := range listed {
		if strings.HasSuffix(x.Name, name) {
			found = append(found, x)
		}
	}

	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return awsport.Execution{}, fault.New(fault.NotFound, "watch", name, errors.New("no such execution")).
			WithHint("run: layersmith executions")
	}

	return awsport.Execution{}, fault.New(fault.BadInput, "watch", name, fmt.Errorf("%d executions end so", len(found))).
		WithHint("give more of the name: " + found[0].Name + " or " + found[1].Name)
}

// watched is the document of a command that followed an execution.
type watched struct {
	SchemaVersion int       `json:"schemaVersion"`
	Execution     string    `json:"execution"`
	ARN           string    `json:"arn"`
	Console       string    `json:"console"`
	StartedAt     time.Time `json:"startedAt"`
	Seconds       float64   `json:"seconds"`
	Outcome       string    `json:"outcome"`
	Message       string    `json:"message"`
	Acts          []act     `json:"acts"`
}

// watch follows an execution to its end, prints what it does, and says how it ended: nil when it
// went well.
func (a *app) watch(ctx context.Context, account *account, arn string, interval time.Duration) error {
	if interval <= 0 {
		return fault.New(fault.BadInput, "read", "--interval", errors.New("it must be more than nothing")).
			WithHint("leave it out for 2s")
	}

	name := release.ExecutionNameOf(arn)
	live := newLive(a)
	acts, err := followHistory(ctx, account.Executions, arn, interval, live)
	live.clear()
	if err != nil {
		if ctx.Err() != nil {
			return &interrupted{
				fmt.Sprintf("execution %s goes on; follow it again with: layersmith watch %s", name, name),
			}
		}

		return err
	}

	x, err := account.Executions.Describe(ctx, arn)
	for err == nil && x.Status == "RUNNING" { // its history is ahead of it
		if err = pause(ctx, interval); err == nil {
			x, err = account.Executions.Describe(ctx, arn)
		}
	}

	if err != nil {
		return err
	}

	ending := endingOf(x)
	if a.json {
		if acts == nil {
			acts = []act{}
		}

		doc := watched{
			SchemaVersion: 1,
			Execution:     x.Name,
			ARN:           x.ARN,
			Console:       awsport.ConsoleURL(x.ARN),
			StartedAt:     x.Started.UTC(),
			Seconds: x.Stopped.Sub(x.Started).
				Round(time.Millisecond).
				Seconds(),
			Outcome: string(ending.Outcome),
			Message: ending.Message,
			Acts:    acts,
		}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else if code := exitCodeOf(ending.Outcome); code != exitOK || !a.quiet {
		fmt.Fprintln(a.Out, sentence(ending))
	}

	if code := exitCodeOf(ending.Outcome); code != exitOK {
		return &failedExecution{name: x.Name, outcome: ending.Outcome, console: awsport.ConsoleURL(x.ARN), code: code}
	}

	return nil
}

// sentence is an ending for people. Most messages begin with the outcome already.
func sentence(e release.Ending) string {
	o := string(e.Outcome)
	switch {
	case e.Message == "":
		return o
	case strings.HasPrefix(e.Message, o):
		return e.Message
	}

	return o + ": " + e.Message
}

// failedExecution ends a command that followed an execution which did not go through. What happened
// stands on stdout already.
type failedExecution struct {
	name    string
	outcome release.Outcome
	console string
	code    int
}

func (f *failedExecution) Error() string {
	return fmt.Sprintf("execution %s ended %s", f.name, f.outcome)
}

// interrupted says what goes on after Ctrl-C.
type interrupted struct{ what string }

func (i *interrupted) Error() string { return i.what }

// What an execution can be beside the outcomes of the workflow: Step Functions' own statuses.
const (
	running   release.Outcome = "Running"
	stopped   release.Outcome = "Stopped"  // by somebody: StopExecution
	overtime  release.Outcome = "TimedOut" // the state machine's own limit
	crashed   release.Outcome = "Failed"   // without reaching one of the workflow's ends
	succeeded release.Outcome = "Succeeded"
)

func exitCodeOf(o release.Outcome) int {
	switch o {
	case release.Promoted, release.Unchanged, succeeded, running:
		return exitOK
	case release.RolledBack, release.FailedClean:
		return exitVerdict
	}

	return exitInternal
}

// nextUndoes is what is true of an execution that was cut off: the lease is still there, and
// whoever comes next takes it over.
const nextUndoes = "the next execution first undoes what it left; start one with: layersmith start"

// endingOf says how an execution ended. One that succeeded carries its ending in its output; one
// that failed ended in a state whose error is the outcome.
func endingOf(x awsport.Execution) release.Ending {
	switch x.Status {
	case "SUCCEEDED":
		var out struct{ Ending *release.Ending }
		if json.Unmarshal([]byte(x.Output), &out) == nil && out.Ending != nil && out.Ending.Outcome != "" {
			return *out.Ending
		}

		return release.Ending{Outcome: succeeded}
	case "FAILED":
		for _, o := range []release.Outcome{release.RolledBack, release.FailedClean, release.FailedDirty} {
			if x.Error == string(o) {
				return release.Ending{Outcome: o, Message: x.Cause}
			}
		}

		return release.Ending{
			Outcome: crashed,
			Message: strings.TrimSuffix(why(x.Error, x.Cause), ".") + "; " + nextUndoes,
		}
	case "TIMED_OUT":
		return release.Ending{Outcome: overtime, Message: "it took longer than the state machine allows; " + nextUndoes}
	case "ABORTED":
		return release.Ending{
			Outcome: stopped,
			Message: cmp.Or(why(x.Error, x.Cause), "somebody stopped it") + "; " + nextUndoes,
		}
	}

	return release.Ending{Outcome: running}
}

// why is an error of Step Functions in one line. A Lambda function's cause is a JSON document with
// the message in it; other services' causes are theirs.
func why(code, cause string) string {
	var lambda struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(cause), &lambda) == nil {
		cause, _, _ = strings.Cut(lambda.ErrorMessage, "\nhint: ") // the sentence at the end has the hint
	}

	const longest = 300 // more than that is a document, which the console shows better
	cause = strings.Join(strings.Fields(cause), " ")
	if r := []rune(cause); len(r) > longest {
		cause = string(r[:longest]) + "..."
	}

	switch {
	case cause == "":
		return code
	case code == "":
		return cause
	}

	return code + ": " + cause
}

// followHistory reads the history until the execution is over and shows each act when it is done.
func followHistory(
	ctx context.Context,
	executions awsport.Executions,
	arn string,
	interval time.Duration,
	live *live,
) ([]act, error) {
	var s story
	var last int64
	for {
		events, err := executions.History(ctx, arn, last)
		if err != nil {
			return nil, err
		}

		for _, e := range events {
			last = e.ID
			for _, done := range s.tell(e) {
				live.done(done)
			}
		}

		if s.over {
			return s.acts, nil
		}

		live.going(s.going())
		if err := pause(ctx, interval); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// act is one thing that the workflow did: a Task, or all the Tasks of one name in a Map.
type act struct {
	State     string    `json:"state"`
	StartedAt time.Time `json:"startedAt"`
	Seconds   float64   `json:"seconds"`
	Summary   string    `json:"summary,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// story makes acts of a history. Events name the event before them, which is how the branches of a
// Map are told apart; where an engine leaves that out, the last event stands in, which is right
// wherever one thing happens at a time.
type story struct {
	acts []act
	over bool
	at   map[int64]spot
	open []*visit // entered and not left, in that order
	last int64
}

// spot is where an event happens: in a visit, and in which branch of it when that is a Map.
type spot struct {
	visit  *visit
	branch int
}

// visit is one stay in a state.
type visit struct {
	state   string
	kind    string // Task, Map, Wait, Pass, Choice...
	in      spot   // the Map it is in; zero at the top
	from    time.Time
	to      time.Time
	summary []string // of its results, in order
	err     string
	inner   []*visit // of a Map: its Tasks, in the order entered
}

// tell takes the next event and returns the acts that it completes.
func (s *story) tell(e awsport.Event) []act {
	if s.at == nil {
		s.at = map[int64]spot{}
	}

	here, ok := s.at[cmp.Or(e.Previous, s.last)]
	if !ok {
		here = s.at[s.last]
	}

	var done []act
	switch {
	case strings.HasSuffix(e.Type, "StateEntered"):
		if here.visit != nil && here.visit.kind != "Map" { // left without a word
			done = s.leave(here.visit, e.At)
			here = here.visit.in
		}

		v := &visit{state: e.State, kind: strings.TrimSuffix(e.Type, "StateEntered"), in: here, from: e.At}
		if here.visit != nil && v.kind == "Task" {
			here.visit.inner = append(here.visit.inner, v)
		}

		s.open = append(s.open, v)
		here = spot{visit: v}
	case strings.HasSuffix(e.Type, "StateExited"):
		v := here.visit
		for v != nil && v.state != e.State {
			v = v.in.visit
		}

		if v == nil {
			if i := slices.IndexFunc(s.open, func(o *visit) bool { return o.state == e.State }); i >= 0 {
				v = s.open[i]
			}
		}

		if v != nil {
			done = s.leave(v, e.At)
			here = v.in
		}
	case e.Type == "MapIterationStarted":
		here.branch = e.Index
	case strings.HasPrefix(e.Type, "Execution") && e.Type != "ExecutionStarted" && e.Type != "ExecutionRedriven":
		for len(s.open) > 0 {
			done = append(done, s.leave(s.open[0], e.At)...)
		}

		s.over = true
		here = spot{}
	case e.Type == "ExecutionRedriven":
		s.over = false
	case e.Output != "" && here.visit != nil:
		here.visit.err = ""
		if text := summaryOf(e.Output); text != "" {
			here.visit.summary = append(here.visit.summary, text)
		}
	case e.Error != "" && here.visit != nil:
		here.visit.err = why(e.Error, e.Cause)
	}

	s.at[e.ID] = here
	s.last = e.ID
	s.acts = append(s.acts, done...)
	return done
}

// leave ends a visit, and with it whatever is in it. At the top that completes acts.
func (s *story) leave(v *visit, at time.Time) []act {
	within := func(o *visit) bool {
		for ; o != nil; o = o.in.visit {
			if o == v {
				return true
			}
		}

		return false
	}
	for _, o := range s.open {
		if within(o) {
			o.to = at
		}
	}

	s.open = slices.DeleteFunc(s.open, within)
	if v.in.visit != nil {
		return nil
	}

	acts := v.acts()
	if n := len(
		s.acts,
	); len(acts) == 1 && n > 0 && s.acts[n-1].State == acts[0].State && s.acts[n-1].Summary == acts[0].Summary &&
		s.acts[n-1].Error == acts[0].Error {
		s.acts[n-1].Seconds = at.Sub(s.acts[n-1].StartedAt).Seconds() // the same again, as after a wait for another run
		return nil
	}

	return acts
}

// acts are what a visit at the top amounts to.
func (v *visit) acts() []act {
	switch {
	case v.kind == "Task", v.kind == "Map" && len(v.inner) == 0 && len(v.summary) > 0:
		return []act{
			{
				State:     v.state,
				StartedAt: v.from.UTC(),
				Seconds:   v.to.Sub(v.from).Seconds(),
				Summary:   strings.Join(v.lastSummary(), "; "),
				Error:     v.err,
			},
		}
	case v.kind != "Map":
		return nil
	}

	type group struct {
		from, to  time.Time
		summaries map[int]string // by branch; the last word of each counts
		err       string
	}
	groups := map[string]*group{}
	var order []string
	for _, t := range v.inner {
		g := groups[t.state]
		if g == nil {
			g = &group{from: t.from, to: t.to, summaries: map[int]string{}}
			groups[t.state] = g
			order = append(order, t.state)
		}

		if t.to.After(g.to) {
			g.to = t.to
		}

		if text := t.lastSummary(); len(text) > 0 {
			g.summaries[t.in.branch] = text[0]
		}

		g.err = cmp.Or(g.err, t.err)
	}

	var acts []act
	for _, state := range order {
		g := groups[state]
		branches := make([]int, 0, len(g.summaries))
		for b := range g.summaries {
			branches = append(branches, b)
		}

		slices.Sort(branches)
		var said []string
		for _, b := range branches {
			said = append(said, g.summaries[b])
		}

		acts = append(acts, act{
			State:     state,
			StartedAt: g.from.UTC(),
			Seconds:   g.to.Sub(g.from).Seconds(),
			Summary:   strings.Join(said, "; "),
			Error:     g.err,
		})
	}

	return acts
}

// lastSummary is a Task's last result: earlier ones were tried again. A Map that tells nothing of
// its branches has one for each.
func (v *visit) lastSummary() []string {
	if v.kind == "Task" && len(v.summary) > 1 {
		return v.summary[len(v.summary)-1:]
	}

	return v.summary
}

// summaryOf is what a function says of its result: its summary, or the message of an ending.
func summaryOf(output string) string {
	var out struct {
		Summary  string
		Message  string
		Consumer struct{ Summary string }
	}
	if json.Unmarshal([]byte(output), &out) != nil {
		return ""
	}

	return strings.Join(strings.Fields(cmp.Or(out.Summary, out.Consumer.Summary, out.Message)), " ")
}

// going is what the workflow does now, and since when.
func (s *story) going() (states []string, since time.Time) {
	for _, v := range s.open {
		if v.kind == "Map" && len(v.inner) > 0 || v.kind == "Pass" || v.kind == "Choice" ||
			slices.Contains(states, v.state) {
			continue
		}

		states = append(states, v.state)
		if since.IsZero() || v.from.Before(since) {
			since = v.from
		}
	}

	return states, since
}

// live shows acts on stderr as they end and, on a terminal, what goes on now in a line that is
// written over.
type live struct {
	w        io.Writer // nil shows nothing
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

func (l *live) done(x act) {
	if l.w == nil {
		return
	}

	l.clear()
	text := x.Summary
	if x.Error != "" {
		text = strings.TrimPrefix(text+"; failed: "+x.Error, "; ")
	}

	fmt.Fprintln(
		l.w,
		strings.TrimRight(
			fmt.Sprintf("  %-10s %10s    %s", x.State, span(time.Duration(x.Seconds*float64(time.Second))), text),
			" ",
		),
	)
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

// span is a time that somebody waited: whole seconds, and minutes where seconds do not matter any
// more.
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
