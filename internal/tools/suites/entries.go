package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/layersmith/layersmith/internal/digest"
)

// entry is one distribution, as suites.yaml has it.
type entry struct {
	Name    string            `yaml:"name"`
	With    []string          `yaml:"with"`    // requirements of the layer besides
	Module  string            `yaml:"module"`  // what is imported: it must come from the layer
	Tests   string            `yaml:"tests"`   // where they are: wheel or sdist
	Sdist   *sdist            `yaml:"sdist"`   // what of the source distribution is unpacked beside the layer
	Needs   []string          `yaml:"needs"`   // what the tests require
	Config  string            `yaml:"config"`  // of pytest, in the sdist
	Ini     string            `yaml:"ini"`     // of pytest, where no file has it
	Args    []string          `yaml:"args"`    // of pytest
	Run     []string          `yaml:"run"`     // files and folders: in the wheel, or else in the sdist
	Short   []string          `yaml:"short"`   // in their place with -short
	Workers int               `yaml:"workers"` // of xdist; 0 for none
	Minutes int               `yaml:"minutes"` // for each side; 0 for 12
	Env     map[string]string `yaml:"env"`     // {work} is the folder of the sdist's files
	// the beginning of what pytest calls a test, or, without a slash, a part of its last name
	Deselect []reasoned `yaml:"deselect"`
	Restore  []reasoned `yaml:"restore"` // globs of what tests read and another rule than `tests` removed
	About    []about    `yaml:"about"`   // tests of the very thing that a rule removes
	Note     string     `yaml:"note"`    // what the document says of it
	Spread   bool       `yaml:"spread"`  // every test run runs its short part
}

// sdist is a source distribution of which only tests are unpacked.
type sdist struct {
	File   string        `yaml:"file"`
	SHA256 digest.SHA256 `yaml:"sha256"`
	Unpack []string      `yaml:"unpack"` // files and folders
}

type reasoned struct {
	Match  string `yaml:"match" json:"match"`
	Reason string `yaml:"reason" json:"reason"`
}

// about are tests whose subject a rule removes on purpose. That this is why they do not pass is not
// believed: they must pass with that rule off, and all others on.
type about struct {
	Match  string `yaml:"match"` // the beginning of what pytest calls a test
	Rule   string `yaml:"rule"`
	Reason string `yaml:"reason"`
}

// subject is the first of About that a test belongs to; -1 for none.
func (e entry) subject(test string) int {
	return slices.IndexFunc(e.About, func(a about) bool { return strings.HasPrefix(test, a.Match) })
}

// version is that in the file's name.
func (s sdist) version() string {
	name := strings.TrimSuffix(s.File, ".tar.gz")
	return name[strings.LastIndexByte(name, '-')+1:]
}

func (e entry) requirements() string {
	return strings.Join(append([]string{e.Name}, e.With...), "\n") + "\n"
}

// selected is what a run is about.
func (e entry) selected(short bool) []string {
	if short {
		return e.Short
	}

	return e.Run
}

// sameRun reports whether another entry asks for the same tests of the same things, whatever is
// said of them. It does not see what became of the rules.
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

var entryName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (e entry) check() error {
	switch {
	case !entryName.MatchString(e.Name):
		return fmt.Errorf("%q is not a normalized name: small letters, digits and single hyphens", e.Name)
	case e.Tests != "wheel" && e.Tests != "sdist" || e.Tests == "sdist" && e.Sdist == nil:
		return fmt.Errorf("tests: %q; known: wheel, and sdist with an sdist", e.Tests)
	case e.Module == "":
		return errors.New("module is missing")
	case len(e.Run) == 0 || len(e.Short) == 0:
		return errors.New("run and short must name tests")
	case len(e.Needs) == 0:
		return errors.New("needs is missing: pytest at least")
	case e.Workers < 0 || e.Minutes < 0:
		return errors.New("workers and minutes are no less than 0")
	case e.Config != "" && (e.Sdist == nil || e.Ini != ""):
		return errors.New("config is a file of the sdist, in the place of ini")
	}

	if s := e.Sdist; s != nil {
		if !strings.HasSuffix(s.File, ".tar.gz") || path.Base(s.File) != s.File || s.SHA256.IsZero() ||
			len(s.Unpack) == 0 {
			return errors.New("sdist: file (.tar.gz), sha256 and unpack must be there")
		}
	}

	for _, a := range e.About {
		if a.Match == "" || a.Rule == "" || a.Reason == "" {
			return errors.New("about: each has match, rule and reason")
		}
	}

	for what, list := range map[string][]reasoned{"deselect": e.Deselect, "restore": e.Restore} {
		for _, d := range list {
			if d.Match == "" || d.Reason == "" {
				return fmt.Errorf("%s: each has match and reason", what)
			}
		}
	}

	return nil
}

// readEntries reads the list, strictly.
func readEntries(file string) ([]entry, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}

	var entries []entry
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&entries); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}

	seen := map[string]bool{}
	for i, e := range entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("read %s: entry %d: %w", file, i+1, err)
		}

		if seen[e.Name] {
			return nil, fmt.Errorf("read %s: %s is there twice", file, e.Name)
		}

		seen[e.Name] = true
	}

	return entries, nil
}

// choose takes a part of the list, in the list's order.
func choose(entries []entry, only string) ([]entry, error) {
	if only == "" {
		return entries, nil
	}

	wanted := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		wanted[name] = true
	}

	var some []entry
	for _, e := range entries {
		if wanted[e.Name] {
			some = append(some, e)
			delete(wanted, e.Name)
		}
	}

	for name := range wanted {
		return nil, fmt.Errorf("-only: %q is not in the list", name)
	}

	return some, nil
}
