package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// document is docs/survey.md.
func document(results []result, when time.Time) string {
	var w bytes.Buffer
	var sum totals
	for _, r := range results {
		sum.add(r)
	}

	fmt.Fprintf(
		&w,
		"# Survey\n\nWritten by `make survey` on %s: %d distributions, %d broken. %s, %s, target %s, default rules "+
			"(%s).\n\n",
		when.Format(
			"2006-01-02",
		),
		len(results),
		sum.broken,
		sum.tool,
		sum.interpreter,
		onelayer.Target,
		versions(sum.rules),
	)
	fmt.Fprintf(
		&w,
		"One layer each, with all that it requires, in the versions of `internal/tools/survey/locks`. Every layer was also "+
			"built with all rules off, as an installer leaves it; ",
	)
	fmt.Fprintf(
		&w,
		"the gate looked at both, %s, and what is loaded of each file was compared with the original.\n\n",
		sum.asked(),
	)
	fmt.Fprintf(
		&w,
		"MB = 10^6 bytes, zip / unzipped. Import times are this machine's, the fastest of three fresh processes: "+
			"without bytecode -> pruned with it. ",
	)
	fmt.Fprintf(&w, "Asked: modules + metadata + scripts.\n\n")
	sum.write(&w)
	fmt.Fprintf(
		&w,
		"\n| distribution | with | as shipped | pruned | and bytecode | import s | removed by, MB unzipped | asked | "+
			"broken |\n",
	)
	fmt.Fprintf(&w, "|---|--:|--:|--:|--:|--:|---|--:|--:|\n")
	for _, r := range results {
		row(&w, r)
	}

	section(&w, results, "Broken", "", result.broken)
	section(
		&w,
		results,
		"Fails as shipped too",
		"Not our doing, and no reason to refuse a layer: mostly parts that need a distribution that is optional.",
		result.inherited,
	)
	section(&w, results, "More than Lambda's 250 MiB", "Even pruned and without bytecode.", func(r result) []string {
		if !r.overLimit() {
			return nil
		}

		return []string{r.bare().Unzipped.String()}
	})
	return w.String()
}

func row(w *bytes.Buffer, r result) {
	if r.Failed != "" {
		fmt.Fprintf(w, "| %s | | | | | | | | %d |\n", r.Entry.Name, len(r.broken()))
		return
	}

	after := sizes(r.Pruned.After)
	mark := ""
	if r.Pruned.Bytecode.Partial {
		mark = " (part)"
	}

	p := r.Pruned.Probe
	fmt.Fprintf(w, "| %s %s | %d | %s | %s | %s%s | %s | %s | %d+%d+%d | %d |\n",
		r.Entry.Name, r.version(), len(r.Pruned.Inputs.Wheels)-1, sizes(r.Pruned.Before), sizes(r.bare()), after, mark,
		importTimes(r), fired(r.Pruned.Removed), p.Modules, p.Metadata, p.Scripts, len(r.broken()))
}

func sizes(s measure.Size) string {
	return fmt.Sprintf("%.2f / %.1f", float64(s.Zipped)/1e6, float64(s.Unzipped)/1e6)
}

func importTimes(r result) string {
	without, with, ok := r.imports()
	if !ok {
		return ""
	}

	return fmt.Sprintf("%.2f -> %.2f", without, with)
}

// fired are the rules that removed something, the largest first.
func fired(removed measure.Sizes) string {
	var ids []string
	for id := range removed {
		ids = append(ids, id)
	}

	sort.Slice(ids, func(i, j int) bool {
		if a, b := removed[ids[i]].Unzipped, removed[ids[j]].Unzipped; a != b {
			return a > b
		}

		return ids[i] < ids[j]
	})
	for i, id := range ids {
		ids[i] = fmt.Sprintf("%s %.2f", id, float64(removed[id].Unzipped)/1e6)
	}

	return strings.Join(ids, ", ")
}

func section(w *bytes.Buffer, results []result, title, about string, of func(result) []string) {
	var found []string
	for _, r := range results {
		for _, line := range of(r) {
			if len(line) > 300 {
				line = line[:300] + "..."
			}

			found = append(found, fmt.Sprintf("- %s: %s\n", r.Entry.Name, strings.ReplaceAll(line, "|", "\\|")))
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

// totals are sums over all distributions that were built.
type totals struct {
	tool, interpreter                     string
	rules                                 map[string]int
	count, broken, both                   int
	compared                              compared
	before, bare, after                   measure.Size
	removed                               measure.Sizes
	modules, metadata, scripts, inherited int
	shipped, pruned                       float64 // seconds of imports
	shrunk                                []float64
}

func (t *totals) add(r result) {
	t.broken += len(r.broken())
	if r.Failed != "" {
		return
	}

	if t.removed == nil {
		t.removed = measure.Sizes{}
	}

	t.count++
	t.tool = r.Tool
	t.interpreter = r.Pruned.Probe.Interpreter
	t.rules = r.Pruned.Inputs.Rules
	t.before = t.before.Add(r.Pruned.Before)
	t.bare = t.bare.Add(r.bare())
	t.after = t.after.Add(r.Pruned.After)
	for id, s := range r.Pruned.Removed {
		t.removed.Count(id, s)
	}

	p := r.Pruned.Probe
	t.modules = t.modules + p.Modules
	t.metadata = t.metadata + p.Metadata
	t.scripts = t.scripts + p.Scripts
	t.inherited += len(r.inherited())
	t.compared.Objects += r.Compared.Objects
	t.compared.Models += r.Compared.Models
	t.compared.Bytecode += r.Compared.Bytecode
	if without, with, ok := r.imports(); ok {
		t.shipped = t.shipped + without
		t.pruned = t.pruned + with
	}

	if r.both() {
		t.both++
	}

	t.shrunk = append(t.shrunk, 1-float64(r.bare().Unzipped)/float64(max(1, r.Pruned.Before.Unzipped)))
}

// asked says of how many layers the unpruned form was probed in full.
func (t *totals) asked() string {
	switch t.both {
	case t.count:
		return "the probe asked both"
	case 0:
		return "the probe asked the unpruned one what the pruned one could not do"
	}

	return fmt.Sprintf("the probe asked both (%d), or the unpruned one what the pruned one could not do", t.both)
}

func (t *totals) write(w *bytes.Buffer) {
	if t.count == 0 {
		return
	}

	sort.Float64s(t.shrunk)
	less := func(a, b measure.Bytes) float64 { return 100 * (1 - float64(b)/float64(max(1, a))) }
	fmt.Fprintf(w, "| in all | |\n|---|---|\n")
	fmt.Fprintf(w, "| as shipped | %s MB, %d files |\n", sizes(t.before), t.before.Files)
	fmt.Fprintf(
		w,
		"| pruned | %s MB, %d files: %.1f %% / %.1f %% less; the median distribution %.1f %% unzipped |\n",
		sizes(
			t.bare,
		),
		t.bare.Files,
		less(t.before.Zipped, t.bare.Zipped),
		less(t.before.Unzipped, t.bare.Unzipped),
		100*t.shrunk[len(t.shrunk)/2],
	)
	fmt.Fprintf(w, "| and bytecode | %s MB |\n", sizes(t.after))
	fmt.Fprintf(w, "| removed by | %s MB unzipped |\n", fired(t.removed))
	fmt.Fprintf(w, "| import | %.1f s -> %.1f s |\n", t.shipped, t.pruned)
	fmt.Fprintf(
		w,
		"| asked | %d modules, %d distributions, %d scripts; %d fail as shipped too |\n",
		t.modules,
		t.metadata,
		t.scripts,
		t.inherited,
	)
	fmt.Fprintf(
		w,
		"| compared by what is loaded | %d shared objects and %d models that were changed, %d files of bytecode |\n",
		t.compared.Objects,
		t.compared.Models,
		t.compared.Bytecode,
	)
	fmt.Fprintf(w, "| broken | %d |\n", t.broken)
}

func versions(rules map[string]int) string {
	var out []string
	for id, v := range rules {
		out = append(out, fmt.Sprintf("%s %d", id, v))
	}

	sort.Strings(out)
	return strings.Join(out, ", ")
}
