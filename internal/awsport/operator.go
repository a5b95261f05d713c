package awsport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/release"
)

// This file is for the command line: the outputs of a deployed stack, and its executions.

// Stack is the outputs of a deployed stack that the command line needs.
type Stack struct {
	Name            string
	WorkspaceBucket string // bucket that people push layers/ to
	StoreBucket     string // bucket of artifacts, documents and state
	StateMachineARN string
}

type stacksAPI interface {
	DescribeStacks(
		context.Context,
		*cloudformation.DescribeStacksInput,
		...func(*cloudformation.Options),
	) (*cloudformation.DescribeStacksOutput, error)
}

// OpenAccount finds a deployed stack. Faults: BadInput for an unknown profile or a missing region,
// NotAllowed without credentials, NotFound for an unknown stack, BadInput for a stack that lacks
// Layersmith's outputs: another stack, or one that is not completely deployed.
func OpenAccount(ctx context.Context, o Options, stack string) (operator.Account, error) {
	cfg, err := Config(ctx, o)
	if err != nil {
		return operator.Account{}, err
	}

	// the SDK must not log warnings to stderr, where the command line prints
	cfg.Logger = logging.Nop{}

	found, err := findStack(ctx, cloudformation.NewFromConfig(cfg), stack)
	if err != nil {
		return operator.Account{}, err
	}

	objects := s3.NewFromConfig(cfg)
	return operator.Account{
		Name:            found.Name,
		WorkspaceBucket: found.WorkspaceBucket,
		StoreBucket:     found.StoreBucket,
		Executions:      Executions{Client: sfn.NewFromConfig(cfg), Machine: found.StateMachineARN},
		Registers:       Registers{Client: objects, Bucket: found.StoreBucket},
		Workspace:       Workspace{Sources{Client: objects, Bucket: found.WorkspaceBucket, Prefix: WorkspacePrefix}},
	}, nil
}

// WorkspacePrefix is the prefix of the pushed workspace's keys.
const WorkspacePrefix = "layers/"

func findStack(ctx context.Context, api stacksAPI, name string) (Stack, error) {
	notFound := func(reason string) error {
		return fault.New(fault.NotFound, "find", "stack "+name, errors.New(reason)).
			WithHint("deploy it with: make deploy; or name another stack with --stack or LAYERSMITH_STACK, another " +
				"account with --profile, another region with --region")
	}

	out, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)})
	var answer smithy.APIError
	switch {
	// CloudFormation's error for an unknown stack (API: DescribeStacks)
	case errors.As(err, &answer) && answer.ErrorCode() == "ValidationError":
		return Stack{}, notFound(answer.ErrorMessage())
	case err != nil:
		return Stack{}, classify("find", "stack "+name, err)
	case len(out.Stacks) == 0 || out.Stacks[0].StackStatus == cfntypes.StackStatusDeleteComplete:
		return Stack{}, notFound("no such stack")
	}

	return stackOf(name, out.Stacks[0])
}

// stackOf reads the outputs of a stack.
func stackOf(name string, described cfntypes.Stack) (Stack, error) {
	s := Stack{Name: name}
	fields := map[string]*string{
		"WorkspaceBucket": &s.WorkspaceBucket,
		"StoreBucket":     &s.StoreBucket,
		"StateMachineArn": &s.StateMachineARN,
	}
	for _, o := range described.Outputs {
		if field := fields[aws.ToString(o.OutputKey)]; field != nil {
			*field = aws.ToString(o.OutputValue)
		}
	}

	var missing []string
	for _, needed := range []string{"WorkspaceBucket", "StoreBucket", "StateMachineArn"} {
		if *fields[needed] == "" {
			missing = append(missing, needed)
		}
	}

	if len(missing) > 0 {
		return Stack{}, fault.New(fault.BadInput, "read", "stack "+name,
			fmt.Errorf("it is %s and has no output %s", described.StackStatus, strings.Join(missing, ", "))).
			WithHint("deploy Layersmith to it with: make deploy; or name another stack with --stack")
	}

	return s, nil
}

type executionsAPI interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(
		context.Context,
		*sfn.DescribeExecutionInput,
		...func(*sfn.Options),
	) (*sfn.DescribeExecutionOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	GetExecutionHistory(
		context.Context,
		*sfn.GetExecutionHistoryInput,
		...func(*sfn.Options),
	) (*sfn.GetExecutionHistoryOutput, error)
}

// Executions starts and reads executions of one state machine.
type Executions struct {
	Client  executionsAPI
	Machine string // ARN of the state machine
}

// ARN returns the ARN of the execution with this name. An ARN is returned unchanged.
func (e Executions) ARN(name string) string {
	if release.IsARN(name) {
		return name
	}

	machine, err := release.ParseARN(e.Machine)
	if err != nil {
		return name // Step Functions will refuse it
	}

	return machine.Execution(name).String()
}

// Start starts an execution. Starting it again with the same name and input returns the same
// execution; the same name with another input is the fault Changed.
func (e Executions) Start(ctx context.Context, name string, input []byte) (operator.Execution, error) {
	out, err := e.Client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(e.Machine),
		Name:            aws.String(name),
		Input:           aws.String(string(input)),
	})
	if err != nil {
		return operator.Execution{}, classify("start", "execution "+name, err)
	}

	return operator.Execution{
		ARN:     aws.ToString(out.ExecutionArn),
		Name:    name,
		Status:  string(sfntypes.ExecutionStatusRunning),
		Started: aws.ToTime(out.StartDate),
		Input:   string(input),
	}, nil
}

// Describe returns an execution with its input and its result. Fault NotFound.
func (e Executions) Describe(ctx context.Context, arn string) (operator.Execution, error) {
	out, err := e.Client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		return operator.Execution{}, classify("read", "execution "+arn, err)
	}

	return operator.Execution{
		ARN:     aws.ToString(out.ExecutionArn),
		Name:    aws.ToString(out.Name),
		Status:  string(out.Status),
		Started: aws.ToTime(out.StartDate),
		Stopped: aws.ToTime(out.StopDate),
		Input:   aws.ToString(out.Input),
		Output:  aws.ToString(out.Output),
		Error:   aws.ToString(out.Error),
		Cause:   aws.ToString(out.Cause),
	}, nil
}

// maxPage is the API's limit of items in a page.
const maxPage = 1000

// List returns at most limit executions, newest first. status "" means any status.
func (e Executions) List(ctx context.Context, status string, limit int) ([]operator.Execution, error) {
	var found []operator.Execution
	in := &sfn.ListExecutionsInput{
		StateMachineArn: aws.String(e.Machine),
		StatusFilter:    sfntypes.ExecutionStatus(status),
	}
	for len(found) < limit {
		in.MaxResults = int32(min(limit-len(found), maxPage))
		out, err := e.Client.ListExecutions(ctx, in)
		if err != nil {
			return nil, classify("list", "executions of "+e.Machine, err)
		}

		for _, x := range out.Executions {
			found = append(found, operator.Execution{
				ARN:     aws.ToString(x.ExecutionArn),
				Name:    aws.ToString(x.Name),
				Status:  string(x.Status),
				Started: aws.ToTime(x.StartDate),
				Stopped: aws.ToTime(x.StopDate),
			})
		}

		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}

	found = found[:min(limit, len(found))]
	slices.SortStableFunc(found, func(a, b operator.Execution) int { return b.Started.Compare(a.Started) })
	return found, nil
}

// History returns the events after the event with ID after, in order. It reads backwards from the
// newest event and stops at that one, so that polling a long execution stays cheap.
func (e Executions) History(ctx context.Context, arn string, after int64) ([]operator.Event, error) {
	var events []operator.Event
	in := &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String(arn), MaxResults: maxPage, ReverseOrder: true}
	for {
		out, err := e.Client.GetExecutionHistory(ctx, in)
		if err != nil {
			return nil, classify("read", "history of "+arn, err)
		}

		known := false
		for _, h := range out.Events {
			if known = h.Id <= after; known {
				break
			}

			events = append(events, event(h))
		}

		if in.NextToken = out.NextToken; known || in.NextToken == nil {
			break
		}
	}

	slices.Reverse(events)
	return events, nil
}

func event(h sfntypes.HistoryEvent) operator.Event {
	err, cause := failureOf(h)
	e := operator.Event{
		ID:       h.Id,
		Previous: h.PreviousEventId,
		At:       aws.ToTime(h.Timestamp),
		Type:     string(h.Type),
		Error:    aws.ToString(err),
		Cause:    aws.ToString(cause),
	}

	switch {
	case h.StateEnteredEventDetails != nil:
		e.State = aws.ToString(h.StateEnteredEventDetails.Name)
	case h.StateExitedEventDetails != nil:
		e.State = aws.ToString(h.StateExitedEventDetails.Name)
	case h.MapIterationStartedEventDetails != nil:
		e.Index = int(h.MapIterationStartedEventDetails.Index)
	case h.LambdaFunctionSucceededEventDetails != nil:
		e.Output = aws.ToString(h.LambdaFunctionSucceededEventDetails.Output)
	case h.TaskSucceededEventDetails != nil:
		e.Output = aws.ToString(h.TaskSucceededEventDetails.Output)
	}

	return e
}

// failureOf returns error and cause of a failure event, or nil for other events.
func failureOf(h sfntypes.HistoryEvent) (err, cause *string) {
	switch {
	case h.LambdaFunctionFailedEventDetails != nil:
		return h.LambdaFunctionFailedEventDetails.Error, h.LambdaFunctionFailedEventDetails.Cause
	case h.LambdaFunctionScheduleFailedEventDetails != nil:
		return h.LambdaFunctionScheduleFailedEventDetails.Error, h.LambdaFunctionScheduleFailedEventDetails.Cause
	case h.LambdaFunctionStartFailedEventDetails != nil:
		return h.LambdaFunctionStartFailedEventDetails.Error, h.LambdaFunctionStartFailedEventDetails.Cause
	case h.LambdaFunctionTimedOutEventDetails != nil:
		return h.LambdaFunctionTimedOutEventDetails.Error, h.LambdaFunctionTimedOutEventDetails.Cause
	case h.TaskFailedEventDetails != nil:
		return h.TaskFailedEventDetails.Error, h.TaskFailedEventDetails.Cause
	case h.TaskStartFailedEventDetails != nil:
		return h.TaskStartFailedEventDetails.Error, h.TaskStartFailedEventDetails.Cause
	case h.TaskSubmitFailedEventDetails != nil:
		return h.TaskSubmitFailedEventDetails.Error, h.TaskSubmitFailedEventDetails.Cause
	case h.TaskTimedOutEventDetails != nil:
		return h.TaskTimedOutEventDetails.Error, h.TaskTimedOutEventDetails.Cause
	case h.ExecutionFailedEventDetails != nil:
		return h.ExecutionFailedEventDetails.Error, h.ExecutionFailedEventDetails.Cause
	case h.ExecutionTimedOutEventDetails != nil:
		return h.ExecutionTimedOutEventDetails.Error, h.ExecutionTimedOutEventDetails.Cause
	case h.ExecutionAbortedEventDetails != nil:
		return h.ExecutionAbortedEventDetails.Error, h.ExecutionAbortedEventDetails.Cause
	}

	return nil, nil
}

// Console returns the URL of an execution in the AWS console of its partition, or "" for an invalid
// ARN.
func (e Executions) Console(arn string) string {
	a, err := release.ParseARN(arn)
	if err != nil {
		return ""
	}

	host := map[string]string{
		"aws-cn":     "console.amazonaws.cn",
		"aws-us-gov": "console.amazonaws-us-gov.com",
	}[a.Partition]
	if host == "" {
		host = "console.aws.amazon.com"
	}

	return fmt.Sprintf("https://%s/states/home?region=%s#/v2/executions/details/%s", host, a.Region, arn)
}
