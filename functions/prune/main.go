// Prune prunes the artifact of one layer.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in workflow.LayerInput) (workflow.Item, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return workflow.Item{}, err
		}

		cache, discard, err := lambdamain.Scratch()
		if err != nil {
			return workflow.Item{}, err
		}
		defer discard()
		return workflow.Prune{Ledger: env.Ledger(), Cache: cache}.Run(ctx, in)
	})
}
