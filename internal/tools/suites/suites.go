package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// suites is how and where all of it is done.
type suites struct {
	onelayer.Builder
	locks  string // committed: of the layer and of what tests require, two a distribution
	temp   string
	keep   string // folder of results; "" for none
	uvPath string
	short  bool
	relock bool
}

// build builds a layer without asking the probe, and so without healing: the tests are to find what
// is missing.
func (s suites) build(ctx context.Context, dir string, e entry, spec string, lock []byte) (onelayer.Built, error) {
	return s.Build(
		ctx,
		dir,
		onelayer.Layer{Name: e.Name, Requirements: e.requirements(), Spec: spec, Lock: lock},
		"--no-probe",
	)
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
	About       []difference   `json:"about"` // their subject is what a rule removes
	Flaky       []difference   `json:"flaky"`
	Reasons     []reason       `json:"reasons"` // of tests that fail on both sides
	Seconds     [2]float64     `json:"seconds"` // unpruned, pruned
	Faults      []string       `json:"faults"`  // why the comparison says less than it should
	Away        map[string]int `json:"away"`    // files that stayed away, by rule
}

// problems are what makes the command fail.
func (r result) problems() []string {
	out := slices.Clone(r.Faults)
	for _, d := range r.Lost {
		out = append(out, "lost: "+d.String())
	}

	return out
}

// version is that of the distribution itself.
func (r result) version() string {
	for _, w := range r.Layer.Inputs.Wheels {
		if w.Name == r.Entry.Name {
			return w.Version
		}
	}

	return ""
}

// kept returns the result that is in the folder, if it is one of the same entry, or makes it and
// puts it there.
func (s suites) kept(ctx context.Context, e entry) (r result, known bool, err error) {
	if s.keep == "" {
		r, err = s.try(ctx, e)
		return r, false, err
	}

	file := filepath.Join(s.keep, e.Name+".json")
	if s.short {
		file = filepath.Join(s.keep, e.Name+"-short.json")
	}

	if b, err := os.ReadFile(file); err == nil && !s.relock {
		if err := json.Unmarshal(b, &r); err != nil {
			return r, false, fmt.Errorf("read %s: %w", file, err)
		}

		if e.sameRun(r.Entry, s.short) {
			r.Entry = e
			return r, true, nil
		}
	}

	if err := os.MkdirAll(s.keep, 0o755); err != nil {
		return r, false, err
	}

	if r, err = s.try(ctx, e); err != nil {
		return r, false, err
	}

	return r, false, writeJSON(file, r)
}

func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}

	return onelayer.WriteFile(file, append(b, '\n'))
}

// forms are the two forms of a layer.
type forms struct{ shipped, pruned onelayer.Built }

// both builds both forms of an entry's layer; more is added to the layer.yaml of the pruned one.
func (s suites) both(ctx context.Context, dir string, e entry, more string) (f forms, err error) {
	file := filepath.Join(s.locks, e.Name+".toml")
	locked, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}

	if s.relock {
		locked = nil
	}

	if f.pruned, err = s.build(ctx, filepath.Join(dir, "build-pruned"), e, more, locked); err != nil {
		return f, err
	}

	if f.shipped, err = s.build(
		ctx,
		filepath.Join(dir, "build-shipped"),
		e,
		onelayer.NoRules(f.pruned.Layer),
		f.pruned.Lock,
	); err != nil {
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

	if err := errors.Join(onelayer.WriteFile(file, f.pruned.Lock), s.lockNeeds(ctx, e, l)); err != nil {
		return f, err
	}

	fmt.Fprintf(os.Stderr, "suites: the locks of %s are new; commit them\n", e.Name)
	return f, nil
}

// lay makes what all runs of an entry share, and both forms of the layer.
func (s suites) lay(
	ctx context.Context,
	dir string,
	e entry,
	f forms,
) (b bench, restored []string, away map[string]string, err error) {
	b = bench{entry: e, dir: dir}
	if b.python, err = s.environment(
		ctx,
		filepath.Join(dir, "environment"),
		filepath.Join(dir, "opt", "python"),
		e,
	); err != nil {
		return b, nil, nil, err
	}

	b.config = filepath.Join(b.work(), e.Config)
	if e.Config == "" {
		b.config = filepath.Join(dir, "pytest.ini")
		if err := os.WriteFile(b.config, []byte("[pytest]\n"+e.Ini), 0o644); err != nil {
			return b, nil, nil, err
		}
	}

	if err := errors.Join(
		layWhole(filepath.Join(dir, unpruned), f.shipped),
		s.beside(ctx, dir, unpruned, e),
	); err != nil {
		return b, nil, nil, err
	}

	restored, away, err = lay(filepath.Join(dir, pruned), e, f.shipped, f.pruned)
	return b, restored, away, errors.Join(err, s.beside(ctx, dir, pruned, e))
}

// beside makes the folder beside a form of the layer in which tests run, with what the entry has of
// a source distribution.
func (s suites) beside(ctx context.Context, dir, form string, e entry) error {
	work := filepath.Join(dir, form, "work")
	if err := os.MkdirAll(work, 0o755); err != nil || e.Sdist == nil {
		return err
	}

	return s.source(ctx, work, e)
}

const (
	defaultMinutes = 12
	againMinutes   = 5
	// aloneAtMost is how many differing tests are run again one by one; more of them have one
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

func (s suites) test(ctx context.Context, dir string, e entry, f forms) (r result, err error) {
	r = result{Entry: e, Interpreter: s.Python.Identity(), Layer: f.pruned.Layer, Away: map[string]int{}}
	b, restored, away, err := s.lay(ctx, dir, e, f)
	if err != nil {
		return r, err
	}

	r.Restored = restored
	if v := r.version(); e.Sdist != nil && e.Sdist.version() != v {
		r.Faults = append(
			r.Faults,
			fmt.Sprintf("the layer has %s, and %s is of %s: correct suites.yaml", v, e.Sdist.File, e.Sdist.version()),
		)
	}

	for _, rule := range away {
		r.Away[rule]++
	}

	limit := time.Duration(cmp.Or(e.Minutes, defaultMinutes)) * time.Minute
	var sides [2]side
	for i, form := range []string{unpruned, pruned} {
		if sides[i], err = s.keptSide(
			e,
			form,
			func() (side, error) { return b.run(ctx, form, e.selected(s.short), e.Workers, limit) },
		); err != nil {
			return r, err
		}

		r.Seconds[i] = sides[i].Seconds
		r.Faults = append(r.Faults, sides[i].faults(form, e, limit)...)
	}

	differ := lost(sides[0], sides[1])
	if r.About, differ, err = s.about(ctx, b, f, differ); err != nil {
		return r, err
	}

	if r.Lost, r.Flaky, err = again(differ, func(form string, tests []string) (side, error) {
		return b.run(ctx, form, tests, 0, againMinutes*time.Minute)
	}); err != nil {
		return r, err
	}

	r.Counts = count(sides[0], sides[1], r.Lost, r.Flaky, r.About)
	r.Reasons = reasons(sides[0], sides[1])
	if r.Counts.Passed == 0 {
		r.Faults = append(r.Faults, "no test passed on both sides: "+sides[0].said())
	}

	return r, nil
}

// about sets apart the tests that do not pass because a rule removes their subject: with these
// rules off, and all others on, they do.
func (s suites) about(
	ctx context.Context,
	b bench,
	f forms,
	differ []difference,
) (about, others []difference, err error) {
	var tests, rules []string
	for _, d := range differ {
		if b.entry.subject(d.Test) >= 0 {
			tests = append(tests, d.Test)
		}
	}

	if len(tests) == 0 {
		return nil, differ, nil
	}

	for _, a := range b.entry.About {
		rules = append(rules, a.Rule)
	}

	slices.Sort(rules)
	kept, err := s.build(
		ctx,
		filepath.Join(b.dir, "build-kept"),
		b.entry,
		onelayer.Without(slices.Compact(rules)),
		f.pruned.Lock,
	)
	if err != nil {
		return nil, nil, err
	}

	const form = "kept"
	if _, _, err := lay(filepath.Join(b.dir, form), b.entry, f.shipped, kept); err != nil {
		return nil, nil, err
	}

	if err := s.beside(ctx, b.dir, form, b.entry); err != nil {
		return nil, nil, err
	}

	with, err := b.run(ctx, form, tests, b.entry.Workers, againMinutes*time.Minute)
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

// keptSide returns the run of one form that is in the folder of results, or makes it and puts it
// there.
func (s suites) keptSide(e entry, form string, run func() (side, error)) (side, error) {
	if s.keep == "" || s.short {
		return run()
	}

	var k struct {
		Entry entry `json:"entry"`
		Side  side  `json:"side"`
	}
	file := filepath.Join(s.keep, e.Name+"."+form+".json")
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &k) == nil && e.sameRun(k.Entry, s.short) {
		return k.Side, nil
	}

	var err error
	if k.Side, err = run(); err != nil {
		return k.Side, err
	}

	k.Entry = e
	return k.Side, writeJSON(file, k)
}

// said is the last that pytest said.
func (s side) said() string {
	lines := strings.Split(strings.TrimSpace(s.Output), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// faults are what makes a run worth less: it did not end, or tested something else than the layer.
func (s side) faults(form string, e entry, limit time.Duration) []string {
	var out []string
	if !s.Ended {
		out = append(out, fmt.Sprintf("%s: it did not end within %v", form, limit))
	}

	if s.Exit > 1 && s.Ended { // 0 and 1: all ran
		out = append(out, fmt.Sprintf("%s: pytest ended with exit code %d: %s", form, s.Exit, s.said()))
	}

	if s.Ended && !slices.Contains(s.Own, e.Module) {
		out = append(out, fmt.Sprintf("%s: %s was not imported from the layer", form, e.Module))
	}

	for _, m := range s.Foreign {
		out = append(out, form+": the layer has it, but it was loaded from elsewhere: "+m)
	}

	return out
}

// again runs what differs once more, alone, twice on both sides. What passes unpruned both times
// and never pruned is lost; the rest is flaky.
func again(
	differ []difference,
	run func(form string, tests []string) (side, error),
) (really, flaky []difference, err error) {
	var groups [][]difference
	for _, d := range differ {
		if len(differ) > aloneAtMost {
			groups = [][]difference{differ}
			break
		}

		groups = append(groups, []difference{d})
	}

	for _, group := range groups {
		var tests []string
		for _, d := range group {
			tests = append(tests, d.Test)
		}

		changed := map[string]bool{}
		for range 2 {
			for _, form := range []string{unpruned, pruned} {
				s, err := run(form, tests)
				if err != nil {
					return nil, nil, err
				}

				for _, t := range tests {
					changed[t] = changed[t] || good(s.of(t).Result) != (form == unpruned)
				}
			}
		}

		for _, d := range group {
			if changed[d.Test] {
				flaky = append(flaky, d)
			} else {
				really = append(really, d)
			}
		}
	}

	return really, flaky, nil
}
