package lambdamain

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/layersmith/layersmith/internal/fault"
)

// Panic is the errorType of a panic, the only one that is no code of package fault.
const Panic = "Panic"

// maxSentence bounds the sentence of a message, in bytes: a Cause has at most 32,768 characters,
// and the hint must get into it.
const maxSentence = 8 << 10

// settle gives a stage's error its code: TimedOut when the time was up, the code of its fault, or
// Internal. The sentence stays as it is. An adapter's own, shorter deadline is what its fault says,
// Unreachable for example, as long as the stage had time left.
func settle(ctx context.Context, err error) error {
	timedOut := errors.Is(err, context.DeadlineExceeded)
	canceled := errors.Is(err, context.Canceled)
	code := fault.CodeOf(err)
	switch ended := ctx.Err(); {
	// canceled: of several tasks, the one that fails cancels the others
	case (timedOut || canceled) && errors.Is(ended, context.DeadlineExceeded):
		code = fault.TimedOut
	case canceled && ended != nil:
		code = fault.Canceled
	case code != fault.Internal && code != "":
	case timedOut:
		code = fault.TimedOut
	case canceled:
		code = fault.Canceled
	default:
		code = fault.Internal
	}

	return fault.New(code, "", "", err)
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// unusable is what AWS panics with: an error that is no mistake in the code.
type unusable struct{ err error }

// recovered is the error for what recover returned; called in the deferred function, where the
// stack still has the place of the panic.
func recovered(v any) error {
	if u, ok := v.(unusable); ok {
		return u.err
	}

	return &panicked{value: v, stack: string(debug.Stack())}
}

// stackOf is where a panic came from, "" for another error.
func stackOf(err error) string {
	if p := (*panicked)(nil); errors.As(err, &p) {
		return p.stack
	}

	return ""
}

// place is where a person finds more.
type place struct{ request, logGroup string }

// translate makes of an error what aws-lambda-go passes on as it is: by value, a pointer would be
// taken for an unknown error.
func translate(err error, at place) messages.InvokeResponse_Error {
	out := messages.InvokeResponse_Error{Type: string(fault.CodeOf(err))}
	if out.Type == "" {
		out.Type = string(fault.Internal)
	}

	if p := (*panicked)(nil); errors.As(err, &p) {
		out.Type = Panic
		out.ShouldExit = true
	}

	hint := fault.HintOf(err)
	if hint == "" {
		hint = defaultHint(out.Type, at)
	}

	out.Message = shorten(strings.TrimSuffix(strings.ToValidUTF8(err.Error(), "\uFFFD"), "."), maxSentence)
	if hint != "" {
		out.Message += fault.HintMark + shorten(hint, maxSentence)
	}

	return out
}

// defaultHint is what to do where the error does not say.
func defaultHint(code string, at place) string {
	switch code {
	case string(fault.TimedOut):
		return "start the execution again; when it times out again, give the function more memory, which is also " +
			"more processor, or more time"
	case string(fault.Internal), Panic:
		if at.request == "" {
			return "read the function's log; this is a mistake in Layersmith"
		}

		return fmt.Sprintf("read request %s in log group %s; this is a mistake in Layersmith", at.request, at.logGroup)
	}

	return ""
}

// shorten cuts the middle out of a text that is longer than n bytes: it begins with what was done
// and ends with the cause.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}

	const gap = " [...] "
	head := (n - len(gap)) / 2
	tail := len(s) - (n-len(gap))/2
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}

	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}

	return s[:head] + gap + s[tail:]
}
