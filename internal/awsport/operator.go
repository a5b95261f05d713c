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

// What only the command line needs: the outputs of a deployed stack, and its executions as people
// look at them.

// Stack is a deployed stack's outputs, as far as the command line needs them.
type Stack struct {
	Name            string
	WorkspaceBucket string // people push layers/ to it
	StoreBucket     string // artifacts, documents, state
	StateMachineARN string
}

type stacksAPI interface {
	DescribeStacks(
		context.Context,
		*cloudformation.DescribeStacksInput,
		...func(*cloudformation.Options),
	) (*cloudformation.DescribeStacksOutput, error)
}

// OpenAccount finds a deployed stack by its outputs. Faults: BadInput for a profile or region that
// is not there, NotAllowed without credentials, NotFound when there is no such stack, BadInput when
// it is another kind of stack or is not finished.
func OpenAccount(ctx context.Context, o Options, stack string) (operator.Account, error) {
	cfg, err := Config(ctx, o)
	if err != nil {
		return operator.Account{}, err
	}

	// what the SDK remarks on answers goes to stderr otherwise, which is the command line's own
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

// WorkspacePrefix is where the pushed workspace lies in its bucket.
const WorkspacePrefix = "layers/"

func findStack(ctx context.Context, api stacksAPI, name string) (Stack, error) {
	const deploy = "deploy it with: make deploy; or name another stack with --stack or LAYERSMITH_STACK, another " +
		"account with --profile, another region with --region"
	out, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)})
	var answer smithy.APIError
	if errors.As(err, &answer) &&
		// CloudFormation's way to say that there is none (API: DescribeStacks)
		answer.ErrorCode() == "ValidationError" {
		return Stack{}, fault.New(fault.NotFound, "find", "stack "+name, errors.New(answer.ErrorMessage())).
			WithHint(deploy)
	}

	if err != nil {
		return Stack{}, classify("find", "stack "+name, err)
	}

	if len(out.Stacks) == 0 || out.Stacks[0].StackStatus == cfntypes.StackStatusDeleteComplete {
		return Stack{}, fault.New(fault.NotFound, "find", "stack "+name, errors.New("no such stack")).WithHint(deploy)
	}

	s := Stack{Name: name}
	fields := map[string]*string{
		"WorkspaceBucket": &s.WorkspaceBucket,
		"StoreBucket":     &s.StoreBucket,
		"StateMachineArn": &s.StateMachineARN,
	}
	for _, o := range out.Stacks[0].Outputs {
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
			fmt.Errorf("is %s and has no output %s", out.Stacks[0].StackStatus, strings.Join(missing, ", "))).
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

// Executions starts executions of one state machine and looks at them.
type Executions struct {
	Client  executionsAPI
	Machine string // its ARN
}

// ARN is that of the execution with the name; an ARN is its own.
func (e Executions) ARN(name string) string {
	if release.IsARN(name) {
		return name
	}

	machine, err := release.ParseARN(e.Machine)
	if err != nil {
		return name // Step Functions refuses it: not an ARN
	}

	return machine.Execution(name).String()
}

// Start begins an execution. The same name and input again are the same execution; the same name
// with another input is a fault Changed.
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

// Describe returns an execution with its input and how it ended. Fault NotFound.
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

// maxPage is how many items the API gives at once, at most.
const maxPage = 1000

// List returns the newest executions, newest first, at most limit. status "" is all.
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

// History returns the events after the one with that number, in order. It reads from the newest
// backwards and stops at what is known, so that following an execution does not cost more the
// longer it goes on.
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
	e := operator.Event{ID: h.Id, Previous: h.PreviousEventId, At: aws.ToTime(h.Timestamp), Type: string(h.Type)}
	failed := func(err, cause *string) {
		e.Error = aws.ToString(err)
		e.Cause = aws.ToString(cause)
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
	case h.LambdaFunctionFailedEventDetails != nil:
		failed(h.LambdaFunctionFailedEventDetails.Error, h.LambdaFunctionFailedEventDetails.Cause)
	case h.LambdaFunctionScheduleFailedEventDetails != nil:
		failed(h.LambdaFunctionScheduleFailedEventDetails.Error, h.LambdaFunctionScheduleFailedEventDetails.Cause)
	case h.LambdaFunctionStartFailedEventDetails != nil:
		failed(h.LambdaFunctionStartFailedEventDetails.Error, h.LambdaFunctionStartFailedEventDetails.Cause)
	case h.LambdaFunctionTimedOutEventDetails != nil:
		failed(h.LambdaFunctionTimedOutEventDetails.Error, h.LambdaFunctionTimedOutEventDetails.Cause)
	case h.TaskFailedEventDetails != nil:
		failed(h.TaskFailedEventDetails.Error, h.TaskFailedEventDetails.Cause)
	case h.TaskStartFailedEventDetails != nil:
		failed(h.TaskStartFailedEventDetails.Error, h.TaskStartFailedEventDetails.Cause)
	case h.TaskSubmitFailedEventDetails != nil:
		failed(h.TaskSubmitFailedEventDetails.Error, h.TaskSubmitFailedEventDetails.Cause)
	case h.TaskTimedOutEventDetails != nil:
		failed(h.TaskTimedOutEventDetails.Error, h.TaskTimedOutEventDetails.Cause)
	case h.ExecutionFailedEventDetails != nil:
		failed(h.ExecutionFailedEventDetails.Error, h.ExecutionFailedEventDetails.Cause)
	case h.ExecutionTimedOutEventDetails != nil:
		failed(h.ExecutionTimedOutEventDetails.Error, h.ExecutionTimedOutEventDetails.Cause)
	case h.ExecutionAbortedEventDetails != nil:
		failed(h.ExecutionAbortedEventDetails.Error, h.ExecutionAbortedEventDetails.Cause)
	}

	return e
}

// Console is the page of an execution in the console of its partition.
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
