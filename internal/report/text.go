package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
)

// TextOptions select what Text prints.
type TextOptions struct {
	Verbose       bool // every note, every failure, 50 lines of each
	PlanOnly      bool // sizes only: the layers were planned, not built
	CheckOnly     bool // the layers were checked as they are: nothing was removed
	HealedPrinted bool // the progress output has listed the healed files already
}

// HealedText describes one keep entry that healing added to file, in one line.
func HealedText(layer string, h Healed, file string) string {
	rules := "rule " + strings.Join(h.Rules, ", ")
	if len(h.Rules) > 1 {
		rules = "rules " + strings.Join(h.Rules, ", ")
	}

	size := h.Bytes.String()
	if h.Files > 1 {
		size = Count(h.Files, "file") + ", " + size
	}

	return fmt.Sprintf("%s kept %s (%s, %s): %s; written to %s", layer, h.Match, size, rules, h.Why, file)
}

// Text prints a report for people: a table of the layers, then one line for each thing to know.
func Text(w io.Writer, r Report, o TextOptions) {
	t := text{w, o}
	t.table(r.Layers)
	if o.PlanOnly {
		return
	}

	if !o.CheckOnly {
		t.removed(r.Layers)
	}

	for _, l := range r.Layers {
		t.layer(l)
	}

	t.stacks(r.Stacks)
}

// text prints the sections of a report.
type text struct {
	w io.Writer
	TextOptions
}

// line prints a label, such as note or failed, and what it is about.
func (t text) line(label, format string, args ...any) {
	fmt.Fprintf(t.w, "%-8s%s\n", label, fmt.Sprintf(format, args...))
}

// folded prints a label and a list that may be long.
func (t text) folded(label, list string) {
	for _, l := range fold(list, Width-8) {
		fmt.Fprintf(t.w, "%-8s%s\n", label, l)
		label = ""
	}
}

func (t text) table(layers []Layer) {
	rows := [][]string{{"layer", "zip MB", "unzipped MB", "import s", "budget", "probe"}}
	for _, l := range layers {
		rows = append(rows, []string{
			l.Name,
			zipText(l),
			l.Before.Unzipped.MB() + " -> " + l.After.Unzipped.MB(),
			importText(l.Probe),
			budgetText(l),
			probeText(l.Probe),
		})
	}

	if t.PlanOnly {
		for i := range rows {
			rows[i] = rows[i][:3]
		}
	}

	Table(t.w, rows, map[int]bool{1: true, 2: true, 3: true})
}

// zipText is the size of the zip before and after; of a folder that was checked there is none.
func zipText(l Layer) string {
	if l.Before.Zipped == 0 && l.Zip.Bytes == 0 {
		return "-"
	}

	return orDash(l.Before.Zipped) + " -> " + orDash(l.Zip.Bytes)
}

// orDash is a size in MB; "-" where there was no zip.
func orDash(b measure.Bytes) string {
	if b == 0 {
		return "-"
	}

	return b.MB()
}

// removed sums up what each rule removed, and the bytecode that was added, over all layers.
func (t text) removed(layers []Layer) {
	removed := measure.Sizes{}
	code := measure.Size{}
	for _, l := range layers {
		for rule, s := range l.Removed {
			removed.Count(rule, s)
		}

		code = code.Add(l.Bytecode.Size)
	}

	var parts []string
	var saved measure.Bytes
	for _, rule := range removed.Largest() {
		parts = append(parts, fmt.Sprintf("%s %s", rule, removed[rule].Unzipped))
		saved += removed[rule].Unzipped
	}

	t.folded("removed", cmp.Or(strings.Join(parts, ", "), "nothing"))
	if code.Files > 0 {
		pruned := "nothing"
		if saved != 0 {
			pruned = "-" + saved.String()
		}

		t.line("sizes", "pruned %s, bytecode +%s", pruned, code.Unzipped)
	}
}

func (t text) layer(l Layer) {
	t.bytecode(l)
	t.notProbed(l)
	t.healed(l)
	t.decisions(l)
	for _, f := range l.Probe.Failures {
		t.failure(l, f)
	}

	if h := l.Probe.Healing; h != nil && h.Why != "" {
		t.line("note", "%s: not healed: %s", l.Name, h.Why)
	}

	for _, w := range l.Warnings {
		t.line("note", "%s: %s", l.Name, w)
	}

	for _, n := range l.Remarks {
		t.line("note", "%s: %s", l.Name, n)
	}

	if t.Verbose {
		for _, n := range l.Notes {
			t.line("note", "%s: %s", l.Name, n)
		}
	}
}

func (t text) bytecode(l Layer) {
	if l.Bytecode.Reason != "" && (l.Bytecode.Partial || t.Verbose) {
		t.line("note", "bytecode of %s: %s", l.Name, l.Bytecode.Reason)
	}
}

// notProbed names what the probe left out.
func (t text) notProbed(l Layer) {
	if l.Probe.World != "" {
		t.line("note", "probe world of %s: %s", l.Name, l.Probe.World)
	}

	if n := len(l.Probe.Broken); n > 0 && t.Verbose {
		t.line("note", "%s: %s cannot be imported as published either: %s", l.Name, Count(n, "further module"),
			strings.Join(l.Probe.Broken, ", "))
	}

	if l.Probe.Status == NotProbed {
		t.line("note", "%s was NOT PROBED: %s", l.Name, l.Probe.Reason)
	}

	for _, r := range l.Probe.Skipped {
		t.line("note", "%s: %s %s was skipped: the layer excludes %s", l.Name, r.Kind, r.Name, r.Chosen)
	}
}

func (t text) healed(l Layer) {
	if t.HealedPrinted {
		return
	}

	for _, h := range l.Healed {
		t.line("healed", "%s", HealedText(l.Name, h, h.File))
	}
}

// decisions prints what layer.yaml decides, and what the gate found in spite of it.
func (t text) decisions(l Layer) {
	for _, c := range l.Choices {
		t.line("note", "%s: %s %s: %s", l.Name, c.What, c.Which, c.Reason)
	}

	for _, f := range l.Gate {
		t.line("gate", "%s: %s", l.Name, f)
	}

	for _, f := range l.Allowed {
		t.line("allowed", "%s: %s: %s", l.Name, f.Finding, f.Reason)
	}
}

// failure prints one failed job of the probe. What fails on the unpruned layer too is only a note,
// unless it is the layer's own script. An entry point that does is left out: it needs an optional
// distribution.
func (t text) failure(l Layer, f probe.Result) {
	cause := l.Probe.Cause(f)
	if f.Inherited && !t.Verbose && !f.Fatal {
		if f.EntryPoint() {
			return
		}

		if !f.Decides() {
			from := ""
			if cause != "" {
				from = " (" + cause + ")"
			}

			t.line("note", "%s: %s %s is broken as published%s: %s; to try: %s", l.Name, f.Kind, f.Name, from,
				tail(f.Detail, 1), f.Advice())
			return
		}
	}

	unpruned := ""
	if f.Inherited {
		unpruned = " (fails unpruned too)"
	}

	lines := 3
	if t.Verbose {
		lines = 50
	}

	t.line("failed", "%s: %s %s%s\n%s", l.Name, f.Kind, f.Name, unpruned, indent(tail(f.Detail, lines)))
	if cause != "" {
		fmt.Fprintln(t.w, indent("caused by "+cause+" as published"))
	}
}

// Stacks prints the layers that functions use together, as Text does.
func Stacks(w io.Writer, stacks []measure.Stack) { text{w: w}.stacks(stacks) }

// stacks compares the layers that functions use together with Lambda's limit. A single layer that
// is within its budget is in the table already.
func (t text) stacks(stacks []measure.Stack) {
	limit := measure.Bytes(measure.MaxUnzippedBytes).MB()
	for _, s := range stacks {
		if len(s.Layers) == 1 && s.Verdict == measure.Within {
			continue
		}

		t.folded("stack", fmt.Sprintf("%s: %s, %s %s; leaves %s of Lambda's %s MB for the function's code",
			together(s.Layers), s.Unzipped, VerdictText(s.Verdict), s.Budget, s.Free, limit))
	}
}

// together names the layers of a stack, the first ones of many.
func together(layers []string) string {
	more := ""
	if n := len(layers) - maxNamed; n > 1 {
		layers = layers[:maxNamed]
		more = fmt.Sprintf(" + %d more", n)
	}

	return strings.Join(layers, " + ") + more
}

// maxNamed is how many layers of a stack are named.
const maxNamed = 5

// VerdictText is a verdict with the word that must be noticed in capitals.
func VerdictText(v measure.Verdict) string { return strings.Replace(string(v), "over", "OVER", 1) }

// tail returns the last n lines: a Python traceback ends with the error.
func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Count is a number with its noun: "1 file", "2 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}

	return fmt.Sprintf("%d %ss", n, noun)
}

func indent(s string) string { return "        " + strings.ReplaceAll(s, "\n", "\n        ") }

func importText(p Probe) string {
	if p.Import == nil {
		return "-"
	}

	if p.Import.WithoutSeconds == p.Import.WithSeconds { // bytecode modes sourceless and none: one measurement
		return fmt.Sprintf("%.2f", p.Import.WithSeconds)
	}

	return fmt.Sprintf("%.2f -> %.2f", p.Import.WithoutSeconds, p.Import.WithSeconds)
}

func budgetText(l Layer) string {
	switch {
	case l.Budget.Zipped > 0 && (l.Zip.Bytes > l.Budget.Zipped || l.Budget.Unzipped == 0):
		return fmt.Sprintf("%s %s zipped", VerdictText(l.Verdict), l.Budget.Zipped)
	case l.Budget.Unzipped > 0:
		return fmt.Sprintf("%s %s", VerdictText(l.Verdict), l.Budget.Unzipped)
	}

	return VerdictText(l.Verdict)
}

// StatusText is the result of a probe, in capitals where it must be noticed.
func StatusText(s ProbeStatus) string {
	switch s {
	case NotProbed, "":
		return "NOT PROBED"
	case ProbeFailed:
		return "FAILED"
	}

	return string(s)
}

func probeText(p Probe) string {
	switch p.Status {
	case NotProbed, "", ProbeFailed:
		return StatusText(p.Status)
	}

	text := Count(p.Modules, "module") + ", " + Count(p.Scripts, "script")
	if len(p.Skipped) > 0 {
		text += fmt.Sprintf(", %d skipped", len(p.Skipped))
	}

	return text
}

// Details prints each layer's sizes by package, by kind of file and by rule, and its ten largest
// files.
func Details(w io.Writer, r Report) {
	for _, l := range r.Layers {
		fmt.Fprintf(w, "%s: %s unzipped (%s before)\n  zip %s (%s before), bytecode %s\n",
			l.Name, l.After.Unzipped, l.Before.Unzipped, l.Zip.Bytes, l.Before.Zipped, l.Bytecode.Mode)
		if n := len(l.Bytecode.Without); n > 0 {
			list := fmt.Sprintf("without bytecode, %s: %s", Count(n, "distribution"),
				strings.Join(l.Bytecode.Without, ", "))
			fmt.Fprintln(w, "  "+strings.Join(fold(list, Width-4), "\n    "))
		}

		section(w, "package", l.Packages)
		section(w, "kind", l.Kinds)
		section(w, "removed by rule", l.Removed)
		rows := [][]string{{"  largest files", "MB", "zipped MB"}}
		for _, f := range l.Largest[:min(10, len(l.Largest))] {
			rows = append(rows, []string{"  " + f.Name, f.Unzipped.MB(), f.Zipped.MB()})
		}

		Table(w, rows, map[int]bool{1: true, 2: true})
		fmt.Fprintln(w)
	}
}

func section(w io.Writer, title string, s measure.Sizes) {
	if len(s) == 0 {
		return
	}

	rows := [][]string{{"  " + title, "files", "MB", "zipped MB"}}
	for _, n := range s.Largest() {
		rows = append(rows, []string{"  " + n, fmt.Sprint(s[n].Files), s[n].Unzipped.MB(), s[n].Zipped.MB()})
	}

	Table(w, rows, map[int]bool{1: true, 2: true, 3: true})
}
