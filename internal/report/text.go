package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
)

// TextOptions say how much to print.
type TextOptions struct {
	Verbose  bool
	PlanOnly bool
	AsIs     bool // it was only looked at: nothing was removed
	Told     bool // what was healed was told already
}

// HealedText says what a build restored by itself, and where that is written now.
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

// Text prints a build as a table and what belongs below it.
func Text(w io.Writer, r Report, o TextOptions) {
	rows := [][]string{{"layer", "zip MB", "unzipped MB", "import s", "budget", "probe"}}
	for _, l := range r.Layers {
		rows = append(rows, []string{l.Name,
			l.Before.Zipped.MB() + " -> " + l.Zip.Bytes.MB(), l.Before.Unzipped.MB() + " -> " + l.After.Unzipped.MB(),
			importText(l.Probe), budgetText(l), probeText(l.Probe)})
	}

	if o.PlanOnly {
		for i := range rows {
			rows[i] = rows[i][:3]
		}
	}

	Table(w, rows, map[int]bool{1: true, 2: true, 3: true})
	if o.PlanOnly {
		return
	}

	removed := measure.Sizes{}
	code := measure.Size{}
	for _, l := range r.Layers {
		for rule, s := range l.Removed {
			removed.Count(rule, s)
		}

		code = code.Add(l.Bytecode.Size)
	}

	var parts []string
	for _, rule := range removed.Largest() {
		parts = append(parts, fmt.Sprintf("%s %s", rule, removed[rule].Unzipped))
	}

	line := "removed " + cmp.Or(strings.Join(parts, ", "), "nothing")
	if code.Files > 0 {
		line += fmt.Sprintf("; added bytecode %s", code.Unzipped)
	}

	if !o.AsIs {
		fmt.Fprintln(w, line)
	}

	for _, l := range r.Layers {
		if l.Bytecode.Reason != "" && (l.Bytecode.Partial || o.Verbose) {
			fmt.Fprintf(w, "note    bytecode of %s: %s\n", l.Name, l.Bytecode.Reason)
		}

		if l.Probe.Status == NotProbed {
			fmt.Fprintf(w, "note    %s was NOT PROBED: %s\n", l.Name, l.Probe.Reason)
		}

		for _, r := range l.Probe.Skipped {
			fmt.Fprintf(w, "note    %s: %s %s was skipped: the layer leaves %s out\n", l.Name, r.Kind, r.Name, r.Chosen)
		}

		for _, h := range l.Healed {
			if !o.Told {
				fmt.Fprintf(w, "healed  %s\n", HealedText(l.Name, h, h.File))
			}
		}

		for _, c := range l.Choices {
			fmt.Fprintf(w, "note    %s: %s %s: %s\n", l.Name, c.What, c.Which, c.Reason)
		}

		for _, f := range l.Gate {
			fmt.Fprintf(w, "gate    %s: %s\n", l.Name, f)
		}

		for _, f := range l.Allowed {
			fmt.Fprintf(w, "allowed %s: %s: %s\n", l.Name, f.Finding, f.Reason)
		}

		for _, f := range l.Probe.Failures {
			whose := ""
			lines := 3
			if o.Verbose {
				lines = 50
			}

			if f.Inherited {
				whose = " (fails unpruned too)"
			}

			if f.Inherited && f.EntryPoint() && !o.Verbose {
				continue // it needs something optional, before and after
			}

			if f.Inherited && f.Kind != "script" && !o.Verbose {
				from := ""
				if c := l.Probe.Cause(f); c != "" {
					from = " (" + c + ")"
				}

				fmt.Fprintf(
					w,
					"note    %s: %s %s fails unpruned too%s: %s\n",
					l.Name,
					f.Kind,
					f.Name,
					from,
					tail(f.Detail, 1),
				)
			} else {
				fmt.Fprintf(
					w,
					"failed  %s: %s %s%s\n%s\n",
					l.Name,
					f.Kind,
					f.Name,
					whose,
					indent(tail(f.Detail, lines)),
				)
				if c := l.Probe.Cause(f); c != "" {
					fmt.Fprintln(w, indent("comes from "+c+" as it was published"))
				}
			}
		}

		if h := l.Probe.Healing; h != nil && h.Why != "" {
			fmt.Fprintf(w, "note    %s: not healed: %s\n", l.Name, h.Why)
		}

		if o.Verbose {
			for _, n := range l.Notes {
				fmt.Fprintf(w, "note    %s: %s\n", l.Name, n)
			}
		}
	}

	for _, s := range r.Stacks {
		if len(s.Layers) == 1 && s.Verdict == measure.Within {
			continue
		}

		fmt.Fprintf(
			w,
			"stack   %s: %s, %s %s; leaves %s of Lambda's %s MB for the function's code\n",
			strings.Join(
				s.Layers,
				" + ",
			),
			s.Unzipped,
			s.Verdict,
			s.Budget,
			s.Free,
			measure.Bytes(measure.MaxUnzippedBytes).MB(),
		)
	}
}

// tail is the last lines of an error, which say what it is.
func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Count says how many there are, in words that fit one.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}

	return fmt.Sprintf("%d %ss", n, what)
}

func indent(s string) string { return "        " + strings.ReplaceAll(s, "\n", "\n        ") }

func importText(p Probe) string {
	if p.Import == nil {
		return "-"
	}

	if p.Import.WithoutSeconds == p.Import.WithSeconds { // nothing to compare with: sourceless, or none
		return fmt.Sprintf("%.2f", p.Import.WithSeconds)
	}

	return fmt.Sprintf("%.2f -> %.2f", p.Import.WithoutSeconds, p.Import.WithSeconds)
}

func budgetText(l Layer) string {
	switch {
	case l.Budget.Zipped > 0 && (l.Zip.Bytes > l.Budget.Zipped || l.Budget.Unzipped == 0):
		return fmt.Sprintf("%s %s zipped", l.Verdict, l.Budget.Zipped)
	case l.Budget.Unzipped > 0:
		return fmt.Sprintf("%s %s", l.Verdict, l.Budget.Unzipped)
	}

	return string(l.Verdict)
}

func probeText(p Probe) string {
	switch p.Status {
	case NotProbed, "":
		return "not probed"
	case ProbeFailed:
		return "FAILED"
	}

	text := Count(p.Modules, "module") + ", " + Count(p.Scripts, "script")
	if len(p.Skipped) > 0 {
		text += fmt.Sprintf(", %d skipped", len(p.Skipped))
	}

	return text
}

// Table prints aligned columns, two spaces apart; numbers are columns to be right-aligned.
func Table(w io.Writer, rows [][]string, right map[int]bool) {
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}

	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i > 0 {
				b.WriteString("  ")
			}

			if right[i] {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
		}

		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// Details prints sizes by package, kind, rule, and the largest files.
func Details(w io.Writer, r Report) {
	for _, l := range r.Layers {
		fmt.Fprintf(
			w,
			"%s  %s unzipped (%s before), zip %s (%s before), bytecode: %s\n",
			l.Name,
			l.After.Unzipped,
			l.Before.Unzipped,
			l.Zip.Bytes,
			l.Before.Zipped,
			l.Bytecode.Mode,
		)
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
