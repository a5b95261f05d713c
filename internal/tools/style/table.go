package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// table prints the figures of folders side by side, in Markdown.
func table(folders []string, all []counts) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, f := range folders {
		if abs, err := filepath.Abs(f); err == nil {
			f = abs
		}

		fmt.Fprintf(&b, " %s |", filepath.Base(f))
	}

	b.WriteString("\n|---|" + strings.Repeat("---|", len(folders)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row.title)
		for _, c := range all {
			fmt.Fprintf(&b, " %s |", row.value(c))
		}

		b.WriteByte('\n')
	}

	return b.String()
}

var rows = []struct {
	title string
	value func(counts) string
}{
	{"lines of code, of tests", func(c counts) string { return fmt.Sprintf("%d, %d", c.code.code, c.tests.code) }},
	{"function lines p95 / longest", func(c counts) string {
		n := pick(c.functions, func(f function) int { return f.lines })
		return fmt.Sprintf("%d / %d", percentile(n, 95), percentile(n, 100))
	}},
	{"functions of cyclomatic complexity > 10 / > 15, %", func(c counts) string {
		n := pick(c.functions, func(f function) int { return f.complexity })
		return fmt.Sprintf("%.1f / %.1f", above(n, 10), above(n, 15))
	}},
	{"code lines > 120 columns, % (tests)", func(c counts) string {
		return fmt.Sprintf("%.1f (%.1f)", share(c.code.long, c.code.code), share(c.tests.long, c.tests.code))
	}},
	{"comment width p90 / widest", func(c counts) string {
		return fmt.Sprintf("%d / %d", percentile(c.commentWidths, 90), percentile(c.commentWidths, 100))
	}},
	{"blank lines per 100 code lines", func(c counts) string {
		return fmt.Sprintf("%.1f", share(c.code.blank, c.code.code))
	}},
	{"parallel assignments per 1000 lines", func(c counts) string {
		return fmt.Sprintf("%.1f", 10*share(c.assignments, c.code.code))
	}},
}

func pick(functions []function, of func(function) int) []int {
	n := make([]int, len(functions))
	for i, f := range functions {
		n[i] = of(f)
	}

	return n
}

// percentile is the smallest value that p per cent of the values do not exceed; 0 of none.
func percentile(values []int, p int) int {
	if len(values) == 0 {
		return 0
	}

	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// above is how many per cent of the values exceed a limit.
func above(values []int, limit int) float64 {
	n := 0
	for _, v := range values {
		if v > limit {
			n++
		}
	}

	return share(n, len(values))
}

// share is in per cent.
func share(part, whole int) float64 { return 100 * float64(part) / float64(cmp.Or(whole, 1)) }
