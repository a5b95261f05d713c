// Health checks one consumer's alarm after its update.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.HealthInput) (workflow.HealthOutput, error) {
	return workflow.Health{
		Ledger: env.Ledger(),
		Alarms: awsport.Alarms{Client: cloudwatch.NewFromConfig(lambdamain.AWS())}.Get,
	}.Run(ctx, in)
}
