// Update moves one consumer to new layer versions.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/stage"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in stage.ConsumerInput) (stage.UpdateOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return stage.UpdateOutput{}, err
		}

		return stage.Update{
			Ledger:    env.Ledger(),
			Functions: awsport.Functions{Client: lambda.NewFromConfig(lambdamain.AWS())},
		}.Run(ctx, in)
	})
}
