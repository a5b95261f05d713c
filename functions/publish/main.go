// Publish publishes one measured layer as a layer version.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.LayerInput) (workflow.Item, error) {
	return workflow.Publish{Ledger: env.Ledger(), Versions: env.LayerVersions(), Account: env.Account}.Run(ctx, in)
}
