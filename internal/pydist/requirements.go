package pydist

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	MaxRequirementsBytes = 1 << 20 // of one file
	MaxRequirementsDepth = 8       // of files that include files
)

// Requirements is what a requirements file and all that it includes ask for.
type Requirements struct {
	Direct      []Requirement // in the order read
	Constraints []Requirement // from -c files: they narrow a version and add nothing
	Files       []string      // every file opened, once, in order; their bytes determine the rest
}

// ParseRequirements reads the file called name and those it includes with -r and -c, whose paths
// are relative to the file that names them. A file included twice counts once.
//
// Legal are PEP 508 requirements, wheels by path or https URL, --hash, -r and -c. --only-binary and
// --prefer-binary are read and change nothing: layers are made of wheels only. Everything else is
// refused with the reason. The format is pip's; where pip and uv read a line differently, the line
// is refused.
//
// A relative path of a wheel stays as written, in included files too: pip and uv resolve it against
// the working directory. Whoever runs them does so in the directory of the file called name, so
// that is what it is relative to.
func ParseRequirements(name string, open func(name string) ([]byte, error)) (Requirements, error) {
	p := requirementsParser{open: open, done: map[include]bool{}, content: map[string][]byte{}}
	name = path.Clean(name)
	b, err := open(name)
	if err != nil {
		return Requirements{}, fmt.Errorf("read requirements %s: %w", name, err)
	}

	p.content[name] = b
	p.out.Files = append(p.out.Files, name)
	if err := p.file(include{name: name}, nil); err != nil {
		return Requirements{}, err
	}

	return p.out, nil
}

type include struct {
	name       string
	constraint bool
}

type requirementsParser struct {
	open    func(string) ([]byte, error)
	out     Requirements
	done    map[include]bool
	content map[string][]byte
}

// position is where a fault is reported.
type position struct {
	file string
	line int
}

func (p position) fault(hint, format string, args ...any) error {
	return &PositionError{File: p.file, Line: p.line, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func (p position) wrap(err error) error {
	return &PositionError{File: p.file, Line: p.line, Msg: err.Error(), cause: err}
}

// file reads one file whose bytes are in p.content; chain is the files that led here.
func (p *requirementsParser) file(in include, chain []string) error {
	p.done[in] = true
	chain = append(slices.Clip(chain), in.name)
	lines, err := logicalLines(in.name, p.content[in.name])
	if err != nil {
		return err
	}

	for _, l := range lines {
		at := position{in.name, l.number}
		if variablePattern.MatchString(l.text) {
			return at.fault(
				"write the value itself",
				"variable %s: the result would depend on the environment",
				variablePattern.FindString(l.text),
			)
		}

		if l.text[0] == '-' {
			err = p.option(at, in, chain, l.text)
		} else {
			err = p.requirement(at, in, l.text)
		}

		if err != nil {
			return err
		}
	}

	return nil
}

var variablePattern = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

type logicalLine struct {
	text   string // trimmed, not empty
	number int    // of its first physical line
}

// logicalLines joins lines that end in '\', drops comments (a '#' at the start or after blank
// space) and empty lines. As in pip, a line that is only a comment ends a continuation.
func logicalLines(file string, b []byte) ([]logicalLine, error) {
	whole := position{file: file}
	if len(b) > MaxRequirementsBytes {
		return nil, whole.fault("", "has %d bytes, limit %d", len(b), MaxRequirementsBytes)
	}

	for number, line := range bytes.Split(b, []byte("\n")) {
		if !utf8.Valid(line) {
			return nil, position{file, number + 1}.fault("save it as UTF-8", "not UTF-8")
		}
	}

	var out []logicalLine
	var joined strings.Builder
	start := 0 // first line of the continuation in joined, 0 when there is none
	emit := func(text string, number int) {
		if i := commentStart(text); i >= 0 {
			text = text[:i]
		}

		if text = trimBlank(text); text != "" {
			out = append(out, logicalLine{text, number})
		}
	}
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(b), "\ufeff"), "\n") {
		number++
		at := position{file, number}
		line = strings.TrimSuffix(line, "\r")
		if i := strings.IndexFunc(line, isLineHazard); i >= 0 {
			r, _ := utf8.DecodeRuneInString(line[i:])
			return nil, at.fault("remove it", "control character %U: tools disagree whether it ends the line", r)
		}

		comment := commentStart(line)
		onlyComment := comment >= 0 && trimBlank(line[:comment]) == ""
		if strings.HasSuffix(line, `\`) && !onlyComment {
			if comment >= 0 {
				return nil, at.fault(
					"remove the backslash or move the comment to its own line",
					"backslash after a comment: tools disagree whether the comment goes on",
				)
			}

			if start == 0 {
				start = number
			}

			joined.WriteString(strings.TrimRight(line, `\`))
			continue
		}

		if start == 0 {
			emit(line, number)
			continue
		}

		if onlyComment {
			joined.WriteByte(' ')
		}

		joined.WriteString(line)
		emit(joined.String(), start)
		joined.Reset()
		start = 0
	}

	if start != 0 {
		emit(joined.String(), start)
	}

	return out, nil
}

func isLineHazard(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029'
}

func commentStart(s string) int {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return i
		}
	}

	return -1
}

const (
	hintIndex    = "remove the line and name the index in uv's own configuration, uv.toml or UV_DEFAULT_INDEX"
	hintEditable = "build a wheel (uv build --wheel) and name the .whl file"
	hintVCS      = "build a wheel from the commit and name the .whl file, or name a published version"
)

// option handles a line that begins with an option.
func (p *requirementsParser) option(at position, in include, chain []string, text string) error {
	words, err := splitWords(text)
	if err != nil {
		return at.wrap(err)
	}

	name, value, hasValue := cutOption(words[0])
	rest := words[1:]
	switch name {
	case "-r", "--requirement", "-c", "--constraint":
		if !hasValue {
			if len(rest) == 0 {
				return at.fault("", "%s: file name missing", name)
			}

			value = rest[0]
			rest = rest[1:]
		}

		if len(rest) > 0 {
			return at.fault("put each option on its own line", "%s: unexpected %q after the file name", name, rest[0])
		}

		constraint := name == "-c" || name == "--constraint"
		if in.constraint && !constraint {
			return at.fault(
				"use -c, or move the line to a requirements file",
				"%s: a constraints file adds no requirements",
				name,
			)
		}

		return p.include(at, chain, name, value, constraint)
	case "-e", "--editable":
		return at.fault(
			hintEditable,
			"%s: an editable install points at a folder, which has no hash and cannot be built again",
			name,
		)
	case "-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host":
		return at.fault(
			hintIndex,
			"%s: which index to ask belongs to uv's configuration; a committed file must not carry a host",
			name,
		)
	case "--pre":
		return at.fault(
			"name the pre-release in its specifier, such as example>=2.0rc1",
			"--pre: allows pre-releases of every package",
		)
	case "--no-binary":
		return at.fault("remove the line", "--no-binary: layers are made of wheels only")
	case "--only-binary":
		if !hasValue && len(rest) > 0 {
			value = rest[0]
			rest = rest[1:]
		}

		if value == "" || strings.Contains(value, ":none:") || len(rest) > 0 {
			return at.fault(
				"write --only-binary=:all: or remove the line",
				"--only-binary: want :all: or package names; layers are made of wheels only",
			)
		}

		return nil
	case "--prefer-binary":
		if hasValue || len(rest) > 0 {
			return at.fault("put each option on its own line", "--prefer-binary: takes no value")
		}

		return nil
	case "--require-hashes":
		return at.fault("remove the line", "--require-hashes: the lock carries a hash of every wheel anyway")
	case "--hash":
		return at.fault(
			`end the line before with a backslash, without a comment between`,
			"--hash: belongs to a requirement, and none stands on this line",
		)
	}

	return at.fault(
		"remove it",
		"option %q: unknown; known: -r, -c, --only-binary, --prefer-binary and, after a requirement, --hash",
		name,
	)
}

var schemePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

func (p *requirementsParser) include(at position, chain []string, option, name string, constraint bool) error {
	if name == "" {
		return at.fault("", "%s: file name missing", option)
	}

	if schemePattern.MatchString(name) {
		return at.fault("copy the file next to this one", "%s: included files are paths, not URLs", option)
	}

	if path.IsAbs(name) || name[0] == '~' {
		return at.fault(
			"write the path relative to this file",
			"%s %s: the path exists on one machine only",
			option,
			name,
		)
	}

	in := include{path.Join(path.Dir(at.file), name), constraint}
	if slices.Contains(chain, in.name) {
		return at.fault(
			"remove one of the includes",
			"%s %s: files include each other: %s",
			option,
			name,
			strings.Join(append(slices.Clip(chain), in.name), " -> "),
		)
	}

	if p.done[in] {
		return nil
	}

	if len(chain) >= MaxRequirementsDepth {
		return at.fault(
			"include the file from a higher one",
			"%s %s: files are nested deeper than %d",
			option,
			name,
			MaxRequirementsDepth,
		)
	}

	if _, ok := p.content[in.name]; !ok {
		b, err := p.open(in.name)
		if err != nil {
			return at.wrap(fmt.Errorf("%s %s: %w", option, name, err))
		}

		p.content[in.name] = b
		p.out.Files = append(p.out.Files, in.name)
	}

	return p.file(in, chain)
}

// requirement handles a line that begins with a requirement, maybe followed by options.
func (p *requirementsParser) requirement(at position, in include, text string) error {
	options := ""
	for i := 1; i < len(text); i++ {
		if text[i] == '-' && (text[i-1] == ' ' || text[i-1] == '\t') {
			text, options = trimBlank(text[:i]), text[i:]
			break
		}
	}

	r, err := lineRequirement(at, in, text)
	if err != nil {
		return err
	}

	if err := addHashOptions(at, &r, options); err != nil {
		return err
	}

	r.File = at.file
	r.Line = at.line
	r.Text = text
	if in.constraint {
		p.out.Constraints = append(p.out.Constraints, r)
	} else {
		p.out.Direct = append(p.out.Direct, r)
	}

	return nil
}

var (
	vcsPattern     = regexp.MustCompile(`(?i)^(?:git|hg|svn|bzr)(?:\+|://)`)
	namedPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*[ \t]*(?:\[[^\]]*\])?[ \t]*@`)
	archivePattern = regexp.MustCompile(`(?i)\.(?:whl|zip|tar|tgz|tar\.[a-z0-9]+)(?:[?#\[;]|$)`)
	extrasPattern  = regexp.MustCompile(`^(.+?)\[([^\]]*)\]$`)
)

// lineRequirement reads a PEP 508 requirement or, unlike PEP 508, a bare path or URL of a wheel.
func lineRequirement(at position, in include, text string) (Requirement, error) {
	word := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		word = text[:i]
	}

	// A bare reference begins so, or has a '/' before anything that could be a marker's text.
	head, _, _ := strings.Cut(word, ";")
	bare := !namedPattern.MatchString(text) &&
		(strings.Contains(head, "/") || strings.HasPrefix(head, ".") || schemePattern.MatchString(head) ||
			archivePattern.MatchString(head))
	if !bare {
		r, err := ParseRequirement(text)
		if err != nil {
			return r, at.wrap(err)
		}

		if in.constraint && len(r.Extras) > 0 {
			return r, at.fault(
				"remove the extras here; write them where the package is required",
				"constraint %q: constraints have no extras",
				text,
			)
		}

		if r.URL == "" {
			return r, nil
		}

		wheel, hash, err := wheelURL(at, r.URL)
		if err != nil {
			return r, err
		}

		if wheel.Distribution() != r.Name {
			return r, at.fault("", "requirement %q: the wheel is of %q", text, wheel.Distribution())
		}

		return addHash(r, hash), nil
	}

	ref := word
	marker := trimBlank(text[len(word):])
	if schemePattern.MatchString(ref) {
		// In a URL a ';' belongs to it unless blank space follows.
		if trimmed, ok := strings.CutSuffix(ref, ";"); ok && marker != "" {
			ref = trimmed
			marker = ";" + marker
		}
	} else if before, after, ok := strings.Cut(ref, ";"); ok {
		ref = before
		marker = ";" + after + " " + marker
	}

	var r Requirement
	if m := extrasPattern.FindStringSubmatch(ref); m != nil {
		var err error
		if r.Extras, err = parseExtras(m[2]); err != nil {
			return r, at.wrap(fmt.Errorf("requirement %q: %w", text, err))
		}

		ref = m[1]
	}

	wheel, hash, err := wheelURL(at, ref)
	if err != nil {
		return r, err
	}

	if in.constraint {
		return r, at.fault(
			fmt.Sprintf("write %s @ in front of it", wheel.Distribution()),
			"constraint %q: constraints are named",
			text,
		)
	}

	r.Name = wheel.Distribution()
	r.URL = ref
	if marker != "" {
		if marker[0] != ';' {
			return r, at.fault("", "requirement %q: unexpected %q; a marker begins with ' ;'", text, marker)
		}

		r.Marker = trimBlank(marker[1:])
		if err := checkMarker(r.Marker); err != nil {
			return r, at.wrap(fmt.Errorf("requirement %q: %w", text, err))
		}
	}

	return addHash(r, hash), nil
}

// wheelURL says whether a URL or path names a wheel that can be had again, and returns the hash in
// its fragment. Messages do not repeat the URL where it may hold a password.
func wheelURL(at position, ref string) (WheelName, string, error) {
	var none WheelName
	if vcsPattern.MatchString(ref) {
		return none, "", at.fault(hintVCS, "version control: a checkout has no hash and is built anew each time")
	}

	target, fragment, hasFragment := strings.Cut(ref, "#")
	if scheme := schemePattern.FindString(target); scheme != "" {
		switch asciiLower(scheme) {
		case "https:":
		case "http:":
			return none, "", at.fault("use https", "url: http does not protect the wheel on its way")
		case "file:":
			return none, "", at.fault(
				"write a relative path such as ./wheels/example-1.0-py3-none-any.whl",
				"url: file: names a path that exists on one machine only",
			)
		default:
			return none, "", at.fault(
				"use https or a relative path",
				"url: unknown scheme %q; known: https",
				strings.TrimSuffix(scheme, ":"),
			)
		}

		rest, ok := strings.CutPrefix(target[len(scheme):], "//")
		host, file, _ := strings.Cut(rest, "/")
		if !ok || host == "" {
			return none, "", at.fault("", "url: host is missing")
		}

		if strings.Contains(host, "@") {
			return none, "", at.fault(
				"remove the credentials; uv reads them from netrc or its configuration",
				"url: a committed file must not carry credentials",
			)
		}

		target, _, _ = strings.Cut("/"+file, "?")
		if target, ok = unescape(target); !ok {
			return none, "", at.fault("", "url: %%-escapes are malformed")
		}
	} else if path.IsAbs(target) || strings.HasPrefix(target, "~") {
		return none, "", at.fault(
			"write a relative path such as ./wheels/example-1.0-py3-none-any.whl",
			"path %q: exists on one machine only",
			target,
		)
	}

	base := target[strings.LastIndexByte(target, '/')+1:]
	if !strings.HasSuffix(base, ".whl") {
		if archivePattern.MatchString(base) {
			return none, "", at.fault(
				hintEditable,
				"source archive %q: building it runs its code, and the result has no hash",
				base,
			)
		}

		return none, "", at.fault(hintEditable, "path or url ending in %q: not a wheel", base)
	}

	wheel, err := ParseWheelName(base)
	if err != nil {
		return none, "", at.wrap(err)
	}

	if !hasFragment {
		return wheel, "", nil
	}

	digest, ok := strings.CutPrefix(fragment, "sha256=")
	if !ok {
		return none, "", at.fault(
			"write #sha256=<hex> or remove it",
			"url fragment %q: unknown; known: sha256",
			fragment,
		)
	}

	hash, err := parseHash("sha256:" + digest)
	if err != nil {
		return none, "", at.wrap(err)
	}

	return wheel, hash, nil
}

// unescape decodes %XX. A file name needs it for the '+' of local versions.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}

		if i+2 >= len(s) {
			return "", false
		}

		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}

		b.WriteByte(byte(n))
		i += 2
	}

	return b.String(), true
}

// hashBytes are the algorithms pip and uv take as strong.
var hashBytes = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}

func parseHash(s string) (string, error) {
	algorithm, digest, _ := strings.Cut(s, ":")
	size, ok := hashBytes[algorithm]
	if !ok {
		return "", fmt.Errorf("hash %q: unknown algorithm; known: sha256, sha384, sha512", s)
	}

	sum, err := hex.DecodeString(digest)
	if err != nil || len(sum) != size {
		return "", fmt.Errorf("hash %q: %s has %d hexadecimal digits", s, algorithm, 2*size)
	}

	return algorithm + ":" + hex.EncodeToString(sum), nil
}

func addHash(r Requirement, hash string) Requirement {
	if hash != "" && !slices.Contains(r.Hashes, hash) {
		r.Hashes = append(r.Hashes, hash)
	}

	return r
}

func addHashOptions(at position, r *Requirement, options string) error {
	words, err := splitWords(options)
	if err != nil {
		return at.wrap(err)
	}

	for len(words) > 0 {
		name, value, hasValue := cutOption(words[0])
		words = words[1:]
		if name != "--hash" {
			if strings.HasPrefix(name, "-") {
				return at.fault(
					"remove it, or put it on its own line",
					"option %q: unknown after a requirement; known: --hash",
					name,
				)
			}

			return at.fault("", "unexpected %q after the options of a requirement", name)
		}

		if !hasValue {
			if len(words) == 0 {
				return at.fault("", "--hash: value missing")
			}

			value = words[0]
			words = words[1:]
		}

		hash, err := parseHash(value)
		if err != nil {
			return at.wrap(err)
		}

		*r = addHash(*r, hash)
	}

	return nil
}

// cutOption splits --name=value and -nvalue.
func cutOption(word string) (name, value string, hasValue bool) {
	if strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && len(word) > 2 {
		return word[:2], word[2:], true
	}

	return strings.Cut(word, "=")
}

// splitWords splits at blank space outside quotes. A backslash is an ordinary character: after
// joining lines, none has a meaning that pip and uv share.
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
		return nil, fmt.Errorf("quote %c is not closed", quote)
	}

	if inWord {
		words = append(words, word.String())
	}

	return words, nil
}
