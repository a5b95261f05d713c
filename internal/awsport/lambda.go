package awsport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/layersmith/layersmith/internal/fault"
)

// Lambda's control plane accepts 15 requests a second for the whole account. GetFunction has a
// quota of its own, 100 requests a second (docs: "Lambda quotas"). So this package reads functions
// with GetFunction, polls slowly, and pauses between the pages of a list.
const (
	defaultPoll = 250 * time.Millisecond // first polling interval of a waiter; it grows to 8 times this
	defaultPace = 100 * time.Millisecond // pause between two pages of a list of the whole account
	defaultWait = 5 * time.Minute        // limit of a waiter whose context has no deadline
)

// once limits the SDK's retries to throttled requests, which had no effect. After a lost response,
// the effect is unknown: a retry could publish a layer version twice, or could fail because our own
// change made the revision stale. Such an error is the fault Unreachable, and a caller that retries
// must read the state first.
func once(o *lambda.Options) {
	switch r := o.Retryer.(type) {
	case aws.RetryerV2:
		o.Retryer = throttledOnly{r}
	default:
		o.Retryer = aws.NopRetryer{}
	}
}

type throttledOnly struct{ aws.RetryerV2 }

func (throttledOnly) IsErrorRetryable(err error) bool {
	return retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}.IsErrorThrottle(err) == aws.TrueTernary
}

// conflicts reports whether Lambda refused a request because an update is in progress, or because a
// function or statement of that name exists.
func conflicts(err error) bool {
	var c *types.ResourceConflictException
	return errors.As(err, &c)
}

func absent(err error) bool {
	var n *types.ResourceNotFoundException
	return errors.As(err, &n)
}

// A watch records the last response that a waiter got. The SDK's waiters describe their failure
// only in a text.
type watch struct {
	op, subject string
	poll        time.Duration // first polling interval; 0 for the default
	err         error         // of the last request
	failed      bool          // the last state is a failure
	code, cause string        // the reason of Lambda for this failure
}

// delays returns the first and the longest polling interval.
func (w *watch) delays() (first, longest time.Duration) {
	poll := cmp.Or(w.poll, defaultPoll)
	return poll, 8 * poll
}

// longest returns the time limit of a waiter: the rest of the context's time.
func longest(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Until(end), time.Nanosecond)
	}

	return defaultWait
}

// retryable is what a waiter of the SDK asks after each request: whether to go on.
type retryable[In, Out any] func(context.Context, In, Out, error) (bool, error)

// noting is next, with each answer recorded in w. state tells of an answer whether the function's
// state is a failure, and Lambda's reason.
func noting[In, Out any](
	w *watch,
	next retryable[In, Out],
	state func(Out) (failed bool, code, cause string),
) retryable[In, Out] {
	return func(ctx context.Context, in In, out Out, err error) (bool, error) {
		w.err, w.failed, w.code, w.cause = err, false, "", ""
		if err == nil {
			w.failed, w.code, w.cause = state(out)
		}

		return next(ctx, in, out, err)
	}
}

// fault returns the fault for the error of a waiter.
func (w *watch) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case w.err != nil:
		return classify(w.op, w.subject, w.err)
	case w.failed && w.code == "InternalError":
		return fault.New(fault.Unreachable, w.op, w.subject, fmt.Errorf("%s: %s", w.code, w.cause))
	case w.failed:
		return fault.New(fault.BadInput, w.op, w.subject, fmt.Errorf("%s: %s", w.code, w.cause)).
			WithHint("correct the function's configuration in the Lambda console; it shows the same reason")
	case errors.Is(ctx.Err(), context.Canceled):
		return classify(w.op, w.subject, ctx.Err())
	}

	return fault.New(fault.TimedOut, w.op, w.subject, errors.New("it did not finish in time")).
		WithHint("check the function's state in the Lambda console")
}

// updated waits until the last update of $LATEST is finished, and returns the function after it:
// its revision changes again when an update finishes.
func updated(
	ctx context.Context,
	client lambda.GetFunctionAPIClient,
	w *watch,
	function string,
) (*lambda.GetFunctionOutput, error) {
	out, err := lambda.NewFunctionUpdatedV2Waiter(client).
		WaitForOutput(ctx, &lambda.GetFunctionInput{FunctionName: &function}, longest(ctx),
			func(o *lambda.FunctionUpdatedV2WaiterOptions) {
				o.MinDelay, o.MaxDelay = w.delays()
				o.Retryable = noting(w, o.Retryable, updateState)
			})
	return out, w.fault(ctx, err)
}

func updateState(out *lambda.GetFunctionOutput) (failed bool, code, cause string) {
	c := out.Configuration
	if c == nil {
		return false, "", ""
	}

	return c.LastUpdateStatus == types.LastUpdateStatusFailed, string(c.LastUpdateStatusReasonCode),
		aws.ToString(c.LastUpdateStatusReason)
}

// active waits until a new function can be invoked.
func active(ctx context.Context, client lambda.GetFunctionAPIClient, w *watch, function string) error {
	err := lambda.NewFunctionActiveV2Waiter(client).
		Wait(ctx, &lambda.GetFunctionInput{FunctionName: &function}, longest(ctx),
			func(o *lambda.FunctionActiveV2WaiterOptions) {
				o.MinDelay, o.MaxDelay = w.delays()
				o.Retryable = noting(w, o.Retryable, functionState)
			})
	return w.fault(ctx, err)
}

func functionState(out *lambda.GetFunctionOutput) (failed bool, code, cause string) {
	c := out.Configuration
	if c == nil {
		return false, "", ""
	}

	return c.State == types.StateFailed, string(c.StateReasonCode), aws.ToString(c.StateReason)
}

// published waits until a version can be invoked. PublishVersion may return an existing version
// that is Inactive. Lambda activates it at its next invocation, so this counts as ready; the SDK's
// waiter alone would never return.
func published(
	ctx context.Context,
	client lambda.GetFunctionConfigurationAPIClient,
	w *watch,
	function, version string,
) error {
	err := lambda.NewPublishedVersionActiveWaiter(client).
		Wait(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &function, Qualifier: &version}, longest(ctx),
			func(o *lambda.PublishedVersionActiveWaiterOptions) {
				o.MinDelay, o.MaxDelay = w.delays()
				o.Retryable = noting(w, inactiveIsReady(o.Retryable), versionState)
			})
	return w.fault(ctx, err)
}

func inactiveIsReady(next versionRetryable) versionRetryable {
	return func(
		ctx context.Context,
		in *lambda.GetFunctionConfigurationInput,
		out *lambda.GetFunctionConfigurationOutput,
		err error,
	) (bool, error) {
		if err == nil && out.State == types.StateInactive {
			return false, nil
		}

		return next(ctx, in, out, err)
	}
}

type versionRetryable = retryable[*lambda.GetFunctionConfigurationInput, *lambda.GetFunctionConfigurationOutput]

func versionState(out *lambda.GetFunctionConfigurationOutput) (failed bool, code, cause string) {
	return out.State == types.StateFailed, string(out.StateReasonCode), aws.ToString(out.StateReason)
}

// pause sleeps unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// created parses a time in Lambda's format: 2018-11-27T15:10:45.123+0000.
func created(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02T15:04:05.999-0700", s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}

	return t.UTC(), err
}
