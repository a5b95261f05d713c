package cli

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) versionsCommand() *cobra.Command {
	var in where
	c := &cobra.Command{
		Use:   "versions LAYER",
		Short: "List the released versions of a layer, for rollback",
		Long: `List the versions of a layer that were released and are kept, newest first, for all targets or
the one of --target. Consumers are the functions that the current version's execution moved to it.`,
		Example: `  layersmith versions core-data-science
  layersmith versions core-data-science --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, args []string) error {
			var only pydist.Target
			if a.target != "" {
				var err error
				if only, err = parseTarget(a.target); err != nil {
					return err
				}
			}

			account, err := in.connect(cmd.Context())
			if err != nil {
				return err
			}

			rows, targets, err := account.Versions(cmd.Context(), args[0], only)
			if err != nil {
				return err
			}

			if a.json {
				doc := map[string]any{"schemaVersion": 1, "stack": account.Name, "layer": args[0], "versions": rows}
				return a.printJSON(doc)
			}

			if !a.quiet {
				a.printVersions(rows, targets > 1)
			}

			return nil
		},
	}
	in.flags(c)
	return c
}

// printVersions prints a table; with targets it has a column for them.
func (a *app) printVersions(rows []operator.VersionRow, targets bool) {
	table := [][]string{{"version", "released", "unzipped MB", "zip MB", "import s", "execution", "consumers"}}
	if targets {
		table[0] = append(table[0], "target")
	}

	for _, r := range rows {
		row := versionCells(r)
		if targets {
			row = append(row, r.Target.String())
		}

		table = append(table, row)
	}

	report.Table(a.text(), table, map[int]bool{2: true, 3: true, 4: true})
}

func versionCells(r operator.VersionRow) []string {
	version := strconv.FormatInt(r.Version, 10)
	consumers := ""
	if r.Current {
		version += " current"
		consumers = cmp.Or(strings.Join(r.Consumers, ", "), "-")
	}

	imports := "-"
	if r.ImportSeconds > 0 {
		imports = strconv.FormatFloat(r.ImportSeconds, 'f', 2, 64)
	}

	return []string{
		version,
		r.ReleasedAt.Format(timeFormat),
		r.UnzippedBytes.MB(),
		r.ZippedBytes.MB(),
		imports,
		r.Run,
		consumers,
	}
}
