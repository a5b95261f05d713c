// Cost models what Layersmith costs in an AWS account, for one run and for a month, and what it
// saves, and writes docs/cost.md.
//
// Prices are those of docs/prices.json. Counts are taken from what is deployed: transitions from the
// state machine, memory from infra, metrics from the report's use case. Durations that cannot be
// measured outside of AWS are assumed, and the page says so of each.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "the repository")
	flag.Parse()
	text, err := Generate(*root)
	if err == nil {
		err = os.WriteFile(filepath.Join(*root, "docs", "cost.md"), []byte(text), 0o644)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// Generate returns the page for the repository at root.
func Generate(root string) (string, error) {
	m, err := ReadModel(root)
	if err != nil {
		return "", err
	}

	return m.Document()
}

// ReadModel reads the repository and its prices.
func ReadModel(root string) (Model, error) {
	var m Model
	doc, err := os.ReadFile(filepath.Join(root, "docs", "prices.json"))
	if err != nil {
		return m, err
	}

	if m.Prices, err = ReadPrices(doc); err != nil {
		return m, err
	}

	m.Repository, err = ReadRepository(root)
	return m, err
}
