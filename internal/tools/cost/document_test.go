package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..", "..")

func read(t *testing.T) Model {
	t.Helper()
	m, err := ReadModel(root)
	if err != nil {
		t.Fatal(err)
	}

	return m
}

func prices(t *testing.T) Prices {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(root, "docs", "prices.json"))
	if err != nil {
		t.Fatal(err)
	}

	p, err := ReadPrices(doc)
	if err != nil {
		t.Fatal(err)
	}

	return p
}

func written(t *testing.T, m Model) string {
	t.Helper()
	text, err := m.Document()
	if err != nil {
		t.Fatal(err)
	}

	return text
}

func TestDocumentIsWhatTheModelGives(t *testing.T) {
	t.Parallel()
	want := written(t, read(t))
	got, err := os.ReadFile(filepath.Join(root, "docs", "cost.md"))
	if err != nil {
		t.Fatal(err)
	}

	have := strings.Split(string(got), "\n")
	should := strings.Split(want, "\n")
	for i := range max(len(have), len(should)) {
		if i >= len(have) || i >= len(should) || have[i] != should[i] {
			t.Fatalf("docs/cost.md differs from line %d on; run: go run ./internal/tools/cost", i+1)
		}
	}
}

// A price that changes nothing but the list of prices would be one that the model does not use.
func TestEveryPriceChangesTheDocument(t *testing.T) {
	t.Parallel()
	m := read(t)
	body := func() string {
		text, _, found := strings.Cut(written(t, m), "\n## Prices\n")
		if !found {
			t.Fatal("the document has no list of prices")
		}

		return text
	}
	before := body()
	for i, p := range m.Prices.Prices {
		m.Prices.Prices[i].USD *= 2
		if body() == before {
			t.Errorf("twice the price of %s changes nothing", p.ID)
		}

		m.Prices.Prices[i] = p
	}

	if body() != before {
		t.Error("the same prices give another document")
	}
}

func TestPricesAreReadStrictly(t *testing.T) {
	t.Parallel()
	const head = `{"region": "r", "currency": "USD", "date": "d", "notes": [], "prices": [`
	const ok = `{"id": "a", "service": "s", "what": "w", "usd": 1, "per": 1, "unit": "u", "free": 0, "source": "p",
		"checked": true}`
	for name, c := range map[string]struct{ doc, err string }{
		"one price": {head + ok + `]}`, ""},
		"an unknown key": {
			head + strings.Replace(ok, "usd", "eur", 1) + `]}`,
			`read prices: json: unknown field "eur"`,
		},
		"a price twice": {head + ok + "," + ok + `]}`, `read price "a": given twice or incomplete`},
		"no source": {
			head + strings.Replace(ok, `"p"`, `""`, 1) + `]}`,
			`read price "a": given twice or incomplete`,
		},
		"a price of nothing": {
			head + strings.Replace(ok, `"per": 1`, `"per": 0`, 1) + `]}`,
			`read price "a": given twice or incomplete`,
		},
		"no date": {
			strings.Replace(head, `"d"`, `""`, 1) + ok + `]}`,
			"read prices: region, date, or the currency USD is missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadPrices([]byte(c.doc))
			if got := errorText(err); got != c.err {
				t.Errorf("error %q, want %q", got, c.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func TestNumbersKeepTheDigitsThatTellSomething(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0":         0,
		"0.0000086": 8.6e-6,
		"0.010":     0.01,
		"0.13":      0.1303,
		"3.99":      3.988,
		"1,235":     1234.6,
	} {
		if got := usd(v); got != want {
			t.Errorf("usd(%v) is %s, want %s", v, got, want)
		}
	}

	for want, v := range map[string]float64{
		"0":      0,
		"2":      2,
		"20.7":   20.71,
		"595":    595.3,
		"4,000":  4000,
		"0.0438": 0.04384,
	} {
		if got := plain(v); got != want {
			t.Errorf("plain(%v) is %s, want %s", v, got, want)
		}
	}
}
