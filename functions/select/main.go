// Select finds the built layers that differ from the released ones.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in workflow.RunInput) (workflow.SelectOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return workflow.SelectOutput{}, err
		}

		return workflow.Select{Ledger: env.Ledger()}.Run(ctx, in)
	})
}
