package policy

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// patterns is a set of globs, compiled for many paths: most globs of real rules ask for a folder
// name, a file name or an ending, which are looked up rather than matched. The others go to
// doublestar, whose syntax all of them have.
type patterns struct {
	folders map[string]bool // **/NAME/**
	names   map[string]bool // **/NAME
	endings map[string]bool // **/*.ext, by the last extension
	globs   []glob
}

type glob struct {
	text  string
	first string // the first path segment when it is literal, else ""
}

func compile(texts []string) (patterns, error) {
	p := patterns{folders: map[string]bool{}, names: map[string]bool{}, endings: map[string]bool{}}
	for _, t := range texts {
		if err := CheckPattern(t); err != nil {
			return patterns{}, err
		}

		rest, anywhere := strings.CutPrefix(t, "**/")
		switch {
		case anywhere && literal(strings.TrimSuffix(rest, "/**")) && strings.HasSuffix(rest, "/**"):
			p.folders[strings.TrimSuffix(rest, "/**")] = true
		case anywhere && literal(rest):
			p.names[rest] = true
		case anywhere && strings.HasPrefix(rest, "*.") && literal(rest[2:]) && !strings.Contains(rest[2:], "."):
			p.endings[rest[1:]] = true
		default:
			g := glob{text: t}
			if first, _, ok := strings.Cut(t, "/"); ok && literal(first) {
				g.first = first
			}

			p.globs = append(p.globs, g)
		}
	}

	return p, nil
}

func literal(s string) bool { return s != "" && !strings.ContainsAny(s, `*?[]{}\/`) }

// CheckPattern says what is wrong with a glob: syntax of doublestar ("**" crosses folders),
// relative to the site folder (python/ in a layer).
func CheckPattern(t string) error {
	switch {
	case t == "":
		return fmt.Errorf("pattern is empty")
	case strings.HasPrefix(t, "/"):
		return fmt.Errorf("pattern %q: starts with /; patterns are relative to the folder that is on sys.path", t)
	case !doublestar.ValidatePattern(t):
		return fmt.Errorf("pattern %q: not a valid glob", t)
	}

	return nil
}

// Matches reports whether a glob, which CheckPattern found good, matches a file.
func Matches(pattern, file string) bool {
	ok, err := doublestar.Match(pattern, file)
	return ok && err == nil
}

func (p patterns) match(file string) bool {
	if len(p.folders) > 0 {
		for rest := file; ; {
			segment, after, more := strings.Cut(rest, "/")
			if !more {
				break
			}

			if p.folders[segment] {
				return true
			}

			rest = after
		}
	}

	base := file[strings.LastIndexByte(file, '/')+1:]
	if p.names[base] {
		return true
	}

	if len(p.endings) > 0 && p.endings[path.Ext(base)] {
		return true
	}

	for _, g := range p.globs {
		if g.first != "" &&
			!(strings.HasPrefix(file, g.first) && len(file) > len(g.first) && file[len(g.first)] == '/') {
			continue
		}

		if ok, _ := doublestar.Match(g.text, file); ok { // the pattern was checked
			return true
		}
	}

	return false
}
