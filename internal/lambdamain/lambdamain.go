// Package lambdamain is what the main packages of all Lambda functions share: they compose a use
// case and pass it to StartWithEnv.
//
// # Input
//
// The input is exactly one JSON value of at most 256 KiB. Its fields are those of the function's
// input type, spelled exactly as there; an unknown field is an error. Anything else is the fault
// BadInput, with a hint that lists the fields. The use case checks the values.
//
// # Output and errors
//
// The output has at most 256 KiB, the limit of Step Functions.
//
// By default, aws-lambda-go uses the Go type of an error as its errorType: errorString, wrapError,
// boundsError. The state machine matches the codes of package fault instead. So this package, and
// no other, converts errors to messages.InvokeResponse_Error, which aws-lambda-go passes on
// unchanged:
//
//   - errorType is a code of package fault, or "Panic". After a panic the process ends.
//   - errorMessage is the error and its hint. People read it in the Cause of an execution.
//
// # Deadline
//
// The context of the use case ends before Lambda kills the function, so that the use case can
// report what it was doing (TimedOut). The margin is a tenth of the remaining time, at least 500 ms
// and at most 5 s. A use case that ignores its context is killed (Sandbox.Timedout).
//
// # Log
//
// The log is JSON lines on stderr, one at the start of an invocation and one at its end.
// aws-lambda-go logs the error document itself. The line at the end therefore has only the error's
// code, and for a panic the stack, which is not in the document.
package lambdamain

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Start serves invocations with run and does not return. It does nothing before the first
// invocation.
func Start[In, Out any](run func(context.Context, In) (Out, error)) {
	log.SetFlags(0) // aws-lambda-go logs error documents with package log; without flags they are JSON lines
	lambda.Start(handler[In, Out]{
		run:      run,
		log:      slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		now:      time.Now,
		function: lambdacontext.FunctionName,
		logGroup: lambdacontext.LogGroupName,
	})
}

// StartWithEnv is Start for a function that needs the stack's environment. Each invocation reads
// it, as Env(needs...) does; a fault of Env ends the invocation.
func StartWithEnv[In, Out any](run func(context.Context, Environment, In) (Out, error), needs ...string) {
	Start(func(ctx context.Context, in In) (Out, error) {
		env, err := Env(needs...)
		if err != nil {
			var none Out
			return none, err
		}

		return run(ctx, env, in)
	})
}

// handler implements lambda.Handler.
type handler[In, Out any] struct {
	run      func(context.Context, In) (Out, error)
	log      *slog.Logger
	now      func() time.Time
	function string
	logGroup string
}

var _ lambda.Handler = handler[any, any]{}

// Invoke handles one invocation. It logs its start and end and converts the error.
func (h handler[In, Out]) Invoke(ctx context.Context, raw []byte) ([]byte, error) {
	var request string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		request = lc.AwsRequestID
	}

	line := h.log.With("function", h.function, "run", runOf(raw), "request", request)
	line.InfoContext(ctx, "start")
	began := h.now()

	out, err := h.handle(ctx, raw)

	elapsed := slog.Int64("durationMs", h.now().Sub(began).Milliseconds())
	if err == nil {
		line.InfoContext(ctx, "end", elapsed, "code", "OK")
		return out, nil
	}

	converted := convert(err, logEntry{request: request, group: h.logGroup})
	rest := []any{elapsed, "code", converted.Type}
	if stack := stackOf(err); stack != "" {
		rest = append(rest, "stack", stack)
	}

	line.ErrorContext(ctx, "end", rest...)

	return nil, converted
}

// handle decodes the input, runs the use case and encodes its output. An error is a fault, or a
// panic that was recovered.
func (h handler[In, Out]) handle(ctx context.Context, raw []byte) (out []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			out = nil
			err = recovered(v)
		}
	}()

	var in In
	if err := decode(raw, &in); err != nil {
		return nil, err
	}

	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		// time.Now, not h.now: the context's deadline is real time in tests as well
		ctx, cancel = context.WithDeadline(ctx, earlier(time.Now(), deadline))
		defer cancel()
	}

	result, err := h.run(ctx, in)
	if err != nil {
		return nil, withCode(ctx, err)
	}

	return encode(result)
}

// The margin between the deadline of the use case and that of the function: a part of the remaining
// time, within bounds.
const (
	marginPart = 10
	minMargin  = 500 * time.Millisecond
	maxMargin  = 5 * time.Second
)

// earlier is the deadline of the use case for that of the function.
func earlier(now, deadline time.Time) time.Time {
	return deadline.Add(-min(max(deadline.Sub(now)/marginPart, minMargin), maxMargin))
}
