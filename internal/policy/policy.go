// Package policy says what may be removed from a layer or changed in it, as data.
//
// A rule is a folder rules/<id>/ with rule.yaml: which files (globs relative to the folder that is
// on sys.path), why they are not needed, what could go wrong and what to do then. A rule drops
// files or names the transform that rewrites them. A policy is the rules that are on for one layer,
// the layer's own keeps and drops, and the parameters that some rules take (services, modules,
// languages).
//
// Order of decision, for every file: the layer's keep, the layer's drop, a rule's exception, the
// rules in order of their names. What kept code imports is kept whatever a rule says, unless the
// rule says "references: ignore".
package policy

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
)

//go:embed rules/*/rule.yaml
var builtin embed.FS

// Rule is one entry of the rule book.
type Rule struct {
	ID         string   `yaml:"-" json:"id"`
	Version    int      `yaml:"version" json:"version"` // raised when what the rule does changes
	Title      string   `yaml:"title" json:"title"`     // what it is about, as the report prints it
	Default    bool     `yaml:"default" json:"default"` // on without being asked
	Match      []string `yaml:"match" json:"match"`
	Transform  string   `yaml:"transform" json:"transform,omitempty"`   // rewrite rather than drop
	References string   `yaml:"references" json:"references,omitempty"` // file (default), folder or ignore
	// the distributions that it is about; any when empty
	Only   []string    `yaml:"only" json:"only,omitempty"`
	Except []Exception `yaml:"except" json:"except,omitempty"`
	Select *Select     `yaml:"select" json:"select,omitempty"`
	Why    string      `yaml:"why" json:"why"`
	Risk   string      `yaml:"risk" json:"risk"`
	Remedy string      `yaml:"remedy" json:"remedy"`

	match  patterns
	except []exception
}

// Exception is what a rule leaves alone, with its reason: files, a whole distribution, or files of
// some of its versions.
type Exception struct {
	Match        string `yaml:"match" json:"match,omitempty"`
	Distribution string `yaml:"distribution" json:"distribution,omitempty"`
	Versions     string `yaml:"versions" json:"versions,omitempty"` // PEP 440 specifier
	Why          string `yaml:"why" json:"why"`
}

type exception struct {
	match        patterns
	any          bool
	distribution pydist.Name
	versions     *pydist.Specifier
	why          string
}

// Select makes a rule take a list from the layer: of the files that match, those stay whose path
// segment number Segment (from 0, without extensions) is in the list. The rule is on when the list
// is not empty.
type Select struct {
	From    string   `yaml:"from" json:"from"` // services, modules or languages
	Segment int      `yaml:"segment" json:"segment"`
	Always  []string `yaml:"always" json:"always,omitempty"`
}

// Builtin returns the rule book, sorted by ID.
var Builtin = sync.OnceValues(func() ([]Rule, error) { return Load(builtin) })

// Load reads rules/*/rule.yaml of a file system.
func Load(fsys fs.FS) ([]Rule, error) {
	files, err := fs.Glob(fsys, "rules/*/rule.yaml")
	if err != nil {
		return nil, err
	}

	rules := make([]Rule, 0, len(files))
	for _, f := range files {
		b, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, err
		}

		r, err := parse(strings.Split(f, "/")[1], b)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f, err)
		}

		rules = append(rules, r)
	}

	sort.Slice(rules, func(i, j int) bool { return rules[i].ID < rules[j].ID })
	return rules, nil
}

func parse(id string, b []byte) (Rule, error) {
	r := Rule{ID: id}
	if err := yaml.UnmarshalWithOptions(b, &r, yaml.Strict()); err != nil {
		return Rule{}, err
	}

	switch {
	case r.Version < 1:
		return Rule{}, fmt.Errorf("version: missing")
	case r.Title == "" || r.Why == "" || r.Risk == "" || r.Remedy == "":
		return Rule{}, fmt.Errorf("title, why, risk and remedy must be there")
	case len(r.Match) == 0:
		return Rule{}, fmt.Errorf("match: missing")
	}

	switch r.References {
	case "":
		r.References = "file"
	case "file", "folder", "ignore":
	default:
		return Rule{}, fmt.Errorf("references: %q; known: file, folder, ignore", r.References)
	}

	var err error
	if r.match, err = compile(r.Match); err != nil {
		return Rule{}, err
	}

	for _, e := range r.Except {
		x := exception{why: e.Why, any: e.Match == ""}
		if e.Why == "" {
			return Rule{}, fmt.Errorf("except: a reason is missing")
		}

		if !x.any {
			if x.match, err = compile([]string{e.Match}); err != nil {
				return Rule{}, err
			}
		}

		if e.Distribution != "" {
			if x.distribution, err = pydist.ParseName(e.Distribution); err != nil {
				return Rule{}, err
			}
		}

		if e.Versions != "" {
			s, err := pydist.ParseSpecifier(e.Versions)
			if err != nil {
				return Rule{}, err
			}

			x.versions = &s
		}

		r.except = append(r.except, x)
	}

	return r, nil
}

// Owner is the distribution that a file belongs to; zero when nobody's RECORD lists it.
type Owner struct {
	Name    pydist.Name
	Version pydist.Version
}

// Matches reports whether the rule is about the file, before exceptions and references.
func (r *Rule) Matches(file string, o Owner) bool {
	if len(r.Only) > 0 {
		found := false
		for _, n := range r.Only {
			found = found || n == o.Name.String()
		}

		if !found {
			return false
		}
	}

	return r.match.match(file)
}

// Excepted returns the reason why the rule leaves the file alone.
func (r *Rule) Excepted(file string, o Owner) (why string, ok bool) {
	for _, x := range r.except {
		if x.distribution != (pydist.Name{}) && x.distribution != o.Name {
			continue
		}

		if x.versions != nil && !x.versions.Contains(o.Version) {
			continue
		}

		if x.any || x.match.match(file) {
			return x.why, true
		}
	}

	return "", false
}

// Choice is what a layer says of one file or many: keep or drop them, and why.
type Choice struct {
	Match  string `json:"match"`
	Reason string `json:"reason"`
}

// Switch turns a rule on or off for a layer.
type Switch struct {
	Enabled bool   `json:"enabled"`
	Reason  string `json:"reason"`
}

// Settings is what a layer decides.
type Settings struct {
	Rules     map[string]Switch   `json:"rules,omitempty"`
	Keep      []Choice            `json:"keep,omitempty"`
	Drop      []Choice            `json:"drop,omitempty"`
	Services  []string            `json:"services,omitempty"`
	Modules   map[string][]string `json:"modules,omitempty"` // import package -> its submodules that the layer needs
	Languages []string            `json:"languages,omitempty"`
}

// Policy is the rules that are on for a layer, with the layer's own choices. It is made by New and
// does not change.
type Policy struct {
	settings   Settings
	rules      []Rule
	keep, drop []patterns
	digest     digest.SHA256
}

// New joins the rule book and a layer's settings. An unknown rule in the settings is an error that
// names the known ones.
func New(book []Rule, s Settings) (Policy, error) {
	p := Policy{settings: s}
	known := map[string]bool{}
	for _, r := range book {
		known[r.ID] = true
		on := r.Default
		if r.Select != nil {
			on = len(s.list(r.Select.From)) > 0
		}

		if sw, ok := s.Rules[r.ID]; ok {
			on = sw.Enabled && (r.Select == nil || on)
		}

		if on {
			p.rules = append(p.rules, r)
		}
	}

	for id := range s.Rules {
		if !known[id] {
			return Policy{}, fmt.Errorf("unknown rule %q; known: %s", id, strings.Join(IDs(book), ", "))
		}
	}

	for _, c := range s.Keep {
		m, err := compile([]string{c.Match})
		if err != nil {
			return Policy{}, err
		}

		p.keep = append(p.keep, m)
	}

	for _, c := range s.Drop {
		m, err := compile([]string{c.Match})
		if err != nil {
			return Policy{}, err
		}

		p.drop = append(p.drop, m)
	}

	var err error
	p.digest, err = digest.Canonical("layersmith/policy/v1", struct {
		Rules    []Rule
		Settings Settings
	}{p.rules, s})
	return p, err
}

// IDs are the names of rules.
func IDs(rules []Rule) []string {
	ids := make([]string, len(rules))
	for i, r := range rules {
		ids[i] = r.ID
	}

	return ids
}

// Digest is that of the active rules and the layer's settings.
func (p Policy) Digest() digest.SHA256 { return p.digest }

// Rules are those that are on, in order.
func (p Policy) Rules() []Rule { return p.rules }

// Settings are the layer's own.
func (p Policy) Settings() Settings { return p.settings }

// Kept returns the layer's own reason to keep the file.
func (p Policy) Kept(file string) (Choice, bool) { return chosen(p.keep, p.settings.Keep, file) }

// Dropped returns the layer's own reason to drop the file.
func (p Policy) Dropped(file string) (Choice, bool) { return chosen(p.drop, p.settings.Drop, file) }

func chosen(m []patterns, c []Choice, file string) (Choice, bool) {
	for i := range m {
		if m[i].match(file) {
			return c[i], true
		}
	}

	return Choice{}, false
}

func (s Settings) list(from string) []string {
	switch from {
	case "services":
		return s.Services
	case "languages":
		return s.Languages
	case "modules":
		var all []string
		for pkg := range s.Modules {
			all = append(all, pkg)
		}

		sort.Strings(all)
		return all
	}

	return nil
}

// Selected reports whether a rule with a Select leaves the file alone, because the layer asked for
// what it belongs to.
func (p Policy) Selected(r *Rule, file string) bool {
	if r.Select == nil {
		return false
	}

	segments := strings.Split(file, "/")
	if r.Select.From == "modules" {
		wanted, ok := p.settings.Modules[segments[0]]
		// The package's own files and private parts (underscored: shared machinery) stay; so does
		// what is asked for.
		return !ok || len(segments) < 3 || strings.HasPrefix(segments[1], "_") || slices.Contains(wanted, segments[1])
	}

	if r.Select.From == "languages" {
		// The language is a folder or the stem of a file; de keeps de_AT and de-AT.
		last := len(segments) - 1
		segments[last], _, _ = strings.Cut(segments[last], ".")
		for _, s := range segments {
			base, _, _ := strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
			for _, list := range [][]string{r.Select.Always, p.settings.Languages} {
				if slices.Contains(list, s) || slices.Contains(list, base) {
					return true
				}
			}
		}

		return false
	}

	// A file at the segment's own level (botocore/data/endpoints.json) is not part of a selection.
	if r.Select.Segment >= len(segments)-1 {
		return true
	}

	segment := segments[r.Select.Segment]
	return slices.Contains(r.Select.Always, segment) || slices.Contains(p.settings.list(r.Select.From), segment)
}
