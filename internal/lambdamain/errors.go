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

// Panic is the errorType of a panic. All others are codes of package fault.
const Panic = "Panic"

// maxSentence is the limit of an error and of a hint in a message, in bytes. Step Functions cuts a
// Cause after 32,768 characters, and the hint comes last.
const maxSentence = 8 << 10

// withCode returns the error of a use case with its code, and leaves its text unchanged. The code
// is
//
//   - TimedOut or Canceled if the use case's context ended and the error is a consequence of that,
//   - else the code of the fault: for an adapter's own, shorter deadline, for example, Unreachable,
//   - else TimedOut or Canceled for a plain error of a context,
//   - else Internal.
func withCode(ctx context.Context, err error) error {
	return fault.New(codeOf(ctx.Err(), err), "", "", err)
}

// codeOf is the code of err; ended is the error of the use case's context, or nil.
func codeOf(ended, err error) fault.Code {
	timedOut := errors.Is(err, context.DeadlineExceeded)
	canceled := errors.Is(err, context.Canceled)
	switch {
	// canceled, too: when one of several parallel tasks times out, the others are canceled
	case (timedOut || canceled) && errors.Is(ended, context.DeadlineExceeded):
		return fault.TimedOut
	case canceled && ended != nil:
		return fault.Canceled
	}

	if code := fault.CodeOf(err); code != fault.Internal && code != "" {
		return code
	}

	switch {
	case timedOut:
		return fault.TimedOut
	case canceled:
		return fault.Canceled
	}

	return fault.Internal
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// unusable is the value that AWS panics with. It is a wrong configuration, not a bug.
type unusable struct{ err error }

// recovered returns the error for a recovered value. Call it in the deferred function: the stack
// still has the place of the panic then.
func recovered(v any) error {
	if u, ok := v.(unusable); ok {
		return u.err
	}

	return &panicked{value: v, stack: string(debug.Stack())}
}

// stackOf returns the stack of a panic, or "" for another error.
func stackOf(err error) string {
	if p := (*panicked)(nil); errors.As(err, &p) {
		return p.stack
	}

	return ""
}

// logEntry identifies an invocation in CloudWatch Logs.
type logEntry struct{ request, group string }

// convert returns the error that aws-lambda-go passes on unchanged. It is a value: aws-lambda-go
// does not recognize a pointer.
func convert(err error, at logEntry) messages.InvokeResponse_Error {
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

// defaultHint is the hint for an error that has none.
func defaultHint(code string, at logEntry) string {
	switch code {
	case string(fault.TimedOut):
		return "start the execution again; if it times out again, give the function more memory, which also gives it " +
			"more CPU, or a longer timeout"
	case string(fault.Internal), Panic:
		if at.request == "" {
			return "read the function's log; this is a bug in Layersmith"
		}

		return fmt.Sprintf("read request %s in log group %s; this is a bug in Layersmith", at.request, at.group)
	}

	return ""
}

// shorten removes the middle of a text that has more than n bytes. An error begins with the
// operation and ends with the cause, so both stay.
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
