package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) startCommand() *cobra.Command {
	var in where
	var request release.Request
	follow := newFollow()
	c := &cobra.Command{
		Use:   "start [LAYER...]",
		Short: "Start an execution in the account: release what is stale, or the named layers",
		Long: `Start an execution of the deployed workflow for the workspace that was pushed last.

Without --watch it returns at once; an execution goes on by itself.` + exitByOutcome,
		Example: `  layersmith start --watch
  layersmith start aws-utilities --force      this one, even if nothing changed
  layersmith start --refresh --dry-run        what would newer versions bring? nothing is published`,
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
	f.BoolVar(&request.Force, "force", false, "even if nothing changed")
	f.BoolVar(&request.Refresh, "refresh", false, "take newer versions of distributions, within the requirements")
	f.BoolVar(&request.DryRun, "dry-run", false, "everything up to publishing, which it does not do")
	follow.flags(c, true)
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

// begin starts an execution, says which, and follows it if asked to.
func (a *app) begin(ctx context.Context, account *account, request release.Request, follow *follow) error {
	input, err := json.Marshal(request)
	if err != nil {
		return err
	}

	name, err := executionName(time.Now())
	if err != nil {
		return err
	}

	x, err := account.Executions.Start(ctx, name, input)
	if err != nil {
		return err
	}

	console := awsport.ConsoleURL(x.ARN)
	switch {
	case follow.watch:
		a.say("execution %s   %s", x.Name, console)
		return a.watch(ctx, account, x.ARN, follow.interval)
	case a.json:
		return a.printJSON(started{Execution: x.Name, ARN: x.ARN, Console: console, Request: request})
	}

	a.say("execution %s   %s", x.Name, console)
	a.say("follow it with: layersmith watch %s", x.Name)
	return nil
}

// executionName says when, so that names sort by time, and six random digits, so that two people
// can start one in the same second.
func executionName(now time.Time) (string, error) {
	var b [3]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}

	return now.UTC().Format("2006-01-02T15-04-05") + "-" + hex.EncodeToString(b[:]), nil
}
