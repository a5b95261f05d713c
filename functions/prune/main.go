// Prune prunes the artifact of one layer.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.LayerInput) (workflow.Item, error) {
	cache, discard, err := lambdamain.Scratch()
	if err != nil {
		return workflow.Item{}, err
	}
	defer discard()

	return workflow.Prune{Ledger: env.Ledger(), Cache: cache}.Run(ctx, in)
}
