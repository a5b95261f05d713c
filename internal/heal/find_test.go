package heal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pruned is what two rules removed from a layer.
var pruned = files(
	"tests a/tests/one.py",
	"tests a/tests/two.py",
	"tests a/tests/data/x.txt",
	"tests a/tests/data/y.txt",
	"tests b/tests/__init__.py",
	"tests b/tests/three.py",
	"stubs a/core.pyi",
	"stubs b/core.pyi",
)

// files are removals in one layer, as "rule site".
func files(texts ...string) []Removal {
	var out []Removal
	for _, text := range texts {
		rule, site, _ := strings.Cut(text, " ")
		out = append(out, Removal{Layer: "layer", Rule: rule, Site: site})
	}

	return out
}

// job is a job in memory, which needs files.
type job struct {
	needs []string                    // sites
	says  func(missing string) string // traceback for the first one that is missing
	tries [][]Removal
	limit int // runs before errLimit; 0 for no limit
}

var errLimit = errors.New("limit reached")

func (j *job) try(restored []Removal) (Answer, error) {
	if j.limit > 0 && len(j.tries) == j.limit {
		return Answer{}, errLimit
	}

	j.tries = append(j.tries, restored)
	for _, site := range j.needs {
		if !restores(restored, site) {
			return Answer{Detail: j.says(site)}, nil
		}
	}

	return Answer{Passed: true}, nil
}

// restores reports whether a file is restored, by itself or with its rule.
func restores(restored []Removal, site string) bool {
	return slices.ContainsFunc(pruned, func(f Removal) bool {
		return f.Site == site && (slices.Contains(restored, f) || slices.Contains(restored, f.rule()))
	})
}

func (j *job) find() (Found, error) {
	s := Search{Files: pruned, Prefix: "python/", Mount: "/opt", Try: j.try}
	return s.Find(j.says(j.needs[0]))
}

// sitesOf are the files of removals, sorted.
func sitesOf(rs []Removal) string {
	var sites []string
	for _, r := range rs {
		sites = append(sites, r.Site)
	}

	slices.Sort(sites)
	return strings.Join(sites, " ")
}

func namesNothing(string) string { return "Traceback\nRuntimeError: no" }

func namesPath(site string) string {
	return "Traceback\nFileNotFoundError: [Errno 2] No such file or directory: '/opt/python/" + site + "'"
}

func namesModule(site string) string {
	module := strings.TrimSuffix(strings.TrimSuffix(site, ".py"), "/__init__")
	return "Traceback\nModuleNotFoundError: No module named '" + strings.ReplaceAll(module, "/", ".") + "'"
}

// namesOther names a file that does not help.
func namesOther(string) string { return namesPath("a/tests/one.py") }

func TestFind(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		needs string
		says  func(string) string
		tries int // 0 for any number
	}{
		"a file by its path":                      {"a/tests/data/x.txt", namesPath, 1},
		"a module by its name":                    {"a/tests/one.py", namesModule, 1},
		"a package by its name":                   {"b/tests/__init__.py", namesModule, 1},
		"a chain of files that errors name":       {"a/core.pyi a/tests/one.py", namesPath, 4},
		"a file that no error names":              {"a/tests/two.py", namesNothing, 0},
		"files of one folder":                     {"a/tests/data/x.txt a/tests/data/y.txt", namesNothing, 0},
		"files of two folders":                    {"a/tests/one.py b/tests/three.py", namesNothing, 0},
		"files of two rules":                      {"a/tests/one.py b/core.pyi", namesNothing, 0},
		"a file when the error names another one": {"b/core.pyi", namesOther, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			j := &job{needs: strings.Fields(c.needs), says: c.says}
			found, err := j.find()
			if err != nil || found.Failed != None {
				t.Fatalf("%+v, %v", found, err)
			}

			if got := sitesOf(found.Needed); got != c.needs {
				t.Errorf("needed %s, want %s", got, c.needs)
			}

			if c.tries > 0 && len(j.tries) != c.tries {
				t.Errorf("%d tries, want %d: %v", len(j.tries), c.tries, j.tries)
			}
		})
	}
}

// Without a name in the error, the search tries all rules, each rule, then folders, then files.
func TestFindHalvesRulesThenFoldersThenFiles(t *testing.T) {
	t.Parallel()
	j := &job{needs: []string{"a/tests/two.py"}, says: namesNothing}
	if _, err := j.find(); err != nil {
		t.Fatal(err)
	}

	want := []string{
		"stubs:* tests:*",
		"stubs:*",
		"tests:*",
		"tests:a/tests/one.py tests:a/tests/two.py tests:a/tests/data/x.txt tests:a/tests/data/y.txt " +
			"tests:b/tests/__init__.py tests:b/tests/three.py",
		"tests:a/tests/one.py tests:a/tests/two.py", // the folder a/tests
		"tests:a/tests/one.py tests:a/tests/two.py",
		"tests:a/tests/one.py",
		"tests:a/tests/two.py",
	}
	var got []string
	for _, try := range j.tries {
		var parts []string
		for _, r := range try {
			site := r.Site
			if site == "" {
				site = "*"
			}

			parts = append(parts, r.Rule+":"+site)
		}

		got = append(got, strings.Join(parts, " "))
	}

	if !slices.Equal(got, want) {
		t.Errorf("tried\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindWhenEverythingRestoredDoesNotHelp(t *testing.T) {
	t.Parallel()
	j := &job{needs: []string{"not pruned"}, says: namesNothing}
	found, err := j.find()
	if err != nil || found.Failed != NotRules || len(found.Needed) != 0 || len(j.tries) != 1 {
		t.Errorf("%+v, %v, %d tries", found, err, len(j.tries))
	}

	if got := List(found.Rules); got != "rules stubs, tests" {
		t.Errorf("rules %q", got)
	}
}

// A rule can do more than its list of files says.
func TestFindWhenTheFilesOfARuleDoNotHelp(t *testing.T) {
	t.Parallel()
	tests := Removal{Layer: "layer", Rule: "tests"}
	s := Search{Files: pruned, Try: func(restored []Removal) (Answer, error) {
		return Answer{Passed: slices.Contains(restored, tests)}, nil
	}}
	found, err := s.Find("")
	tried := slices.Equal(found.Rules, []Removal{tests})
	if err != nil || found.Failed != NotFiles || len(found.Needed) != 0 || !tried {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestAnErrorOfTryEndsTheSearch(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]string{
		1: "tried all rules: rules stubs, tests",
		2: "tried all rules: rules stubs, tests",
		3: "it needs some of 6 files of rule tests",
		5: "it needs some of 2 files of rule tests",
	} {
		j := &job{needs: []string{"a/tests/two.py"}, says: namesNothing, limit: limit}
		found, err := j.find()
		if !errors.Is(err, errLimit) || found.Tried != want || len(j.tries) != limit {
			t.Errorf("limit %d: %v after %d tries, tried %q, want %q", limit, err, len(j.tries), found.Tried, want)
		}
	}
}

func TestAnErrorOfTryEndsTheSearchByName(t *testing.T) {
	t.Parallel()
	j := &job{needs: []string{"a/tests/one.py", "a/core.pyi"}, says: namesPath, limit: 1}
	found, err := j.find()
	if !errors.Is(err, errLimit) || found.Tried != "tried what the error names" {
		t.Errorf("%v, tried %q", err, found.Tried)
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	s := Search{Files: pruned, Prefix: "python/", Mount: "/opt"}
	for detail, want := range map[string]string{
		namesPath("a/tests/data/x.txt"):                                     "a/tests/data/x.txt",
		namesPath("a/tests/data"):                                           "a/tests/data/x.txt a/tests/data/y.txt",
		namesPath("a/tests/data/"):                                          "a/tests/data/x.txt a/tests/data/y.txt",
		"No module named 'b.tests'":                                         "b/tests/__init__.py",
		"ImportError: cannot import name 'tests' from 'b'":                  "b/tests/__init__.py",
		"AttributeError: module 'a.core' has no attribute 'x'":              "a/core.pyi",
		"OSError: /var/task/python/a/core.pyi: not in a layer":              "",
		"No module named 'a.core'\nRuntimeError: the last line":             "",
		"ModuleNotFoundError: No module named 'unknown'":                    "",
		fmt.Sprintf("OSError: cannot read (/opt/python/%s).", "a/core.pyi"): "a/core.pyi",
		"": "",
	} {
		if got := sitesOf(s.Named(detail)); got != want {
			t.Errorf("%q names %q, want %q", detail, got, want)
		}
	}
}
