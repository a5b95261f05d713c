package pydist

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// EntryPoint is one line of entry_points.txt: an object that other packages find by group and name.
type EntryPoint struct {
	Group  string // "console_scripts"
	Name   string
	Module string // "package.module"
	Attr   string // "main" or "Class.method"; "" when the object is the module
}

// objectPattern is the pattern of importlib.metadata.EntryPoint. Extras after the object are
// ignored, as in installers.
var objectPattern = regexp.MustCompile(`^([\pL\p{Nd}_.]+)\s*(?::\s*([\pL\p{Nd}_.]+))?\s*(?:\[.*\])?$`)

// ParseEntryPoints parses entry_points.txt and keeps its order. As in importlib.metadata,
// indentation has no meaning and only '#' begins a comment.
func ParseEntryPoints(b []byte) ([]EntryPoint, error) {
	fault := func(line int, format string, args ...any) error {
		return &PositionError{File: "entry_points.txt", Line: line, Msg: fmt.Sprintf(format, args...)}
	}

	if !utf8.Valid(b) {
		return nil, fault(0, "not UTF-8")
	}

	var out []EntryPoint
	group := ""
	n := 0

	for line := range strings.SplitSeq(string(b), "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}

		if line[0] == '[' && line[len(line)-1] == ']' {
			group = strings.TrimSpace(line[1 : len(line)-1])
			if group == "" {
				return nil, fault(n, "group is empty")
			}

			continue
		}

		name, object, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		object = strings.TrimSpace(object)
		if !ok || name == "" {
			return nil, fault(n, "entry %q: expected name = module:attr", line)
		}

		if group == "" {
			return nil, fault(n, "entry %q is before the first [group]", name)
		}

		m := objectPattern.FindStringSubmatch(object)
		if m == nil {
			return nil, fault(n, "entry %q: object %q: expected module:attr", name, object)
		}

		out = append(out, EntryPoint{Group: group, Name: name, Module: m[1], Attr: m[2]})
	}

	return out, nil
}
