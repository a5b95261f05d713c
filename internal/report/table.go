package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Width is that of a terminal, in columns. Tables fit it.
const Width = 80

const (
	gap      = 2  // columns between two cells
	minText  = 24 // the last column is folded to no less than this
	longName = 36 // names that are longer stand on a line of their own, where the table would not fit
)

// Table prints aligned columns, two spaces apart. The columns in right, counted from 0, are aligned
// to the right. The first row is the heading, the first column a name. What is wider than Width is
// folded: the text of the last column into lines, else the columns into blocks that repeat the
// name, figures apart from texts.
func Table(w io.Writer, rows [][]string, right map[int]bool) {
	t := grid{w: w, rows: rows, right: right}
	for _, row := range rows {
		for i, cell := range row {
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}

			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}

	for _, columns := range t.blocks() {
		for _, row := range rows {
			t.row(row, columns)
		}
	}
}

// grid is a table and the width of each of its columns.
type grid struct {
	w      io.Writer
	rows   [][]string
	right  map[int]bool
	widths []int
}

// blocks are the columns of each block, and shortens those that must be folded. A table that fits
// has one block.
func (t *grid) blocks() [][]int {
	all := make([]int, len(t.widths))
	for i := range all {
		all[i] = i
	}

	last := len(all) - 1
	total := t.width(all)
	switch {
	case total <= Width || last < 1:
		return [][]int{all}
	case !t.right[last] && total-t.widths[last] <= Width-minText:
		t.widths[last] = Width - (total - t.widths[last])
		return [][]int{all}
	case total-t.widths[0] <= Width-longName:
		t.widths[0] = Width - (total - t.widths[0])
		return [][]int{all}
	}

	return t.split(all)
}

// split begins a new block where a column does not fit, and before texts that follow figures.
func (t *grid) split(all []int) [][]int {
	last := len(all) - 1
	t.widths[0] = min(t.widths[0], longName)
	var out [][]int
	block := []int{0}
	for _, i := range all[1:] {
		texts := t.right[i-1] && !t.right[i] && t.width(append(slices.Clone(block), all[i:]...)) > Width
		room := Width - t.width(block) - gap
		if i == last && !t.right[i] && !texts && room >= minText {
			t.widths[i] = min(t.widths[i], room)
		}

		if len(block) > 1 && (texts || t.width(append(slices.Clone(block), i)) > Width) {
			out = append(out, block)
			block = []int{0}
		}

		t.widths[i] = min(t.widths[i], Width-gap-t.widths[0])
		block = append(block, i)
	}

	return append(out, block)
}

func (t *grid) width(columns []int) int {
	n := gap * (len(columns) - 1)
	for _, i := range columns {
		n += t.widths[i]
	}

	return n
}

// row prints some cells of a row: a name that is too long before the others, and a text that is too
// long in several lines.
func (t *grid) row(row []string, columns []int) {
	cells := make([][]string, len(columns))
	lines := 1
	for n, i := range columns {
		if i >= len(row) {
			continue
		}

		cells[n] = []string{row[i]}
		switch wide := utf8.RuneCountInString(row[i]) > t.widths[i]; {
		case wide && n == 0 && len(columns) > 1:
			fmt.Fprintln(t.w, row[i])
			cells[n][0] = ""
		case wide:
			cells[n] = fold(row[i], t.widths[i])
		}

		lines = max(lines, len(cells[n]))
	}

	for line := range lines {
		var b strings.Builder
		for n, i := range columns {
			cell := ""
			if line < len(cells[n]) {
				cell = cells[n][line]
			}

			pad := strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell)))
			if n > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}

			if t.right[i] {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
		}

		fmt.Fprintln(t.w, strings.TrimRight(b.String(), " "))
	}
}

// fold breaks a text between words into lines of at most width columns; a longer word has a line of
// its own.
func fold(s string, width int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			out = append(out, line)
			line = ""
		}

		line = strings.TrimPrefix(line+" "+word, " ")
	}

	return append(out, line)
}
