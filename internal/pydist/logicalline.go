package pydist

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// logicalLine is a line of a requirements file after continuations are joined.
type logicalLine struct {
	text   string // trimmed, without comment, not empty
	number int    // of its first physical line
}

// logicalLines joins lines that end in '\' and drops comments (a '#' at the start or after blank
// space) and empty lines. As in pip, a line with only a comment ends a continuation.
func logicalLines(file string, b []byte) ([]logicalLine, error) {
	if len(b) > maxRequirementsBytes {
		return nil, position{file: file}.fault("", "has %d bytes, limit %d", len(b), maxRequirementsBytes)
	}

	for i, line := range bytes.Split(b, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, position{file, i + 1}.fault("save it as UTF-8", "not UTF-8")
		}
	}

	j := lineJoiner{file: file}
	number := 0

	for line := range strings.SplitSeq(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		number++

		if err := j.add(strings.TrimSuffix(line, "\r"), number); err != nil {
			return nil, err
		}
	}

	j.finish()
	return j.lines, nil
}

// lineJoiner makes logical lines of physical lines.
type lineJoiner struct {
	file   string
	lines  []logicalLine
	joined strings.Builder // the unfinished logical line
	start  int             // number of its first physical line, 0 for none
}

// add appends a physical line.
func (j *lineJoiner) add(line string, number int) error {
	at := position{j.file, number}

	if i := strings.IndexFunc(line, isLineHazard); i >= 0 {
		r, _ := utf8.DecodeRuneInString(line[i:])
		return at.fault("remove it", "control character %U: tools disagree on whether it ends the line", r)
	}

	comment := commentStart(line)
	onlyComment := comment >= 0 && trimBlank(line[:comment]) == ""
	continues := strings.HasSuffix(line, `\`) && !onlyComment

	if continues && comment >= 0 {
		return at.fault("remove the backslash or move the comment to its own line",
			"backslash after a comment: tools disagree on whether the comment continues")
	}

	if j.start == 0 {
		j.start = number
	}

	if continues {
		j.joined.WriteString(strings.TrimRight(line, `\`))
		return nil
	}

	if onlyComment {
		j.joined.WriteByte(' ') // so that '#' begins a comment in the joined line, too
	}

	j.joined.WriteString(line)
	j.finish()
	return nil
}

// finish ends the logical line. An empty one is dropped.
func (j *lineJoiner) finish() {
	text := j.joined.String()
	if i := commentStart(text); i >= 0 {
		text = text[:i]
	}

	if text = trimBlank(text); text != "" {
		j.lines = append(j.lines, logicalLine{text, j.start})
	}

	j.joined.Reset()
	j.start = 0
}

// isLineHazard reports whether some tools treat r as a line end and others do not, or r is another
// control character.
func isLineHazard(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029'
}

// commentStart returns the index of the '#' that begins a comment, or -1.
func commentStart(s string) int {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return i
		}
	}

	return -1
}

// splitWords splits at blank space outside quotes. A backslash is an ordinary character: inside a
// logical line, pip and uv do not agree on its meaning.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := byte(0)

	for i := range len(s) {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			inWord = true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}

	if quote != 0 {
		return nil, unclosedQuote(quote)
	}

	if inWord {
		words = append(words, word.String())
	}

	return words, nil
}
