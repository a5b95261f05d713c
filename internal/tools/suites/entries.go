package main

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
)

// entry is one distribution, as in suites.yaml.
type entry struct {
	Name    string            `yaml:"name"`
	With    []string          `yaml:"with"`    // further requirements of the layer
	Module  string            `yaml:"module"`  // must be imported from the layer
	Tests   string            `yaml:"tests"`   // where the tests are: wheel or sdist
	Sdist   *sdist            `yaml:"sdist"`   // unpacked beside the layer
	Needs   []string          `yaml:"needs"`   // requirements of the tests
	Config  string            `yaml:"config"`  // pytest's configuration, a file of the sdist
	Ini     string            `yaml:"ini"`     // pytest's configuration, if no file has it
	Args    []string          `yaml:"args"`    // of pytest
	Run     []string          `yaml:"run"`     // files and folders with tests, in the wheel or the sdist
	Short   []string          `yaml:"short"`   // instead of Run with -short
	Workers int               `yaml:"workers"` // of xdist; 0 for none
	Minutes int               `yaml:"minutes"` // time limit for each layer; 0 for 12
	Env     map[string]string `yaml:"env"`     // {work} is the folder of the sdist's files

	// Deselect has beginnings of test IDs; without a slash, parts of a test's own name.
	Deselect []reasoned `yaml:"deselect"`

	Restore []reasoned `yaml:"restore"` // globs of files that tests read and another rule than `tests` removed
	About   []about    `yaml:"about"`   // tests of exactly what a rule removes
	Note    string     `yaml:"note"`    // for the page
	Spread  bool       `yaml:"spread"`  // every test run runs its short part
}

// sdist is a source distribution of which some files are unpacked.
type sdist struct {
	File   string        `yaml:"file"`
	SHA256 digest.SHA256 `yaml:"sha256"`
	Unpack []string      `yaml:"unpack"` // files and folders
}

type reasoned struct {
	Match  string `yaml:"match" json:"match"`
	Reason string `yaml:"reason" json:"reason"`
}

// about are tests of something that a rule removes on purpose. They must pass with that rule off
// and all others on, which proves that the rule is why they fail.
type about struct {
	Match  string `yaml:"match"` // beginning of a test ID
	Rule   string `yaml:"rule"`
	Reason string `yaml:"reason"`
}

// ID is the distribution's name.
func (e entry) ID() string { return e.Name }

// subject is the first of About that a test belongs to; -1 for none.
func (e entry) subject(test string) int {
	return slices.IndexFunc(e.About, func(a about) bool { return strings.HasPrefix(test, a.Match) })
}

// version is the version in the file's name.
func (s sdist) version() string {
	name := strings.TrimSuffix(s.File, ".tar.gz")
	return name[strings.LastIndexByte(name, '-')+1:]
}

func (e entry) requirements() string {
	return strings.Join(append([]string{e.Name}, e.With...), "\n") + "\n"
}

// selected are the files and folders to run.
func (e entry) selected(short bool) []string {
	if short {
		return e.Short
	}

	return e.Run
}

// sameRun reports whether another entry runs the same tests on the same layer. It does not see
// changes of the rules.
func (e entry) sameRun(other entry, short bool) bool {
	same := slices.Equal(e.selected(short), other.selected(short))
	for _, x := range []*entry{&e, &other} {
		x.Run = nil
		x.Short = nil
		x.Note = ""
		x.Spread = false
	}

	return same && reflect.DeepEqual(e, other)
}

// Check refuses entries that cannot run, and exceptions without a reason.
func (e entry) Check() error {
	switch {
	case e.Tests != "wheel" && e.Tests != "sdist" || e.Tests == "sdist" && e.Sdist == nil:
		return fmt.Errorf("tests: %q; known: wheel, and sdist with an sdist", e.Tests)
	case e.Module == "":
		return errors.New("module is missing")
	case len(e.Run) == 0 || len(e.Short) == 0:
		return errors.New("run and short must name tests")
	case len(e.Needs) == 0:
		return errors.New("needs is missing: pytest at least")
	case e.Workers < 0 || e.Minutes < 0:
		return errors.New("workers and minutes must not be negative")
	case e.Config != "" && (e.Sdist == nil || e.Ini != ""):
		return errors.New("config is a file of the sdist, and excludes ini")
	}

	return errors.Join(e.Sdist.check(), e.checkReasons())
}

func (s *sdist) check() error {
	if s == nil {
		return nil
	}

	fileName := strings.HasSuffix(s.File, ".tar.gz") && path.Base(s.File) == s.File
	if !fileName || s.SHA256.IsZero() || len(s.Unpack) == 0 {
		return errors.New("sdist: file (.tar.gz), sha256 and unpack are required")
	}

	return nil
}

// checkReasons refuses exceptions that do not say what they match and why.
func (e entry) checkReasons() error {
	for _, a := range e.About {
		if a.Match == "" || a.Rule == "" || a.Reason == "" {
			return errors.New("about: match, rule and reason are required")
		}
	}

	incomplete := func(r reasoned) bool { return r.Match == "" || r.Reason == "" }
	switch {
	case slices.ContainsFunc(e.Deselect, incomplete):
		return errors.New("deselect: match and reason are required")
	case slices.ContainsFunc(e.Restore, incomplete):
		return errors.New("restore: match and reason are required")
	}

	return nil
}
