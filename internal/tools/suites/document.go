package main

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// topReasons is how many reasons of failures the document has of a distribution.
const topReasons = 5

// document is docs/suites.md.
func document(results []result, short bool, command string, when time.Time) string {
	var w bytes.Buffer
	var n counts
	var interpreter string
	var seconds float64
	for _, r := range results {
		n.Collected = n.Collected + r.Counts.Collected
		n.Passed = n.Passed + r.Counts.Passed
		n.Failed = n.Failed + r.Counts.Failed
		n.Lost = n.Lost + r.Counts.Lost
		n.Flaky = n.Flaky + r.Counts.Flaky
		seconds += r.Seconds[0] + r.Seconds[1]
		interpreter = r.Interpreter
	}

	part := ""
	if short {
		part = ", the short part of each"
	}

	fmt.Fprintf(
		&w,
		"# Their own tests\n\nWritten by `%s` on %s: %d distributions%s, %s tests, %s pass on both layers, **%d "+
			"lost**. Target %s, %s, %.0f minutes of tests.\n\n",
		command,
		when.Format("2006-01-02"),
		len(results),
		part,
		thousands(n.Collected),
		thousands(n.Passed),
		n.Lost,
		onelayer.Target,
		interpreter,
		seconds/60,
	)
	fmt.Fprintf(
		&w,
		"Each distribution's own test suite ran on its layer as the default rules leave it, and test by test on the "+
			"same layer with all rules off, in the versions of `internal/tools/suites/locks`. ",
	)
	fmt.Fprintf(&w, "Of what rules did only the removal of the tests themselves was undone. Nothing was healed.\n\n")
	fmt.Fprintf(
		&w,
		"Lost: passes unpruned and fails, is skipped or is not there pruned. What differed ran again alone, twice on "+
			"both; what then changed its mind is flaky. \"Of removed\" are tests of the very thing that a rule "+
			"removes: they were run on a layer with only that rule off too, and pass there. Other: did not pass "+
			"unpruned, and not in the same way pruned. MB = 10^6 bytes, zip / unzipped.\n\n",
	)
	fmt.Fprintf(
		&w,
		"| distribution | tests | passed on both | failed on both | skipped | xfailed | other | flaky | of removed | "+
			"lost | s unpruned / pruned | layer as shipped | pruned | and bytecode |\n"+
			"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
	)
	for _, r := range results {
		c := r.Counts
		fmt.Fprintf(
			&w,
			"| %s %s | %s | %s | %d | %s | %d | %d | %d | %s | %d | %.0f / %.0f | %s | %s | %s |\n",
			r.Entry.Name,
			r.version(),
			thousands(c.Collected),
			thousands(c.Passed),
			c.Failed,
			thousands(c.Skipped),
			c.XFailed,
			c.Otherwise,
			c.Flaky,
			thousands(c.About),
			c.Lost,
			r.Seconds[0],
			r.Seconds[1],
			sizes(r.Layer.Before),
			sizes(r.bare()),
			sizes(r.Layer.After),
		)
	}

	section(&w, results, "Problems", "", result.problems)
	section(
		&w,
		results,
		"Flaky",
		"They came to something else on the same layer when they ran again.",
		func(r result) []string { return list(r.Flaky) },
	)
	section(
		&w,
		results,
		"What ran",
		"Arguments of pytest, then files and folders. Networks, databases and what upstream calls slow are left out. "+
			"What other rules than `tests` removed stayed away.",
		func(r result) []string { return r.ran(short) },
	)
	section(
		&w,
		results,
		"Fails as shipped too",
		"Not our doing: mostly tests that need a network, or something that is not installed.",
		result.inherited,
	)
	return w.String()
}

func list(ds []difference) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.String())
	}

	return out
}

// ran says which tests of where, what was left out, and what stayed away.
func (r result) ran(short bool) []string {
	e := r.Entry
	from := "the wheel"
	if e.Tests == "sdist" {
		from = e.Sdist.File
	} else if e.Sdist != nil {
		from += ", with " + strings.Join(e.Sdist.Unpack, ", ") + " of " + e.Sdist.File
	}

	out := []string{
		fmt.Sprintf("`%s` of %s", strings.Join(append(slices.Clone(e.Args), e.selected(short)...), " "), from),
	}
	if e.Note != "" {
		out = append(out, e.Note)
	}

	var away []string
	for _, rule := range slices.Sorted(maps.Keys(r.Away)) {
		away = append(away, fmt.Sprintf("%s %d", rule, r.Away[rule]))
	}

	if len(away) > 0 {
		out = append(out, "files that stayed away, by rule: "+strings.Join(away, ", "))
	}

	for i, a := range e.About {
		n := 0
		for _, d := range r.About {
			if e.subject(d.Test) == i {
				n++
			}
		}

		out = append(
			out,
			fmt.Sprintf(
				"%s tests below `%s` are about what rule %s removes: %s",
				thousands(n),
				a.Match,
				a.Rule,
				a.Reason,
			),
		)
	}

	for _, d := range e.Restore {
		out = append(out, fmt.Sprintf("laid back: `%s`: %s", d.Match, d.Reason))
	}

	for _, d := range e.Deselect {
		out = append(out, fmt.Sprintf("not run: `%s`: %s", d.Match, d.Reason))
	}

	return out
}

// bare is the pruned layer without the bytecode that was added.
func (r result) bare() measure.Size {
	out := r.Layer.Before
	for _, s := range r.Layer.Removed {
		out.Unzipped = out.Unzipped - s.Unzipped
		out.Zipped = out.Zipped - s.Zipped
	}

	return out
}

// inherited is why tests fail on both sides.
func (r result) inherited() []string {
	var out []string
	for i, x := range r.Reasons {
		if i == topReasons {
			rest := 0
			for _, y := range r.Reasons[i:] {
				rest += y.Tests
			}

			return append(out, fmt.Sprintf("%d for %d other reasons", rest, len(r.Reasons)-i))
		}

		out = append(out, fmt.Sprintf("%d like %s: %s", x.Tests, x.Like, x.Why))
	}

	return out
}

func sizes(s measure.Size) string {
	return fmt.Sprintf("%.2f / %.1f", float64(s.Zipped)/1e6, float64(s.Unzipped)/1e6)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}

	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// temporary are the folders that this machine ran the tests in.
var temporary = regexp.MustCompile(`/[^ '"]*?suites-[0-9]+/[^/ '"]+/(opt/(python|work)/)?`)

func section(w *bytes.Buffer, results []result, title, about string, of func(result) []string) {
	var found []string
	for _, r := range results {
		for _, line := range of(r) {
			line = temporary.ReplaceAllString(strings.ReplaceAll(line, "\n", " "), "")
			if len(line) > 400 {
				line = line[:400] + "..."
			}

			found = append(found, fmt.Sprintf("- %s: %s\n", r.Entry.Name, line))
		}
	}

	if len(found) == 0 {
		return
	}

	fmt.Fprintf(w, "\n## %s\n\n", title)
	if about != "" {
		fmt.Fprintf(w, "%s\n\n", about)
	}

	w.WriteString(strings.Join(found, ""))
}
