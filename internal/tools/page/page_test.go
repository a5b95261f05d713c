package page_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/tools/page"
)

func TestAPage(t *testing.T) {
	var p page.Page
	p.Paragraph("# %s", "Sizes")
	p.Header(new(page.Columns).Left("layer").Right("MB", "files"))
	p.Row("a", page.Size(measure.Size{Zipped: 1_500_000, Unzipped: 2e6}), 3)
	p.Row("b", "", page.Thousands(1234567))
	p.List("Empty", "not written", nil)
	p.List("Missed", "", []string{"a: " + page.Shorten("100 MB", 3), page.Shorten("b", 3)})
	p.List("Slow", "Over a second.", []string{"c"})

	want := `# Sizes

| layer | MB | files |
|---|--:|--:|
| a | 1.50 / 2.0 | 3 |
| b |  | 1,234,567 |

## Missed

- a: 100...
- b

## Slow

Over a second.

- c
`
	if p.String() != want {
		t.Errorf("got\n%s\nwant\n%s", p.String(), want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1002003: "1,002,003"} {
		if got := page.Thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
