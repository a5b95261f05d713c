package workflow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/release"
)

// Report ends a run: it stores the report, writes metrics, sends a notification and frees the
// lease. Every execution ends with it, so it accepts a run that has stored nothing.
type Report struct {
	Ledger
	Metrics Metrics
	Notify  Notify
	Account Account
}

// ReportInput is how the run ended, as the state machine knows it.
type ReportInput struct {
	Run           string         `json:"run"`
	Execution     string         `json:"execution"`
	StartedAt     time.Time      `json:"startedAt"`
	Ending        release.Ending `json:"ending"`
	Error         *Caught        `json:"error"`
	RollbackError *Caught        `json:"rollbackError"`
}

// Caught is the output of a Catch of the state machine (Amazon States Language, "Error output").
type Caught struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// Run reports. The message of the returned ending contains the reason. It does every step even if
// another one fails, and joins the errors.
func (s Report) Run(ctx context.Context, in ReportInput) (release.Ending, error) {
	if err := release.CheckRun(in.Run); err != nil {
		return in.Ending, fault.New(fault.BadInput, "report", "run", err).
			WithHint("start an execution whose name has only letters, digits, . - and _")
	}

	rep, tag, err := s.compile(ctx, in)
	if err != nil {
		return in.Ending, err
	}

	if tag, err = store(ctx, s.Registers, release.ReportName(in.Run), rep, tag); err != nil {
		return in.Ending, err
	}

	failures := []error{s.putMetrics(ctx, rep), s.notify(ctx, rep, tag)}
	recovers := in.Run // a rollback that failed is left to the next execution
	if in.RollbackError == nil {
		recovers = ""
		_, err := s.endRun(ctx, in.Run, rep.Ending)
		failures = append(failures, err)
	}

	failures = append(failures, s.freeLease(ctx, in.Run, recovers))
	return rep.Ending, errors.Join(failures...)
}

// notify sends the notification once, and records that in the report. Nothing is sent about a run
// that changed nothing.
func (s Report) notify(ctx context.Context, rep release.RunReport, tag string) error {
	if rep.Notified || rep.Ending.Outcome == release.Unchanged {
		return nil
	}

	if err := s.Notify(ctx, subject(rep), s.text(rep)); err != nil {
		return err
	}

	rep.Notified = true
	_, err := store(ctx, s.Registers, release.ReportName(rep.Run.Run), rep, tag)
	return err
}

// compile makes the report from the documents of the run. It also returns the tag of an earlier
// report of the run.
func (s Report) compile(ctx context.Context, in ReportInput) (rep release.RunReport, tag string, err error) {
	old, tag, _, err := load[release.RunReport](ctx, s.Registers, release.ReportName(in.Run))
	if err != nil {
		return rep, "", err
	}

	rep = release.RunReport{
		SchemaVersion: release.SchemaVersion,
		EndedAt:       s.Now().UTC(),
		Ending:        in.Ending,
		Notified:      old.Notified,
	}
	if rep.Run, err = s.runOf(ctx, in); err != nil {
		return rep, "", err
	}

	if rep.Failure, err = s.failure(ctx, in.Run, in.Error); err != nil {
		return rep, "", err
	}

	if rep.RollbackError, err = s.failure(ctx, in.Run, in.RollbackError); err != nil {
		return rep, "", err
	}

	rep.Ending.Message = message(rep)
	if rep.Changes, err = s.changes(ctx, in.Run); err != nil {
		return rep, "", err
	}

	released, err := s.readableReleased(ctx)
	if err != nil {
		return rep, "", err
	}

	rep.Layers = reportedLayers(released, in.Run)
	return rep, tag, nil
}

// runOf reads the run. A run that failed before Intake stored it is made from the input.
func (s Report) runOf(ctx context.Context, in ReportInput) (release.Run, error) {
	run, _, found, err := load[release.Run](ctx, s.Registers, release.RunName(in.Run))
	if err != nil || found {
		return run, err
	}

	return release.Run{
		SchemaVersion: release.SchemaVersion,
		Run:           in.Run,
		Execution:     in.Execution,
		StartedAt:     in.StartedAt,
	}, nil
}

// changes reads the changes of a run, in their order.
func (s Report) changes(ctx context.Context, run string) (changes []release.Change, err error) {
	names, err := s.Registers.List(ctx, release.ChangesPrefix(run))
	if err != nil {
		return nil, err
	}

	for _, n := range names {
		c, _, _, err := load[release.Change](ctx, s.Registers, n)
		if err != nil {
			return nil, err
		}

		changes = append(changes, c)
	}

	return changes, nil
}

// reportedLayers lists the released layers, with what the run changed of each.
func reportedLayers(released release.Released, run string) (layers []release.ReportedLayer) {
	for _, l := range released.Layers {
		r := release.ReportedLayer{Layer: l.Layer, LayerName: l.LayerName, Target: l.Target, Released: l.Current}
		if l.Current.Run == run {
			r.ARN = l.Current.ARN
			if len(l.Earlier) > 0 {
				r.Before = l.Earlier[0]
			}

			r.Versions = Versions(r.Before.Wheels, l.Current.Wheels)
		}

		layers = append(layers, r)
	}

	return layers
}

// readableReleased reads the released versions. A register that cannot be decoded counts as empty:
// such a run ends with that error, and it must be reported.
func (s Report) readableReleased(ctx context.Context) (release.Released, error) {
	r, _, err := s.readReleased(ctx)
	if fault.CodeOf(err) == fault.ProvenanceMismatch {
		return release.Released{}, nil
	}

	return r, err
}

// failure reads what a Catch has caught: the fault of a function, or a failed build, which may have
// stored its fault. It returns nil for nil.
func (s Report) failure(ctx context.Context, run string, c *Caught) (*release.Failure, error) {
	if c == nil {
		return nil, nil
	}

	var function struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(c.Cause), &function) == nil && function.Message != "" {
		sentence, hint, _ := strings.Cut(function.Message, fault.HintMark)
		return &release.Failure{Code: c.Error, Message: sentence, Hint: hint}, nil
	}

	var codeBuild struct {
		Build struct {
			ID     string `json:"Id"`
			Status string `json:"BuildStatus"`
			Logs   struct {
				DeepLink string `json:"DeepLink"`
			} `json:"Logs"`
		} `json:"Build"`
	}
	if json.Unmarshal([]byte(c.Cause), &codeBuild) == nil && codeBuild.Build.ID != "" {
		stored, _, found, err := load[release.Failure](ctx, s.Registers, release.FailureName(run))
		if err != nil {
			return nil, err
		}

		if found {
			return &stored, nil
		}

		b := codeBuild.Build
		return &release.Failure{
			Code:    c.Error,
			Message: fmt.Sprintf("build %s: %s", b.ID, strings.ToLower(b.Status)),
			Hint:    strings.TrimSpace("read its log " + b.Logs.DeepLink),
		}, nil
	}

	return &release.Failure{Code: c.Error, Message: cmp.Or(c.Cause, c.Error)}, nil
}

// message describes the ending for people: the outcome, the reason, its consequence, and the hints.
func message(r release.RunReport) string {
	consequence := strings.TrimPrefix(r.Ending.Message, string(r.Ending.Outcome)+": ")
	// Messages of the state machine end with the error as JSON, for executions without a report.
	consequence, _, _ = strings.Cut(consequence, " {")
	if r.Failure == nil && r.RollbackError == nil {
		return string(r.Ending.Outcome) + ": " + consequence
	}

	var parts []string
	var hints []string
	for _, f := range []*release.Failure{r.Failure, r.RollbackError} {
		if f == nil {
			continue
		}

		parts = append(parts, strings.TrimSuffix(f.Message, "."))
		if f.Hint != "" {
			hints = append(hints, strings.ToUpper(f.Hint[:1])+strings.TrimSuffix(f.Hint[1:], ".")+".")
		}
	}

	if consequence != "" {
		parts = append(parts, strings.TrimSuffix(consequence, "."))
	}

	sentence := string(r.Ending.Outcome) + ": " + strings.Join(parts, "; ") + "."
	return strings.Join(append([]string{sentence}, hints...), " ")
}

// megabytes converts to the unit Megabytes of CloudWatch. It is 2^20 bytes here.
func megabytes(b measure.Bytes) float64 { return float64(b) / (1 << 20) }

// putMetrics writes the metrics of the run and of all released layers.
func (s Report) putMetrics(ctx context.Context, r release.RunReport) error {
	stack := []Dimension{{"Stack", s.Account.Stack}}
	values := []Metric{{string(r.Ending.Outcome), "Count", 1, stack}}
	if !r.Run.StartedAt.IsZero() {
		values = append(values, Metric{"RunDuration", "Seconds", r.EndedAt.Sub(r.Run.StartedAt).Seconds(), stack})
	}

	built, _, found, err := load[release.Built](ctx, s.Registers, release.BuiltName(r.Run.Run))
	if err != nil {
		return err
	}

	if found {
		values = append(values, Metric{"BuildDuration", "Seconds", built.Seconds, stack})
	}

	for _, l := range r.Layers {
		for _, dimensions := range [][]Dimension{
			{{"LayerName", l.LayerName}, {"Target", l.Target.String()}},
			{{"LayerName", l.LayerName}},
			stack,
		} {
			values = append(values, layerMetrics(l.Released, dimensions)...)
		}
	}

	released, err := s.readableReleased(ctx)
	if err != nil {
		return err
	}

	for _, l := range released.Locks {
		if !l.Since.IsZero() {
			values = append(values, Metric{"LockAge", "Seconds", r.EndedAt.Sub(l.Since).Seconds(), stack})
		}
	}

	return s.Metrics(ctx, r.EndedAt, values)
}

func layerMetrics(v release.ReleasedVersion, dimensions []Dimension) []Metric {
	values := []Metric{
		{"PackageSize", "Megabytes", megabytes(v.UnzippedBytes), dimensions},
		{"ZippedSize", "Megabytes", megabytes(v.ZippedBytes), dimensions},
		{"BytesSaved", "Megabytes", megabytes(v.UnprunedBytes - v.UnzippedBytes), dimensions},
	}
	if v.ImportSeconds > 0 {
		values = append(values, Metric{"ImportTime", "Seconds", v.ImportSeconds, dimensions})
	}

	return values
}

// subject is the subject of the notification. A run that was refused at once has no trigger.
func subject(r release.RunReport) string {
	s := fmt.Sprintf("Layersmith: %s (%s)", r.Ending.Outcome, r.Run.Trigger)
	return strings.TrimSuffix(s, " ()")
}

// text is the text of the notification: the ending, changed layers and functions, and where the
// details are.
func (s Report) text(r release.RunReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Ending.Message)
	for _, l := range r.Layers {
		if l.ARN != "" {
			writeLayer(&b, l)
		}
	}

	if len(r.Changes) > 0 {
		b.WriteString("\nfunctions\n")
	}

	for _, c := range r.Changes {
		fmt.Fprintf(&b, "  %s: %s\n", c.Function, stateOfChange(c))
	}

	if s.Account.Console != "" && r.Run.Execution != "" {
		fmt.Fprintf(&b, "\nexecution %s%s\n", s.Account.Console, r.Run.Execution)
	}

	fmt.Fprintf(&b, "report    %s\n", release.ReportName(r.Run.Run))
	return b.String()
}

func writeLayer(b *strings.Builder, l release.ReportedLayer) {
	fmt.Fprintf(b, "\n%s:%d  %s unzipped, %s zipped, within its budget",
		l.LayerName, l.Released.Version, l.Released.UnzippedBytes, l.Released.ZippedBytes)
	if l.Before.ARN != "" {
		fmt.Fprintf(b, " (version %d: %s, %s)", l.Before.Version, l.Before.UnzippedBytes, l.Before.ZippedBytes)
	}

	b.WriteByte('\n')
	for _, v := range l.Versions {
		fmt.Fprintf(b, "  %s\n", v)
	}
}

func stateOfChange(c release.Change) string {
	switch {
	case c.After == nil:
		return "not changed"
	case c.Undone:
		return "restored"
	case c.Alias != "":
		return fmt.Sprintf("%s %s -> %s", c.Alias, c.Before.AliasVersion, c.After.AliasVersion)
	}

	return strings.Join(c.After.Layers, ", ")
}
