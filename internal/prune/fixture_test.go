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
)

// Fixtures stand beside the rules that they are about: internal/policy/rules/<id>/*.txtar. The
// comment says why the case exists. Sections:
//
//	-- settings --              policy.Settings in YAML; the defaults when absent
//	-- wheel NAME VERSION --    the files below it belong to this wheel; its body is its entry_points.txt. Without one: demo 1.0
//	-- PATH --                  a file. Of a .pyc the body says what it is: unchecked, timestamp or checked, and perhaps a target
//	-- want --                  the last: one line for each file that is not in dist-info
//
// Lines of want: `kept PATH [reason]`, `dropped PATH RULE [reason]`, `transformed PATH RULE`. A
// reason is compared where the line has one. Files of dist-info need no line and have to be kept,
// unless a line says otherwise.
type fixture struct {
	settings policy.Settings
	wheels   []source
	want     []string
}

func parseFixture(t testing.TB, file string, data []byte) (fixture, error) {
	a := txtar.Parse(data)
	lineOf := func(name string) int {
		before, _, _ := strings.Cut(string(data), "-- "+name+" --\n")
		return strings.Count(before, "\n") + 1
	}
	var f fixture
	if strings.TrimSpace(string(a.Comment)) == "" {
		return f, fmt.Errorf("%s:1: the first line says why the case exists", file)
	}

	for i, s := range a.Files {
		at := lineOf(s.Name)
		words := strings.Fields(s.Name)
		switch {
		case f.want != nil:
			return f, fmt.Errorf("%s:%d: %q stands after want", file, at, s.Name)
		case s.Name == "settings" && i > 0:
			return f, fmt.Errorf("%s:%d: settings stand first", file, at)
		case s.Name == "settings":
			if err := yaml.UnmarshalWithOptions(s.Data, &f.settings, yaml.Strict()); err != nil {
				var line, column int
				message, _, _ := strings.Cut(err.Error(), "\n")
				fmt.Sscanf(message, "[%d:%d]", &line, &column)
				return f, fmt.Errorf("%s:%d: settings: %s", file, at+line, message)
			}
		case s.Name == "want":
			for n, line := range strings.Split(strings.TrimSpace(string(s.Data)), "\n") {
				words := strings.Fields(line)
				switch {
				case len(words) >= 2 && words[0] == "kept",
					len(words) >= 3 && words[0] == "dropped",
					len(words) == 3 && words[0] == "transformed":
				default:
					return f, fmt.Errorf(
						"%s:%d: %q; known: kept PATH [reason], dropped PATH RULE [reason], transformed PATH RULE",
						file,
						at+1+n,
						line,
					)
				}

				f.want = append(f.want, line)
			}
		case words[0] == "wheel" && len(words) == 3:
			f.wheels = append(
				f.wheels,
				source{name: words[1], version: words[2], entryPoints: string(s.Data), files: map[string]string{}},
			)
		case len(words) > 1:
			return f, fmt.Errorf(
				"%s:%d: unknown section %q; known: settings, wheel NAME VERSION, want, and the path of a file",
				file,
				at,
				s.Name,
			)
		default:
			if len(f.wheels) == 0 {
				f.wheels = append(f.wheels, source{name: "demo", version: "1.0", files: map[string]string{}})
			}

			files := f.wheels[len(f.wheels)-1].files
			if _, twice := files[s.Name]; twice {
				return f, fmt.Errorf("%s:%d: %s is there twice", file, at, s.Name)
			}

			content := string(s.Data)
			if strings.HasSuffix(s.Name, ".pyc") {
				kind, target, other := strings.Cut(strings.TrimSpace(content), " ")
				if !other {
					target = "python3.13-x86_64"
				}

				flags, ok := map[string]byte{"unchecked": 1, "timestamp": 0, "checked": 3}[kind]
				if !ok {
					return f, fmt.Errorf(
						"%s:%d: bytecode that is %q; known: unchecked, timestamp, checked",
						file,
						at+1,
						kind,
					)
				}

				content = bytecode(t, target, flags)
			}

			files[s.Name] = content
		}
	}

	if f.want == nil {
		return f, fmt.Errorf("%s: no section want", file)
	}

	return f, nil
}

// against returns the lines that the fixture wants and those that the plan has, a reason only where
// the fixture has one.
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
			t.Errorf(
				"rule %s: its fixtures have to show something that it takes and something that stays; %d and %d",
				r.ID,
				removed,
				kept,
			)
		}
	}
}

func TestFixturesRefuseWhatTheyDoNotKnow(t *testing.T) {
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
			`x.txtar:5: "removed a.py tests"; known: kept PATH [reason], dropped PATH RULE [reason], transformed PATH RULE`,
		},
		"a drop without a rule": {
			"why\n-- want --\ndropped a.py\n",
			`x.txtar:3: "dropped a.py"; known: kept PATH [reason], dropped PATH RULE [reason], transformed PATH RULE`,
		},
		"sections behind want": {"why\n-- want --\nkept a.py\n-- a.py --\n", `x.txtar:4: "a.py" stands after want`},
		"settings in the middle": {
			"why\n-- a.py --\n-- settings --\n-- want --\nkept a.py\n",
			"x.txtar:3: settings stand first",
		},
		"a file that is twice": {
			"why\n-- a.py --\n-- b.py --\n-- a.py --\n-- want --\nkept a.py\n",
			"x.txtar:2: a.py is there twice",
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
