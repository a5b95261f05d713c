package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/report"
)

// timeFormat is how times are printed: UTC, as in AWS's logs.
const timeFormat = "2006-01-02 15:04 UTC"

// maxExecutions bounds --limit: each costs a request.
const maxExecutions = 200

func (a *app) executionsCommand() *cobra.Command {
	var in where
	var limit int
	c := &cobra.Command{
		Use:   "executions",
		Short: "List the newest executions: start, duration, outcome, trigger",
		Example: `  layersmith executions
  layersmith executions --limit 50 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxExecutions {
				return fault.New(fault.BadInput, "read", "--limit", fmt.Errorf("expected 1 to %d", maxExecutions))
			}

			account, err := in.connect(cmd.Context())
			if err != nil {
				return err
			}

			rows, err := account.List(cmd.Context(), limit, time.Now())
			if err != nil {
				return err
			}

			if a.json {
				return a.printJSON(map[string]any{"schemaVersion": 1, "stack": account.Name, "executions": rows})
			}

			a.sayExecutions(rows)
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 10, fmt.Sprintf("how many, at most %d", maxExecutions))
	in.flags(c)
	return c
}

func (a *app) sayExecutions(rows []operator.ExecutionRow) {
	if len(rows) == 0 {
		a.say("no executions yet; start one with: layersmith push, or layersmith start")
		return
	}

	table := [][]string{{"execution", "started", "took", "outcome", "trigger"}}
	for _, r := range rows {
		took := span(time.Duration(r.Seconds * float64(time.Second)))
		table = append(table, []string{r.Execution, r.StartedAt.Format(timeFormat), took, r.Outcome, r.Trigger})
	}

	if !a.quiet {
		report.Table(a.text(), table, map[int]bool{2: true})
	}
}
