// Publish publishes one measured layer as a layer version.
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

		return stage.Publish{Ledger: env.Ledger(), Versions: env.LayerVersions(), Account: env.Account}.Run(ctx, in)
	})
}
