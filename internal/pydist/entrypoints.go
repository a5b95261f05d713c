package pydist

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EntryPoint is one line of entry_points.txt: an object that others find by group and name.
type EntryPoint struct {
	Group  string // "console_scripts"
	Name   string
	Module string // "package.module"
	Attr   string // "main" or "Class.method"; "" when the module is meant
}

// objectPattern is that of importlib.metadata. Extras after the object are read and dropped, as
// installers do.
var objectPattern = regexp.MustCompile(`^([\pL\p{Nd}_.]+)\s*(?::\s*([\pL\p{Nd}_.]+))?\s*(?:\[.*\])?$`)

// ParseEntryPoints reads entry_points.txt in its order. Indentation means nothing and only '#'
// begins a comment, because that is how importlib.metadata finds them at run time.
func ParseEntryPoints(b []byte) ([]EntryPoint, error) {
	fault := func(line int, msg string) error {
		return &PositionError{File: "entry_points.txt", Line: line, Msg: msg}
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
			return nil, fault(n, "entry "+strconv.Quote(line)+": want name = module:attr")
		}

		if group == "" {
			return nil, fault(n, "entry "+strconv.Quote(name)+" stands before the first [group]")
		}

		m := objectPattern.FindStringSubmatch(object)
		if m == nil {
			return nil, fault(n, "entry "+strconv.Quote(name)+": object "+strconv.Quote(object)+": want module:attr")
		}

		out = append(out, EntryPoint{Group: group, Name: name, Module: m[1], Attr: m[2]})
	}

	return out, nil
}
