// Select finds the built layers that differ from the released ones.
package main

import (
	"context"

	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/stage"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in stage.RunInput) (stage.SelectOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return stage.SelectOutput{}, err
		}

		return stage.Select{Ledger: env.Ledger()}.Run(ctx, in)
	})
}
