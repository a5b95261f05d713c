// Update moves one consumer to new layer versions.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in workflow.ConsumerInput) (workflow.UpdateOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return workflow.UpdateOutput{}, err
		}

		return workflow.Update{
			Ledger:    env.Ledger(),
			Functions: awsport.Functions{Client: lambda.NewFromConfig(lambdamain.AWS())},
		}.Run(ctx, in)
	})
}
