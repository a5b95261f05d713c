package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// suites builds layers and runs tests on them.
type suites struct {
	onelayer.Builder
	locks  string // folder of committed locks, two a distribution: of the layer and of its tests' needs
	temp   string
	keep   string // folder of stored results; "" for none
	uvPath string
	short  bool
	relock bool
}

// build builds a layer without the probe, and so without healing: the tests are to find what is
// missing.
func (s suites) build(ctx context.Context, dir string, e entry, spec string, lock []byte) (onelayer.Built, error) {
	l := onelayer.Layer{Name: e.Name, Requirements: e.requirements(), Spec: spec, Lock: lock}
	return s.Build(ctx, dir, l, "--no-probe")
}

// The two forms of a layer.
const (
	unpruned = "unpruned"
	pruned   = "pruned"
)

// result is one distribution's tests on both forms of its layer.
type result struct {
	Entry       entry          `json:"entry"`
	Interpreter string         `json:"interpreter"`
	Layer       report.Layer   `json:"layer"` // pruned
	Restored    []string       `json:"restored"`
	Counts      counts         `json:"counts"`
	Lost        []difference   `json:"lost"`
	About       []difference   `json:"about"` // tests of exactly what a rule removes
	Flaky       []difference   `json:"flaky"`
	Reasons     []reason       `json:"reasons"` // of tests that fail on both sides
	Seconds     [2]float64     `json:"seconds"` // unpruned, pruned
	Faults      []string       `json:"faults"`  // why the comparison proves less than it should
	Away        map[string]int `json:"away"`    // removed files that were not put back, by rule
}

// Name is the distribution's.
func (r result) Name() string { return r.Entry.Name }

// Summary is for the line of progress.
func (r result) Summary() string {
	return fmt.Sprintf("%s %s: %d tests, %d passed on both, %d lost, %d flaky",
		r.Entry.Name, r.version(), r.Counts.Collected, r.Counts.Passed, r.Counts.Lost, r.Counts.Flaky)
}

// Problems are what makes the command fail: faults and lost tests.
func (r result) Problems() []string {
	out := slices.Clone(r.Faults)
	for _, d := range r.Lost {
		out = append(out, "lost: "+d.String())
	}

	return out
}

// version is that of the distribution itself.
func (r result) version() string { return onelayer.Version(r.Layer, r.Entry.Name) }

// stored returns the stored result if it is one of the same tests, or makes and stores it.
func (s suites) stored(ctx context.Context, e entry) (r result, stored bool, err error) {
	if s.keep == "" {
		r, err = s.try(ctx, e)
		return r, false, err
	}

	file := filepath.Join(s.keep, e.Name+".json")
	if s.short {
		file = filepath.Join(s.keep, e.Name+"-short.json")
	}

	if !s.relock {
		stored, err := batch.Load(file, &r)
		if err != nil {
			return r, false, err
		}

		if stored && e.sameRun(r.Entry, s.short) {
			r.Entry = e
			return r, true, nil
		}
	}

	if r, err = s.try(ctx, e); err != nil {
		return r, false, err
	}

	return r, false, batch.Store(file, r)
}

// forms are the two forms of a layer.
type forms struct{ shipped, pruned onelayer.Built }

// both builds both forms of an entry's layer, and writes its locks if they are new. spec is the
// layer.yaml of the pruned form.
func (s suites) both(ctx context.Context, dir string, e entry, spec string) (f forms, err error) {
	file := filepath.Join(s.locks, e.Name+".toml")
	locked, err := batch.ReadLock(file)
	if err != nil {
		return f, err
	}

	if s.relock {
		locked = nil
	}

	if f.pruned, err = s.build(ctx, filepath.Join(dir, "build-pruned"), e, spec, locked); err != nil {
		return f, err
	}

	noRules := onelayer.NoRules(f.pruned.Layer)
	f.shipped, err = s.build(ctx, filepath.Join(dir, "build-shipped"), e, noRules, f.pruned.Lock)
	if err != nil {
		return f, fmt.Errorf("with all rules off: %w", err)
	}

	_, err = os.Stat(s.needs(e))
	if string(f.pruned.Lock) == string(locked) && err == nil {
		return f, nil
	}

	l, err := lock.Open(f.pruned.Lock)
	if err != nil {
		return f, err
	}

	if err := errors.Join(batch.WriteFile(file, f.pruned.Lock), s.lockNeeds(ctx, e, l)); err != nil {
		return f, err
	}

	fmt.Fprintf(os.Stderr, "suites: wrote the locks of %s; commit them\n", e.Name)
	return f, nil
}

// lay makes the virtual environment of an entry's tests and unpacks both forms of its layer.
// restored and away are as in the function lay.
func (s suites) lay(
	ctx context.Context, dir string, e entry, f forms,
) (b bench, restored []string, away map[string]string, err error) {
	b = bench{entry: e, dir: dir}
	b.python, err = s.environment(ctx, filepath.Join(dir, "environment"), b.site(), e)
	if err != nil {
		return b, nil, nil, err
	}

	b.config = filepath.Join(b.work(), e.Config)
	if e.Config == "" {
		b.config = filepath.Join(dir, "pytest.ini")
		if err := os.WriteFile(b.config, []byte("[pytest]\n"+e.Ini), 0o644); err != nil {
			return b, nil, nil, err
		}
	}

	err = errors.Join(layWhole(filepath.Join(dir, unpruned), f.shipped), s.layWork(ctx, dir, unpruned, e))
	if err != nil {
		return b, nil, nil, err
	}

	restored, away, err = lay(filepath.Join(dir, pruned), e, f.shipped, f.pruned)
	return b, restored, away, errors.Join(err, s.layWork(ctx, dir, pruned, e))
}

// layWork makes the folder beside a form of the layer in which pytest starts, with the entry's
// files of the source distribution.
func (s suites) layWork(ctx context.Context, dir, form string, e entry) error {
	work := filepath.Join(dir, form, "work")
	if err := os.MkdirAll(work, 0o755); err != nil || e.Sdist == nil {
		return err
	}

	return s.source(ctx, work, e)
}

const (
	defaultMinutes = 12 // time limit of a side
	againMinutes   = 5  // time limit of tests that are run again

	// aloneAtMost is how many tests that differ are run again one by one. More of them have one
	// cause, and are run again together.
	aloneAtMost = 10
)

// try builds an entry, runs its tests on both forms and compares.
func (s suites) try(ctx context.Context, e entry) (r result, err error) {
	dir := filepath.Join(s.temp, e.Name) // short: tests make sockets below it, whose names are limited
	if err := os.Mkdir(dir, 0o755); err != nil {
		return r, err
	}

	defer os.RemoveAll(dir)

	f, err := s.both(ctx, dir, e, "")
	if err != nil {
		return r, err
	}

	return s.test(ctx, dir, e, f)
}

// test runs an entry's tests on both forms and compares.
func (s suites) test(ctx context.Context, dir string, e entry, f forms) (r result, err error) {
	r = result{Entry: e, Interpreter: s.Python.Identity(), Layer: f.pruned.Layer, Away: map[string]int{}}
	b, restored, away, err := s.lay(ctx, dir, e, f)
	if err != nil {
		return r, err
	}

	r.Restored = restored
	for _, rule := range away {
		r.Away[rule]++
	}

	if v := r.version(); e.Sdist != nil && e.Sdist.version() != v {
		r.Faults = append(r.Faults,
			fmt.Sprintf("the layer has %s, but suites.yaml names %s: correct it", v, e.Sdist.File))
	}

	limit := time.Duration(cmp.Or(e.Minutes, defaultMinutes)) * time.Minute
	var sides [2]side
	for i, form := range []string{unpruned, pruned} {
		sides[i], err = s.storedSide(e, form, func() (side, error) {
			return b.run(ctx, form, e.selected(s.short), e.Workers, limit)
		})
		if err != nil {
			return r, err
		}

		r.Seconds[i] = sides[i].Seconds
		r.Faults = append(r.Faults, sides[i].faults(form, e, limit)...)
	}

	err = r.compare(ctx, s, b, f, sides)

	return r, err
}

// compare compares the sides, runs tests that differ again, and notes the differences.
func (r *result) compare(ctx context.Context, s suites, b bench, f forms, sides [2]side) (err error) {
	differ := lost(sides[0], sides[1])
	if r.About, differ, err = s.about(ctx, b, f, differ); err != nil {
		return err
	}

	r.Lost, r.Flaky, err = again(differ, func(form string, tests []string) (side, error) {
		return b.run(ctx, form, tests, 0, againMinutes*time.Minute)
	})
	if err != nil {
		return err
	}

	r.Counts = count(sides[0], sides[1], r.Lost, r.Flaky, r.About)
	r.Reasons = reasons(sides[0], sides[1])
	if r.Counts.Passed == 0 {
		r.Faults = append(r.Faults, "no test passed on both sides: "+sides[0].said())
	}

	return nil
}

// about returns the tests that belong to the entry's About and pass with its rules off and all
// others on, and all other tests.
func (s suites) about(
	ctx context.Context, b bench, f forms, differ []difference,
) (about, others []difference, err error) {
	var tests []string
	for _, d := range differ {
		if b.entry.subject(d.Test) >= 0 {
			tests = append(tests, d.Test)
		}
	}

	if len(tests) == 0 {
		return nil, differ, nil
	}

	with, err := s.runWithRulesOff(ctx, b, f, tests)
	if err != nil {
		return nil, nil, err
	}

	for _, d := range differ {
		if b.entry.subject(d.Test) >= 0 && good(with.of(d.Test).Result) {
			about = append(about, d)
		} else {
			others = append(others, d)
		}
	}

	return about, others, nil
}

// runWithRulesOff runs tests on the layer built without the rules of the entry's About.
func (s suites) runWithRulesOff(ctx context.Context, b bench, f forms, tests []string) (side, error) {
	var rules []string
	for _, a := range b.entry.About {
		rules = append(rules, a.Rule)
	}

	slices.Sort(rules)
	spec := onelayer.Without(slices.Compact(rules))
	kept, err := s.build(ctx, filepath.Join(b.dir, "build-kept"), b.entry, spec, f.pruned.Lock)
	if err != nil {
		return side{}, err
	}

	const form = "kept"
	if _, _, err := lay(filepath.Join(b.dir, form), b.entry, f.shipped, kept); err != nil {
		return side{}, err
	}

	if err := s.layWork(ctx, b.dir, form, b.entry); err != nil {
		return side{}, err
	}

	return b.run(ctx, form, tests, b.entry.Workers, againMinutes*time.Minute)
}

// storedSide returns the stored run of one form, or makes and stores it. Short runs are not stored.
func (s suites) storedSide(e entry, form string, run func() (side, error)) (side, error) {
	if s.keep == "" || s.short {
		return run()
	}

	var k struct {
		Entry entry `json:"entry"`
		Side  side  `json:"side"`
	}
	file := filepath.Join(s.keep, e.Name+"."+form+".json")
	if stored, err := batch.Load(file, &k); err == nil && stored && e.sameRun(k.Entry, s.short) {
		return k.Side, nil
	}

	var err error
	if k.Side, err = run(); err != nil {
		return k.Side, err
	}

	k.Entry = e
	return k.Side, batch.Store(file, k)
}

// said is the last lines of pytest's output.
func (s side) said() string {
	lines := strings.Split(strings.TrimSpace(s.Output), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// faults are why a run proves less than it should: it did not end, or it tested something else than
// the layer.
func (s side) faults(form string, e entry, limit time.Duration) []string {
	var out []string
	if !s.Ended {
		out = append(out, fmt.Sprintf("%s: it did not end within %v", form, limit))
	}

	if s.Ended && s.Exit > 1 { // 0: all passed, 1: some failed
		out = append(out, fmt.Sprintf("%s: pytest ended with exit code %d: %s", form, s.Exit, s.said()))
	}

	if s.Ended && !slices.Contains(s.Own, e.Module) {
		out = append(out, fmt.Sprintf("%s: %s was not imported from the layer", form, e.Module))
	}

	for _, m := range s.Elsewhere {
		out = append(out, form+": the layer has it, but it was loaded from another place: "+m)
	}

	return out
}

// again runs tests that differ twice more on both forms, alone. A test that passes unpruned both
// times and never pruned is lost; the others are flaky.
func again(
	differ []difference, run func(form string, tests []string) (side, error),
) (lost, flaky []difference, err error) {
	group := 1
	if len(differ) > aloneAtMost {
		group = len(differ)
	}

	for differ := range slices.Chunk(differ, group) {
		changed, err := changedTests(differ, run)
		if err != nil {
			return nil, nil, err
		}

		for _, d := range differ {
			if changed[d.Test] {
				flaky = append(flaky, d)
			} else {
				lost = append(lost, d)
			}
		}
	}

	return lost, flaky, nil
}

// changedTests runs tests twice on both forms and returns those that failed unpruned or passed
// pruned.
func changedTests(
	differ []difference, run func(form string, tests []string) (side, error),
) (map[string]bool, error) {
	var tests []string
	for _, d := range differ {
		tests = append(tests, d.Test)
	}

	changed := map[string]bool{}
	for range 2 {
		for _, form := range []string{unpruned, pruned} {
			s, err := run(form, tests)
			if err != nil {
				return nil, err
			}

			for _, t := range tests {
				passes := good(s.of(t).Result)
				changed[t] = changed[t] || passes != (form == unpruned)
			}
		}
	}

	return changed, nil
}
