// Health checks one consumer's alarm after its update.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/stage"
)

func main() {
	lambdamain.Start(func(ctx context.Context, in stage.HealthInput) (stage.HealthOutput, error) {
		env, err := lambdamain.Env()
		if err != nil {
			return stage.HealthOutput{}, err
		}

		return stage.Health{
			Ledger: env.Ledger(),
			Alarms: awsport.Alarms{Client: cloudwatch.NewFromConfig(lambdamain.AWS())}.Get,
		}.Run(ctx, in)
	})
}
