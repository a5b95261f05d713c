package awsport

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// maxPayloadBytes is the limit of the payload of a synchronous invocation (docs: "Lambda quotas").
const maxPayloadBytes = 6 << 20

type sandboxesAPI interface {
	lambda.GetFunctionAPIClient
	CreateFunction(
		context.Context,
		*lambda.CreateFunctionInput,
		...func(*lambda.Options),
	) (*lambda.CreateFunctionOutput, error)
	DeleteFunction(
		context.Context,
		*lambda.DeleteFunctionInput,
		...func(*lambda.Options),
	) (*lambda.DeleteFunctionOutput, error)
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// Sandboxes creates temporary functions in Lambda.
type Sandboxes struct {
	Client sandboxesAPI
	Role   string        // ARN of their role, which has no permissions
	Poll   time.Duration // first polling interval of a waiter; 0 for the default
}

var _ workflow.Sandboxes = Sandboxes{}

// createTries is the limit of attempts to delete a function of the same name and to create it
// again. Such a function was left by a run that crashed, or by our own request if its response was
// lost.
const createTries = 3

// Create deletes a function of that name, creates the function, and waits until it can be invoked.
func (s Sandboxes) Create(ctx context.Context, b workflow.Sandbox) error {
	const op = "create function"
	in := &lambda.CreateFunctionInput{
		FunctionName:  &b.Name,
		Role:          &s.Role,
		Handler:       &b.Handler,
		Layers:        b.Layers,
		Code:          &types.FunctionCode{ZipFile: b.Zip},
		Description:   aws.String("Layersmith tries a layer version; it is deleted after that."),
		Runtime:       types.Runtime(b.Target.Runtime()),
		Architectures: []types.Architecture{types.Architecture(b.Target.Arch())},
		MemorySize:    aws.Int32(int32(b.Memory)),
		Timeout:       aws.Int32(int32(math.Ceil(b.Timeout.Seconds()))),
	}
	for try := 1; ; try++ {
		if err := s.Delete(ctx, b.Name); err != nil {
			return err
		}

		_, err := s.Client.CreateFunction(ctx, in)
		if err == nil {
			break
		}

		if !conflicts(err) {
			return classify(op, b.Name, err)
		}

		if try == createTries {
			return fault.New(fault.Throttled, op, b.Name,
				fmt.Errorf("it still exists after %d deletions: %w", try, classify(op, b.Name, err)))
		}
	}

	return active(ctx, s.Client, &watch{op: op, subject: b.Name, poll: s.Poll}, b.Name)
}

// Invoke invokes the function once and waits for the response.
func (s Sandboxes) Invoke(ctx context.Context, name string, payload []byte) (workflow.Invocation, error) {
	const op = "invoke function"
	if len(payload) > maxPayloadBytes {
		return workflow.Invocation{}, fault.New(fault.BadInput, op, name,
			fmt.Errorf("a payload of %d bytes, limit %d", len(payload), maxPayloadBytes))
	}

	out, err := s.Client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName:   &name,
		InvocationType: types.InvocationTypeRequestResponse,
		LogType:        types.LogTypeTail,
		Payload:        payload,
	})
	if err != nil {
		return workflow.Invocation{}, classify(op, name, err)
	}

	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return workflow.Invocation{}, fault.New(fault.Internal, op, name, fmt.Errorf("its log: %w", err))
	}

	i := workflow.Invocation{Payload: out.Payload, LogTail: string(tail)}
	i.InitSeconds, i.MaxMemoryMiB = parseReport(tail)
	if out.FunctionError != nil {
		i.Error = errorType(*out.FunctionError, out.Payload)
	}

	return i, nil
}

// errorType returns the errorType of an error document. If there is none, it returns the function
// error of the response, "Handled" or "Unhandled".
func errorType(functionError string, payload []byte) string {
	var document struct {
		Type string `json:"errorType"`
	}
	if functionError != "" && json.Unmarshal(payload, &document) == nil && document.Type != "" {
		return document.Type
	}

	return functionError
}

// Delete deletes the function. An unknown function is no error.
func (s Sandboxes) Delete(ctx context.Context, name string) error {
	_, err := s.Client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name})
	if err != nil && !absent(err) {
		return classify("delete function", name, err)
	}

	return nil
}

var (
	initDuration = regexp.MustCompile(`\bInit Duration: ([0-9.]+) ms`)
	maxMemory    = regexp.MustCompile(`\bMax Memory Used: ([0-9]+) MB`)
)

// parseReport parses the last report line that Lambda writes about an invocation. There are two log
// formats. The text format has its fields, separated by tabs, in one line:
//
//	REPORT RequestId: 8f5..	Duration: 1.51 ms	Billed Duration: 2 ms
//	Memory Size: 128 MB	Max Memory Used: 34 MB	Init Duration: 125.02 ms
//
//	{"type":"platform.report","record":{"metrics":{"maxMemoryUsedMB":34,"initDurationMs":125.02}}}
//
// MB means MiB there. A missing value is 0.
func parseReport(tail []byte) (initSeconds float64, maxMemoryMiB int64) {
	for line := range bytes.Lines(tail) {
		switch {
		case bytes.HasPrefix(line, []byte("REPORT RequestId: ")):
			initSeconds = 0
			maxMemoryMiB = 0
			if m := initDuration.FindSubmatch(line); m != nil {
				ms, _ := strconv.ParseFloat(string(m[1]), 64)
				initSeconds = ms / 1000
			}

			if m := maxMemory.FindSubmatch(line); m != nil {
				maxMemoryMiB, _ = strconv.ParseInt(string(m[1]), 10, 64)
			}
		case bytes.HasPrefix(line, []byte("{")):
			var event struct {
				Type   string `json:"type"`
				Record struct {
					Metrics struct {
						InitDurationMS float64 `json:"initDurationMs"`
						MaxMemoryMB    int64   `json:"maxMemoryUsedMB"`
					} `json:"metrics"`
				} `json:"record"`
			}
			if json.Unmarshal(line, &event) == nil && event.Type == "platform.report" {
				initSeconds = event.Record.Metrics.InitDurationMS / 1000
				maxMemoryMiB = event.Record.Metrics.MaxMemoryMB
			}
		}
	}

	return initSeconds, maxMemoryMiB
}
