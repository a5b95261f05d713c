// Intake reads an execution's input and decides what the execution does.
package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/lambdamain"
	"github.com/layersmith/layersmith/internal/workflow"
)

// settle is how long uploads must have stopped before a build starts: uploading a whole workspace
// takes several seconds.
const settle = 10 * time.Second

func main() { lambdamain.StartWithEnv(run, lambdamain.Workspace) }

func run(ctx context.Context, env lambdamain.Environment, in workflow.IntakeInput) (workflow.IntakeOutput, error) {
	aws := lambdamain.AWS()

	return workflow.Intake{
		Ledger: env.Ledger(),
		Sources: awsport.Sources{
			Client: s3.NewFromConfig(aws),
			Bucket: env.Workspace,
			Prefix: awsport.WorkspacePrefix,
		},
		Runs:   awsport.ExecutionRuns{Client: sfn.NewFromConfig(aws)}.Runs,
		Tool:   engine.Tool,
		Settle: settle,
	}.Run(ctx, in)
}
