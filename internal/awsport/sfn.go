package awsport

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/layersmith/layersmith/internal/workflow"
)

type executionRunsAPI interface {
	DescribeExecution(
		context.Context,
		*sfn.DescribeExecutionInput,
		...func(*sfn.Options),
	) (*sfn.DescribeExecutionOutput, error)
}

// ExecutionRuns asks Step Functions whether executions are running.
type ExecutionRuns struct{ Client executionRunsAPI }

var _ workflow.ExecutionRuns = ExecutionRuns{}.Runs

// Runs reports whether an execution is running. An execution that waits for a redrive is not: it
// may wait forever. An unknown execution is not running either.
func (e ExecutionRuns) Runs(ctx context.Context, arn string) (bool, error) {
	out, err := e.Client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	var unknown *types.ExecutionDoesNotExist
	switch {
	case errors.As(err, &unknown):
		return false, nil
	case err != nil:
		return false, classify("read execution", arn, err)
	}

	return out.Status == types.ExecutionStatusRunning, nil
}
