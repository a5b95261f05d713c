package cli

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "What is stale, and sizes against budgets",
		Example: "  layersmith status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, t, m, err := a.start(cmd.Context())
			if err != nil {
				return err
			}
			defer m.close()
			type row struct {
				Layer    string          `json:"layer"`
				State    string          `json:"state"`
				Unzipped measure.Bytes   `json:"unzippedBytes"`
				Budget   measure.Bytes   `json:"budgetBytes"`
				Verdict  measure.Verdict `json:"verdict"`
				Probe    string          `json:"probe"`
			}
			stale, err := engine.Stale(a.read, w, t)
			if err != nil {
				return err
			}

			var states map[string]string
			if stale == "" {
				b, err := a.read(lock.FileName(t))
				if err != nil {
					return err
				}

				l, err := lock.Open(b)
				if err != nil {
					return err
				}

				if states, err = a.buildStage(m).
					States(cmd.Context(), engine.BuildInput{Workspace: w, Lock: l}); err != nil {
					return err
				}
			}

			last, _ := a.lastReport()
			var rows []row
			for _, l := range w.Layers {
				r := row{
					Layer:  l.Name,
					State:  cmp.Or(states[l.Name], "stale: "+stale),
					Budget: l.Budget.Unzipped,
					Probe:  "-",
				}
				for _, x := range last.Layers {
					if x.Name == l.Name {
						r.Unzipped = x.After.Unzipped
						r.Verdict = x.Verdict
						r.Probe = string(x.Probe.Status)
					}
				}

				rows = append(rows, r)
			}

			if a.json {
				return a.printJSON(map[string]any{
					"schemaVersion": report.SchemaVersion,
					"target":        t,
					"lock":          cmp.Or(stale, "fresh"),
					"layers":        rows,
					"stacks":        last.Stacks,
				})
			}

			table := [][]string{{"layer", "state", "unzipped MB", "budget MB", "verdict", "probe"}}
			for _, r := range rows {
				budget := "-"
				if r.Budget > 0 {
					budget = r.Budget.MB()
				}

				table = append(table,
					[]string{r.Layer, r.State, r.Unzipped.MB(), budget, cmp.Or(string(r.Verdict), "-"), r.Probe})
			}

			a.say("lock    %s: %s", t, cmp.Or(stale, "fresh"))
			if !a.quiet {
				report.Table(a.Out, table, map[int]bool{2: true, 3: true})
			}

			return nil
		},
	}
}
