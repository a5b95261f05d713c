// Verify runs one candidate on the real Lambda runtime.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/stage"
)

// memory of the temporary function in MiB. With it, a function has one whole vCPU (docs: "Configure
// Lambda function memory").
const memory = 1769

func main() {
	lambdamain.Start(func(ctx context.Context, in stage.StackInput) (stage.Item, error) {
		env, err := lambdamain.Env(lambdamain.ProbeRole, lambdamain.ProbePrefix)
		if err != nil {
			return stage.Item{}, err
		}

		return stage.Verify{
			Ledger:    env.Ledger(),
			Sandboxes: env.Sandboxes(),
			Versions:  env.LayerVersions(),
			Probes:    env.ProbePrefix,
			Memory:    memory,
		}.Run(ctx, in)
	})
}
