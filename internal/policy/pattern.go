package policy

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// patterns is a set of globs in the syntax of doublestar. Most rules name a folder, a file or an
// extension: those are map lookups. doublestar matches the others.
type patterns struct {
	folders    map[string]bool // **/NAME/**
	names      map[string]bool // **/NAME
	extensions map[string]bool // **/*.ext, by the last extension
	globs      []glob
}

type glob struct {
	text  string
	first string // the first path segment if it is literal, else ""
}

func compile(texts []string) (patterns, error) {
	p := patterns{folders: map[string]bool{}, names: map[string]bool{}, extensions: map[string]bool{}}
	for _, t := range texts {
		if err := CheckPattern(t); err != nil {
			return patterns{}, err
		}

		if !p.addLookup(t) {
			p.globs = append(p.globs, newGlob(t))
		}
	}

	return p, nil
}

// addLookup adds a glob of one of the simple forms to its map.
func (p *patterns) addLookup(text string) bool {
	rest, ok := strings.CutPrefix(text, "**/")
	if !ok {
		return false
	}

	if folder, ok := strings.CutSuffix(rest, "/**"); ok && literal(folder) {
		p.folders[folder] = true
		return true
	}

	if literal(rest) {
		p.names[rest] = true
		return true
	}

	if ext, ok := strings.CutPrefix(rest, "*."); ok && literal(ext) && !strings.Contains(ext, ".") {
		p.extensions["."+ext] = true
		return true
	}

	return false
}

func newGlob(text string) glob {
	if first, _, ok := strings.Cut(text, "/"); ok && literal(first) {
		return glob{text, first}
	}

	return glob{text: text}
}

// match rejects most files by their first segment, which is much faster than matching.
func (g glob) match(file string) bool {
	if g.first != "" {
		rest, ok := strings.CutPrefix(file, g.first)
		if !ok || !strings.HasPrefix(rest, "/") {
			return false
		}
	}

	return Matches(g.text, file)
}

// literal reports whether s is one path segment without wildcards.
func literal(s string) bool { return s != "" && !strings.ContainsAny(s, `*?[]{}\/`) }

// CheckPattern returns an error for a glob that is empty, absolute or malformed. The syntax is that
// of doublestar ("**" crosses folders), relative to the site folder (python/ in a layer).
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

// Matches reports whether a glob that CheckPattern accepts matches a file.
func Matches(pattern, file string) bool {
	ok, err := doublestar.Match(pattern, file)
	return ok && err == nil
}

func (p patterns) match(file string) bool {
	if p.inFolder(file) {
		return true
	}

	base := file[strings.LastIndexByte(file, '/')+1:]
	if p.names[base] || len(p.extensions) > 0 && p.extensions[path.Ext(base)] {
		return true
	}

	for _, g := range p.globs {
		if g.match(file) {
			return true
		}
	}

	return false
}

// inFolder reports whether one of the folders above the file is listed.
func (p patterns) inFolder(file string) bool {
	if len(p.folders) == 0 {
		return false
	}

	for {
		folder, rest, ok := strings.Cut(file, "/")
		if !ok {
			return false
		}

		if p.folders[folder] {
			return true
		}

		file = rest
	}
}
