package cli

import (
	"io"
	"regexp"
)

// alarming are the words that a reader must not miss.
var alarming = regexp.MustCompile(`\b(FAILED|OVER|NOT PROBED)\b`)

// marked colors alarming words on a terminal. Each Write has whole lines.
type marked struct {
	w io.Writer
	a *app
}

// text is where reports for people are printed.
func (a *app) text() io.Writer { return marked{a.Out, a} }

func (m marked) Write(b []byte) (int, error) {
	colored := alarming.ReplaceAllStringFunc(string(b), func(word string) string {
		return m.a.paint(m.w, "31", word)
	})
	if _, err := io.WriteString(m.w, colored); err != nil {
		return 0, err
	}

	return len(b), nil
}
