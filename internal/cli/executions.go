package cli

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

// timeFormat is how times are printed: UTC, as in AWS's logs.
const timeFormat = "2006-01-02 15:04 UTC"

// describes is how many executions are asked about at the same time. DescribeExecution has a bucket
// of 300 requests, refilled by 15 a second in the smaller regions.
const describes = 4

// maxExecutions bounds --limit: each costs a request.
const maxExecutions = 200

func (a *app) executionsCommand() *cobra.Command {
	var in where
	var limit int
	c := &cobra.Command{
		Use:   "executions",
		Short: "The newest executions: when, how long, how they ended, who asked",
		Example: `  layersmith executions
  layersmith executions --limit 50 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxExecutions {
				return fault.New(fault.BadInput, "read", "--limit", errors.New("it is 1 to 200"))
			}

			ctx := cmd.Context()
			account, err := in.connect(ctx)
			if err != nil {
				return err
			}

			listed, err := account.Executions.List(ctx, "", limit)
			if err != nil {
				return err
			}

			rows := make([]executionRow, len(listed))
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(describes)
			for i, x := range listed {
				g.Go(func() error {
					full, err := account.Executions.Describe(ctx, x.ARN)
					rows[i] = rowOf(full, time.Now())
					return err
				})
			}

			if err := g.Wait(); err != nil {
				return err
			}

			if a.json {
				return a.printJSON(map[string]any{"schemaVersion": 1, "stack": account.Name, "executions": rows})
			}

			if len(rows) == 0 {
				a.say("no executions yet; start one with: layersmith push, or layersmith start")
				return nil
			}

			table := [][]string{{"execution", "started", "took", "outcome", "trigger"}}
			for _, r := range rows {
				table = append(table, []string{
					r.Execution,
					r.StartedAt.Format(timeFormat),
					span(time.Duration(r.Seconds * float64(time.Second))),
					r.Outcome,
					r.Trigger,
				})
			}

			if !a.quiet {
				report.Table(a.Out, table, map[int]bool{2: true})
			}

			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 10, "how many, at most 200")
	in.flags(c)
	return c
}

// executionRow is an execution in the list.
type executionRow struct {
	Execution string    `json:"execution"`
	ARN       string    `json:"arn"`
	StartedAt time.Time `json:"startedAt"`
	Seconds   float64   `json:"seconds"` // until now, while it runs
	Outcome   string    `json:"outcome"`
	Message   string    `json:"message,omitempty"`
	Trigger   string    `json:"trigger"`
}

func rowOf(x awsport.Execution, now time.Time) executionRow {
	e := endingOf(x)
	until := x.Stopped
	if until.IsZero() {
		until = now
	}

	return executionRow{
		Execution: x.Name,
		ARN:       x.ARN,
		StartedAt: x.Started.UTC(),
		Seconds:   until.Sub(x.Started).Round(time.Millisecond).Seconds(),
		Outcome:   string(e.Outcome),
		Message:   e.Message,
		Trigger:   triggerOf(x.Input),
	}
}

// triggerOf says who asked for an execution, from its input: an upload's event, or a request.
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

	said := []string{}
	if len(in.Layers) > 0 {
		said = append(said, strings.Join(in.Layers, " "))
	}

	for _, s := range []struct {
		set  bool
		word string
	}{{in.Force, "force"}, {in.Refresh, "refresh"}, {in.DryRun, "dry run"}} {
		if s.set {
			said = append(said, s.word)
		}
	}

	if len(said) == 0 {
		return "operator"
	}

	return "operator: " + strings.Join(said, ", ")
}
