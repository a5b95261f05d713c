// Health checks one consumer's alarm after its update.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in workflow.HealthInput) (workflow.HealthOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return workflow.HealthOutput{}, err
		}

		return workflow.Health{
			Ledger: env.Ledger(),
			Alarms: awsport.Alarms{Client: cloudwatch.NewFromConfig(lambdamain.AWS())}.Get,
		}.Run(ctx, in)
	})
}
