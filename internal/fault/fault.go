// Package fault is how a stage says that it ended without a result: one error with a code from a
// closed list, a subject that a person can find (file:line, package==version, ARN) and one
// imperative sentence that says what to do. Findings, of which there are many, are not faults.
package fault

import (
	"errors"
	"strings"
)

// Code is what a machine decides by: exit codes on the command line, Catch and Retry in the state
// machine.
type Code string

// The closed list of codes. Each says who can do something about it.
const (
	BadInput           Code = "BadInput"           // the user's files or flags: fix them
	LockConflict       Code = "LockConflict"       // no versions satisfy all requirements
	LockStale          Code = "LockStale"          // the lock does not belong to the requirements
	WheelMissing       Code = "WheelMissing"       // no wheel for the target
	HashMismatch       Code = "HashMismatch"       // bytes are not what the lock promises
	CorruptArchive     Code = "CorruptArchive"     // a zip, wheel or ELF that cannot be what it says
	ProvenanceMismatch Code = "ProvenanceMismatch" // a document was made from another predecessor
	Unreachable        Code = "Unreachable"        // network or index; trying again may help
	ToolMissing        Code = "ToolMissing"        // uv or the interpreter is not there or too old
	GateFailed         Code = "GateFailed"         // a static check says that the layer would not work
	ProbeFailed        Code = "ProbeFailed"        // the interpreter says that the layer does not work
	NotProbed          Code = "NotProbed"          // nobody asked an interpreter, and --strict wants proof
	OverLimit          Code = "OverLimit"          // larger than Lambda or the budget allows
	// AWS asks to slow down, longer than the adapter waits; trying again helps
	Throttled  Code = "Throttled"
	NotAllowed Code = "NotAllowed" // AWS denies access: a role or a setting lacks it
	NotFound   Code = "NotFound"   // a function, alias, layer version or alarm that is not there
	Changed    Code = "Changed"    // somebody else changed what we were about to change
	LeaseLost  Code = "LeaseLost"  // another execution has taken over
	Unhealthy  Code = "Unhealthy"  // a consumer's alarm rose after the change
	TimedOut   Code = "TimedOut"   // a deadline
	Canceled   Code = "Canceled"   // Ctrl-C
	Internal   Code = "Internal"   // our mistake
)

// Error is a fault. Op is a verb ("lock", "fetch"), Subject what it was done to, Err the cause,
// Hint what to do.
type Error struct {
	Code    Code
	Op      string
	Subject string
	Hint    string
	Err     error
}

// New makes a fault. op is a verb, subject what it was done to; either may be empty, and err nil.
func New(code Code, op, subject string, err error) *Error {
	return &Error{Code: code, Op: op, Subject: subject, Err: err}
}

// WithHint adds what to do about it, one imperative sentence, and returns the same fault.
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

// CodeOf is the code of the outermost fault in err's chain; Internal when there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}

	return Internal
}

// HintMark parts the sentence of an error from its hint where both travel as one text, as in Step
// Functions' Cause.
const HintMark = ". Hint: "

// HintOf is the first hint in err's chain, "" when there is none.
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
