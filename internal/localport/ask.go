package localport

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Limits for a program that prints its version. Starting a Python from a slow disk takes seconds.
const (
	answerTimeout  = 20 * time.Second
	maxAnswerBytes = 200
)

var errNoAnswer = fmt.Errorf("it did not answer within %v", answerTimeout)

// ask runs a program that prints one line, and returns the line. When it prints more than
// maxAnswerBytes, it is ended and the first part is returned with an error.
func ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()

	var out head
	var diagnostics limited
	cmd := exec.CommandContext(limit, program, args...)
	cmd.SysProcAttr = child(false)
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	cmd.WaitDelay = time.Second

	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && limit.Err() != nil:
		err = errNoAnswer
	case err != nil && diagnostics.String() != "":
		err = fmt.Errorf("%w: %s", err, lastLines(diagnostics.String(), 1))
	}

	return out.b, err
}

// head keeps the first part of what is written to it, and then fails: the program that writes gets
// a broken pipe.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p...)
	if len(h.b) > maxAnswerBytes {
		return 0, errTooMuch
	}

	return len(p), nil
}

var errTooMuch = errors.New("too much output")

// limited keeps the last part of what is written to it.
type limited struct{ b []byte }

const maxOutputBytes = 64 << 10

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*maxOutputBytes {
		l.b = append(l.b[:0], l.b[len(l.b)-maxOutputBytes:]...)
	}

	return len(p), nil
}

func (l *limited) String() string { return string(l.b) }

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
