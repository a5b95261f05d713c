// Package heal finds what pruning must not remove: the fewest removals that a failing job needs back.
//
// It knows nothing of layers or interpreters. It is given everything that rules did, file by file,
// and a function that runs the job with some of it restored. It first tries what the job's error
// names, then halves: over rules, over folders, over files. That restoring more never breaks a job
// is taken for granted.
package heal

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Removal is what a rule did in a layer: to one file, or to all of its files when Site is "".
type Removal struct {
	Layer string
	Rule  string
	Site  string // name of the file, relative to the site folder
}

// rule is the removal of all files by the same rule.
func (r Removal) rule() Removal { return Removal{Layer: r.Layer, Rule: r.Rule} }

// Answer is what a job said.
type Answer struct {
	Passed bool
	Detail string // traceback when it failed
}

// Search finds removals for one job.
type Search struct {
	Files  []Removal // everything that may be restored, file by file
	Prefix string    // of the site folder below the mount point: "python/"
	Mount  string    // where tracebacks show layers: "/opt"

	// Try runs the job with some of Files, or whole rules, restored. Its error ends the search.
	Try func(restored []Removal) (Answer, error)
}

// Found is what a search came to.
type Found struct {
	Needed []Removal // files; the job passes with them restored, and not with fewer
	Rules  []Removal // the rules that were tried, when Failed says why nothing helps
	Failed Failure
	Tried  string // how far the search has come: for the message when Try ends it
}

// Failure is why a search found nothing.
type Failure int

// The reasons. NotRules: the job fails even with everything restored. NotFiles: it passes without
// some rules, but not with their files kept.
const (
	None Failure = iota
	NotRules
	NotFiles
)

// Find searches. detail is the job's traceback. The job is known to fail with nothing restored.
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

// byName tries what the error names. That may lead to the next error, and so on.
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

// byFile finds the files of some rules that the job needs: folders first, then files.
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

// rules are all rules that did something, as removals.
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

// of lists the files of some rules.
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

// smallest finds removals among units that pass together with fixed, and do not when one unit is
// taken away. All units together are known to pass, none of them to fail. It halves: one run where
// the first half is enough, two where it is not.
func smallest(passes func([]Removal) (bool, error), fixed []Removal, units [][]Removal) ([]Removal, error) {
	if len(units) == 1 {
		return units[0], nil
	}

	left, right := units[:len(units)/2], units[len(units)/2:]
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

// units groups removals that are restored together. The order is that of the removals.
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

// What an error says is missing: a module, or a name in a module.
var (
	namedModule = regexp.MustCompile(`'([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)+)'`)
	namedGone   = regexp.MustCompile(`No module named '([\w.]+)'`)
	namedImport = regexp.MustCompile(`cannot import name '(\w+)' from '([\w.]+)'`)
	namedPath   = regexp.MustCompile(`/[^'":\n]+`)
)

// Named are the files that the last line of a traceback names: a file, a module with its package, or
// all files below a folder.
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

// isNamed reports whether a file is what a path names, given the rest of its name: the file itself,
// the module with any ending, the package.
func isNamed(rest string) bool {
	return rest == "" ||
		rest[0] == '.' && !strings.Contains(rest, "/") ||
		path.Dir(rest) == "/" && strings.HasPrefix(rest, "/__init__.")
}

// paths are the names in the last line of a traceback, as paths relative to the site folder.
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
