package pyimport

import "bytes"

// kind tells tokens apart only as far as statements need it.
type kind uint8

const (
	end     kind = iota // of the source
	newline             // of a logical line
	name                // identifier or keyword
	text                // string literal without replacement fields; its content is in scanner.text
	format              // f-string or t-string; its literal parts are noted already
	number
	op // one byte, so `**` is two tokens
)

type token struct {
	kind     kind
	op       byte // of kind op, else 0
	from, to int
}

// class of a byte decides which token it begins.
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

// maxFormatDepth is beyond what CPython reads (150 nested f-strings), and keeps hostile input from
// growing the stack.
const maxFormatDepth = 400

// scanner is the state of one pass over one source.
type scanner struct {
	src []byte
	out Scan

	// Of the tokens.
	pos         int
	fresh       bool   // at the start of a logical line
	column      int    // of the first token of the logical line
	brackets    []byte // one role for each open bracket
	text        []byte // content of the last token of kind text
	formatDepth int

	// Of the lines, counted only when an import needs its number.
	hasCR   bool
	line    int
	counted int // bytes whose line ends are in line

	// Of the statements.
	prev, prev2    token
	blocks         []block
	scopes, guards int  // of blocks, by what they are
	condition      int  // where the condition of the current `if` header begins, or -1
	unsure         bool // the last import is dynamic and the token after its literal is still to come
	strings, parts map[string]struct{}
}

func newScanner(src []byte) *scanner {
	s := &scanner{
		src: src, fresh: true, line: 1, hasCR: bytes.IndexByte(src, '\r') >= 0,
		prev: token{kind: newline}, condition: -1,
	}
	if bytes.HasPrefix(src, []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}

	return s
}

// next returns the next token. Line ends count only outside brackets, and only after some other
// token.
func (s *scanner) next() token {
	src := s.src
	i := s.pos
	if s.fresh {
		i = s.indent(i)
	}

	for i < len(src) {
		c := src[i]
		from := i
		switch classes[c] {
		case blank:
			i++
			continue
		case comment:
			for i < len(src) && classes[src[i]] != eol {
				i++
			}

			continue
		case backslash:
			if i+1 < len(src) && classes[src[i+1]] == eol {
				i = s.afterEOL(i + 1)
				continue
			}
		case eol:
			i = s.afterEOL(i)
			if len(s.brackets) > 0 {
				continue
			}

			if s.fresh {
				i = s.indent(i)
				continue
			}

			s.pos = i
			s.fresh = true
			return token{kind: newline, from: from, to: i}
		case letter:
			i++
			for i < len(src) && inName(src[i]) {
				i++
			}

			s.fresh = false
			if i < len(src) && i-from <= 3 && classes[src[i]] == quote && stringPrefix(src[from:i]) {
				return s.literal(from, i)
			}

			s.pos = i
			return token{kind: name, from: from, to: i}
		case digit:
			i++
			for i < len(src) && (inName(src[i]) || src[i] == '.') {
				i++
			}

			s.pos = i
			s.fresh = false
			return token{kind: number, from: from, to: i}
		case quote:
			s.fresh = false
			return s.literal(from, i)
		case open:
			s.brackets = append(s.brackets, 0)
		case closing:
			if n := len(s.brackets); n > 0 {
				s.brackets = s.brackets[:n-1]
			}
		}

		s.pos = i + 1
		s.fresh = false
		return token{kind: op, op: c, from: from, to: i + 1}
	}

	s.pos = len(src)
	return token{kind: end, from: len(src), to: len(src)}
}

// indent measures the blanks at the start of a line: a tab goes to the next multiple of 8, a form
// feed starts over.
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

// lineAt returns the line number of an offset; offsets may not decrease between calls.
func (s *scanner) lineAt(to int) int {
	part := s.src[s.counted:to]
	s.line += bytes.Count(part, []byte{'\n'})
	if s.hasCR {
		s.line += bytes.Count(part, []byte{'\r'}) - bytes.Count(part, []byte("\r\n"))
	}

	s.counted = to
	return s.line
}

// stringPrefix accepts any mix of the prefix letters: no name made of them can stand before a
// quote. Python 2 has `ur`.
func stringPrefix(p []byte) bool { return len(bytes.Trim(p, "rbuftRBUFT")) == 0 }

// literal reads a string literal whose prefix begins at from and whose quotes begin at i.
func (s *scanner) literal(from, i int) token {
	src, q, width := s.src, s.src[i], 1
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

// closes reports whether a literal ends here: at its quotes or, in source that is not Python, at
// the end of the line.
func (s *scanner) closes(q byte, width int) bool {
	c := s.src[s.pos]
	rest := s.src[s.pos:]
	if width == 1 {
		return c == q || classes[c] == eol
	}

	return c == q && len(rest) > 2 && rest[1] == q && rest[2] == q
}

// escaped passes what stands behind a backslash, in raw literals too: there a quote does not close
// either. Braces cannot be escaped in this way, and those of \N{BULLET} do no harm as a replacement
// field.
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

// format reads the inside of an f-string up to its closing quotes or, with spec, a format specifier
// up to its closing brace or, in source that is not Python, to the quotes around it.
func (s *scanner) format(q byte, width int, spec bool) {
	if s.formatDepth++; s.formatDepth > maxFormatDepth {
		s.pos = len(s.src)
	}

	part := s.pos
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
			s.notePath(s.src[part : s.pos-1])
			s.replacement(q, width)
			part = s.pos
		}
	}

	if !spec {
		s.notePath(s.src[part:s.pos])
	}

	s.formatDepth--
}

// replacement reads a replacement field from behind its opening brace. Its expression is ordinary
// tokens, so that it may hold the quotes of the f-string around it (PEP 701).
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
