package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/batch"
)

const command = "go run ./internal/tools/suites"

func entries(t *testing.T) []entry {
	t.Helper()
	all, err := batch.Read[entry]("suites.yaml")
	if err != nil {
		t.Fatal(err)
	}

	return all
}

func find(t *testing.T, name string) entry {
	t.Helper()
	some, err := batch.Select(entries(t), name)
	if err != nil {
		t.Fatal(err)
	}

	return some[0]
}

// real is for tests that build and run: with copies of the locks, so that a stale one is seen and
// not written.
func real(t *testing.T) suites {
	t.Helper()
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	locks := t.TempDir()
	if err := os.CopyFS(locks, os.DirFS("locks")); err != nil {
		t.Fatal(err)
	}

	s := suites{locks: locks, temp: t.TempDir(), short: true}
	if err := s.prepare(context.Background(), "../../..", "", ""); err != nil {
		t.Fatal(err)
	}

	return s
}

func TestEveryEntryIsLocked(t *testing.T) {
	all := entries(t)
	for _, e := range all {
		b, err := os.ReadFile(filepath.Join("locks", e.Name+".toml"))
		if err != nil {
			t.Errorf("%s has no lock: run %s -short -only %s -out -", e.Name, command, e.Name)
			continue
		}

		l, err := lock.Open(b)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}

		locked := lockedNeeds(t, e)
		for _, d := range l.Distributions {
			if locked[d.Name.String()] {
				t.Errorf("%s: its tests would bring %s, which the layer has", e.Name, d.Name)
			}

			if e.Sdist != nil && d.Name.String() == e.Name && d.Version.String() != e.Sdist.version() {
				t.Errorf("%s: the layer has %s, the source distribution is %s", e.Name, d.Version, e.Sdist.version())
			}
		}
	}

	if files, err := os.ReadDir("locks"); err != nil || len(files) != 2*len(all) {
		t.Errorf("%d locks for %d distributions: %v", len(files), len(all), err)
	}
}

// lockedNeeds are the distributions in the lock of an entry's tests.
func lockedNeeds(t *testing.T, e entry) map[string]bool {
	t.Helper()
	needs, err := os.ReadFile(filepath.Join("locks", e.Name+".txt"))
	if err != nil {
		t.Fatal(err)
	}

	locked := map[string]bool{}
	for line := range strings.Lines(string(needs)) {
		if strings.HasPrefix(line, " ") {
			continue // a hash
		}

		name, rest, _ := strings.Cut(line, "==")
		locked[name] = true
		if rest == "" || strings.Contains(line, "://") {
			t.Errorf("%s: %q is not a version", e.Name, line)
		}
	}

	if n := strings.Count(string(needs), "--hash=sha256:"); n < len(locked) || !locked["pytest"] {
		t.Errorf("%s: %d hashes for %d distributions, which must have pytest", e.Name, n, len(locked))
	}

	return locked
}

func TestTheListIsReadStrictly(t *testing.T) {
	const sound = "- { name: a, module: a, tests: wheel, needs: [pytest], run: [a], short: [a]"
	for name, c := range map[string]struct{ text, err string }{
		"nothing wrong": {sound + " }\n", ""},
		"a name in capitals": {
			strings.Replace(sound, "name: a", "name: A", 1) + " }\n",
			`entry 1: "A" is not a normalized name: lowercase letters, digits and single hyphens`,
		},
		"a name twice":   {sound + " }\n" + sound + " }\n", "a is listed twice"},
		"an unknown key": {sound + ", wiht: [b] }\n", "unknown field"},
		"tests from elsewhere": {
			strings.Replace(sound, "wheel", "git", 1) + " }\n",
			`tests: "git"; known: wheel, and sdist with an sdist`,
		},
		"tests of no sdist": {
			strings.Replace(sound, "wheel", "sdist", 1) + " }\n",
			`tests: "sdist"; known: wheel, and sdist with an sdist`,
		},
		"nothing for short": {
			strings.Replace(sound, "short: [a]", "short: []", 1) + " }\n",
			"run and short must name tests",
		},
		"left out without a reason": {
			sound + ", deselect: [{ match: a.py }] }\n",
			"deselect: match and reason are required",
		},
		"laid back without a reason": {
			sound + ", restore: [{ match: a.pyx }] }\n",
			"restore: match and reason are required",
		},
		"about no rule": {
			sound + ", about: [{ match: a.py, reason: b }] }\n",
			"about: match, rule and reason are required",
		},
		"an sdist without a hash": {
			sound + ", sdist: { file: a-1.tar.gz, unpack: [tests] } }\n",
			"sdist: file (.tar.gz), sha256 and unpack are required",
		},
		"a config of no sdist": {
			sound + ", config: setup.cfg }\n",
			"config is a file of the sdist, and excludes ini",
		},
	} {
		file := filepath.Join(t.TempDir(), "list.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}

		_, err := batch.Read[entry](file)
		if c.err == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}

			continue
		}

		if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := batch.Read[entry]("none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no list: %v", err)
	}

	_, err := batch.Select([]entry{{Name: "a"}}, "a,z")
	if err == nil || err.Error() != `-only: "z" is not in the list` {
		t.Errorf("select: %v", err)
	}
}

func TestAKeptResultIsOfTheSameTests(t *testing.T) {
	sound := entry{Name: "a", Run: []string{"a"}, Short: []string{"b"}, Needs: []string{"pytest"}}
	for name, c := range map[string]struct {
		change      func(*entry)
		full, short bool
	}{
		"nothing changed": {func(*entry) {}, true, true},
		"other words": {func(e *entry) {
			e.Note = "of it"
			e.Spread = true
		}, true, true},
		"another short part": {func(e *entry) { e.Short = []string{"c"} }, true, false},
		"other tests":        {func(e *entry) { e.Run = []string{"c"} }, false, true},
		"another need":       {func(e *entry) { e.Needs = []string{"pytest", "six"} }, false, false},
	} {
		e := sound
		c.change(&e)
		if full, short := e.sameRun(sound, false), e.sameRun(sound, true); full != c.full || short != c.short {
			t.Errorf("%s: %v, short %v", name, full, short)
		}
	}
}

// tests makes a side of lines "name: result".
func tests(lines ...string) side {
	s := side{Tests: map[string]outcome{}, Modules: map[string]outcome{}}
	for _, l := range lines {
		id, result, _ := strings.Cut(l, ": ")
		s.Tests[id] = outcome{Result: result}
	}

	return s
}

func TestWhatIsLost(t *testing.T) {
	unimportable := tests()
	unimportable.Modules["a/test_x.py"] = outcome{failed, "ModuleNotFoundError: No module named 'a.y'"}
	for name, c := range map[string]struct {
		shipped, pruned side
		again           []side // shipped, pruned, shipped, pruned; nil: as before
		lost, flaky     []string
		counts          counts
	}{
		"nothing": {
			shipped: tests("t: passed"),
			pruned:  tests("t: passed"),
			counts:  counts{Collected: 1, Passed: 1},
		},
		"a test that newly fails": {
			shipped: tests("t: passed"),
			pruned:  tests("t: failed"),
			lost:    []string{"t: passed unpruned, failed pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"one whose setup newly fails": {
			shipped: tests("t: passed"),
			pruned:  tests("t: error"),
			lost:    []string{"t: passed unpruned, error pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"one that vanishes": {
			shipped: tests("t: passed", "u: passed"),
			pruned:  tests("u: passed"),
			lost:    []string{"t: passed unpruned, not collected pruned"},
			counts:  counts{Collected: 2, Passed: 1, Lost: 1},
		},
		"one of a file that vanishes": {
			shipped: tests("a/test_x.py::t: passed"),
			pruned:  unimportable,
			lost: []string{
				"a/test_x.py::t: passed unpruned, not collected pruned: ModuleNotFoundError: No module named 'a.y'",
			},
			counts: counts{Collected: 1, Lost: 1},
		},
		"one that is newly skipped": {
			shipped: tests("t: passed"),
			pruned:  tests("t: skipped"),
			lost:    []string{"t: passed unpruned, skipped pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"one that ends its process": {
			shipped: tests("t: passed"),
			pruned:  tests("t: crashed"),
			lost:    []string{"t: passed unpruned, crashed pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"one that was not come to": {
			shipped: tests("t: passed"),
			pruned:  tests("t: not run"),
			lost:    []string{"t: passed unpruned, not run pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"one that should fail and does": {
			shipped: tests("t: xpassed"),
			pruned:  tests("t: xfailed"),
			lost:    []string{"t: xpassed unpruned, xfailed pruned"},
			counts:  counts{Collected: 1, Lost: 1},
		},
		"what fails on both": {
			shipped: tests("t: failed", "u: error"),
			pruned:  tests("t: failed", "u: failed"),
			counts:  counts{Collected: 2, Failed: 2},
		},
		"what is skipped on both": {
			shipped: tests("t: skipped", "u: xfailed"),
			pruned:  tests("t: skipped", "u: xfailed"),
			counts:  counts{Collected: 2, Skipped: 1, XFailed: 1},
		},
		"one that passes only pruned": {
			shipped: tests("t: failed"),
			pruned:  tests("t: passed"),
			counts:  counts{Collected: 1, Otherwise: 1},
		},
		"one that passes pruned later": {
			shipped: tests("t: passed"),
			pruned:  tests("t: failed"),
			again:   []side{tests("t: passed"), tests("t: failed"), tests("t: passed"), tests("t: passed")},
			flaky:   []string{"t: passed unpruned, failed pruned"},
			counts:  counts{Collected: 1, Flaky: 1},
		},
		"one that fails unpruned later": {
			shipped: tests("t: passed"),
			pruned:  tests("t: failed"),
			again:   []side{tests("t: passed"), tests("t: failed"), tests("t: failed"), tests("t: failed")},
			flaky:   []string{"t: passed unpruned, failed pruned"},
			counts:  counts{Collected: 1, Flaky: 1},
		},
		"one whose name changes": {
			shipped: tests("t[0x1]: passed"),
			pruned:  tests("t[0x2]: passed"),
			again:   []side{tests("t[0x3]: passed"), tests("t[0x4]: passed"), tests(), tests()},
			flaky:   []string{"t[0x1]: passed unpruned, not collected pruned"},
			counts:  counts{Collected: 1, Flaky: 1},
		},
	} {
		runs := 0
		really, flaky, err := again(lost(c.shipped, c.pruned), func(form string, _ []string) (side, error) {
			runs++
			if want := []string{pruned, unpruned}[runs%2]; form != want {
				t.Errorf("%s: run %d is of %s", name, runs, form)
			}

			switch {
			case c.again != nil:
				return c.again[runs-1], nil
			case form == unpruned:
				return c.shipped, nil
			}

			return c.pruned, nil
		})
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff([][]string{c.lost, c.flaky}, [][]string{said(really), said(flaky)}); diff != "" {
			t.Errorf("%s, lost and flaky (-want +got):\n%s", name, diff)
		}

		if diff := cmp.Diff(c.counts, count(c.shipped, c.pruned, really, flaky, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}

		if want := 4 * len(lost(c.shipped, c.pruned)); runs != want {
			t.Errorf("%s: %d runs, want %d", name, runs, want)
		}
	}
}

func TestManyThatDifferRunTogether(t *testing.T) {
	var differ []difference
	for _, id := range strings.Split("abcdefghijkl", "") {
		differ = append(differ, difference{Test: id})
	}

	runs := 0
	really, flaky, err := again(differ, func(_ string, tests []string) (side, error) {
		runs++
		if len(tests) != len(differ) {
			t.Errorf("run %d is of %d tests", runs, len(tests))
		}

		return side{}, nil
	})
	if err != nil || runs != 4 || len(really) != 0 || len(flaky) != len(differ) {
		t.Errorf("%d runs, %d lost, %d flaky: %v", runs, len(really), len(flaky), err)
	}
}

// Two workers, of which one died in a test and in the middle of a line.
func TestRecordsAreReadToWhereTheyEnd(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1.jsonl": `["collected", "a"]
["collected", "b"]
["collected", "c"]
["collected", "d"]
["module", "x.py", "failed", "no y"]
["started", "a"]
["report", "a", "setup", "passed", false, ""]
["report", "a", "call", "passed", false, ""]
["report", "a", "teardown", "failed", false, "left behind"]
["started", "b"]
["report", "b", "setup`,
		"2.jsonl": `["collected", "c"]
["started", "c"]
["report", "c", "setup", "passed", false, ""]
["report", "c", "call", "skipped", true, "known"]
["report", "c", "teardown", "passed", false, ""]
["loaded", "m", "/layer/m.py", true]
["loaded", "m.n", "/other/m/n.py", false]
["ended"]
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	got, err := readRecords(dir)
	if err != nil {
		t.Fatal(err)
	}

	want := side{
		Tests: map[string]outcome{
			"a": {erred, "teardown: left behind"},
			"b": {crashed, "the process ended"},
			"c": {xfailed, "known"},
			"d": {Result: notRun},
		},
		Modules: map[string]outcome{
			"x.py": {failed, "no y"},
		},
		Own:       []string{"m"},
		Elsewhere: []string{"m.n from /other/m/n.py"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARunIsWorthLess(t *testing.T) {
	e := entry{Module: "m"}
	sound := side{Ended: true, Own: []string{"m"}}
	for name, c := range map[string]struct {
		change func(*side)
		want   []string
	}{
		"no fault":     {func(*side) {}, nil},
		"tests failed": {func(s *side) { s.Exit = 1 }, nil},
		"it was stopped": {func(s *side) {
			s.Ended = false
			s.Exit = -1
		}, []string{"pruned: it did not end within 1m0s"}},
		"pytest failed": {func(s *side) {
			s.Exit = 4
			s.Output = "a\nb\nc\nERROR: no file\n"
		}, []string{"pruned: pytest ended with exit code 4: b; c; ERROR: no file"}},
		"nothing of it": {
			func(s *side) { s.Own = []string{"n"} },
			[]string{"pruned: m was not imported from the layer"},
		},
		"another copy": {
			func(s *side) { s.Elsewhere = []string{"m.x from /y/m/x.py"} },
			[]string{"pruned: the layer has it, but it was loaded from another place: m.x from /y/m/x.py"},
		},
	} {
		s := sound
		c.change(&s)
		if diff := cmp.Diff(c.want, s.faults("pruned", e, time.Minute)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheDocument(t *testing.T) {
	size := func(n measure.Bytes) measure.Size { return measure.Size{Unzipped: 2 * n, Zipped: n} }
	e := entry{
		Name:     "x",
		About:    []about{{"tests/docs", "docs", "they read it"}},
		Tests:    "sdist",
		Sdist:    &sdist{File: "x-1.tar.gz"},
		Run:      []string{"tests"},
		Args:     []string{"-m", "not slow"},
		Deselect: []reasoned{{"tests/test_net.py", "it asks a server"}},
	}
	r := result{
		Entry:       e,
		Interpreter: "cpython-3.13.0",
		Counts:      counts{Collected: 1234567, Passed: 1234, Failed: 3, Lost: 1, Flaky: 1, About: 1},
		Seconds:     [2]float64{61, 59},
		Away:        map[string]int{"stubs": 2, "docs": 1},
		Layer: report.Layer{
			Inputs:  report.Inputs{Wheels: []report.Wheel{{Name: "x", Version: "1"}}},
			Before:  size(9e6),
			After:   size(8e6),
			Removed: measure.Sizes{"tests": size(3e6)},
		},
		Lost: []difference{
			{
				"tests/a.py::t",
				outcome{Result: passed},
				outcome{failed, "no '/var/tmp/suites-12/x/opt/python/x/a.json'"},
			},
		},
		About:   []difference{{"tests/docs/a.py::t", outcome{Result: passed}, outcome{Result: failed}}},
		Flaky:   []difference{{"tests/a.py::u", outcome{Result: passed}, outcome{Result: failed}}},
		Reasons: []reason{{3, "no network", "tests/a.py::v"}},
	}
	when := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	text := document([]result{r}, false, command, when)
	for _, want := range []string{
		"Written by `go run ./internal/tools/suites` on 2026-11-24: 1 distributions, 1,234,567 tests, 1,234 pass on " +
			"both layers,\n**1 lost**. Target python3.13-x86_64, cpython-3.13.0, 2 minutes of tests.",
		"| x 1 | 1,234,567 | 1,234 | 3 | 0 | 0 | 0 | 1 | 1 | 1 | 61 / 59 | 9.00 / 18.0 | 6.00 / 12.0 | 8.00 / 16.0 |\n",
		"## Problems\n\n- x: lost: tests/a.py::t: passed unpruned, failed pruned: no 'x/a.json'\n",
		"## Flaky\n\nRun again, they had another result on the same layer.\n\n- x: tests/a.py::u: " +
			"passed unpruned, failed pruned\n",
		"- x: `-m not slow tests` of x-1.tar.gz\n- x: files not put back, by rule: docs 1, stubs 2\n- x: 1 tests " +
			"below `tests/docs` are about what rule docs removes: they read it\n- x: not run: `tests/test_net.py`: " +
			"it asks a server\n",
		"- x: 3 like tests/a.py::v: no network\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// The check can fail: without a file that tests need they are named, and the others are not.
func TestALostTestIsNamed(t *testing.T) {
	e := find(t, "python-dateutil")
	e.Short = []string{"tests/test_easter.py", "tests/test_relativedelta.py"}
	s := real(t)
	dir := t.TempDir()
	const spec = "drop: [{ match: dateutil/easter.py, reason: to see that it is missed }]\n"
	f, err := s.both(context.Background(), dir, e, spec)
	if err != nil {
		t.Fatal(err)
	}

	r, err := s.test(context.Background(), dir, e, f)
	if err != nil {
		t.Fatal(err)
	}

	for _, d := range r.Lost {
		if !strings.HasPrefix(d.Test, "tests/test_easter.py::") || d.Pruned.Result != absent ||
			!strings.Contains(d.Pruned.Why, "easter") {
			t.Errorf("lost is %s", d)
		}
	}

	if len(r.Lost) == 0 || len(r.Problems()) != len(r.Lost) || r.Counts.Flaky != 0 || r.Counts.Passed == 0 {
		t.Errorf("%d lost, %d flaky, %d passed on both; problems: %s",
			len(r.Lost), r.Counts.Flaky, r.Counts.Passed, strings.Join(r.Problems(), "\n"))
	}
}

// The short part of some: nothing is lost, and the committed locks are those that were used.
func TestTheSpread(t *testing.T) {
	all := entries(t)
	s := real(t)
	n := 0
	for _, e := range all {
		if !e.Spread {
			continue
		}

		n++
		t.Run(e.Name, func(t *testing.T) {
			r, err := s.try(context.Background(), e)
			if err != nil {
				t.Fatal(err)
			}

			for _, p := range r.Problems() {
				t.Error(p)
			}

			for _, file := range []string{e.Name + ".toml", e.Name + ".txt"} {
				committed, err1 := os.ReadFile(filepath.Join("locks", file))
				used, err2 := os.ReadFile(filepath.Join(s.locks, file))
				if err := errors.Join(err1, err2); err != nil || !slices.Equal(committed, used) {
					t.Errorf("the committed lock %s is stale (%v): run %s -relock -short -only %s -out -",
						file, err, command, e.Name)
				}
			}
		})
	}

	if n != 5 {
		t.Errorf("the spread has %d", n)
	}
}
