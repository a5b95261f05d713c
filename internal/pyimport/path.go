package pyimport

import "bytes"

// Lengths of a literal that may name a file. Shorter literals with a dot or slash are formats or
// operators.
const (
	minPathBytes      = 3
	maxPathBytes      = 200
	maxExtensionBytes = 8
)

// inPath are the bytes that may occur in a path.
var inPath = func() (t [256]bool) {
	for c := range t {
		t[c] = c < 0x80 && inName(byte(c)) || bytes.IndexByte([]byte("._+-/"), byte(c)) >= 0
	}

	return t
}()

// call sets the role of the bracket just opened, which depends on the function called.
func (s *scanner) call(callee token) {
	role := byte(0)
	switch string(s.src[callee.from:callee.to]) {
	case "import_module", "__import__", "importorskip":
		role = importCall
	case "attach_stub":
		s.out.StubLoader = true
	case "iter_modules", "walk_packages":
		s.out.WalksPath = true
	case "joinpath", "Path", "PurePath", "PosixPath", "PurePosixPath",
		"resource_filename", "resource_string", "resource_stream":
		role = pathCall
	case "join": // often str.join, which has no paths
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

// qualifier returns b for a.b.name, "" for a bare name, and "." if the dot follows something other
// than a name.
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

// argument handles a string literal that is an argument of a path or import function, or follows
// the slash of a pathlib expression.
func (s *scanner) argument(t token) {
	role := byte(0)
	if n := len(s.brackets); n > 0 {
		role = s.brackets[n-1]
	}

	floorDivision := s.prev2.op == '/' && s.prev2.to == s.prev.from
	switch {
	case role == pathCall && s.prev.op != '+', s.prev.op == '/' && !floorDivision: // x + ".py" is only a part
		s.notePart(s.text)
	case role == importCall && s.prev.op == '(':
		s.importCall(t)
	}
}

// importCall records import_module("x.y"). The next token may show that the literal is only a part
// of the name, see confirmDynamic.
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

// notePath records a literal that looks like a file name or a path of several parts. Slashes around
// it and a leading `./` are removed, as in d + "/data/x.csv".
func (s *scanner) notePath(b []byte) {
	if len(b) < minPathBytes || len(b) > maxPathBytes || !pathCharacters(b) {
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

// noteFormatPart records a literal part of an f-string before a replacement field. If it is the
// first part, it may begin the name of a module.
func (s *scanner) noteFormatPart(b []byte, first bool) {
	s.notePath(b)
	if first {
		s.noteComputed(b, true)
	}
}

// noteComputed records the package of a literal that is the first part of a computed module name: it
// ends with a dot, or a placeholder follows the dot. Leading dots alone are a package too if
// something follows.
func (s *scanner) noteComputed(b []byte, follows bool) {
	if at := bytes.IndexAny(b, "%{"); at >= 0 {
		follows = true
		b = b[:at]
	}

	name, ok := bytes.CutSuffix(b, []byte("."))
	if !ok || len(b) > maxPathBytes {
		return
	}

	if module := bytes.TrimLeft(b, "."); len(module) == 0 {
		if follows { // ".%s" % x
			keep(&s.computed, &s.out.Computed, b)
		}

		return
	}

	if dottedIdentifier(bytes.TrimLeft(name, ".")) {
		keep(&s.computed, &s.out.Computed, name)
	}
}

// noteName records a literal that is a dotted name, relative ones too, as tables of lazy imports and
// settings have them: "plug.backends.sql", ".sql". An attribute after a colon is left out.
func (s *scanner) noteName(b []byte) {
	b, _, _ = bytes.Cut(b, []byte(":"))
	if len(b) > maxPathBytes || bytes.IndexByte(b, '.') < 0 {
		return
	}

	if name := bytes.TrimLeft(b, "."); len(name) > 0 && dottedIdentifier(name) {
		keep(&s.named, &s.out.Named, b)
	}
}

// pathCharacters reports whether b has only characters of paths, among them a dot or slash and a
// letter.
func pathCharacters(b []byte) bool {
	separator := false
	anyLetter := false
	for _, c := range b {
		if !inPath[c] {
			return false
		}

		separator = separator || c == '/' || c == '.'
		anyLetter = anyLetter || classes[c] == letter && c != '_'
	}

	return separator && anyLetter
}

// notePart records a bare name. Names with an extension or a slash are left to notePath.
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

// keep adds b to the set and the list unless it is in the set. It copies only new values.
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
