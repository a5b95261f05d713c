package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
	"github.com/layersmith/layersmith/internal/tools/page"
)

const (
	topReasons = 5   // reasons of failures that the page has of a distribution
	lineBytes  = 400 // the most of a line in a list
)

// document is docs/suites.md.
func document(results []result, short bool, command string, when time.Time) string {
	var p page.Page
	head(&p, results, short, command, when)

	p.Header(new(page.Columns).Left("distribution").
		Right("tests", "passed on both", "failed on both", "skipped", "xfailed", "other", "flaky", "of removed", "lost",
			"s unpruned / pruned", "layer as shipped", "pruned", "and bytecode"))
	for _, r := range results {
		row(&p, r)
	}

	list := func(title, explanation string, of func(result) []string) {
		p.List(title, explanation, batch.Lines(results, of, clean))
	}
	list("Problems", "", result.Problems)
	list("Flaky", "Run again, they had another result on the same layer.",
		func(r result) []string { return said(r.Flaky) })
	list("What ran", "pytest's arguments, then files and folders. Tests that need a network or a database, and those "+
		"that upstream calls slow, are left out. What rules other than `tests` removed was not put back.",
		func(r result) []string { return r.ran(short) })
	list("Fails as shipped too", "Not caused by pruning: mostly tests that need a network, or something that is not "+
		"installed.", result.inherited)

	return p.String()
}

func head(p *page.Page, results []result, short bool, command string, when time.Time) {
	var n counts
	var interpreter string
	var seconds float64
	for _, r := range results {
		n.Collected += r.Counts.Collected
		n.Passed += r.Counts.Passed
		n.Lost += r.Counts.Lost
		seconds += r.Seconds[0] + r.Seconds[1]
		interpreter = r.Interpreter
	}

	part := ""
	if short {
		part = ", the short part of each"
	}

	p.Paragraph("# Their own tests")
	p.Paragraph("Written by `%s` on %s: %d distributions%s, %s tests, %s pass on both layers, **%d lost**. Target %s, "+
		"%s, %.0f minutes of tests.",
		command, when.Format(time.DateOnly), len(results), part, page.Thousands(n.Collected), page.Thousands(n.Passed),
		n.Lost, onelayer.Target, interpreter, seconds/60)
	p.Paragraph("Each distribution's own tests ran on its layer as the default rules leave it, and on the same layer " +
		"with all rules off, in the versions of `internal/tools/suites/locks`. The results were compared test by " +
		"test. Of what the rules did, only the removal of the tests was undone. Nothing was healed.")
	p.Paragraph("Lost: passes unpruned and fails, is skipped or is missing pruned. Tests that differed ran again " +
		"alone, twice on both layers; those with another result then are flaky. \"Of removed\" are tests of exactly " +
		"what a rule removes: they also ran on a layer with only that rule off, and pass there. Other: did not pass " +
		"unpruned, and had another result pruned. MB = 10^6 bytes, zip / unzipped.")
}

func row(p *page.Page, r result) {
	c := r.Counts
	p.Row(r.Entry.Name+" "+r.version(),
		page.Thousands(c.Collected), page.Thousands(c.Passed), c.Failed, page.Thousands(c.Skipped),
		c.XFailed, c.Otherwise, c.Flaky, page.Thousands(c.About), c.Lost,
		fmt.Sprintf("%.0f / %.0f", r.Seconds[0], r.Seconds[1]),
		page.Size(r.Layer.Before), page.Size(onelayer.WithoutBytecode(r.Layer)), page.Size(r.Layer.After))
}

// temporary are the folders of this machine in which the tests ran.
var temporary = regexp.MustCompile(`/[^ '"]*?suites-[0-9]+/[^/ '"]+/(opt/(python|work)/)?`)

// clean makes one short line without temporary folders.
func clean(line string) string {
	return page.Shorten(temporary.ReplaceAllString(strings.ReplaceAll(line, "\n", " "), ""), lineBytes)
}

// said are differences as the page has them.
func said(differences []difference) []string {
	var out []string
	for _, d := range differences {
		out = append(out, d.String())
	}

	return out
}

// ran says which tests ran, what was left out, and what was not put back.
func (r result) ran(short bool) []string {
	e := r.Entry
	args := strings.Join(slices.Concat(e.Args, e.selected(short)), " ")
	out := []string{fmt.Sprintf("`%s` of %s", args, e.origin())}
	if e.Note != "" {
		out = append(out, e.Note)
	}

	var away []string
	for _, rule := range slices.Sorted(maps.Keys(r.Away)) {
		away = append(away, fmt.Sprintf("%s %d", rule, r.Away[rule]))
	}

	if len(away) > 0 {
		out = append(out, "files not put back, by rule: "+strings.Join(away, ", "))
	}

	for i, a := range e.About {
		out = append(out, fmt.Sprintf("%s tests below `%s` are about what rule %s removes: %s",
			page.Thousands(r.about(i)), a.Match, a.Rule, a.Reason))
	}

	for _, d := range e.Restore {
		out = append(out, fmt.Sprintf("put back: `%s`: %s", d.Match, d.Reason))
	}

	for _, d := range e.Deselect {
		out = append(out, fmt.Sprintf("not run: `%s`: %s", d.Match, d.Reason))
	}

	return out
}

// origin says where the tests come from.
func (e entry) origin() string {
	switch {
	case e.Tests == "sdist":
		return e.Sdist.File
	case e.Sdist != nil:
		return "the wheel, with " + strings.Join(e.Sdist.Unpack, ", ") + " of " + e.Sdist.File
	}

	return "the wheel"
}

// about is the number of tests that belong to an element of the entry's About.
func (r result) about(element int) (n int) {
	for _, d := range r.About {
		if r.Entry.subject(d.Test) == element {
			n++
		}
	}

	return n
}

// inherited says why tests fail on both layers.
func (r result) inherited() []string {
	var out []string
	for _, x := range r.Reasons[:min(topReasons, len(r.Reasons))] {
		out = append(out, fmt.Sprintf("%d like %s: %s", x.Tests, x.Like, x.Why))
	}

	if others := r.Reasons[len(out):]; len(others) > 0 {
		tests := 0
		for _, x := range others {
			tests += x.Tests
		}

		out = append(out, fmt.Sprintf("%d for %d other reasons", tests, len(others)))
	}

	return out
}
