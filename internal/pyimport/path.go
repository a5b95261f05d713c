package pyimport

import "bytes"

// Lengths of a literal that can name a file. Shorter ones with a dot or a slash are formats and
// operators.
const (
	minPathBytes      = 3
	maxPathBytes      = 200
	maxExtensionBytes = 8
)

var inPath = func() (t [256]bool) {
	for c := range t {
		t[c] = c < 0x80 && inName(byte(c)) || bytes.IndexByte([]byte("._+-/"), byte(c)) >= 0
	}

	return t
}()

// call gives the bracket just opened the role that its callee has.
func (s *scanner) call(callee token) {
	role := byte(0)
	switch string(s.src[callee.from:callee.to]) {
	case "import_module", "__import__", "importorskip":
		role = importCall
	case "attach_stub":
		s.out.StubLoader = true
	case "joinpath",
		"Path",
		"PurePath",
		"PosixPath",
		"PurePosixPath",
		"resource_filename",
		"resource_string",
		"resource_stream":
		role = pathCall
	case "join": // of str, mostly
		switch s.qualifier(callee) {
		case "", "path", "osp", "op", "ospath", "os_path", "posixpath":
			role = pathCall
		}
	case "files":
		switch s.qualifier(callee) {
		case "", "resources", "importlib_resources":
			role = pathCall
		}
	}

	s.brackets[len(s.brackets)-1] = role
}

// qualifier returns b for a.b.name, "" for a bare name, and "." when something other than a name
// stands before the dot.
func (s *scanner) qualifier(t token) string {
	to := t.from - 1
	if to < 0 || s.src[to] != '.' {
		return ""
	}

	from := to
	for from > 0 && inName(s.src[from-1]) {
		from--
	}

	if from == to {
		return "."
	}

	return string(s.src[from:to])
}

// argument looks at a string literal for its place: in a call that matters, or behind the slash of
// a path.
func (s *scanner) argument(t token) {
	role := byte(0)
	if n := len(s.brackets); n > 0 {
		role = s.brackets[n-1]
	}

	floorDivision := s.prev2.op == '/' && s.prev2.to == s.prev.from
	switch {
	case role == pathCall && s.prev.op != '+', s.prev.op == '/' && !floorDivision: // x + ".py" is not whole
		s.notePart(s.text)
	case role == importCall && s.prev.op == '(':
		s.importCall(t)
	}
}

// importCall notes import_module("x.y"). The next token may still show that the literal is only a
// piece of the name.
func (s *scanner) importCall(t token) {
	module := bytes.TrimLeft(s.text, ".")
	level := len(s.text) - len(module)
	if level+len(module) == 0 || len(module) > 0 && !dottedIdentifier(module) {
		return
	}

	s.add(Import{Level: level, Module: string(module), Line: s.lineAt(t.from), Dynamic: true})
	s.unsure = true
}

func dottedIdentifier(b []byte) bool {
	start := true // of a part
	for _, c := range b {
		switch {
		case c == '.' && !start:
			start = true
		case classes[c] == letter, classes[c] == digit && !start:
			start = false
		default:
			return false
		}
	}

	return !start
}

// notePath keeps a literal that looks like a file name or a path of several parts. Slashes around
// it and a leading `./` are cut off, as in d + "/data/x.csv".
func (s *scanner) notePath(b []byte) {
	if len(b) < minPathBytes || len(b) > maxPathBytes {
		return
	}

	hint := false
	anyLetter := false
	for _, c := range b {
		if !inPath[c] {
			return
		}

		hint = hint || c == '/' || c == '.'
		anyLetter = anyLetter || classes[c] == letter && c != '_'
	}

	if !hint || !anyLetter {
		return
	}

	b = bytes.Trim(bytes.TrimPrefix(bytes.Trim(b, "/"), []byte("./")), "/")
	dot := bytes.LastIndexByte(b, '.')
	extension := len(b) - dot - 1
	isFile := dot > 0 && extension >= 1 && extension <= maxExtensionBytes
	if len(b) >= minPathBytes && (isFile || bytes.IndexByte(b, '/') >= 0) {
		keep(&s.strings, &s.out.Strings, b)
	}
}

// notePart keeps a bare name. One with an extension or a slash is a path already.
func (s *scanner) notePart(b []byte) {
	anyLetter := false
	for i, c := range b {
		if !inPath[c] || c == '/' || c == '.' && i > 0 {
			return
		}

		anyLetter = anyLetter || classes[c] == letter && c != '_'
	}

	if anyLetter && len(b) <= maxPathBytes {
		keep(&s.parts, &s.out.PathParts, b)
	}
}

// keep appends what is not in the set yet, and copies only then.
func keep(set *map[string]struct{}, list *[]string, b []byte) {
	if _, known := (*set)[string(b)]; known {
		return
	}

	if *set == nil {
		*set = map[string]struct{}{}
	}

	value := string(b)
	(*set)[value] = struct{}{}
	*list = append(*list, value)
}
