// Promote makes a run's candidates the released versions.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.RecordInput) (release.Ending, error) {
	return workflow.Promote{
		Ledger:    env.Ledger(),
		Functions: awsport.Functions{Client: lambda.NewFromConfig(lambdamain.AWS())},
		Versions:  env.LayerVersions(),
		Account:   env.Account,
	}.Run(ctx, in)
}
