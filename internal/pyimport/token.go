package pyimport

import "bytes"

// kind is the kind of a token, only as detailed as the statements need it.
type kind uint8

const (
	end     kind = iota // of the source
	newline             // of a logical line
	name                // identifier or keyword
	text                // string literal without replacement fields; scanner.text has its content
	format              // f-string or t-string; its literal parts are already recorded
	number
	op // one byte, so `**` is two tokens
)

type token struct {
	kind     kind
	op       byte // of kind op, else 0
	from, to int
}

// class of a byte says which token it begins.
type class uint8

const (
	other class = iota
	blank
	letter
	digit
	quote
	eol
	open
	closing
	comment
	backslash
)

var classes = func() (t [256]class) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
			t[c] = letter
		case c >= '0' && c <= '9':
			t[c] = digit
		}
	}

	for set, k := range map[string]class{
		" \t\f": blank,
		"\"'":   quote,
		"\r\n":  eol,
		"([{":   open,
		")]}":   closing,
		"#":     comment,
		"\\":    backslash,
	} {
		for _, c := range []byte(set) {
			t[c] = k
		}
	}

	return t
}()

func inName(c byte) bool { return classes[c] == letter || classes[c] == digit }

// maxPrefixBytes is the longest prefix of a string literal that is recognized.
const maxPrefixBytes = 3

// maxFormatDepth bounds nested f-strings, so that hostile input cannot exhaust the stack. CPython
// accepts 150.
const maxFormatDepth = 400

// scanner is the state of one pass over one source.
type scanner struct {
	src []byte
	out Scan

	// Tokens.
	pos         int
	fresh       bool   // at the start of a logical line
	column      int    // of the first token of the logical line
	brackets    []byte // one role for each open bracket
	text        []byte // content of the last token of kind text
	formatDepth int

	// Line numbers, counted only when an import needs one.
	hasCR   bool
	line    int
	counted int // bytes whose line ends are counted in line

	// Statements.
	prev, prev2    token
	blocks         []block
	scopes, guards int  // numbers of open blocks of each kind
	condition      int  // offset of the condition of the current `if` header, or -1
	unsure         bool // the last import is dynamic, and the token after its literal is not read yet
	strings, parts map[string]struct{}
	computed       map[string]struct{}
	named          map[string]struct{}
}

func newScanner(src []byte) *scanner {
	s := &scanner{
		src:       src,
		fresh:     true,
		hasCR:     bytes.IndexByte(src, '\r') >= 0,
		line:      1,
		prev:      token{kind: newline},
		condition: -1,
	}
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}

	return s
}

// next returns the next token. A line end is a token only outside brackets and only after another
// token of its line.
func (s *scanner) next() token {
	if s.fresh {
		s.pos = s.indent(s.pos)
	}

	if from, ok := s.skipBlanks(); ok {
		s.fresh = true
		return token{kind: newline, from: from, to: s.pos}
	}

	from := s.pos
	if from >= len(s.src) {
		return token{kind: end, from: from, to: from}
	}

	s.fresh = false
	c := s.src[from]

	switch classes[c] {
	case letter:
		return s.word(from)
	case digit:
		return s.number(from)
	case quote:
		return s.literal(from, from)
	case open:
		s.brackets = append(s.brackets, 0)
	case closing:
		if n := len(s.brackets); n > 0 {
			s.brackets = s.brackets[:n-1]
		}
	}

	s.pos = from + 1
	return token{kind: op, op: c, from: from, to: from + 1}
}

// skipBlanks moves to the next token: past blanks, comments, empty lines, line continuations and
// line ends inside brackets. At the end of a logical line it returns the offset of the line end and
// true, and stops after it.
func (s *scanner) skipBlanks() (lineEnd int, ok bool) {
	src := s.src
	i := s.pos

	for i < len(src) {
		switch classes[src[i]] {
		case blank:
			i++
		case comment:
			for i < len(src) && classes[src[i]] != eol {
				i++
			}
		case backslash:
			if i+1 == len(src) || classes[src[i+1]] != eol {
				s.pos = i
				return 0, false
			}

			i = s.afterEOL(i + 1)
		case eol:
			from := i
			i = s.afterEOL(i)

			if len(s.brackets) == 0 && !s.fresh {
				s.pos = i
				return from, true
			}

			if len(s.brackets) == 0 {
				i = s.indent(i)
			}
		default:
			s.pos = i
			return 0, false
		}
	}

	s.pos = len(src)
	return 0, false
}

// word reads a name or keyword, or a string literal that begins with a prefix.
func (s *scanner) word(from int) token {
	src := s.src
	i := from + 1
	for i < len(src) && inName(src[i]) {
		i++
	}

	if i < len(src) && i-from <= maxPrefixBytes && classes[src[i]] == quote && stringPrefix(src[from:i]) {
		return s.literal(from, i)
	}

	s.pos = i
	return token{kind: name, from: from, to: i}
}

func (s *scanner) number(from int) token {
	i := from + 1
	for i < len(s.src) && (inName(s.src[i]) || s.src[i] == '.') {
		i++
	}

	s.pos = i
	return token{kind: number, from: from, to: i}
}

// indent skips the blanks at the start of a line and sets column: a tab goes to the next multiple
// of 8, a form feed resets to 0.
func (s *scanner) indent(i int) int {
	s.column = 0
	for ; i < len(s.src); i++ {
		switch s.src[i] {
		case ' ':
			s.column++
		case '\t':
			s.column = s.column/8*8 + 8
		case '\f':
			s.column = 0
		default:
			return i
		}
	}

	return i
}

func (s *scanner) afterEOL(i int) int {
	if s.src[i] == '\r' && i+1 < len(s.src) && s.src[i+1] == '\n' {
		return i + 2
	}

	return i + 1
}

// lineAt returns the line number of an offset. Offsets must not decrease between calls.
func (s *scanner) lineAt(to int) int {
	part := s.src[s.counted:to]
	s.line += bytes.Count(part, []byte{'\n'})
	if s.hasCR {
		s.line += bytes.Count(part, []byte{'\r'}) - bytes.Count(part, []byte("\r\n"))
	}

	s.counted = to
	return s.line
}

// stringPrefix accepts any mix of prefix letters, because no name can be directly before a quote.
// Python 2 has `ur`.
func stringPrefix(p []byte) bool { return len(bytes.Trim(p, "rbuftRBUFT")) == 0 }

// literal reads a string literal whose prefix begins at from and whose quotes begin at i.
func (s *scanner) literal(from, i int) token {
	src := s.src
	q := src[i]
	width := 1 // number of quotes

	if i+2 < len(src) && src[i+1] == q && src[i+2] == q {
		width = 3
	}

	body := i + width
	s.pos = body
	if bytes.ContainsAny(src[from:i], "fFtT") {
		s.format(q, width, false)
		s.closeQuotes(q, width)
		return token{kind: format, from: from, to: s.pos}
	}

	for s.pos < len(src) && !s.closes(q, width) {
		s.pos++
		if src[s.pos-1] == '\\' {
			s.escaped()
		}
	}

	s.text = src[body:s.pos]
	s.closeQuotes(q, width)
	return token{kind: text, from: from, to: s.pos}
}

func (s *scanner) closeQuotes(q byte, width int) {
	if s.pos < len(s.src) && s.src[s.pos] == q {
		s.pos += width
	}
}

// closes reports whether a literal ends here: at its quotes or, in invalid source, at the end of
// the line.
func (s *scanner) closes(q byte, width int) bool {
	c := s.src[s.pos]
	rest := s.src[s.pos:]
	if width == 1 {
		return c == q || classes[c] == eol
	}

	return c == q && len(rest) > 2 && rest[1] == q && rest[2] == q
}

// escaped skips the character after a backslash, also in raw literals, where an escaped quote does
// not close either. Braces cannot be escaped by a backslash. Those of \N{BULLET} are read as a
// replacement field, which has no effect.
func (s *scanner) escaped() {
	if s.pos == len(s.src) || s.src[s.pos] == '{' || s.src[s.pos] == '}' {
		return
	}

	if classes[s.src[s.pos]] == eol {
		s.pos = s.afterEOL(s.pos)
		return
	}

	s.pos++
}

// format reads the content of an f-string up to its closing quotes. With spec, it reads a format
// specifier up to its closing brace or, in invalid source, up to the quotes around it.
func (s *scanner) format(q byte, width int, spec bool) {
	if s.formatDepth++; s.formatDepth > maxFormatDepth {
		s.pos = len(s.src)
	}

	part := s.pos
	first := part
	for s.pos < len(s.src) && !s.closes(q, width) {
		c := s.src[s.pos]
		if spec && c == '}' {
			break
		}

		s.pos++
		switch {
		case c == '\\':
			s.escaped()
		case (c == '{' || c == '}') && !spec && s.pos < len(s.src) && s.src[s.pos] == c:
			s.pos++
		case c == '{':
			s.noteFormatPart(s.src[part:s.pos-1], part == first && !spec)
			s.replacement(q, width)
			part = s.pos
		}
	}

	if !spec {
		s.notePath(s.src[part:s.pos])
	}

	s.formatDepth--
}

// replacement reads a replacement field after its opening brace. Its expression is read as ordinary
// tokens, so it may contain the quotes of the f-string around it (PEP 701).
func (s *scanner) replacement(q byte, width int) {
	s.brackets = append(s.brackets, 0)
	depth := len(s.brackets)
	s.expression(token{kind: op, op: '{', from: s.pos - 1, to: s.pos})
	for {
		t := s.next()
		s.expression(t)
		if t.kind == end || len(s.brackets) < depth {
			return
		}

		if t.op == ':' && len(s.brackets) == depth {
			s.format(q, width, true)
			if s.pos < len(s.src) && s.src[s.pos] == '}' {
				s.pos++
			}

			s.brackets = s.brackets[:depth-1]
			return
		}
	}
}
