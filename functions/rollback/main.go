// Rollback undoes the changes of a run.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run, lambdamain.ProbePrefix) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.RunInput) (release.Ending, error) {
	return workflow.Rollback{
		Ledger:    env.Ledger(),
		Functions: awsport.Functions{Client: lambda.NewFromConfig(lambdamain.AWS())},
		Versions:  env.LayerVersions(),
		Sandboxes: env.Sandboxes(),
		Probes:    env.ProbePrefix,
	}.Run(ctx, in)
}
