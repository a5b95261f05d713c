package cli

import (
	"io"
	"os"
	"strings"
)

// paint colors a word on a terminal. color is an SGR code.
func (a *app) paint(w io.Writer, color, s string) string {
	if !paints(w) {
		return s
	}

	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// paints reports whether colors are shown: on a terminal, unless NO_COLOR is set (no-color.org).
func paints(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

// marked is where reports are printed: on a terminal what needs attention has a color.
func (a *app) marked() io.Writer {
	if !paints(a.Out) {
		return a.Out
	}

	return marker{a.Out}
}

// marks are what needs attention.
var marks = strings.NewReplacer(
	"FAILED", "\x1b[31mFAILED\x1b[0m",
	"over budget", "\x1b[31mover budget\x1b[0m",
	"over limit", "\x1b[31mover limit\x1b[0m",
	"NOT PROBED", "\x1b[33mNOT PROBED\x1b[0m",
	"not probed", "\x1b[33mnot probed\x1b[0m",
)

// marker colors what is written line by line.
type marker struct{ w io.Writer }

func (m marker) Write(p []byte) (int, error) {
	if _, err := marks.WriteString(m.w, string(p)); err != nil {
		return 0, err
	}

	return len(p), nil
}
