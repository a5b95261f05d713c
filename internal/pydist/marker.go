package pydist

import (
	"fmt"
	"strings"
)

// maxMarkerDepth bounds nested parentheses; markers in the wild have two or three.
const maxMarkerDepth = 32

// markerVariables are those of PEP 508 and, after "extra", the older spellings that installers
// still accept.
var markerVariables = []string{
	"python_version",
	"python_full_version",
	"os_name",
	"sys_platform",
	"platform_release",
	"platform_system",
	"platform_version",
	"platform_machine",
	"platform_python_implementation",
	"implementation_name",
	"implementation_version",
	"extra",
	"os.name",
	"sys.platform",
	"platform.version",
	"platform.machine",
	"platform.python_implementation",
	"python_implementation",
}

const newMarkerVariables = 12 // the first of markerVariables: those of PEP 508

var markerOperators = []string{"===", "==", "!=", "~=", "<=", ">=", "<", ">"}

// checkMarker checks the grammar of a marker. It does not evaluate it.
func checkMarker(s string) error {
	m := &markerParser{rest: s}
	if m.peek() == "" {
		return fmt.Errorf("marker is empty")
	}

	err := m.or(0)
	if err == nil && m.peek() != "" {
		err = fmt.Errorf("unexpected %q", m.peek())
	}

	if err != nil {
		return fmt.Errorf("marker %q: %w", s, err)
	}

	return nil
}

// markerParser checks a marker by recursive descent.
type markerParser struct{ rest string }

// The grammar of PEP 508, one method per rule:
//
//	or   = and {"or" and}
//	and  = term {"and" term}
//	term = "(" or ")" | value operator value
func (m *markerParser) or(depth int) error {
	for {
		if err := m.and(depth); err != nil {
			return err
		}

		if m.peek() != "or" {
			return nil
		}

		m.next()
	}
}

func (m *markerParser) and(depth int) error {
	for {
		if err := m.term(depth); err != nil {
			return err
		}

		if m.peek() != "and" {
			return nil
		}

		m.next()
	}
}

func (m *markerParser) term(depth int) error {
	if m.peek() == "(" {
		if depth == maxMarkerDepth {
			return fmt.Errorf("parentheses are nested deeper than %d", maxMarkerDepth)
		}

		m.next()
		if err := m.or(depth + 1); err != nil {
			return err
		}

		if t := m.next(); t != ")" {
			return unexpected(t, `")"`)
		}

		return nil
	}

	if err := m.value(); err != nil {
		return err
	}

	if err := m.operator(); err != nil {
		return err
	}

	return m.value()
}

func (m *markerParser) value() error {
	t := m.next()
	if t == "" {
		return unexpected(t, "a variable or a quoted string")
	}

	if t[0] == '"' || t[0] == '\'' {
		if len(t) < 2 || t[len(t)-1] != t[0] {
			return unclosedQuote(t[0])
		}

		return nil
	}

	for _, v := range markerVariables {
		if t == v {
			return nil
		}
	}

	return fmt.Errorf("unknown variable %q; known: %s", t, strings.Join(markerVariables[:newMarkerVariables], ", "))
}

func (m *markerParser) operator() error {
	t := m.next()
	if t == "not" {
		if t = m.next(); t != "in" {
			return unexpected(t, `"in" after "not"`)
		}
	}

	if t == "in" {
		return nil
	}

	for _, op := range markerOperators {
		if t == op {
			return nil
		}
	}

	return unexpected(t, "an operator: "+strings.Join(markerOperators, ", ")+", in, not in")
}

func unclosedQuote(quote byte) error { return fmt.Errorf("quote %c is not closed", quote) }

func unexpected(token, expected string) error {
	if token == "" {
		return fmt.Errorf("ends early, expected %s", expected)
	}

	return fmt.Errorf("unexpected %q, expected %s", token, expected)
}

func (m *markerParser) peek() string {
	saved := m.rest
	t := m.next()
	m.rest = saved
	return t
}

// next consumes and returns one token: a quoted string with its quotes, a word, an operator or any
// other single character; "" at the end.
func (m *markerParser) next() string {
	s := strings.TrimLeft(m.rest, " \t\r\n")
	n := 0
	switch {
	case s == "":
	case s[0] == '"' || s[0] == '\'':
		n = len(s)
		if i := strings.IndexByte(s[1:], s[0]); i >= 0 {
			n = i + 2
		}
	case isMarkerWord(s[0]):
		for n < len(s) && isMarkerWord(s[n]) {
			n++
		}
	default:
		n = 1
		for _, op := range markerOperators {
			if strings.HasPrefix(s, op) {
				n = len(op)
				break
			}
		}
	}

	m.rest = s[n:]
	return s[:n]
}

func isMarkerWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}
