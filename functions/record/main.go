// Record stores the state of every consumer before anything is changed.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.RecordInput) (workflow.RecordOutput, error) {
	aws := lambdamain.AWS()

	return workflow.Record{
		Ledger: env.Ledger(),
		Functions: awsport.Functions{
			Client: lambda.NewFromConfig(aws),
			Tags:   resourcegroupstaggingapi.NewFromConfig(aws),
		},
		Versions: env.LayerVersions(),
		Alarms:   awsport.Alarms{Client: cloudwatch.NewFromConfig(aws)}.Get,
	}.Run(ctx, in)
}
