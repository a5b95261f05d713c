package pydist

import "strconv"

// PositionError is a fault at a line of a file.
type PositionError struct {
	File string
	Line int // from 1; 0 for the whole file
	Msg  string
	Hint string // what to do about it, one imperative sentence, or ""

	cause error // wrapped error, its text is already in Msg
}

func (e *PositionError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}

	return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Msg
}

func (e *PositionError) Unwrap() error { return e.cause }
