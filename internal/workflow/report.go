package workflow

import (
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

// Account for a run: its report, metrics, a notification, and the lease given back. Every path of
// the workflow ends here, so it takes what there is.
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

// Caught is what a Catch of the state machine gives.
type Caught struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// Run reports. The ending that it returns has the reason in its message.
func (s Report) Run(ctx context.Context, in ReportInput) (release.Ending, error) {
	if err := release.CheckRun(in.Run); err != nil {
		return in.Ending, fault.New(fault.BadInput, "report", "run", err).
			WithHint("start an execution whose name has only letters, digits, . - and _")
	}

	rep, tag, err := s.gather(ctx, in)
	if err != nil {
		return in.Ending, err
	}

	name := release.ReportName(in.Run)
	if tag, err = store(ctx, s.Registers, name, rep, tag); err != nil {
		return in.Ending, err
	}

	failures := []error{s.measure(ctx, rep)}
	if !rep.Notified && rep.Ending.Outcome != release.Unchanged {
		err := s.Notify(ctx, subject(rep), s.text(rep))
		failures = append(failures, err)
		if err == nil {
			rep.Notified = true
			_, err = store(ctx, s.Registers, name, rep, tag)
			failures = append(failures, err)
		}
	}

	undone := in.RollbackError == nil
	if undone {
		_, err := s.close(ctx, in.Run, rep.Ending)
		failures = append(failures, err)
	}

	failures = append(failures, s.free(ctx, in.Run, undone))
	return rep.Ending, errors.Join(failures...)
}

// gather makes the report of what the run left.
func (s Report) gather(ctx context.Context, in ReportInput) (rep release.RunReport, tag string, err error) {
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
	run, _, found, err := load[release.Run](ctx, s.Registers, release.RunName(in.Run))
	if err != nil {
		return rep, "", err
	}

	if !found { // it did not get that far
		run = release.Run{
			SchemaVersion: release.SchemaVersion,
			Run:           in.Run,
			Execution:     in.Execution,
			StartedAt:     in.StartedAt,
		}
	}

	rep.Run = run
	if in.Error != nil {
		if rep.Failure, err = s.failure(ctx, in.Run, *in.Error); err != nil {
			return rep, "", err
		}
	}

	if in.RollbackError != nil {
		if rep.RollbackError, err = s.failure(ctx, in.Run, *in.RollbackError); err != nil {
			return rep, "", err
		}
	}

	rep.Ending.Message = sentence(rep)
	names, err := s.Registers.List(ctx, release.ChangesPrefix(in.Run))
	if err != nil {
		return rep, "", err
	}

	for _, n := range names {
		c, _, _, err := load[release.Change](ctx, s.Registers, n)
		if err != nil {
			return rep, "", err
		}

		rep.Changes = append(rep.Changes, c)
	}

	released, err := s.standing(ctx)
	if err != nil {
		return rep, "", err
	}

	for _, l := range released.Layers {
		r := release.ReportedLayer{Layer: l.Layer, LayerName: l.LayerName, Target: l.Target, Released: l.Current}
		if l.Current.Run == in.Run {
			r.ARN = l.Current.ARN
			if len(l.Earlier) > 0 {
				r.Before = l.Earlier[0]
			}

			r.Versions = Versions(r.Before.Wheels, l.Current.Wheels)
		}

		rep.Layers = append(rep.Layers, r)
	}

	return rep, tag, nil
}

// standing is what is released; nothing when that cannot be read, since people must be told of a
// run that ended for just that reason.
func (s Report) standing(ctx context.Context) (release.Released, error) {
	r, _, err := s.released(ctx)
	if fault.CodeOf(err) == fault.ProvenanceMismatch {
		return release.Released{}, nil
	}

	return r, err
}

// failure reads what a Catch caught: a function's fault, or a build, which left its fault in the
// store.
func (s Report) failure(ctx context.Context, run string, c Caught) (*release.Failure, error) {
	f := &release.Failure{Code: c.Error, Message: c.Cause}
	var lambda struct {
		Message string `json:"errorMessage"`
	}
	var build struct {
		Build struct {
			ID     string `json:"Id"`
			Status string `json:"BuildStatus"`
			Logs   struct {
				DeepLink string `json:"DeepLink"`
			} `json:"Logs"`
		} `json:"Build"`
	}
	switch {
	case json.Unmarshal([]byte(c.Cause), &lambda) == nil && lambda.Message != "":
		f.Message = lambda.Message
		if sentence, hint, ok := strings.Cut(lambda.Message, fault.HintMark); ok {
			f.Message = sentence
			f.Hint = hint
		}
	case json.Unmarshal([]byte(c.Cause), &build) == nil && build.Build.ID != "":
		f.Message = fmt.Sprintf("build %s: %s", build.Build.ID, strings.ToLower(build.Build.Status))
		f.Hint = strings.TrimSpace("look at its log " + build.Build.Logs.DeepLink)
		left, _, found, err := load[release.Failure](ctx, s.Registers, release.FailureName(run))
		if err != nil {
			return nil, err
		}

		if found {
			f = &left
		}
	case c.Cause == "":
		f.Message = c.Error
	}

	return f, nil
}

// sentence is the run's one sentence: outcome, reason, what became of it, what to do.
func sentence(r release.RunReport) string {
	rest := strings.TrimPrefix(r.Ending.Message, string(r.Ending.Outcome)+": ")
	rest, _, _ = strings.Cut(rest,
		" {") // the state machine's own words end with the error as JSON, for when there is no report
	if r.Failure == nil && r.RollbackError == nil {
		return string(r.Ending.Outcome) + ": " + rest
	}

	var parts []string
	var hints []string
	for _, f := range []*release.Failure{r.Failure, r.RollbackError} {
		if f != nil {
			parts = append(parts, strings.TrimSuffix(f.Message, "."))
			if f.Hint != "" {
				hints = append(hints, strings.ToUpper(f.Hint[:1])+strings.TrimSuffix(f.Hint[1:], ".")+".")
			}
		}
	}

	if rest != "" {
		parts = append(parts, strings.TrimSuffix(rest, "."))
	}

	return strings.Join(append([]string{string(r.Ending.Outcome) + ": " + strings.Join(parts, "; ") + "."}, hints...),
		" ")
}

// megabytes are CloudWatch's word for 2^20 bytes, as in the guide's alarm of 200.
func megabytes(b measure.Bytes) float64 { return float64(b) / (1 << 20) }

func (s Report) measure(ctx context.Context, r release.RunReport) error {
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
		v := l.Released
		for _, dimensions := range [][]Dimension{
			{{"LayerName", l.LayerName}, {"Target", l.Target.String()}},
			{{"LayerName", l.LayerName}},
			stack,
		} {
			values = append(values, Metric{"PackageSize", "Megabytes", megabytes(v.UnzippedBytes), dimensions},
				Metric{"ZippedSize", "Megabytes", megabytes(v.ZippedBytes), dimensions},
				Metric{"BytesSaved", "Megabytes", megabytes(v.UnprunedBytes - v.UnzippedBytes), dimensions})
			if v.ImportSeconds > 0 {
				values = append(values, Metric{"ImportTime", "Seconds", v.ImportSeconds, dimensions})
			}
		}
	}

	released, err := s.standing(ctx)
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

func subject(r release.RunReport) string {
	return strings.TrimSuffix(fmt.Sprintf("Layersmith: %s (%s)", r.Ending.Outcome, r.Run.Trigger),
		" ()") // what was refused at once has no trigger
}

// text is the notification: what happened, what changed, where to look.
func (s Report) text(r release.RunReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Ending.Message)
	for _, l := range r.Layers {
		if l.ARN == "" {
			continue
		}

		fmt.Fprintf(&b, "\n%s:%d  %s unzipped, %s zipped, within its budget", l.LayerName, l.Released.Version,
			l.Released.UnzippedBytes, l.Released.ZippedBytes)
		if l.Before.ARN != "" {
			fmt.Fprintf(&b, " (version %d: %s, %s)", l.Before.Version, l.Before.UnzippedBytes, l.Before.ZippedBytes)
		}

		b.WriteByte('\n')
		for _, v := range l.Versions {
			fmt.Fprintf(&b, "  %s\n", v)
		}
	}

	if len(r.Changes) > 0 {
		b.WriteString("\nfunctions\n")
	}

	for _, c := range r.Changes {
		switch {
		case c.After == nil:
			fmt.Fprintf(&b, "  %s: not touched\n", c.Function)
		case c.Undone:
			fmt.Fprintf(&b, "  %s: as before\n", c.Function)
		case c.Alias != "":
			fmt.Fprintf(&b, "  %s: %s %s -> %s\n", c.Function, c.Alias, c.Before.AliasVersion, c.After.AliasVersion)
		default:
			fmt.Fprintf(&b, "  %s: %s\n", c.Function, strings.Join(c.After.Layers, ", "))
		}
	}

	if s.Account.Console != "" && r.Run.Execution != "" {
		fmt.Fprintf(&b, "\nexecution %s%s\n", s.Account.Console, r.Run.Execution)
	}

	fmt.Fprintf(&b, "report    %s\n", release.ReportName(r.Run.Run))
	return b.String()
}
