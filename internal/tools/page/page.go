// Package page writes the generated pages of docs/ in Markdown.
package page

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/layersmith/layersmith/internal/measure"
)

// Page is the text of a page so far.
type Page struct{ strings.Builder }

// maxColumns is the width above which a line of prose is broken: a sentence a line, then at words.
const maxColumns = 120

// String is the page, with long lines of prose broken. Tables and blocks of code stay as they are.
func (p *Page) String() string { return Broken(p.Builder.String()) }

// Broken breaks long lines of prose in a page.
func Broken(text string) string {
	var out strings.Builder
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}

		prose := strings.TrimRight(line, "\n")
		if code || strings.HasPrefix(line, "|") || utf8.RuneCountInString(prose) <= maxColumns {
			out.WriteString(line)
			continue
		}

		indent := len(item.FindString(prose))
		for i, sentence := range strings.Split(sentenceEnd.ReplaceAllString(prose, "$1\n$2"), "\n") {
			if i > 0 {
				sentence = strings.Repeat(" ", indent) + sentence
			}

			writeWrapped(&out, sentence, indent)
		}
	}

	return out.String()
}

var (
	item        = regexp.MustCompile(`^\s*(?:[-*] |\d+\. )?`)
	sentenceEnd = regexp.MustCompile("([\\w`)\\]%]\\.) ([A-Z`\\[])")
)

// writeWrapped writes a sentence in lines of at most maxColumns, broken at spaces.
func writeWrapped(out *strings.Builder, sentence string, indent int) {
	for utf8.RuneCountInString(sentence) > maxColumns {
		at := strings.LastIndexByte(sentence[:maxColumns], ' ')
		if at <= indent {
			break
		}

		out.WriteString(sentence[:at] + "\n")
		sentence = strings.Repeat(" ", indent) + sentence[at+1:]
	}

	out.WriteString(sentence + "\n")
}

// Line writes a line.
func (p *Page) Line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// Paragraph writes a paragraph and the blank line below it.
func (p *Page) Paragraph(format string, args ...any) { p.Line(format+"\n", args...) }

// Columns are the columns of a table.
type Columns struct {
	names []string
	rule  strings.Builder // the line below the names
}

// Left adds columns that are aligned left.
func (c *Columns) Left(names ...string) *Columns { return c.add("---|", names) }

// Right adds columns that are aligned right, for numbers.
func (c *Columns) Right(names ...string) *Columns { return c.add("--:|", names) }

func (c *Columns) add(rule string, names []string) *Columns {
	c.names = append(c.names, names...)
	c.rule.WriteString(strings.Repeat(rule, len(names)))

	return c
}

// Header begins a table. Rows follow.
func (p *Page) Header(c *Columns) {
	p.Line("| %s |", strings.Join(c.names, " | "))
	p.Line("|%s", c.rule.String())
}

// Row writes a row of a table, each cell as fmt.Print writes it.
func (p *Page) Row(cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(p, "| %v ", cell)
	}

	p.Line("|")
}

// List writes a section with a list, below an explanation unless that is "". Without items it
// writes nothing.
func (p *Page) List(title, explanation string, items []string) {
	if len(items) == 0 {
		return
	}

	p.Paragraph("\n## %s", title)
	if explanation != "" {
		p.Paragraph("%s", explanation)
	}

	for _, item := range items {
		p.Line("- %s", item)
	}
}

// MB is a number of bytes in MB (10^6 bytes), with so many decimals.
func MB[N int | int64 | measure.Bytes](bytes N, decimals int) string {
	return strconv.FormatFloat(float64(bytes)/1e6, 'f', decimals, 64)
}

// Size is "zipped / unzipped", in MB.
func Size(s measure.Size) string { return MB(s.Zipped, 2) + " / " + MB(s.Unzipped, 1) }

// Thousands writes a number that is not negative with commas: 1,234,567.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}

	return s
}

// Shorten cuts a text after so many bytes, and says so.
func Shorten(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}

	return s[:bytes] + "..."
}
