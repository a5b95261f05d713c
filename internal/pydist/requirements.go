package pydist

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxRequirementsBytes = 1 << 20 // of one file
	maxRequirementsDepth = 8       // of files that include files
)

// Requirements is the content of a requirements file and of all files that it includes.
type Requirements struct {
	Direct      []Requirement // in the order read
	Constraints []Requirement // from -c files: they restrict a version and add no requirement
	Files       []string      // every file read, once, in order; only their bytes determine the result
}

// ParseRequirements reads the file called name and the files it includes with -r and -c, whose
// paths are relative to the including file. A file that is included twice counts once. A fault in a
// file is a *PositionError.
//
// Supported are PEP 508 requirements, wheels by path or https URL, --hash, -r and -c. --only-binary
// and --prefer-binary are accepted without effect, because layers are built from wheels only.
// Everything else is refused with a reason. The format is pip's. A line that pip and uv read
// differently is refused.
//
// The relative path of a wheel is kept as written, also in included files: pip and uv resolve it
// against the working directory, and Layersmith runs uv in the directory of the file called name.
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

// include is a file and whether it is read as constraints (-c) or as requirements (-r).
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

// fault makes a *PositionError of a hint, which may be "", and a message.
func (p position) fault(hint, format string, args ...any) error {
	return &PositionError{File: p.file, Line: p.line, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func (p position) wrap(err error) error {
	return &PositionError{File: p.file, Line: p.line, Msg: err.Error(), cause: err}
}

// file parses one file whose bytes are in p.content. chain are the files that include it, outermost
// first.
func (p *requirementsParser) file(in include, chain []string) error {
	p.done[in] = true
	chain = append(slices.Clip(chain), in.name)

	lines, err := logicalLines(in.name, p.content[in.name])
	if err != nil {
		return err
	}

	for _, l := range lines {
		at := position{in.name, l.number}
		variable := variablePattern.FindString(l.text)
		switch {
		case l.text[0] == '-':
			err = p.option(at, in, chain, l.text)
		case variable != "":
			err = at.fault("name the distribution by its name and version; "+hintCredentials,
				"variable %s: the result would depend on the environment", variable)
		default:
			err = p.requirement(at, in, l.text)
		}

		if err != nil {
			return err
		}
	}

	return nil
}

var variablePattern = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// refusal says why an option is refused and what to do instead.
type refusal struct{ reason, hint string }

// hintCredentials says where an index and its password belong. A secret never belongs in a file of
// the workspace, which is committed and pushed.
const hintCredentials = "an index of your own is configured in uv.toml or UV_INDEX, its password in netrc, a keyring " +
	"or UV_INDEX_<NAME>_PASSWORD"

var (
	editableRefusal = refusal{
		"an editable install refers to a folder, which has no hash and cannot be reproduced", hintEditable,
	}
	indexRefusal = refusal{
		"indexes are configured in uv; a committed file must not name a host",
		"remove the line: uv uses the public index if no other is configured; " + hintCredentials,
	}
)

// refusedOptions are known options of pip that are refused.
var refusedOptions = map[string]refusal{
	"-e":                editableRefusal,
	"--editable":        editableRefusal,
	"-i":                indexRefusal,
	"--index-url":       indexRefusal,
	"--extra-index-url": indexRefusal,
	"--no-index":        indexRefusal,
	"-f":                indexRefusal,
	"--find-links":      indexRefusal,
	"--trusted-host":    indexRefusal,
	"--pre": {
		"allows pre-releases of every package",
		"name the pre-release in its specifier, such as example>=2.0rc1",
	},
	"--no-binary":      {"layers are built from wheels only", "remove the line"},
	"--require-hashes": {"not needed, the lock contains a hash of every wheel", "remove the line"},
	"--hash": {
		"must follow a requirement on the same line",
		"end the previous line with a backslash, without a comment in between",
	},
}

const hintOwnLine = "put each option on its own line"

// option handles a line that begins with an option.
func (p *requirementsParser) option(at position, in include, chain []string, text string) error {
	words, err := splitWords(text)
	if err != nil {
		return at.wrap(err)
	}

	o := firstOption(words)
	if o.isProject() {
		return at.fault("a layer has what the project requires, not the project: export with uv export "+
			"--no-emit-project, or remove the line", "-e .: this is the project itself")
	}

	if r, ok := refusedOptions[o.name]; ok {
		return at.fault(r.hint, "%s: %s", o.name, r.reason)
	}

	switch o.name {
	case "-r", "--requirement", "-c", "--constraint":
		return p.includeOption(at, in, chain, o)
	case "--only-binary":
		o.takeValue()
		if o.value == "" || strings.Contains(o.value, ":none:") || len(o.rest) > 0 {
			return at.fault("write --only-binary=:all: or remove the line",
				"--only-binary: expected :all: or package names; layers are built from wheels only")
		}

		return nil
	case "--prefer-binary":
		if o.hasValue || len(o.rest) > 0 {
			return at.fault(hintOwnLine, "--prefer-binary: takes no value")
		}

		return nil
	}

	return at.fault("remove it",
		"option %q: unknown; known: -r, -c, --only-binary, --prefer-binary and, after a requirement, --hash", o.name)
}

// isProject reports whether the option is the first line of uv export: -e with the project itself.
func (o option) isProject() bool {
	editable := o.name == "-e" || o.name == "--editable"
	return editable && o.takeValue() && (o.value == "." || o.value == "./")
}

// includeOption handles -r and -c.
func (p *requirementsParser) includeOption(at position, in include, chain []string, o option) error {
	if !o.takeValue() {
		return at.fault("", "%s: file name missing", o.name)
	}

	if len(o.rest) > 0 {
		return at.fault(hintOwnLine, "%s: unexpected %q after the file name", o.name, o.rest[0])
	}

	constraint := o.name == "-c" || o.name == "--constraint"
	if in.constraint && !constraint {
		return at.fault("use -c, or move the line to a requirements file",
			"%s: a constraints file cannot include requirements", o.name)
	}

	if o.value == "" {
		return at.fault("", "%s: file name missing", o.name)
	}

	if schemePattern.MatchString(o.value) {
		return at.fault("copy the file next to this one", "%s: included files are paths, not URLs", o.name)
	}

	if path.IsAbs(o.value) || o.value[0] == '~' {
		return at.fault("write the path relative to this file",
			"%s %s: an absolute path works on one machine only", o.name, o.value)
	}

	included := include{path.Join(path.Dir(at.file), o.value), constraint}
	return p.include(at, chain, o, included)
}

// include reads the file that the option at the position names, unless it is done.
func (p *requirementsParser) include(at position, chain []string, o option, in include) error {
	if slices.Contains(chain, in.name) {
		cycle := strings.Join(append(slices.Clip(chain), in.name), " -> ")
		return at.fault("remove one of the includes", "%s %s: files include each other: %s", o.name, o.value, cycle)
	}

	if p.done[in] {
		return nil
	}

	if len(chain) >= maxRequirementsDepth {
		return at.fault("include the file directly from an outer file",
			"%s %s: files are nested deeper than %d", o.name, o.value, maxRequirementsDepth)
	}

	if _, ok := p.content[in.name]; !ok {
		b, err := p.open(in.name)
		if err != nil {
			return at.wrap(fmt.Errorf("%s %s: %w", o.name, o.value, err))
		}

		p.content[in.name] = b
		p.out.Files = append(p.out.Files, in.name)
	}

	return p.file(in, chain)
}

// requirement handles a line that begins with a requirement, maybe followed by options.
func (p *requirementsParser) requirement(at position, in include, text string) (err error) {
	text, options := cutOptions(text)

	var r Requirement
	if isBareRef(text) {
		r, err = bareRequirement(at, in, text)
	} else {
		r, err = namedRequirement(at, in, text)
	}

	if err != nil {
		return err
	}

	if err := r.addHashOptions(at, options); err != nil {
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

// cutOptions splits a line before the first word that begins with '-'.
func cutOptions(line string) (requirement, options string) {
	for i := 1; i < len(line); i++ {
		if line[i] == '-' && (line[i-1] == ' ' || line[i-1] == '\t') {
			return trimBlank(line[:i]), line[i:]
		}
	}

	return line, ""
}

// addHashOptions adds the hashes of the options that follow a requirement.
func (r *Requirement) addHashOptions(at position, options string) error {
	words, err := splitWords(options)
	if err != nil {
		return at.wrap(err)
	}

	for len(words) > 0 {
		o := firstOption(words)
		if !strings.HasPrefix(o.name, "-") {
			return at.fault("", "unexpected %q after the options of a requirement", o.name)
		}

		if o.name != "--hash" {
			return at.fault("remove it, or put it on its own line",
				"option %q: unknown after a requirement; known: --hash", o.name)
		}

		if !o.takeValue() {
			return at.fault("", "--hash: value missing")
		}

		hash, err := parseHash(o.value)
		if err != nil {
			return at.wrap(err)
		}

		r.addHash(hash)
		words = o.rest
	}

	return nil
}

// option is an option and the words after it.
type option struct {
	name, value string
	hasValue    bool
	rest        []string
}

// firstOption splits the first word, --name=value or -nvalue.
func firstOption(words []string) option {
	word := words[0]
	o := option{rest: words[1:]}

	if strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && len(word) > 2 {
		o.name = word[:2]
		o.value = word[2:]
		o.hasValue = true
	} else {
		o.name, o.value, o.hasValue = strings.Cut(word, "=")
	}

	return o
}

// takeValue makes the next word the value of an option without one. It reports whether the option
// has a value now.
func (o *option) takeValue() bool {
	if !o.hasValue && len(o.rest) > 0 {
		o.value = o.rest[0]
		o.rest = o.rest[1:]
		o.hasValue = true
	}

	return o.hasValue
}
