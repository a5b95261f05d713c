package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) startCommand() *cobra.Command {
	var in where
	var request release.Request
	var follow follow
	c := &cobra.Command{
		Use:   "start [LAYER...]",
		Short: "Start an execution: release stale layers, or the named ones",
		Long: `Start an execution of the deployed workflow for the workspace that was pushed last.

Without --watch the command returns at once, and the execution continues.` + exitByOutcome,
		Example: `  layersmith start --watch
  layersmith start aws-utilities --force      this one, even if nothing changed
  layersmith start --refresh --dry-run        what newer versions would change; nothing is published`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, layers []string) error {
			for _, l := range layers {
				if err := workspace.CheckLayerName(l); err != nil {
					return fault.New(fault.BadInput, "start", l, err).WithHint("name folders of the workspace")
				}
			}

			request.Layers = layers
			account, err := in.connect(cmd.Context())
			if err != nil {
				return err
			}

			return a.begin(cmd.Context(), account, request, follow)
		},
	}
	f := c.Flags()
	f.BoolVar(&request.Force, "force", false, "release even if nothing changed")
	f.BoolVar(&request.Refresh, "refresh", false, "upgrade distributions, within the requirements")
	f.BoolVar(&request.DryRun, "dry-run", false, "stop before publishing")
	follow.optionalFlags(c)
	in.flags(c)
	return c
}

// started is the document of start and rollback without --watch.
type started struct {
	Execution string          `json:"execution"`
	ARN       string          `json:"arn"`
	Console   string          `json:"console"`
	Request   release.Request `json:"request"`
}

// begin starts an execution, prints its name, and follows it if asked to.
func (a *app) begin(ctx context.Context, account operator.Account, request release.Request, follow follow) error {
	x, err := account.Start(ctx, request, time.Now())
	if err != nil {
		return err
	}

	console := account.Executions.Console(x.ARN)
	if a.json && !follow.watch {
		return a.printJSON(started{Execution: x.Name, ARN: x.ARN, Console: console, Request: request})
	}

	a.say("execution %s   %s", x.Name, console)
	if follow.watch {
		return a.watch(ctx, account, x.ARN, follow.interval)
	}

	a.say("follow it with: layersmith watch %s", x.Name)
	return nil
}
