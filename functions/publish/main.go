// Publish publishes one measured layer as a layer version.
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

		return workflow.Publish{Ledger: env.Ledger(), Versions: env.LayerVersions(), Account: env.Account}.Run(ctx, in)
	})
}
