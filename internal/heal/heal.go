// Package heal finds the removals that pruning has to undo, so that a failing job passes: as few as
// possible.
//
// The search knows nothing of layers or interpreters. Its input is a list of what rules removed or
// changed, file by file, and a function that runs the job with some of it restored. It first tries
// the files that the job's error names. Then it halves: the rules, the folders, the files. It
// assumes that a job which passes still passes when more is restored.
package heal

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Removal is what a rule removed or changed in a layer: one file, or all its files when Site is "".
type Removal struct {
	Layer string
	Rule  string
	Site  string // path of the file, relative to the site folder
}

// rule is the removal of all files by the rule.
func (r Removal) rule() Removal { return Removal{Layer: r.Layer, Rule: r.Rule} }

// Answer is the result of running the job.
type Answer struct {
	Passed bool
	Detail string // traceback when it failed
}

// Search is the search for one job.
type Search struct {
	Files  []Removal // everything that may be restored, file by file
	Prefix string    // the site folder in the mounted layers: "python/"
	Mount  string    // the folder of layers in tracebacks: "/opt"

	// Try runs the job with some of Files, or whole rules, restored. An error of Try ends the
	// search.
	Try func(restored []Removal) (Answer, error)
}

// Found is the result of a search.
type Found struct {
	Needed []Removal // files: the job passes with them restored, and fails when one is left out
	Rules  []Removal // the rules that were tried; only when Failed is not None
	Failed Failure
	Tried  string // how far the search came, for the message when Try ends it
}

// Failure is why a search found nothing.
type Failure int

const (
	// None: the search found something.
	None Failure = iota
	// NotRules: the job fails even with everything restored.
	NotRules
	// NotFiles: the job passes with some rules off, but not with all their files restored one by
	// one.
	NotFiles
)

// Find runs the search for a job that fails with nothing restored. detail is its traceback.
func (s Search) Find(detail string) (Found, error) {
	found, done, err := s.byName(detail)
	if err != nil || done {
		return found, err
	}

	rules := s.rules()
	found.Tried = "tried all rules: " + List(rules)
	passed, err := s.passes(rules)
	if err != nil {
		return found, err
	}

	if !passed {
		found.Failed = NotRules
		found.Rules = rules
		return found, nil
	}

	if rules, err = smallest(s.passes, nil, units(rules, func(r Removal) string { return r.Rule })); err != nil {
		return found, err
	}

	return s.byFile(rules)
}

// byName restores what the error names. When the job then fails with another error, it adds what
// that error names, until an error names nothing new.
func (s Search) byName(detail string) (found Found, done bool, err error) {
	found.Tried = "tried what the error names"
	var guessed []Removal
	for {
		more := slices.DeleteFunc(s.Named(detail), func(r Removal) bool { return slices.Contains(guessed, r) })
		if len(more) == 0 {
			return found, false, nil
		}

		guessed = append(guessed, more...)
		a, err := s.Try(guessed)
		if err != nil {
			return found, false, err
		}

		if a.Passed {
			found.Needed, err = smallest(s.passes, nil, units(guessed, file))
			return found, true, err
		}

		detail = a.Detail
	}
}

// byFile finds which files of some rules the job needs: first the folders, then the files.
func (s Search) byFile(rules []Removal) (Found, error) {
	found := Found{Needed: s.of(rules)}
	for _, by := range []func(Removal) string{folder, file} {
		found.Tried = fmt.Sprintf("it needs some of %d files of %s", len(found.Needed), List(rules))
		passed, err := s.passes(found.Needed)
		if err != nil {
			return found, err
		}

		if !passed {
			return Found{Failed: NotFiles, Rules: rules, Tried: found.Tried}, nil
		}

		if found.Needed, err = smallest(s.passes, nil, units(found.Needed, by)); err != nil {
			return found, err
		}
	}

	return found, nil
}

func file(r Removal) string   { return r.Site }
func folder(r Removal) string { return path.Dir(r.Site) }

func (s Search) passes(restored []Removal) (bool, error) {
	a, err := s.Try(restored)
	return a.Passed, err
}

// rules are the rules of Files, each once.
func (s Search) rules() []Removal {
	var out []Removal
	for _, f := range s.Files {
		if r := f.rule(); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}

	sort.SliceStable(out, func(i, j int) bool { return out[i].Rule < out[j].Rule })
	return out
}

// of returns the files of some rules.
func (s Search) of(rules []Removal) []Removal {
	var out []Removal
	for _, r := range rules {
		for _, f := range s.Files {
			if f.rule() == r {
				out = append(out, f)
			}
		}
	}

	return out
}

// List names rules, each once: "rules docs, tests".
func List(rs []Removal) string {
	var names []string
	for _, r := range rs {
		if !slices.Contains(names, r.Rule) {
			names = append(names, r.Rule)
		}
	}

	if len(names) == 1 {
		return "rule " + names[0]
	}

	return "rules " + strings.Join(names, ", ")
}

// smallest finds the units that the job needs beside fixed: it passes with them, and fails when one
// is left out. With all units the job is known to pass, with none of them to fail. Each step halves
// the units, with one run where the first half is enough, else two.
func smallest(passes func([]Removal) (bool, error), fixed []Removal, units [][]Removal) ([]Removal, error) {
	if len(units) == 1 {
		return units[0], nil
	}

	middle := len(units) / 2
	left, right := units[:middle], units[middle:]
	for _, half := range [][][]Removal{left, right} {
		ok, err := passes(slices.Concat(fixed, slices.Concat(half...)))
		if err != nil {
			return nil, err
		}

		if ok {
			return smallest(passes, fixed, half)
		}
	}

	of, err := smallest(passes, slices.Concat(fixed, slices.Concat(left...)), right)
	if err != nil {
		return nil, err
	}

	more, err := smallest(passes, slices.Concat(fixed, of), left)
	return slices.Concat(more, of), err
}

// units groups the removals that are restored together, in the order of the removals.
func units(rs []Removal, by func(Removal) string) [][]Removal {
	var out [][]Removal
	at := map[string]int{}
	for _, r := range rs {
		k := r.Layer + "\x00" + by(r)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}

		out[i] = append(out[i], r)
	}

	return out
}

// Patterns of what an error names: a module, a name in a module, a path.
var (
	namedModule = regexp.MustCompile(`'([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)'`)
	namedGone   = regexp.MustCompile(`No module named '([\w.]+)'`)
	namedImport = regexp.MustCompile(`cannot import name '(\w+)' from '([\w.]+)'`)
	namedPath   = regexp.MustCompile(`/[^'":\n]+`)
)

// Named returns the files that the last line of a traceback names: a file, a module, or the
// __init__ of a package. When it names a folder instead, these are all files in the folder.
func (s Search) Named(detail string) []Removal {
	paths := s.paths(detail)
	var exact, below []Removal
	for _, r := range s.Files {
		for _, p := range paths {
			rest, ok := strings.CutPrefix(r.Site, p)
			switch {
			case !ok || slices.Contains(exact, r) || slices.Contains(below, r):
			case isNamed(rest):
				exact = append(exact, r)
			case rest[0] == '/':
				below = append(below, r)
			}
		}
	}

	if len(exact) > 0 {
		return exact
	}

	return below
}

// isNamed reports whether rest, which is what follows a named path in the path of a file, makes the
// file the named one: nothing, an extension, or the __init__ of a package.
func isNamed(rest string) bool {
	return rest == "" ||
		rest[0] == '.' && !strings.Contains(rest, "/") ||
		path.Dir(rest) == "/" && strings.HasPrefix(rest, "/__init__.")
}

// paths are the files and modules that the last line of a traceback names, as paths relative to the
// site folder. Modules have no extension.
func (s Search) paths(detail string) []string {
	detail = strings.TrimSpace(detail)
	line := detail[strings.LastIndexByte(detail, '\n')+1:]
	var out []string
	for _, m := range namedPath.FindAllString(line, -1) {
		_, below, mounted := strings.Cut(m, s.Mount+"/")
		if site, inside := strings.CutPrefix(below, s.Prefix); mounted && inside {
			out = append(out, path.Clean(strings.TrimRight(site, ")]>,. ")))
		}
	}

	for _, names := range []*regexp.Regexp{namedGone, namedModule} {
		for _, m := range names.FindAllStringSubmatch(line, -1) {
			out = append(out, strings.ReplaceAll(m[1], ".", "/"))
		}
	}

	for _, m := range namedImport.FindAllStringSubmatch(line, -1) {
		out = append(out, strings.ReplaceAll(m[2]+"."+m[1], ".", "/"))
	}

	return out
}
