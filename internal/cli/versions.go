package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) versionsCommand() *cobra.Command {
	var in where
	c := &cobra.Command{
		Use:   "versions LAYER",
		Short: "Released versions of a layer, newest first: what rollback can go back to",
		Long: `List the versions of a layer that were released and are kept, newest first, for all targets or
the one of --target. Consumers are the functions that the current version's execution moved to it.`,
		Example: `  layersmith versions core-data-science
  layersmith versions core-data-science --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			var only pydist.Target
			if a.target != "" {
				var err error
				if only, err = pydist.ParseTarget(a.target); err != nil {
					return fault.New(fault.BadInput, "read", "--target", err)
				}
			}

			account, err := in.connect(ctx)
			if err != nil {
				return err
			}

			released, layers, err := account.releasedLayer(ctx, "list versions of", args[0])
			if err != nil {
				return err
			}

			rows := []versionRow{}
			for _, l := range layers {
				if a.target != "" && l.Target != only {
					continue
				}

				consumers, err := account.consumers(ctx, l.Current, released.Run)
				if err != nil {
					return err
				}

				rows = append(rows, versionRows(l, consumers)...)
			}

			if len(rows) == 0 {
				return fault.New(fault.NotFound, "list versions of", args[0],
					fmt.Errorf("nothing is released for %s", only)).
					WithHint("leave --target out to see all")
			}

			if a.json {
				return a.printJSON(
					map[string]any{"schemaVersion": 1, "stack": account.Name, "layer": args[0], "versions": rows},
				)
			}

			if !a.quiet {
				printVersions(a, rows, len(layers) > 1)
			}

			return nil
		},
	}
	in.flags(c)
	return c
}

// versionRow is a version in the list.
type versionRow struct {
	Target        pydist.Target `json:"target"`
	LayerName     string        `json:"layerName"`
	Version       int64         `json:"version"`
	ARN           string        `json:"arn"`
	Current       bool          `json:"current"`
	ReleasedAt    time.Time     `json:"releasedAt"`
	Run           string        `json:"run"`
	UnzippedBytes measure.Bytes `json:"unzippedBytes"`
	ZippedBytes   measure.Bytes `json:"zippedBytes"`
	ImportSeconds float64       `json:"importSeconds,omitempty"`
	Consumers     []string      `json:"consumers,omitempty"` // of the current version, where its execution moved any
}

// versionRows are in order of their numbers, not of their releases: after a rollback the current
// one is not the newest.
func versionRows(l release.ReleasedLayer, consumers []string) []versionRow {
	var rows []versionRow
	for _, v := range append([]release.ReleasedVersion{l.Current}, l.Earlier...) {
		rows = append(rows, versionRow{
			Target:        l.Target,
			LayerName:     l.LayerName,
			Version:       v.Version,
			ARN:           v.ARN,
			ReleasedAt:    v.At.UTC(),
			Run:           v.Run,
			UnzippedBytes: v.UnzippedBytes,
			ZippedBytes:   v.ZippedBytes,
			ImportSeconds: v.ImportSeconds,
		})
	}

	rows[0].Current = true
	rows[0].Consumers = consumers
	slices.SortStableFunc(rows, func(a, b versionRow) int { return int(b.Version - a.Version) })
	return rows
}

func printVersions(a *app, rows []versionRow, targets bool) {
	table := [][]string{{"version", "released", "unzipped MB", "zip MB", "import s", "execution", "consumers"}}
	if targets {
		table[0] = append(table[0], "target")
	}

	for _, r := range rows {
		version := strconv.FormatInt(r.Version, 10)
		imports := "-"
		consumers := ""
		if r.ImportSeconds > 0 {
			imports = strconv.FormatFloat(r.ImportSeconds, 'f', 2, 64)
		}

		if r.Current {
			version += " current"
			consumers = "-"
			if len(r.Consumers) > 0 {
				consumers = strings.Join(r.Consumers, ", ")
			}
		}

		row := []string{
			version,
			r.ReleasedAt.Format(timeFormat),
			r.UnzippedBytes.MB(),
			r.ZippedBytes.MB(),
			imports,
			r.Run,
			consumers,
		}
		if targets {
			row = append(row, r.Target.String())
		}

		table = append(table, row)
	}

	report.Table(a.Out, table, map[int]bool{2: true, 3: true, 4: true})
}

// consumers are the functions that were moved to a version, by its own run or by the one that
// promoted last, which may have gone back to it. It costs one list and one request for each
// function; who else uses a layer, Lambda does not tell without asking every function of the
// account.
func (c *account) consumers(ctx context.Context, v release.ReleasedVersion, last string) ([]string, error) {
	runs := []string{v.Run}
	if last != v.Run {
		runs = append(runs, last)
	}

	var found []string
	for _, run := range runs {
		if release.CheckRun(run) != nil {
			continue
		}

		names, err := c.Registers.List(ctx, release.ChangesPrefix(run))
		if err != nil {
			return nil, err
		}

		for _, name := range names {
			b, _, err := c.Registers.Load(ctx, name)
			if err != nil {
				return nil, err
			}

			var change release.Change
			if err := release.Decode(b, &change); err != nil {
				return nil, fault.New(fault.ProvenanceMismatch, "read", "s3://"+c.StoreBucket+"/"+name, err).
					WithHint("it was written by another version of Layersmith: use the one that is deployed")
			}

			moved := change.After != nil && !change.Undone &&
				slices.ContainsFunc(change.Replaces, func(r release.Replace) bool { return r.ARN == v.ARN })
			if who := consumerName(change); moved && !slices.Contains(found, who) {
				found = append(found, who)
			}
		}
	}

	slices.Sort(found)
	return found, nil
}

// consumerName is function:alias, or the function's name alone.
func consumerName(c release.Change) string {
	name := release.FunctionNameOf(c.Function)
	if c.Alias != "" {
		name += ":" + c.Alias
	}

	return name
}
