package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorReadsAsOneSentence(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]*Error{
		"fetch numpy==2.5.5: EOF":          {Op: "fetch", Subject: "numpy==2.5.5", Err: io.EOF},
		"fetch: EOF":                       {Op: "fetch", Err: io.EOF},
		"layers/x/requirements.txt:3: EOF": {Subject: "layers/x/requirements.txt:3", Err: io.EOF},
		"EOF":                              {Err: io.EOF},
		"measure layer ml":                 {Op: "measure", Subject: "layer ml"},
		"":                                 {Code: Internal, Hint: "not part of it"},
		"build layer ml: read lock pylock.x.toml: six is locked twice": {
			Op:      "build",
			Subject: "layer ml",
			Err:     &Error{Op: "read", Subject: "lock pylock.x.toml", Err: errors.New("six is locked twice")},
		},
	} {
		if got := in.Error(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestCodeIsTheOutermostAndHintTheFirst(t *testing.T) {
	t.Parallel()
	inner := &Error{Code: HashMismatch, Hint: "remove the file", Err: io.EOF}
	for sentence, tt := range map[string]struct {
		err  error
		code Code
		hint string
	}{
		"no error": {err: nil, code: Internal},
		"no fault": {err: io.EOF, code: Internal},
		"a fault":  {err: inner, code: HashMismatch, hint: "remove the file"},
		"wrapped by others": {
			err:  fmt.Errorf("fetch: %w", fmt.Errorf("store: %w", inner)),
			code: HashMismatch,
			hint: "remove the file",
		},
		"a fault without hint above it": {
			err:  &Error{Code: Unreachable, Err: fmt.Errorf("x: %w", inner)},
			code: Unreachable,
			hint: "remove the file",
		},
		"a fault with hint above it": {
			err:  &Error{Code: Unreachable, Hint: "try again", Err: inner},
			code: Unreachable,
			hint: "try again",
		},
		"a fault without any hint": {err: &Error{Code: Canceled}, code: Canceled},
		"among joined errors":      {err: errors.Join(io.EOF, inner), code: HashMismatch, hint: "remove the file"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := CodeOf(tt.err); got != tt.code {
				t.Errorf("code %s, want %s", got, tt.code)
			}

			if got := HintOf(tt.err); got != tt.hint {
				t.Errorf("hint %q, want %q", got, tt.hint)
			}
		})
	}

	if !errors.Is(&Error{Err: inner}, io.EOF) {
		t.Error("the cause is hidden")
	}
}
