package pyimport

import (
	"bytes"
	"slices"
)

// block is a block of statements that affects the imports inside it. It ends at a line that is not
// indented more than its header.
type block struct {
	column int // of the header
	kind   blockKind
}

type blockKind uint8

const (
	newScope blockKind = iota // body of a function or class
	guarded                   // its imports may be absent
)

// Roles of brackets.
const (
	pathCall   = 'p' // arguments of a path function
	importCall = 'i' // arguments of import_module and similar functions
)

// statements reads the whole source.
func (s *scanner) statements() {
	for t := s.next(); t.kind != end; {
		if s.prev.kind == newline {
			s.leaveBlocks(s.column)
		}

		if t.kind == name && s.startsStatement() {
			switch string(s.src[t.from:t.to]) {
			case "import":
				t = s.importStatement(t)
				continue
			case "from":
				t = s.fromStatement(t)
				continue
			case "try":
				s.enterBlock(guarded)
			case "def", "class":
				s.enterBlock(newScope)
			case "if", "elif":
				s.condition = t.to
			}
		}

		s.expression(t)
		t = s.next()
	}
}

func (s *scanner) startsLine() bool { return s.prev.kind == newline || s.prev.op == ';' }

func (s *scanner) startsStatement() bool {
	return len(s.brackets) == 0 && (s.startsLine() || s.prev.op == ':')
}

// is reports whether t is the given name or keyword. It does not allocate.
func (s *scanner) is(t token, word string) bool {
	return t.kind == name && string(s.src[t.from:t.to]) == word
}

// expression handles one token outside import statements, including those in f-strings, in order.
func (s *scanner) expression(t token) {
	if s.unsure {
		s.confirmDynamic(t)
	}

	switch t.kind {
	case newline:
		s.condition = -1
	case name:
		s.handleName(t)
	case text:
		if s.startsLine() {
			return // documentation; prev stays, so that adjacent literals count as documentation, too
		}

		s.argument(t)
		s.notePath(s.text)
		s.noteComputed(s.text, false)
		s.noteName(s.text)
	case op:
		s.handleOperator(t)
	}

	s.prev2 = s.prev
	s.prev = t
}

// confirmDynamic drops the last import unless its literal is a whole argument: import_module("a." +
// b) is no known name.
func (s *scanner) confirmDynamic(t token) {
	s.unsure = false
	if t.op != ',' && t.op != ')' {
		s.out.Imports = s.out.Imports[:len(s.out.Imports)-1]
	}
}

func (s *scanner) handleName(t token) {
	if t.to-t.from == len("__getattr__") && s.is(t, "__getattr__") && s.prev.op != '.' {
		// A top-level def has already entered its own scope when its name is read.
		if s.scopes == 0 || s.scopes == 1 && s.is(s.prev, "def") {
			s.out.GetAttrLazy = true
		}
	}

	if s.is(t, "def") && s.is(s.prev, "async") {
		s.enterBlock(newScope)
	}
}

func (s *scanner) handleOperator(t token) {
	if t.op == '(' && s.prev.kind == name && !s.is(s.prev2, "def") {
		s.call(s.prev)
		return
	}

	if t.op != ':' || s.condition < 0 || len(s.brackets) > 0 {
		return
	}

	if optional(s.src[s.condition:t.from]) {
		s.enterBlock(guarded)
	}

	s.condition = -1
}

func (s *scanner) enterBlock(k blockKind) {
	s.blocks = append(s.blocks, block{column: s.column, kind: k})
	if k == newScope {
		s.scopes++
	} else {
		s.guards++
	}
}

// leaveBlocks ends the blocks that a line at the column is not part of.
func (s *scanner) leaveBlocks(column int) {
	for n := len(s.blocks); n > 0 && s.blocks[n-1].column >= column; n = len(s.blocks) {
		if s.blocks[n-1].kind == newScope {
			s.scopes--
		} else {
			s.guards--
		}

		s.blocks = s.blocks[:n-1]
	}
}

// optional reports whether the condition of an `if` is false when the module is imported in
// production.
func optional(condition []byte) bool {
	c := bytes.TrimSpace(condition)
	if prefix, ok := bytes.CutSuffix(c, []byte("TYPE_CHECKING")); ok {
		for _, b := range prefix {
			if b != '.' && !inName(b) {
				return false
			}
		}

		return len(prefix) == 0 || prefix[len(prefix)-1] == '.'
	}

	c, ok := bytes.CutPrefix(c, []byte("__name__"))
	if !ok {
		return false
	}

	if c, ok = bytes.CutPrefix(bytes.TrimSpace(c), []byte("==")); !ok {
		return false
	}

	c = bytes.TrimSpace(c)
	return string(c) == `"__main__"` || string(c) == `'__main__'`
}

// importStatement reads `import a.b as c, d` and returns the first token that is not part of it.
func (s *scanner) importStatement(keyword token) token {
	line := s.lineAt(keyword.from)
	s.prev = keyword
	for {
		module, t := s.dottedName(s.next())
		if module == "" {
			return t
		}

		s.add(Import{Module: module, Line: line})
		if t = s.skipAlias(t); t.op != ',' {
			return t
		}
	}
}

// fromStatement reads `from ..a import (b as c, d)` and returns the first token that is not part of
// it.
func (s *scanner) fromStatement(keyword token) token {
	i := Import{Line: s.lineAt(keyword.from)}
	s.prev = keyword
	t := s.next()
	for ; t.op == '.'; t = s.next() {
		i.Level++
	}

	if !s.is(t, "import") { // `from . import a` has dots only
		i.Module, t = s.dottedName(t)
	}

	if !s.is(t, "import") || i.Level == 0 && i.Module == "" {
		return t
	}

	t = s.next()
	parenthesis := t.op == '('
	if parenthesis {
		t = s.next()
	}

	i.Names, t = s.importedNames(t)
	if len(i.Names) > 0 {
		s.add(i)
	}

	if s.scopes == 0 && slices.Contains(i.Names, "__getattr__") {
		s.out.GetAttrLazy = true
	}

	if parenthesis && t.op == ')' {
		t = s.next()
	}

	return t
}

// importedNames reads `a as b, c` or `*`, beginning with t, and returns the names without aliases
// and the token after them.
func (s *scanner) importedNames(t token) (names []string, after token) {
	for t.kind == name || t.op == '*' {
		names = append(names, string(s.src[t.from:t.to]))
		if t = s.skipAlias(s.next()); t.op != ',' {
			break
		}

		t = s.next()
	}

	return names, t
}

// dottedName reads a dotted name, beginning with t, and returns it and the token after it. The name
// is empty if it is incomplete.
func (s *scanner) dottedName(t token) (string, token) {
	from := t.from
	for t.kind == name {
		to := t.to
		dot := s.next()
		if dot.op != '.' {
			module := s.src[from:to]
			if bytes.ContainsAny(module, " \t\f\\") { // rare, but allowed around the dots
				blank := func(c byte) bool { return c != '.' && !inName(c) }
				module = slices.DeleteFunc(bytes.Clone(module), blank)
			}

			return string(module), dot
		}

		t = s.next()
	}

	return "", t
}

func (s *scanner) skipAlias(t token) token {
	if !s.is(t, "as") {
		return t
	}

	if t = s.next(); t.kind == name {
		t = s.next()
	}

	return t
}

func (s *scanner) add(i Import) {
	i.Guarded = s.guards > 0
	s.out.Imports = append(s.out.Imports, i)
}
