package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

const command = "go run ./internal/tools/survey"

func entriesOf(t *testing.T, l list) []entry {
	t.Helper()
	entries, err := batch.Read[entry](l.file)
	if err != nil {
		t.Fatal(err)
	}

	return entries
}

func builder(t *testing.T) onelayer.Builder {
	t.Helper()
	b, err := onelayer.Find(t.Context(), onelayer.Target, "../../..", "", "")
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func TestTheOldListIsLocked(t *testing.T) {
	entries := entriesOf(t, older)
	spread := 0
	for _, e := range entries {
		if e.Spread {
			spread++
		}

		if e.Version == "" {
			t.Errorf("%s has no version", e.Name)
		}

		if _, err := os.Stat(filepath.Join(older.locks, e.Name+".toml")); err != nil {
			t.Errorf("%s has no lock: run %s -old -only %s -out -", e.Name, command, e.Name)
		}
	}

	if len(entries) < 50 || spread != 12 {
		t.Errorf("%d distributions, %d in the spread", len(entries), spread)
	}
}

func TestTheListIsWideAndLocked(t *testing.T) {
	entries := entriesOf(t, today)
	spread := 0
	twice := 0
	for _, e := range entries {
		if e.Spread {
			spread++
		}

		if e.Twice {
			twice++
		}

		if _, err := os.Stat(filepath.Join("locks", e.Name+".toml")); err != nil {
			t.Errorf("%s has no lock: run %s -only %s -out -", e.Name, command, e.Name)
		}
	}

	if len(entries) < 100 || spread != 20 || twice != 2 {
		t.Errorf("%d distributions, %d in the spread, %d of them twice", len(entries), spread, twice)
	}

	locks, err := os.ReadDir("locks")
	if err != nil || len(locks) != len(entries) {
		t.Errorf("%d locks for %d distributions: %v", len(locks), len(entries), err)
	}
}

// The spread of the survey: nothing is broken, nothing grew, and layers that are built again in
// another place are the same.
func TestTheSpread(t *testing.T) { testSpread(t, today, builder(t)) }

// The spread of old versions: none is refused, for our own scripts' sake neither.
func TestTheOldSpread(t *testing.T) {
	b, err := onelayer.Find(t.Context(), older.target, "../../..", "", "")
	var none *localport.NoPython
	if errors.As(err, &none) {
		t.Skipf("not run, 12 distributions in old versions: %v", err)
	}

	if err != nil {
		t.Fatal(err)
	}

	testSpread(t, older, b)
}

func testSpread(t *testing.T, l list, b onelayer.Builder) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: needs real wheels")
	}

	entries, err := choose(entriesOf(t, l), "spread")
	if err != nil {
		t.Fatal(err)
	}

	locks, err := filepath.Abs(l.locks)
	if err != nil {
		t.Fatal(err)
	}

	s := survey{Builder: b, locks: t.TempDir(), temp: t.TempDir(), quick: true}
	if err := os.CopyFS(s.locks, os.DirFS(locks)); err != nil {
		t.Fatal(err)
	}

	for _, e := range entries {
		t.Run(e.Name, func(t *testing.T) { s.check(t, e, locks) })
	}
}

// check tries an entry and compares its lock with the committed one.
func (s survey) check(t *testing.T, e entry, locks string) {
	r, err := s.try(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}

	for _, b := range r.Problems() {
		t.Error(b)
	}

	if t.Failed() {
		return
	}

	if p := r.Pruned.Probe; p.Status != report.ProbePassed || p.Import == nil || p.Metadata == 0 {
		t.Errorf("the probe says %s of %d modules and %d distributions, imports %v",
			p.Status, p.Modules, p.Metadata, p.Import)
	}

	committed, err := os.ReadFile(filepath.Join(locks, e.Name+".toml"))
	if err != nil {
		t.Fatal(err)
	}

	used, err := os.ReadFile(filepath.Join(s.locks, e.Name+".toml"))
	if err != nil || string(used) != string(committed) {
		t.Errorf("the committed lock is stale (%v): run %s -only %s -out -", err, command, e.Name)
	}

	if e.Twice {
		buildAgain(t, s.Builder, e, committed, r.Pruned.Zip.SHA256)
	}
}

// buildAgain builds an entry in another place, with the same wheels but no other cache, and
// compares the zip.
func buildAgain(t *testing.T, b onelayer.Builder, e entry, lock []byte, want digest.SHA256) {
	t.Helper()
	cache := t.TempDir()
	if err := os.Symlink(filepath.Join(b.Cache, "wheels"), filepath.Join(cache, "wheels")); err != nil {
		t.Fatal(err)
	}

	b.Cache = cache
	built, err := b.Build(t.Context(), t.TempDir(), e.layer("", lock), "--no-probe", "--offline")
	if err != nil {
		t.Fatal(err)
	}

	if f, err := os.ReadFile(built.Zip); err != nil || digest.Of(f) != want {
		t.Errorf("built again it is %s, was %s: %v", built.Layer.Zip.SHA256, want, err)
	}
}

// sound is a layer that nothing is wrong with.
func sound() result {
	size := func(n measure.Bytes) measure.Size { return measure.Size{Files: 2, Unzipped: 2 * n, Zipped: n} }
	layer := report.Layer{
		Inputs: report.Inputs{
			Wheels: []report.Wheel{{Name: "other", Version: "2"}, {Name: "x", Version: "1.0"}},
			Rules:  map[string]int{"tests": 1, "stubs": 2},
		},
		Before:   size(9e6),
		After:    size(8e6),
		Bytecode: report.Bytecode{Size: size(3e6)},
		Removed:  measure.Sizes{"tests": size(1e6), "stubs": size(2e6)},
		Probe: report.Probe{
			Status:      report.ProbePassed,
			Interpreter: "cpython-3.13.0",
			Modules:     3,
			Metadata:    2,
			Scripts:     1,
			Import:      &report.ImportComparison{WithoutSeconds: 1, WithSeconds: 0.25},
		},
	}
	r := result{
		Entry:    entry{Name: "x"},
		Tool:     "layersmith 0",
		Pruned:   layer,
		Compared: compared{Objects: 4, Models: 5, Bytecode: 6},
	}
	r.Shipped.Probe.Status = report.NotProbed
	return r
}

func TestWhatIsBroken(t *testing.T) {
	failure := func(kind probe.Kind, inherited bool) report.Probe {
		p := sound().Pruned.Probe
		p.Failures = []probe.Result{
			{Job: probe.Job{Kind: kind, Name: "x"}, Detail: "Traceback\nKeyError: 'k'", Inherited: inherited},
		}
		return p
	}
	finding := func(check string) []gate.Finding {
		return []gate.Finding{{Subject: "x.so", Check: check, Message: "no"}}
	}
	for name, c := range map[string]struct {
		change    func(*result)
		broken    []string
		inherited []string
	}{
		"nothing": {change: func(*result) {}},
		"a build that failed": {
			change: func(r *result) { r.Failed = "exit code 2: no wheel" },
			broken: []string{"not built: exit code 2: no wheel"},
		},
		"a module that pruning broke": {
			change: func(r *result) { r.Pruned.Probe = failure(probe.Module, false) },
			broken: []string{"module x: KeyError: 'k'"},
		},
		"a module that never worked": {
			change:    func(r *result) { r.Pruned.Probe = failure(probe.Module, true) },
			inherited: []string{"module x: KeyError: 'k'"},
		},
		"a script that never worked": {
			change: func(r *result) { r.Pruned.Probe = failure(probe.Script, true) },
			broken: []string{"script x: KeyError: 'k' (as shipped too: the script or the package is wrong)"},
		},
		"a finding of the gate": {
			change:    func(r *result) { r.Pruned.Gate = finding("elf-align") },
			broken:    []string{"gate: x.so: no [elf-align]"},
			inherited: nil,
		},
		"a finding that was there before": {change: func(r *result) {
			r.Pruned.Gate = finding("elf-needed")
			r.Shipped.Gate = finding("elf-needed")
		}, inherited: []string{"gate: x.so: no [elf-needed]"}},
		"a layer that Lambda would refuse": {change: func(r *result) { r.Pruned.Gate = finding("limits") }},
		"what the build healed": {change: func(r *result) {
			r.Pruned.Healed = []report.Healed{
				{Match: "x/tests/a.py", Rules: []string{"tests"}, Why: "module x fails without it"},
			}
		}, broken: []string{"healed: x/tests/a.py had to come back, tests: module x fails without it"}},
		"other bytes": {
			change: func(r *result) { r.Differ = []string{"x.so: segment 1"} },
			broken: []string{"not as shipped: x.so: segment 1"},
		},
		"no interpreter": {
			change: func(r *result) {
				r.Pruned.Probe = report.Probe{Status: report.NotProbed, Reason: "no python3.13"}
			},
			broken: []string{"not probed: no python3.13"},
		},
	} {
		r := sound()
		c.change(&r)
		if diff := cmp.Diff(c.broken, r.Problems()); diff != "" {
			t.Errorf("%s, broken (-want +got):\n%s", name, diff)
		}

		if diff := cmp.Diff(c.inherited, r.inherited()); diff != "" && c.broken == nil {
			t.Errorf("%s, inherited (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheDocument(t *testing.T) {
	failed := result{Entry: entry{Name: "y"}, Failed: "no wheel for a|b"}
	text := document(today, []result{sound(), failed}, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
	for _, want := range []string{
		"on 2026-11-24: 2 distributions, 1 broken. layersmith 0, cpython-3.13.0, target\npython3.13-x86_64, default " +
			"rules (stubs 2, tests 1).",
		"| x 1.0 | 1 | 9.00 / 18.0 | 6.00 / 12.0 | 8.00 / 16.0 | 1.00 -> 0.25 | stubs 4.00, tests 2.00 | 3+2+1 | 0 " +
			"|\n| y | | | | | | | | 1 |\n",
		"| pruned | 6.00 / 12.0 MB, 0 files: 33.3 % / 33.3 % less; the median distribution 33.3 % unzipped |\n",
		"| compared by what is loaded | 4 shared objects and 5 models that were changed, 6 files of bytecode |\n",
		"\n## Broken\n\n- y: not built: no wheel for a\\|b\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestTheListIsReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ text, err string }{
		"a name in capitals": {
			"- name: PyYAML\n",
			`entry 1: "PyYAML" is not a normalized name: lowercase letters, digits and single hyphens`,
		},
		"a name twice":                   {"- name: a\n- name: b\n- name: a\n", "a is listed twice"},
		"built twice outside the spread": {"- name: a\n  twice: true\n", "entry 1: twice without spread"},
		"an unknown key":                 {"- name: a\n  wiht: [b]\n", "unknown field"},
	} {
		file := filepath.Join(t.TempDir(), "list.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}

		_, err := batch.Read[entry](file)
		if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}

	if _, err := batch.Read[entry]("none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no list: %v", err)
	}
}

func TestAPartOfTheList(t *testing.T) {
	all := []entry{{Name: "a", Spread: true}, {Name: "b"}, {Name: "c", Spread: true}}
	for only, want := range map[string]string{"": "a b c", "2": "a b", "spread": "a c", "c,b": "b c"} {
		some, err := choose(all, only)
		var names []string
		for _, e := range some {
			names = append(names, e.Name)
		}

		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("-only %q: %s, %v; want %s", only, got, err, want)
		}
	}

	for only, want := range map[string]string{
		"4":   "-only 4: the list has 3",
		"0":   "-only 0: the list has 3",
		"a,z": `-only: "z" is not in the list`,
	} {
		if _, err := choose(all, only); err == nil || err.Error() != want {
			t.Errorf("-only %q: %v", only, err)
		}
	}
}

func TestRequirements(t *testing.T) {
	e := entry{Name: "psycopg", Extras: []string{"binary", "pool"}, With: []string{"six"}}
	if got := e.requirements(); got != "psycopg[binary,pool]\nsix\n" {
		t.Errorf("%q", got)
	}
}
