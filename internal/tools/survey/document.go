package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/page"
)

// lineBytes is the most of a problem that the page shows.
const lineBytes = 300

// document is the page of a list.
func document(l list, results []result, when time.Time) string {
	var p page.Page
	var sum totals
	for _, r := range results {
		sum.add(r)
	}

	l.head(&p, sum, len(results), when)
	sum.write(&p)

	p.Line("")
	p.Header(new(page.Columns).Left("distribution").
		Right("with", "as shipped", "pruned", "and bytecode", "import s").
		Left("removed by, MB unzipped").Right("asked", "broken"))
	for _, r := range results {
		row(&p, r)
	}

	problems := func(title, explanation string, of func(result) []string) {
		p.List(title, explanation, batch.Lines(results, of, clean))
	}
	problems("Broken", "", result.Problems)
	problems("Fails as shipped too", "Not caused by pruning, and no reason to refuse a layer: mostly modules that "+
		"need an optional distribution.", result.inherited)
	problems("More than Lambda's 250 MiB", "Even pruned and without bytecode.", result.overLimit)

	return p.String()
}

func (l list) head(p *page.Page, sum totals, distributions int, when time.Time) {
	p.Paragraph("# " + l.title)
	p.Paragraph("Written by `make %s` on %s: %d distributions, %d broken. %s, %s, target %s, default rules (%s).",
		l.name, when.Format(time.DateOnly), distributions, sum.broken, sum.tool, sum.interpreter, l.target,
		versions(sum.rules))
	p.Paragraph("One layer each, with all its requirements, in the versions of `internal/tools/survey/%s`. Every "+
		"layer was also built with all rules off, as an installer leaves it. The gate checked both; %s. What a "+
		"process loads of each file was compared with the original.", l.locks, sum.asked())
	p.Paragraph("MB = 10^6 bytes, zip / unzipped. Import times are the fastest of three fresh processes on this " +
		"machine: without bytecode -> pruned, with bytecode. Asked: modules + metadata + scripts.")
}

func row(p *page.Page, r result) {
	if r.Failed != "" {
		p.Line("| %s | | | | | | | | %d |", r.Entry.Name, len(r.Problems()))
		return
	}

	bytecode := page.Size(r.Pruned.After)
	if r.Pruned.Bytecode.Partial {
		bytecode += " (part)"
	}

	probed := r.Pruned.Probe
	p.Row(r.Entry.Name+" "+r.version(), len(r.Pruned.Inputs.Wheels)-1,
		page.Size(r.Pruned.Before), page.Size(r.bare()), bytecode, importTimes(r), removedBy(r.Pruned.Removed),
		fmt.Sprintf("%d+%d+%d", probed.Modules, probed.Metadata, probed.Scripts), len(r.Problems()))
}

// clean shortens a line of a list and escapes what Markdown takes for a table.
func clean(line string) string {
	return strings.ReplaceAll(page.Shorten(line, lineBytes), "|", "\\|")
}

func importTimes(r result) string {
	without, with, ok := r.imports()
	if !ok {
		return ""
	}

	return fmt.Sprintf("%.2f -> %.2f", without, with)
}

// removedBy lists the rules that removed something, in MB unzipped, the largest first.
func removedBy(removed measure.Sizes) string {
	ids := slices.SortedFunc(maps.Keys(removed), func(a, b string) int {
		return cmp.Or(cmp.Compare(removed[b].Unzipped, removed[a].Unzipped), cmp.Compare(a, b))
	})
	for i, id := range ids {
		ids[i] = id + " " + page.MB(removed[id].Unzipped, 2)
	}

	return strings.Join(ids, ", ")
}

// versions lists the rules with their versions.
func versions(rules map[string]int) string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		out = append(out, fmt.Sprintf("%s %d", id, rules[id]))
	}

	return strings.Join(out, ", ")
}
