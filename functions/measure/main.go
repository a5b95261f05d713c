// Measure runs the gate on one pruned layer and compares its size with its budget.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.StackInput) (workflow.Item, error) {
	cache, discard, err := lambdamain.Scratch()
	if err != nil {
		return workflow.Item{}, err
	}
	defer discard()

	return workflow.Measure{Ledger: env.Ledger(), Cache: cache}.Run(ctx, in)
}
