// Package lambdamain is the door of every Lambda function: a function's main composes a stage and
// calls Start.
//
// # In
//
// Input is exactly one JSON value of at most 256 KiB, with the fields that the function's input
// has, as they are spelled, and no others. What is not is BadInput, and the hint names the fields.
// Whether a value makes sense is for the stage to say.
//
// # Out
//
// aws-lambda-go takes the Go type of an error as its errorType: errorString, wrapError,
// boundsError. The state machine catches by fault codes, so errors are translated here and nowhere
// else, to messages.InvokeResponse_Error by value, which aws-lambda-go passes on as it is:
// errorType is a code of package fault, or "Panic" for a panic, after which the process ends.
// errorMessage, which people read in an execution's Cause, is the error's sentence, then its hint.
// Output is at most 256 KiB, Step Functions' limit.
//
// # Time
//
// The stage's context ends a tenth of the time before Lambda would kill the function, 5 s at most
// and half a second at least, so that the stage can say what it was doing: TimedOut. A stage that
// does not look at its context is killed (Sandbox.Timedout).
//
// # Log
//
// Lines of JSON on stderr: one when an invocation starts, one when it ends. What is returned is not
// logged: aws-lambda-go writes the error document on a line of its own. So our last line carries
// the code only, and for a panic the stack, which is not returned.
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

// Start serves invocations by run and does not return. It is called by main and does nothing before
// the first invocation.
func Start[In, Out any](run func(context.Context, In) (Out, error)) {
	log.SetFlags(0) // aws-lambda-go logs error documents through it: JSON lines as well
	lambda.Start(door[In, Out]{
		run:      run,
		log:      slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		now:      time.Now,
		function: lambdacontext.FunctionName,
		logGroup: lambdacontext.LogGroupName,
	})
}

// door is a function as aws-lambda-go wants it: lambda.Handler.
type door[In, Out any] struct {
	run      func(context.Context, In) (Out, error)
	log      *slog.Logger
	now      func() time.Time
	function string
	logGroup string
}

var _ lambda.Handler = door[any, any]{}

// Invoke is one invocation: handle between two lines of the log, its error translated.
func (d door[In, Out]) Invoke(ctx context.Context, raw []byte) ([]byte, error) {
	var request string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		request = lc.AwsRequestID
	}

	line := d.log.With("function", d.function, "run", runOf(raw), "request", request)
	line.InfoContext(ctx, "start")
	began := d.now()

	out, err := d.handle(ctx, raw)

	elapsed := slog.Int64("durationMs", d.now().Sub(began).Milliseconds())
	if err == nil {
		line.InfoContext(ctx, "end", elapsed, "code", "OK")
		return out, nil
	}

	translated := translate(err, place{request: request, logGroup: d.logGroup})
	rest := []any{elapsed, "code", translated.Type}
	if stack := stackOf(err); stack != "" {
		rest = append(rest, "stack", stack)
	}

	line.ErrorContext(ctx, "end", rest...)
	return nil, translated
}

// handle is an invocation without the process around it: bytes in, bytes or an error out, that is a
// fault or a panic.
func (d door[In, Out]) handle(ctx context.Context, raw []byte) (out []byte, err error) {
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
		ctx, cancel = context.WithDeadline(ctx, cut(time.Now(), deadline)) // of the wall, as the context's own
		defer cancel()
	}

	result, err := d.run(ctx, in)
	if err != nil {
		return nil, settle(ctx, err)
	}

	return encode(result)
}

// What the stage does not get of a function's time, so that its error gets out: a part of what
// remains, within bounds.
const (
	marginPart = 10
	minMargin  = 500 * time.Millisecond
	maxMargin  = 5 * time.Second
)

// cut is when the stage's context ends.
func cut(now, deadline time.Time) time.Time {
	return deadline.Add(-min(max(deadline.Sub(now)/marginPart, minMargin), maxMargin))
}
