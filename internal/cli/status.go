package cli

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// statusRow is one layer in the output of status.
type statusRow struct {
	Layer    string          `json:"layer"`
	State    string          `json:"state"`
	Unzipped measure.Bytes   `json:"unzippedBytes"`
	Budget   measure.Bytes   `json:"budgetBytes"`
	Verdict  measure.Verdict `json:"verdict"`
	Probe    string          `json:"probe"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show which layers are stale, and sizes against budgets",
		Example: "  layersmith status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.eachTarget(cmd.Context(), func(a *app) error { return a.status(cmd.Context()) })
		},
	}
}

func (a *app) status(ctx context.Context) error {
	w, t, m, err := a.start(ctx)
	if err != nil {
		return err
	}
	defer m.close()

	stale, err := engine.Stale(a.read, w, t)
	if err != nil {
		return err
	}

	states := map[string]string{}
	if stale == "" {
		if states, err = a.states(ctx, m, w, t); err != nil {
			return err
		}
	}

	last := a.judgedReport(w, t)
	var rows []statusRow
	for _, l := range w.Layers {
		rows = append(rows, statusOf(l, cmp.Or(states[l.Name], "stale: "+stale), last))
	}

	if a.json {
		err := a.printJSON(map[string]any{
			"schemaVersion": report.SchemaVersion,
			"target":        t,
			"lock":          cmp.Or(stale, "fresh"),
			"layers":        rows,
			"stacks":        last.Stacks,
		})
		return errors.Join(err, engine.JudgeReport(last, false))
	}

	a.say("target  %s", t)
	a.say("lock    %s: %s", t, cmp.Or(stale, "fresh"))
	a.sayStatus(rows)
	if !a.quiet {
		report.Stacks(a.text(), last.Stacks)
	}

	return engine.JudgeReport(last, false)
}

// judgedReport is the report of the last build for a target, with today's verdicts; empty when
// there is none.
func (a *app) judgedReport(w workspace.Workspace, t pydist.Target) report.Report {
	last, err := a.lastReport(t.String())
	if err != nil || last.Target != t.String() {
		return report.Report{}
	}

	return engine.Judged(w, last)
}

// states are those of the layers under a fresh lock.
func (a *app) states(
	ctx context.Context, m *machine, w workspace.Workspace, t pydist.Target,
) (map[string]string, error) {
	b, err := a.read(lock.FileName(t))
	if err != nil {
		return nil, err
	}

	l, err := lock.Open(b)
	if err != nil {
		return nil, err
	}

	return a.builder(m).States(ctx, engine.BuildInput{Workspace: w, Lock: l})
}

func statusOf(l workspace.Layer, state string, last report.Report) statusRow {
	row := statusRow{Layer: l.Name, State: state, Budget: l.Budget.Unzipped, Probe: "-"}
	for _, built := range last.Layers {
		if built.Name == l.Name {
			row.Unzipped = built.After.Unzipped
			row.Verdict = built.Verdict
			row.Probe = string(built.Probe.Status)
		}
	}

	return row
}

func (a *app) sayStatus(rows []statusRow) {
	table := [][]string{{"layer", "state", "unzipped MB", "budget MB", "verdict", "probe"}}
	for _, r := range rows {
		budget := "-"
		if r.Budget > 0 {
			budget = r.Budget.MB()
		}

		verdict := cmp.Or(report.VerdictText(r.Verdict), "-")
		probed := r.Probe
		if probed != "-" {
			probed = report.StatusText(report.ProbeStatus(r.Probe))
		}

		table = append(table, []string{r.Layer, r.State, r.Unzipped.MB(), budget, verdict, probed})
	}

	if !a.quiet {
		report.Table(a.text(), table, map[int]bool{2: true, 3: true})
	}
}
