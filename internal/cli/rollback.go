package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
)

func (a *app) rollbackCommand() *cobra.Command {
	var in where
	var to int64
	var follow follow
	c := &cobra.Command{
		Use:   "rollback LAYER",
		Short: "Move functions back to an earlier released version of a layer",
		Long: `Start an execution that moves every consumer of the layer to an earlier released version of it,
with the same safeguards as a release: functions that somebody else changed are left alone, alarms
are watched, and if one rises everything is put back.

Without --to it is the version that was current before this one. Nothing is built or deleted.` + exitByOutcome,
		Example: `  layersmith versions core-data-science
  layersmith rollback core-data-science --to 41 --watch`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			layer := args[0]
			if to < 0 || to == 0 && cmd.Flags().Changed("to") {
				return fault.New(fault.BadInput, "read", "--to", errors.New("versions are numbered from 1")).
					WithHint("run: layersmith versions " + layer)
			}

			account, err := in.connect(cmd.Context())
			if err != nil {
				return err
			}

			request, steps, err := account.Rollback(cmd.Context(), layer, to)
			if err != nil {
				return err
			}

			for _, s := range steps {
				at := s.To.At.UTC().Format(timeFormat)
				a.say("%s %d -> %d (released %s)", s.LayerName, s.From, s.To.Version, at)
			}

			return a.begin(cmd.Context(), account, request, follow)
		},
	}
	c.Flags().Int64Var(&to, "to", 0, "number of the version (default: the one before the current)")
	follow.optionalFlags(c)
	in.flags(c)
	return c
}
