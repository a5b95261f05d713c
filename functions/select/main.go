// Select finds the built layers that differ from the released ones.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.RunInput) (workflow.SelectOutput, error) {
	return workflow.Select{Ledger: env.Ledger()}.Run(ctx, in)
}
