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

// MaxPayloadBytes is the largest request of a synchronous invocation (docs: "Lambda quotas").
const MaxPayloadBytes = 6 << 20

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

// Sandboxes makes throw-away functions in Lambda.
type Sandboxes struct {
	Client sandboxesAPI
	Role   string        // ARN of the role that they run as, which may do nothing
	Poll   time.Duration // between the first two looks of a waiter; 0 for the default
}

var _ workflow.Sandboxes = Sandboxes{}

// createTries is how often a function of the same name is deleted and made again. One is left over
// after a crash, or is our own when an answer was lost.
const createTries = 3

// Create makes the function anew: one of that name is deleted first.
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
				fmt.Errorf("still there after %d deletions: %w", try, classify(op, b.Name, err)))
		}
	}

	return active(ctx, s.Client, &watch{op: op, subject: b.Name, poll: s.Poll}, b.Name)
}

// Invoke runs it once and waits for the answer.
func (s Sandboxes) Invoke(ctx context.Context, name string, payload []byte) (workflow.Invocation, error) {
	const op = "invoke function"
	if len(payload) > MaxPayloadBytes {
		return workflow.Invocation{}, fault.New(fault.BadInput, op, name,
			fmt.Errorf("a payload of %d bytes, limit %d", len(payload), MaxPayloadBytes))
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
	if word := aws.ToString(out.FunctionError); word != "" {
		i.Error = word // "Handled" or "Unhandled", when the runtime could not say more
		var said struct {
			Type string `json:"errorType"`
		}
		if json.Unmarshal(out.Payload, &said) == nil && said.Type != "" {
			i.Error = said.Type
		}
	}

	return i, nil
}

// Delete removes it.
func (s Sandboxes) Delete(ctx context.Context, name string) error {
	if _, err := s.Client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil &&
		!absent(err) {
		return classify("delete function", name, err)
	}

	return nil
}

var (
	initDuration = regexp.MustCompile(`\bInit Duration: ([0-9.]+) ms`)
	maxMemory    = regexp.MustCompile(`\bMax Memory Used: ([0-9]+) MB`)
)

// parseReport reads the last line that Lambda itself writes about an invocation, in either of its
// log formats:
//
//	REPORT RequestId: 8f5..	Duration: 1.51 ms	Billed Duration: 2 ms	Memory Size: 128 MB	Max Memory Used: 34 MB	Init Duration: 125.02 ms
//	{"time":"..","type":"platform.report","record":{"metrics":{"maxMemoryUsedMB":34,"initDurationMs":125.02,..},..}}
//
// Its MB are MiB. What a line does not tell is 0.
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
