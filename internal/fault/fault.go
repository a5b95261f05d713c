// Package fault is the error type of all stages: a code from a closed list, a subject that can be
// located (file:line, package==version, ARN), a cause, and a hint. A fault ends the stage. Findings
// of the gate are not faults.
package fault

import (
	"errors"
	"strings"
)

// Code is the kind of a fault. It decides the exit code of the command line, and Catch and Retry of
// the state machine.
type Code string

// The closed list of codes.
const (
	BadInput           Code = "BadInput"           // the user's files or flags are wrong
	LockConflict       Code = "LockConflict"       // no versions satisfy all requirements
	WheelMissing       Code = "WheelMissing"       // no wheel for the target
	HashMismatch       Code = "HashMismatch"       // the digest is not the one in the lock
	CorruptArchive     Code = "CorruptArchive"     // a malformed zip, wheel or ELF file
	ProvenanceMismatch Code = "ProvenanceMismatch" // a document does not match the one it was made from
	Unreachable        Code = "Unreachable"        // network or index; a retry may help
	ToolMissing        Code = "ToolMissing"        // uv or the interpreter is missing or too old
	GateFailed         Code = "GateFailed"         // a check of the gate failed
	ProbeFailed        Code = "ProbeFailed"        // a job of the probe failed
	NotProbed          Code = "NotProbed"          // the layer was not probed, and --strict requires it
	OverLimit          Code = "OverLimit"          // larger than Lambda or the budget allows
	Throttled          Code = "Throttled"          // AWS throttles for longer than the adapter retries
	NotAllowed         Code = "NotAllowed"         // AWS denies access
	NotFound           Code = "NotFound"           // no such function, alias, layer version or alarm
	Changed            Code = "Changed"            // somebody else changed the same resource
	LeaseLost          Code = "LeaseLost"          // another execution holds the lease
	Unhealthy          Code = "Unhealthy"          // a consumer's alarm is raised
	TimedOut           Code = "TimedOut"           // a deadline passed
	Canceled           Code = "Canceled"           // Ctrl-C
	Internal           Code = "Internal"           // a defect of Layersmith
)

// Error is a fault. Its text is "<Op> <Subject>: <Err>", without the hint.
type Error struct {
	Code    Code
	Op      string // a verb: "lock", "fetch"; may be empty
	Subject string // the object of the verb; may be empty
	Hint    string // what the user can do, one imperative sentence; "" if unknown
	Err     error  // the cause; may be nil
}

// New returns a fault without a hint.
func New(code Code, op, subject string, err error) *Error {
	return &Error{Code: code, Op: op, Subject: subject, Err: err}
}

// WithHint sets the hint, and returns the same fault.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}

		b.WriteString(e.Subject)
	}

	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}

		b.WriteString(e.Err.Error())
	}

	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the outermost fault in err's chain; Internal if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}

	return Internal
}

// HintMark separates the text of an error from its hint where both are one string, as in the Cause
// of a Step Functions error.
const HintMark = ". Hint: "

// HintOf returns the first hint in err's chain; "" if there is none.
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}

		if e.Hint != "" {
			return e.Hint
		}

		err = e.Err
	}

	return ""
}
