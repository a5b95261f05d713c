package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

func (a *app) rollbackCommand() *cobra.Command {
	var in where
	var to int64
	follow := newFollow()
	c := &cobra.Command{
		Use:   "rollback LAYER",
		Short: "Move the functions that use a layer back to an earlier released version",
		Long: `Start an execution that moves every consumer of the layer to an earlier released version of it,
with the same safeguards as a release: functions that somebody else changed are left alone, alarms
are watched, and if one rises everything goes back to where it was.

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

			_, released, err := account.releasedLayer(cmd.Context(), "roll back", layer)
			if err != nil {
				return err
			}

			var back []release.ReleasedVersion
			for _, l := range released {
				v, err := l.Back(to)
				if err != nil {
					return fault.New(fault.BadInput, "roll back", layer, err).WithHint(backHint(l))
				}

				back = append(back, v)
			}

			if len(back) == 1 {
				to = back[0].Version // what was said here is what happens, whatever is released meanwhile
			}

			for i, l := range released {
				a.say("%s %d -> %d (released %s)", l.LayerName, l.Current.Version, back[i].Version,
					back[i].At.UTC().Format(timeFormat))
			}

			return a.begin(cmd.Context(), account, release.Request{Rollback: &release.Restore{Layer: layer, To: to}},
				follow)
		},
	}
	c.Flags().Int64Var(&to, "to", 0, "number of the version (default: the one before the current)")
	follow.flags(c, true)
	in.flags(c)
	return c
}

func backHint(l release.ReleasedLayer) string {
	if len(l.Earlier) == 0 {
		return "there is nothing to go back to; change the requirements and run: layersmith push"
	}

	return "choose one of: " + l.Versions()
}
