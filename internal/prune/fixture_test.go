package prune_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/testenv/binaries"
)

// A fixture is a file internal/policy/rules/<id>/*.txtar. Its comment says why the case exists.
// Sections:
//
//	-- settings --              policy.Settings in YAML; the defaults when absent
//	-- wheel NAME VERSION --    the files below it belong to this wheel; its body is its
//	                            entry_points.txt. Without one: demo 1.0
//	-- PATH --                  a file. The body of a .pyc gives its kind (unchecked, timestamp or
//	                            checked) and optionally a target. A body "binary KIND ..." is a
//	                            program or library, see binaryOf
//	-- want --                  the last section: one line for each file outside dist-info
//
// Lines of want: `kept PATH [reason]`, `dropped PATH RULE [reason]`, `transformed PATH RULE`. A
// reason is compared if the line has one. Files in dist-info need no line and must be kept, unless
// a line says otherwise.
type fixture struct {
	settings policy.Settings
	wheels   []source
	want     []string
}

// fixtureParser reads one file. Errors have the form FILE:LINE: TEXT.
type fixtureParser struct {
	t    testing.TB
	file string
	data string
	fixture
}

func parseFixture(t testing.TB, file string, data []byte) (fixture, error) {
	p := fixtureParser{t: t, file: file, data: string(data)}
	a := txtar.Parse(data)
	if strings.TrimSpace(string(a.Comment)) == "" {
		return p.fixture, p.errorf(1, "the first line says why the case exists")
	}

	for i, s := range a.Files {
		if err := p.section(i, s); err != nil {
			return p.fixture, err
		}
	}

	if p.want == nil {
		return p.fixture, fmt.Errorf("%s: no section want", file)
	}

	return p.fixture, nil
}

func (p *fixtureParser) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, line, fmt.Sprintf(format, args...))
}

// lineOf is the line of a section's header.
func (p *fixtureParser) lineOf(section string) int {
	before, _, _ := strings.Cut(p.data, "-- "+section+" --\n")
	return strings.Count(before, "\n") + 1
}

func (p *fixtureParser) section(i int, s txtar.File) error {
	at := p.lineOf(s.Name)
	words := strings.Fields(s.Name)
	switch {
	case p.want != nil:
		return p.errorf(at, "%q stands after want", s.Name)
	case s.Name == "settings" && i > 0:
		return p.errorf(at, "settings stand first")
	case s.Name == "settings":
		return p.readSettings(at, s.Data)
	case s.Name == "want":
		return p.readWant(at, s.Data)
	case words[0] == "wheel" && len(words) == 3:
		w := source{name: words[1], version: words[2], entryPoints: string(s.Data), files: map[string]string{}}
		p.wheels = append(p.wheels, w)
		return nil
	case len(words) > 1:
		const known = "settings, wheel NAME VERSION, want, and the path of a file"
		return p.errorf(at, "unknown section %q; known: %s", s.Name, known)
	}

	return p.readFile(at, s)
}

func (p *fixtureParser) readSettings(at int, data []byte) error {
	err := yaml.UnmarshalWithOptions(data, &p.settings, yaml.Strict())
	if err == nil {
		return nil
	}

	var line, column int
	message, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Sscanf(message, "[%d:%d]", &line, &column)
	return p.errorf(at+line, "settings: %s", message)
}

func (p *fixtureParser) readWant(at int, data []byte) error {
	const known = "kept PATH [reason], dropped PATH RULE [reason], transformed PATH RULE"
	for n, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) >= 2 && words[0] == "kept",
			len(words) >= 3 && words[0] == "dropped",
			len(words) == 3 && words[0] == "transformed":
		default:
			return p.errorf(at+1+n, "%q; known: %s", line, known)
		}

		p.want = append(p.want, line)
	}

	return nil
}

func (p *fixtureParser) readFile(at int, s txtar.File) error {
	if len(p.wheels) == 0 {
		p.wheels = append(p.wheels, source{name: "demo", version: "1.0", files: map[string]string{}})
	}

	files := p.wheels[len(p.wheels)-1].files
	if _, twice := files[s.Name]; twice {
		return p.errorf(at, "%s appears twice", s.Name)
	}

	files[s.Name] = string(s.Data)
	if words := strings.Fields(string(s.Data)); len(words) > 1 && words[0] == "binary" {
		return p.readBinary(at, s.Name, words[1:])
	}

	if !strings.HasSuffix(s.Name, ".pyc") {
		return nil
	}

	kind, target, other := strings.Cut(strings.TrimSpace(string(s.Data)), " ")
	if !other {
		target = "python3.13-x86_64"
	}

	flags, ok := map[string]byte{"unchecked": 1, "timestamp": 0, "checked": 3}[kind]
	if !ok {
		return p.errorf(at+1, "bytecode that is %q; known: unchecked, timestamp, checked", kind)
	}

	files[s.Name] = bytecode(p.t, target, flags)
	return nil
}

// readBinary makes a program or library from KIND and its properties: soname=, needed=, interp= and
// text=, of which each but the last may occur once, and exec. Kinds are those of package binaries.
func (p *fixtureParser) readBinary(at int, name string, words []string) error {
	w := &p.wheels[len(p.wheels)-1]
	e := binaries.ELF{Machine: words[0]}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "soname":
			e.Soname = value
		case "needed":
			e.Needed = strings.Split(value, ",")
		case "interp":
			e.Interp = value
		case "text":
			e.Text += value + "\x00"
		case "exec":
			w.setExecutable(name)
		default:
			return p.errorf(at+1, "%q; known: soname=, needed=, interp=, text=, exec", word)
		}
	}

	content := e.Bytes()
	if e.Machine != "x86_64" && e.Machine != "arm64" {
		var err error
		if content, err = binaries.Foreign(e.Machine); err != nil {
			return p.errorf(at+1, "%v", err)
		}
	}

	w.files[name] = string(content)
	return nil
}

func (s *source) setExecutable(name string) {
	if s.executable == nil {
		s.executable = map[string]bool{}
	}

	s.executable[name] = true
}

// against returns the wanted lines and those of the plan, with a reason only where the fixture has
// one.
func (f fixture) against(p prune.Plan) (want, got string) {
	short := map[string]bool{} // wanted lines without reason
	listed := map[string]bool{}
	for _, line := range f.want {
		short[line] = true
		listed[strings.Fields(line)[1]] = true
	}

	var lines []string
	for _, d := range p.Decisions() {
		if strings.Contains(d.Site, ".dist-info/") && !listed[d.Site] && d.Fate == prune.Kept {
			continue
		}

		full := line(d)
		d.Why = ""
		if bare := line(d); short[bare] {
			full = bare
		}

		lines = append(lines, full)
	}

	return strings.Join(f.want, "\n"), strings.Join(lines, "\n")
}

func TestRulesDecideAsTheirFixturesSay(t *testing.T) {
	const rules = "../policy/rules"
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	for _, r := range book {
		files, err := filepath.Glob(filepath.Join(rules, r.ID, "*.txtar"))
		if err != nil {
			t.Fatal(err)
		}

		removed := 0
		kept := 0
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}

			t.Run(r.ID+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				f, err := parseFixture(t, file, data)
				if err != nil {
					t.Fatal(err)
				}

				p := planOf(t, layerOf(t, f.wheels...), f.settings)
				want, got := f.against(p)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}

				for _, d := range p.Decisions() {
					switch {
					case d.Fate != prune.Kept && d.Rule == r.ID:
						removed++
					case d.Fate == prune.Kept:
						kept++
					}
				}
			})
		}

		if removed == 0 || kept == 0 {
			t.Errorf("rule %s: its fixtures must both remove and keep files; %d and %d", r.ID, removed, kept)
		}
	}
}

func TestFixturesRefuseWhatTheyDoNotKnow(t *testing.T) {
	const knownLines = "known: kept PATH [reason], dropped PATH RULE [reason], transformed PATH RULE"

	for sentence, tt := range map[string]struct{ in, err string }{
		"no comment": {"-- want --\nkept a\n", "x.txtar:1: the first line says why the case exists"},
		"an unknown key": {
			"why\n-- settings --\nservices: [s3]\nkeeep: []\n-- want --\nkept a\n",
			`x.txtar:4: settings: [2:1] unknown field "keeep"`,
		},
		"an unknown section": {
			"why\n-- weel a 1 --\n-- want --\nkept a\n",
			`x.txtar:2: unknown section "weel a 1"; known: settings, wheel NAME VERSION, want, and the path of a file`,
		},
		"an unknown fate": {
			"why\n-- a.py --\n-- want --\nkept a.py\nremoved a.py tests\n",
			`x.txtar:5: "removed a.py tests"; ` + knownLines,
		},
		"a drop without a rule": {
			"why\n-- want --\ndropped a.py\n",
			`x.txtar:3: "dropped a.py"; ` + knownLines,
		},
		"a section after want": {"why\n-- want --\nkept a.py\n-- a.py --\n", `x.txtar:4: "a.py" stands after want`},
		"settings in the middle": {
			"why\n-- a.py --\n-- settings --\n-- want --\nkept a.py\n",
			"x.txtar:3: settings stand first",
		},
		"a file that appears twice": {
			"why\n-- a.py --\n-- b.py --\n-- a.py --\n-- want --\nkept a.py\n",
			"x.txtar:2: a.py appears twice",
		},
		"an unknown bytecode": {
			"why\n-- a.pyc --\nstale\n-- want --\nkept a.pyc\n",
			`x.txtar:3: bytecode that is "stale"; known: unchecked, timestamp, checked`,
		},
		"no want": {"why\n-- a.py --\n", "x.txtar: no section want"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := parseFixture(t, "x.txtar", []byte(tt.in))
			if err == nil || err.Error() != tt.err {
				t.Fatalf("got  %v\nwant %s", err, tt.err)
			}
		})
	}
}
