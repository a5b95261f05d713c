package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// recent is how many executions Find searches for the end of a name.
const recent = 100

// Find returns an execution by its name, the end of its name, or its ARN. "" is the newest running
// execution, else the newest. Faults: NotFound, and BadInput when several names end like that.
func (a Account) Find(ctx context.Context, name string) (Execution, error) {
	if name == "" {
		return a.newest(ctx)
	}

	x, err := a.Executions.Describe(ctx, a.Executions.ARN(name))
	if err == nil || release.IsARN(name) || fault.CodeOf(err) != fault.NotFound {
		return x, err
	}

	found, err := a.Executions.List(ctx, "", recent)
	if err != nil {
		return Execution{}, err
	}

	found = slices.DeleteFunc(found, func(x Execution) bool { return !strings.HasSuffix(x.Name, name) })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Execution{}, fault.New(fault.NotFound, "watch", name, errors.New("no such execution")).
			WithHint("run: layersmith executions")
	}

	return Execution{}, fault.New(fault.BadInput, "watch", name,
		fmt.Errorf("the names of %d executions end with it", len(found))).
		WithHint("give more of the name: " + found[0].Name + " or " + found[1].Name)
}

func (a Account) newest(ctx context.Context) (Execution, error) {
	for _, status := range []string{"RUNNING", ""} {
		found, err := a.Executions.List(ctx, status, 1)
		if err != nil {
			return Execution{}, err
		}

		if len(found) > 0 {
			return found[0], nil
		}
	}

	return Execution{}, fault.New(fault.NotFound, "watch", "stack "+a.Name, errors.New("there is no execution yet")).
		WithHint("run: layersmith push, or layersmith start")
}

// ExecutionRow is an execution in the list.
type ExecutionRow struct {
	Execution string    `json:"execution"`
	ARN       string    `json:"arn"`
	StartedAt time.Time `json:"startedAt"`
	Seconds   float64   `json:"seconds"` // until now, while it runs
	Outcome   string    `json:"outcome"`
	Message   string    `json:"message,omitempty"`
	Trigger   string    `json:"trigger"`
}

// parallelDescribes is how many executions are described at one time. DescribeExecution has a
// bucket of 300 requests, refilled by 15 a second in the smaller regions (Step Functions quotas).
const parallelDescribes = 4

// List describes the newest executions, newest first.
func (a Account) List(ctx context.Context, limit int, now time.Time) ([]ExecutionRow, error) {
	listed, err := a.Executions.List(ctx, "", limit)
	if err != nil {
		return nil, err
	}

	rows := make([]ExecutionRow, len(listed))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDescribes)
	for i, x := range listed {
		g.Go(func() error {
			full, err := a.Executions.Describe(ctx, x.ARN)
			rows[i] = rowOf(full, now)
			return err
		})
	}

	return rows, g.Wait()
}

func rowOf(x Execution, now time.Time) ExecutionRow {
	e := EndingOf(x)
	until := x.Stopped
	if until.IsZero() {
		until = now
	}

	return ExecutionRow{
		Execution: x.Name,
		ARN:       x.ARN,
		StartedAt: x.Started.UTC(),
		Seconds:   until.Sub(x.Started).Round(time.Millisecond).Seconds(),
		Outcome:   string(e.Outcome),
		Message:   e.Message,
		Trigger:   triggerOf(x.Input),
	}
}

// triggerOf returns what started an execution, from its input: an event of S3, or a request.
func triggerOf(input string) string {
	var in struct {
		Source string
		Detail struct{ Object struct{ Key string } }
		release.Request
	}
	if json.Unmarshal([]byte(input), &in) != nil {
		return "input that cannot be read"
	}

	switch {
	case in.Source == "aws.s3":
		return "upload of " + in.Detail.Object.Key
	case in.Trigger != "":
		return in.Trigger
	case in.Rollback != nil:
		return "operator: rollback of " + in.Rollback.Layer
	}

	if asked := wordsOf(in.Request); len(asked) > 0 {
		return "operator: " + strings.Join(asked, ", ")
	}

	return "operator"
}

// wordsOf are a request's layers and options.
func wordsOf(r release.Request) []string {
	var words []string
	if len(r.Layers) > 0 {
		words = append(words, strings.Join(r.Layers, " "))
	}

	options := []struct {
		set  bool
		word string
	}{{r.Force, "force"}, {r.Refresh, "refresh"}, {r.DryRun, "dry run"}}
	for _, o := range options {
		if o.set {
			words = append(words, o.word)
		}
	}

	return words
}
