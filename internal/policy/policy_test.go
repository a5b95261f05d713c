package policy

import (
	"math/rand"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/pydist"
)

func book(t testing.TB) []Rule {
	t.Helper()
	rules, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}

	return rules
}

func owner(t testing.TB, name, version string) Owner {
	t.Helper()
	n, err := pydist.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}

	v, err := pydist.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}

	return Owner{Name: n, Version: v}
}

const goodRule = "version: 1\ntitle: t\nmatch: [\"**/x\"]\nwhy: w\nrisk: r\nremedy: y\n"

func TestLoadSaysWhatIsWrongWithARule(t *testing.T) {
	for sentence, tt := range map[string]struct{ yaml, err string }{
		"no version": {
			strings.Replace(goodRule, "version: 1", "version: 0", 1),
			"read rules/x/rule.yaml: version: missing",
		},
		"no reason": {
			strings.Replace(goodRule, "why: w\n", "", 1),
			"read rules/x/rule.yaml: title, why, risk and remedy are required",
		},
		"no pattern": {
			strings.Replace(goodRule, "[\"**/x\"]", "[]", 1),
			"read rules/x/rule.yaml: match: missing",
		},
		"an empty pattern": {
			strings.Replace(goodRule, "**/x", "", 1),
			"read rules/x/rule.yaml: pattern is empty",
		},
		"an absolute pattern": {
			strings.Replace(goodRule, "**/x", "/opt/x", 1),
			`read rules/x/rule.yaml: pattern "/opt/x": starts with /; ` +
				"patterns are relative to the folder that is on sys.path",
		},
		"a broken pattern": {
			strings.Replace(goodRule, "**/x", "[a", 1),
			`read rules/x/rule.yaml: pattern "[a": not a valid glob`,
		},
		"unknown references": {
			goodRule + "references: all\n",
			`read rules/x/rule.yaml: references: "all"; known: file, folder, ignore`,
		},
		"an exception without a reason": {
			goodRule + "except: [{match: a}]\n",
			"read rules/x/rule.yaml: except: why is required",
		},
		"an exception with a broken pattern": {
			goodRule + "except: [{match: '[a', why: w}]\n",
			`read rules/x/rule.yaml: pattern "[a": not a valid glob`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"rules/x/rule.yaml": {Data: []byte(tt.yaml)}})
			if err == nil || err.Error() != tt.err {
				t.Errorf("got  %v\nwant %s", err, tt.err)
			}
		})
	}

	for sentence, yaml := range map[string]string{
		"an unknown key":              goodRule + "matches: [a]\n",
		"an invalid distribution":     goodRule + "except: [{distribution: '-', why: w}]\n",
		"invalid versions":            goodRule + "except: [{versions: 'old', why: w}]\n",
		"a mapping instead of a list": strings.Replace(goodRule, "[\"**/x\"]", "{}", 1),
		"no YAML":                     "\t",
	} {
		if _, err := Load(fstest.MapFS{"rules/x/rule.yaml": {Data: []byte(yaml)}}); err == nil {
			t.Errorf("%s was accepted", sentence)
		}
	}

	rules, err := Load(fstest.MapFS{
		"rules/b/rule.yaml":  {Data: []byte(goodRule)},
		"rules/a/rule.yaml":  {Data: []byte(goodRule)},
		"rules/a/case.txtar": {},
	})
	if err != nil || strings.Join(IDs(rules), " ") != "a b" || rules[0].References != "file" {
		t.Errorf("got %v, %v", rules, err)
	}
}

// The texts that reports print of built-in rules, and the properties that other packages rely on.
func TestBuiltinRulesAreComplete(t *testing.T) {
	for _, r := range book(t) {
		if r.Select != nil {
			switch r.Select.From {
			case "services", "modules", "languages":
			default:
				t.Errorf("%s selects from %q", r.ID, r.Select.From)
			}

			if !strings.Contains(r.Remedy, r.Select.From) {
				t.Errorf("%s: its remedy %q does not name the list %s", r.ID, r.Remedy, r.Select.From)
			}

			if r.Default {
				t.Errorf("%s needs a list and is enabled by default", r.ID)
			}
		} else if !strings.Contains(r.Remedy, "keep:") && !strings.Contains(r.Remedy, r.ID+": { enabled: false") {
			t.Errorf("%s: its remedy %q shows neither a keep entry nor how to disable the rule", r.ID, r.Remedy)
		}

		for _, only := range r.Only {
			if n, err := pydist.ParseName(only); err != nil || n.String() != only {
				t.Errorf("%s names %q, which is not a normalized distribution name", r.ID, only)
			}
		}

		for text, what := range map[string]string{r.Title: "title", r.Why: "why", r.Risk: "risk"} {
			if strings.HasSuffix(text, ".") {
				t.Errorf("%s: its %s ends with a full stop", r.ID, what)
			}
		}

		if r.Transform != "" && r.References != "ignore" {
			t.Errorf("%s has a transform, so its references must be ignore", r.ID)
		}
	}
}

func TestNewJoinsBookAndSettings(t *testing.T) {
	on := func(s Settings) string {
		p, err := New(book(t), s)
		if err != nil {
			t.Fatal(err)
		}

		return strings.Join(IDs(p.Rules()), " ")
	}
	const defaults = "botocore-docs botocore-examples docs elf-strip examples foreign-programs library-copies " +
		"native-sources " +
		"stale-bytecode static-libraries stubs tests"

	for sentence, tt := range map[string]struct {
		s    Settings
		want string
	}{
		"the defaults": {Settings{}, defaults},
		"one enabled, one disabled": {
			Settings{Rules: map[string]Switch{"docs": {}, "time-zones": {Enabled: true}}},
			strings.Replace(defaults, "docs elf-strip", "elf-strip", 1) + " time-zones",
		},
		"a list enables its rule": {
			Settings{Services: []string{"s3"}},
			strings.Replace(defaults, "examples docs", "examples botocore-services docs", 1),
		},
		"modules": {
			Settings{Modules: map[string][]string{"scipy": {"linalg"}}},
			strings.Replace(defaults, "native-sources", "modules native-sources", 1),
		},
		"a list, and its rule disabled": {
			Settings{Languages: []string{"de"}, Rules: map[string]Switch{"locales": {}}},
			defaults,
		},
		"enabled without its list": {
			Settings{Rules: map[string]Switch{"locales": {Enabled: true}}},
			defaults,
		},
	} {
		if got := on(tt.s); got != tt.want {
			t.Errorf("%s: got %s, want %s", sentence, got, tt.want)
		}
	}

	for sentence, tt := range map[string]struct {
		s   Settings
		err string
	}{
		"unknown rule": {
			Settings{Rules: map[string]Switch{"test": {}}},
			`unknown rule "test"; known: ` + strings.Join(IDs(book(t)), ", "),
		},
		"bad keep": {
			Settings{Keep: []Choice{{Match: "/x"}}},
			`pattern "/x": starts with /; patterns are relative to the folder that is on sys.path`,
		},
		"bad drop": {Settings{Drop: []Choice{{Match: "{a"}}}, `pattern "{a": not a valid glob`},
	} {
		if _, err := New(book(t), tt.s); err == nil || err.Error() != tt.err {
			t.Errorf("%s: got %v, want %s", sentence, err, tt.err)
		}
	}
}

func TestDigestCoversEnabledRulesAndSettings(t *testing.T) {
	of := func(rules []Rule, s Settings) string {
		p, err := New(rules, s)
		if err != nil {
			t.Fatal(err)
		}

		return p.Digest().String()
	}
	base := of(book(t), Settings{})
	if base != of(book(t), Settings{}) {
		t.Error("two equal policies have different digests")
	}

	if base == of(book(t), Settings{Keep: []Choice{{Match: "a", Reason: "r"}}}) ||
		base == of(book(t), Settings{Rules: map[string]Switch{"tests": {}}}) {
		t.Error("the digest does not cover the settings")
	}

	changed := append([]Rule(nil), book(t)...)
	for i := range changed {
		if changed[i].ID == "tests" {
			changed[i].Version++
		}
	}

	if base == of(changed, Settings{}) {
		t.Error("the digest does not cover the version of an enabled rule")
	}

	changed = append([]Rule(nil), book(t)...)
	for i := range changed {
		if changed[i].ID == "time-zones" {
			changed[i].Version++
		}
	}

	if base != of(changed, Settings{}) {
		t.Error("the digest covers the version of a disabled rule")
	}
}

func TestExceptionsNameDistributionsAndVersions(t *testing.T) {
	rules, err := Load(fstest.MapFS{"rules/x/rule.yaml": {Data: []byte(goodRule + `except:
  - {distribution: Some_Package, why: whole}
  - {distribution: numpy, versions: '<2.3', match: 'numpy/x', why: old}
  - {match: 'any/x', why: everywhere}
`)}})
	if err != nil {
		t.Fatal(err)
	}

	r := &rules[0]
	for _, tt := range []struct {
		file  string
		owner Owner
		why   string
	}{
		{"a/x", owner(t, "some.package", "1"), "whole"},
		{"numpy/x", owner(t, "numpy", "2.2.6"), "old"},
		{"numpy/x", owner(t, "numpy", "2.3"), ""},
		{"numpy/a/x", owner(t, "numpy", "2.2.6"), ""},
		{"numpy/x", owner(t, "other", "2.2.6"), ""},
		{"any/x", owner(t, "other", "1"), "everywhere"},
		{"any/x", Owner{}, "everywhere"},
		{"numpy/x", Owner{}, ""},
	} {
		if why, ok := r.Excepted(tt.file, tt.owner); why != tt.why || ok != (tt.why != "") {
			t.Errorf("%s of %s: got %q, %v", tt.file, tt.owner.Name, why, ok)
		}
	}
}

// The first matching entry of a layer's list gives the reason.
func TestChoicesGiveTheirReason(t *testing.T) {
	p, err := New(book(t), Settings{
		Keep: []Choice{{"a/**", "first"}, {"a/b/**", "second"}},
		Drop: []Choice{{"**/*.txt", "third"}},
	})
	if err != nil {
		t.Fatal(err)
	}

	if c, ok := p.Kept("a/b/c"); !ok || c.Reason != "first" {
		t.Errorf("got %v, %v", c, ok)
	}

	if c, ok := p.Dropped("a/x.txt"); !ok || c.Reason != "third" {
		t.Errorf("got %v, %v", c, ok)
	}

	if _, ok := p.Kept("b/a"); ok {
		t.Error("kept a file that no entry matches")
	}
}

func TestSelectedModules(t *testing.T) {
	p, err := New(book(t), Settings{Modules: map[string][]string{"scipy": {"linalg"}, "empty": nil}})
	if err != nil {
		t.Fatal(err)
	}

	var rule *Rule
	for _, r := range p.Rules() {
		if r.ID == "modules" {
			rule = &r
		}
	}

	got := map[string]bool{}
	for _, f := range []string{
		"scipy/linalg/a.py", "scipy/signal/a.py", "scipy/_lib/a.py", "scipy/version.py",
		"scipy.libs/x/y.so", "numpy/linalg/a.py", "empty/a/b.py",
	} {
		got[f] = p.Selected(rule, f)
	}

	want := map[string]bool{
		"scipy/linalg/a.py": true,
		"scipy/signal/a.py": false,
		"scipy/_lib/a.py":   true,
		"scipy/version.py":  true,
		"scipy.libs/x/y.so": true,
		"numpy/linalg/a.py": true,
		"empty/a/b.py":      false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The lookups of patterns give the result of doublestar, with one intended difference: in
// doublestar "tests/**" also matches a file named tests; here it matches only files below a folder.
func TestPatternsMatchAsGlobs(t *testing.T) {
	parts := []string{
		"a", "b", "tests", "x.c", "y.pyc", ".c", "a.b.c", "tests.py",
		"*", "**", "*.c", "*.so.*", "a*", "{a,b}", "[ab]", "?",
	}
	files := []string{"a", "b", "tests", "x.c", "y.pyc", ".c", "a.b.c", "tests.py", "z.so.1", "ab"}
	r := rand.New(rand.NewSource(1))
	path := func(words []string) string {
		s := make([]string, 1+r.Intn(4))
		for i := range s {
			s[i] = words[r.Intn(len(words))]
		}

		return strings.Join(s, "/")
	}
	hits := 0
	for range 200_000 {
		text := path(parts)
		file := path(files)
		p, err := compile([]string{text})
		if err != nil {
			t.Fatal(err)
		}

		want := doublestar.MatchUnvalidated(text, file)
		got := p.match(file)
		folder, below := strings.CutSuffix(text, "/**")
		if below && want && !got && doublestar.MatchUnvalidated(folder, file) {
			continue
		}

		if got != want {
			t.Fatalf("%q and %q: got %v, want %v", text, file, got, want)
		}

		if want {
			hits++
		}
	}

	if hits < 1000 {
		t.Errorf("only %d of the pairs match", hits)
	}
}

func TestTheBinaryHasRulesWithoutFixtures(t *testing.T) {
	if _, err := builtin.ReadFile("rules/tests/natype.txtar"); err == nil {
		t.Error("fixtures are in the binary")
	}

	if _, err := builtin.ReadFile("rules/tests/rule.yaml"); err != nil {
		t.Error(err)
	}
}
