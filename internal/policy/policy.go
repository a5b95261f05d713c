// Package policy describes, as data, what may be removed from a layer or rewritten in it.
//
// A rule is a folder rules/<id>/ with a rule.yaml. It says which files it applies to (globs
// relative to the folder on sys.path), why they are not needed, the risk of removing them, and the
// remedy. A rule drops files, or names a transform that rewrites them. A policy combines the rules
// enabled for one layer, the layer's own keep and drop entries, and the parameters of some rules
// (services, modules, languages).
//
// Precedence for each file: the layer's keep, the layer's drop, then the rules in order of ID. A
// rule does not apply to its exceptions. A file that kept code refers to is kept whatever a rule
// says, unless the rule has "references: ignore".
package policy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// Rule is one entry of the rule book. Its exported fields, texts included, are part of
// Policy.Digest.
type Rule struct {
	ID         string      `yaml:"-" json:"id"`
	Version    int         `yaml:"version" json:"version"` // raised when the rule's effect changes
	Title      string      `yaml:"title" json:"title"`     // what the rule removes, for reports
	Default    bool        `yaml:"default" json:"default"` // enabled unless a layer disables it
	Match      []string    `yaml:"match" json:"match"`
	Content    string      `yaml:"content" json:"content,omitempty"`       // matches by content too: one of Contents
	Transform  string      `yaml:"transform" json:"transform,omitempty"`   // rewrites files instead of dropping them
	References string      `yaml:"references" json:"references,omitempty"` // file (default), folder or ignore
	Root       string      `yaml:"root" json:"root,omitempty"`             // see Within
	Evidence   string      `yaml:"evidence" json:"evidence,omitempty"`     // what the folder must be, see HoldsTests
	Only       []string    `yaml:"only" json:"only,omitempty"`             // distributions; empty: all
	Except     []Exception `yaml:"except" json:"except,omitempty"`
	Select     *Select     `yaml:"select" json:"select,omitempty"`
	Why        string      `yaml:"why" json:"why"`
	Risk       string      `yaml:"risk" json:"risk"`
	Remedy     string      `yaml:"remedy" json:"remedy"`

	match  patterns
	except []exception
}

// Values of Rule.Evidence: what a folder that a glob names must be, so that the rule applies to its
// files. Package prune looks into the folder.
const (
	HoldsTests    = "tests"    // it has tests, by their names or by what they import
	HoldsManuals  = "manuals"  // it has texts for people, and is no package of Python
	HoldsExamples = "examples" // it has programs, or texts for people
)

// Otherwise says why the rule does not apply to a folder without the evidence.
func (r *Rule) Otherwise() string {
	switch r.Evidence {
	case HoldsTests:
		return "its folder has no tests"
	case HoldsManuals:
		return "its folder is a package of Python, or has no manuals"
	}

	return "its folder has no programs"
}

// Contents are what a rule can ask of a file's content, whatever its name. Package prune
// finds them.
const (
	Program       = "program"        // a program, or a library, of the target that is marked as executable
	Foreign       = "foreign"        // a program or library of another system that nothing here needs
	Copy          = "copy"           // a shared library that lies beside it under the name that loaders use
	UnusedLibrary = "unused-library" // a shared library that nothing links to or names
)

// Contents lists them.
var Contents = []string{Program, Foreign, Copy, UnusedLibrary}

// Exception excludes files from a rule: those that match, those of one distribution, or those of
// some versions of it. All conditions given must hold.
type Exception struct {
	Match        string `yaml:"match" json:"match,omitempty"`
	Distribution string `yaml:"distribution" json:"distribution,omitempty"`
	Versions     string `yaml:"versions" json:"versions,omitempty"` // PEP 440 specifier
	Why          string `yaml:"why" json:"why"`
}

// exception is a compiled Exception.
type exception struct {
	match        patterns
	matchAll     bool
	distribution pydist.Name
	versions     *pydist.Specifier
	why          string
}

// Select parameterizes a rule with a list from the layer. A matching file is kept when its path
// segment number Segment (from 0, without extensions) is in the list or in Always. The rule is
// enabled when the layer's list is not empty.
type Select struct {
	From    string   `yaml:"from" json:"from"` // services, modules or languages
	Segment int      `yaml:"segment" json:"segment"`
	Always  []string `yaml:"always" json:"always,omitempty"`
}

// Builtin returns the embedded rule book, sorted by ID.
var Builtin = sync.OnceValues(func() ([]Rule, error) { return Load(builtin) })

// Load reads rules/*/rule.yaml from a file system and sorts the rules by ID.
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

	if err := r.validate(); err != nil {
		return Rule{}, err
	}

	if r.References == "" {
		r.References = "file"
	}

	var err error
	if r.match, err = compile(r.Match); err != nil {
		return Rule{}, err
	}

	for _, e := range r.Except {
		x, err := e.compile()
		if err != nil {
			return Rule{}, err
		}

		r.except = append(r.except, x)
	}

	return r, nil
}

func (r *Rule) validate() error {
	switch {
	case r.Version < 1:
		return errors.New("version: missing")
	case r.Title == "" || r.Why == "" || r.Risk == "" || r.Remedy == "":
		return errors.New("title, why, risk and remedy are required")
	case len(r.Match) == 0 && r.Content == "":
		return errors.New("match: missing")
	case !slices.Contains([]string{"", HoldsTests, HoldsManuals, HoldsExamples}, r.Evidence):
		return fmt.Errorf("evidence: %q; known: %s, %s, %s", r.Evidence, HoldsTests, HoldsManuals, HoldsExamples)
	case r.Content != "" && !slices.Contains(Contents, r.Content):
		return fmt.Errorf("content: %q; known: %s", r.Content, strings.Join(Contents, ", "))
	case !slices.Contains([]string{"", "file", "folder", "ignore"}, r.References):
		return fmt.Errorf("references: %q; known: file, folder, ignore", r.References)
	}

	return nil
}

func (e Exception) compile() (x exception, err error) {
	if e.Why == "" {
		return x, errors.New("except: why is required")
	}

	x.why = e.Why
	x.matchAll = e.Match == ""
	if !x.matchAll {
		if x.match, err = compile([]string{e.Match}); err != nil {
			return x, err
		}
	}

	if e.Distribution != "" {
		if x.distribution, err = pydist.ParseName(e.Distribution); err != nil {
			return x, err
		}
	}

	if e.Versions != "" {
		versions, err := pydist.ParseSpecifier(e.Versions)
		if err != nil {
			return x, err
		}

		x.versions = &versions
	}

	return x, nil
}

// Owner is the distribution that a file belongs to. It is zero when no RECORD lists the file.
type Owner struct {
	Name    pydist.Name
	Version pydist.Version
}

// Matches reports whether the rule's globs and distributions cover the file, before exceptions and
// references.
func (r *Rule) Matches(file string, o Owner) bool { return r.About(o) && r.match.match(r.Within(file)) }

// Within is the path that the rule's globs and segments count on. A rule with a root applies to the
// copies of it that distributions carry, wherever they are: pkg/_vendor/botocore/data/s3/x.json is
// botocore/data/s3/x.json for a rule with the root botocore/data.
func (r *Rule) Within(file string) string {
	if r.Root == "" {
		return file
	}

	if at := strings.Index(file, "/"+r.Root+"/"); at >= 0 {
		return file[at+1:]
	}

	return file
}

// About reports whether the rule is about files of a distribution.
func (r *Rule) About(o Owner) bool {
	return len(r.Only) == 0 || slices.Contains(r.Only, o.Name.String())
}

// Excepted returns the reason of the first exception that covers the file.
func (r *Rule) Excepted(file string, o Owner) (why string, ok bool) {
	for _, x := range r.except {
		if x.distribution != (pydist.Name{}) && x.distribution != o.Name {
			continue
		}

		if x.versions != nil && !x.versions.Contains(o.Version) {
			continue
		}

		if x.matchAll || x.match.match(r.Within(file)) {
			return x.why, true
		}
	}

	return "", false
}

// Choice is an entry of a layer's keep or drop list: a glob and the reason.
type Choice struct {
	Match  string `json:"match"`
	Reason string `json:"reason"`
}

// Switch enables or disables a rule for a layer.
type Switch struct {
	Enabled bool   `json:"enabled"`
	Reason  string `json:"reason"`
}

// Settings are the parts of layer.yaml that concern the policy.
type Settings struct {
	Rules     map[string]Switch   `json:"rules,omitempty"`
	Keep      []Choice            `json:"keep,omitempty"`
	Drop      []Choice            `json:"drop,omitempty"`
	Services  []string            `json:"services,omitempty"`
	Modules   map[string][]string `json:"modules,omitempty"` // import package: submodules to keep
	Languages []string            `json:"languages,omitempty"`
}

// Policy combines the rules enabled for a layer with the layer's own choices. It is immutable.
type Policy struct {
	settings   Settings
	rules      []Rule
	keep, drop []patterns
	digest     digest.SHA256
}

// New combines the rule book with a layer's settings. It fails for a rule that the book does not
// have, naming those it has, and for an invalid glob.
func New(book []Rule, s Settings) (Policy, error) {
	p := Policy{settings: s}
	known := map[string]bool{}
	for _, r := range book {
		known[r.ID] = true
		if s.Enables(r) {
			p.rules = append(p.rules, r)
		}
	}

	for id := range s.Rules {
		if !known[id] {
			return Policy{}, fmt.Errorf("unknown rule %q; known: %s", id, strings.Join(IDs(book), ", "))
		}
	}

	var err error
	if p.keep, err = compileChoices(s.Keep); err != nil {
		return Policy{}, err
	}

	if p.drop, err = compileChoices(s.Drop); err != nil {
		return Policy{}, err
	}

	p.digest, err = digest.Canonical("layersmith/policy/v1", struct {
		Rules    []Rule
		Settings Settings
	}{p.rules, s})
	return p, err
}

// Enables reports whether a rule is enabled. A rule with a Select needs a list from the layer: a
// switch can disable it, but cannot enable it without one.
func (s Settings) Enables(r Rule) bool {
	sw, switched := s.Rules[r.ID]
	if r.Select != nil {
		return len(s.list(r.Select.From)) > 0 && (!switched || sw.Enabled)
	}

	if switched {
		return sw.Enabled
	}

	return r.Default
}

// compileChoices compiles each choice on its own, so that the matching one can give its reason.
func compileChoices(choices []Choice) ([]patterns, error) {
	var compiled []patterns
	for _, c := range choices {
		p, err := compile([]string{c.Match})
		if err != nil {
			return nil, err
		}

		compiled = append(compiled, p)
	}

	return compiled, nil
}

// IDs returns the IDs of rules, in order.
func IDs(rules []Rule) []string {
	ids := make([]string, len(rules))
	for i, r := range rules {
		ids[i] = r.ID
	}

	return ids
}

// Digest identifies the enabled rules and the layer's settings.
func (p Policy) Digest() digest.SHA256 { return p.digest }

// Rules returns the enabled rules, sorted by ID. The caller must not change them.
func (p Policy) Rules() []Rule { return p.rules }

// Settings returns the layer's own settings.
func (p Policy) Settings() Settings { return p.settings }

// Kept returns the first entry of the layer's keep list that matches the file.
func (p Policy) Kept(file string) (Choice, bool) { return chosen(p.keep, p.settings.Keep, file) }

// Dropped returns the first entry of the layer's drop list that matches the file.
func (p Policy) Dropped(file string) (Choice, bool) { return chosen(p.drop, p.settings.Drop, file) }

func chosen(m []patterns, c []Choice, file string) (Choice, bool) {
	for i := range m {
		if m[i].match(file) {
			return c[i], true
		}
	}

	return Choice{}, false
}

// list returns a layer's list by its key in layer.yaml; of modules, the sorted package names.
func (s Settings) list(key string) []string {
	switch key {
	case "services":
		return s.Services
	case "languages":
		return s.Languages
	case "modules":
		return slices.Sorted(maps.Keys(s.Modules))
	}

	return nil
}

// Selected reports whether a rule with a Select keeps the file, because the layer's list names the
// service, module or language that it belongs to.
func (p Policy) Selected(r *Rule, file string) bool {
	if r.Select == nil {
		return false
	}

	segments := strings.Split(r.Within(file), "/")
	switch r.Select.From {
	case "modules":
		return p.selectsModule(segments)
	case "languages":
		return p.selectsLanguage(r, segments)
	}

	// A file above the segment's level, such as botocore/data/endpoints.json, belongs to no
	// service.
	if r.Select.Segment >= len(segments)-1 {
		return true
	}

	segment := segments[r.Select.Segment]
	return slices.Contains(r.Select.Always, segment) || slices.Contains(p.settings.list(r.Select.From), segment)
}

// selectsModule keeps the listed submodules of a package, the package's own files, and its private
// submodules (with an underscore), which the others share. Packages without a list are kept whole.
func (p Policy) selectsModule(segments []string) bool {
	listed, ok := p.settings.Modules[segments[0]]
	if !ok || len(segments) < 3 {
		return true
	}

	submodule := segments[1]
	return strings.HasPrefix(submodule, "_") || slices.Contains(listed, submodule)
}

// selectsLanguage looks for the language among the folders and in the stem of the file name. A
// listed de also keeps de_AT and de-AT.
func (p Policy) selectsLanguage(r *Rule, segments []string) bool {
	last := len(segments) - 1
	segments[last], _, _ = strings.Cut(segments[last], ".")
	for _, s := range segments {
		language, _, _ := strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
		for _, list := range [][]string{r.Select.Always, p.settings.Languages} {
			if slices.Contains(list, s) || slices.Contains(list, language) {
				return true
			}
		}
	}

	return false
}
