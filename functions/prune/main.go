// Prune prunes the artifact of one layer.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/stage"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in stage.LayerInput) (stage.Item, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return stage.Item{}, err
		}

		cache, discard, err := lambdamain.Scratch()
		if err != nil {
			return stage.Item{}, err
		}
		defer discard()
		return stage.PruneArtifact{Ledger: env.Ledger(), Cache: cache}.Run(ctx, in)
	})
}
