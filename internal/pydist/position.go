package pydist

import "strconv"

// PositionError is a fault at a line of a file. A door prints Error and then, when there is one,
// Hint.
type PositionError struct {
	File string
	Line int // from 1; 0 when the whole file is meant
	Msg  string
	Hint string // one imperative sentence, or ""

	cause error // what Msg ends with, for errors.Is
}

func (e *PositionError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}

	return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Msg
}

func (e *PositionError) Unwrap() error { return e.cause }
