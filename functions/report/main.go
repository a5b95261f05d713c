// Report writes a run's report, sends its metrics and its notification, and releases the lease.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

func main() { lambdamain.StartWithEnv(run, lambdamain.Topic, lambdamain.Stack) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.ReportInput) (release.Ending, error) {
	aws := lambdamain.AWS()

	return workflow.Report{
		Ledger:  env.Ledger(),
		Metrics: awsport.Metrics{Client: cloudwatch.NewFromConfig(aws)}.Put,
		Notify:  awsport.Notify{Client: sns.NewFromConfig(aws), Topic: env.Topic}.Send,
		Account: env.Account,
	}.Run(ctx, in)
}
