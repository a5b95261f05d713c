// Update moves one consumer to new layer versions.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.ConsumerInput) (workflow.UpdateOutput, error) {
	return workflow.Update{
		Ledger:    env.Ledger(),
		Functions: awsport.Functions{Client: lambda.NewFromConfig(lambdamain.AWS())},
	}.Run(ctx, in)
}
