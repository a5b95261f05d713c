package cli

import (
	"bytes"
	"testing"
)

func TestMarks(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if n, err := (marker{&b}).Write([]byte("main  over budget  FAILED\n")); err != nil || n != 26 {
		t.Errorf("%d, %v", n, err)
	}

	if want := "main  \x1b[31mover budget\x1b[0m  \x1b[31mFAILED\x1b[0m\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}

	// A file is no terminal.
	a := app{}
	a.Out = &b
	if a.marked() != a.Out {
		t.Error("colors in what is no terminal")
	}
}
