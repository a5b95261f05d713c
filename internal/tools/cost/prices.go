package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Prices is docs/prices.json: what AWS asks for in one region at one date.
type Prices struct {
	Region   string   `json:"region"`
	Currency string   `json:"currency"`
	Date     string   `json:"date"` // year and month for which all of them are
	Notes    []string `json:"notes"`
	Prices   []Price  `json:"prices"`
}

// Price is one line of a bill.
type Price struct {
	ID      string  `json:"id"`
	Service string  `json:"service"`
	What    string  `json:"what"`
	USD     float64 `json:"usd"` // buys Per of Unit
	Per     float64 `json:"per"`
	Unit    string  `json:"unit"`
	Free    float64 `json:"free"` // of Unit, a month, for the whole account and for ever
	Source  string  `json:"source"`
	Checked bool    `json:"checked"` // USD was compared with what AWS documents, not only remembered
}

// One is what one unit costs, in USD.
func (p Price) One() float64 { return p.USD / p.Per }

// ReadPrices reads the file strictly. An ID stands for one price only, and no price is without a
// source.
func ReadPrices(doc []byte) (Prices, error) {
	var p Prices
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Prices{}, fmt.Errorf("read prices: %w", err)
	}

	var wrong []error
	if p.Region == "" || p.Currency != "USD" || p.Date == "" {
		wrong = append(wrong, errors.New("read prices: region, date, or the currency USD is missing"))
	}

	seen := map[string]bool{}
	for _, l := range p.Prices {
		if seen[l.ID] || l.ID == "" || l.Service == "" || l.What == "" || l.Unit == "" || l.Source == "" || l.USD < 0 ||
			l.Per <= 0 ||
			l.Free < 0 {
			wrong = append(wrong, fmt.Errorf("read price %q: given twice or incomplete", l.ID))
		}

		seen[l.ID] = true
	}

	return p, errors.Join(wrong...)
}

// Of returns a price by ID. One that is not in the file is a mistake in this program.
func (p Prices) Of(id string) Price {
	i := slices.IndexFunc(p.Prices, func(l Price) bool { return l.ID == id })
	if i < 0 {
		panic(fmt.Sprintf("no price %q in docs/prices.json", id))
	}

	return p.Prices[i]
}

// Usage is how much of what is used, by the price's ID, in the price's unit.
type Usage map[string]float64

// Plus returns the sum of both, the other one times n.
func (u Usage) Plus(other Usage, n float64) Usage {
	sum := maps.Clone(u)
	if sum == nil {
		sum = Usage{}
	}

	for id, q := range other {
		sum[id] += n * q
	}

	return sum
}

// Line is one price with what was used.
type Line struct {
	Price
	Quantity float64
	List     float64 // USD, all of it paid
	Billed   float64 // USD, when nothing else in the account uses the free allowance
}

// Bill prices what is used in a month, in the order of the file.
func (p Prices) Bill(u Usage) []Line {
	for id := range u {
		p.Of(id)
	}

	var bill []Line
	for _, l := range p.Prices {
		if q, used := u[l.ID]; used {
			bill = append(bill, Line{l, q, q * l.One(), math.Max(0, q-l.Free) * l.One()})
		}
	}

	return bill
}

// Total adds a bill up.
func Total(bill []Line) (list, billed float64) {
	for _, l := range bill {
		list = list + l.List
		billed = billed + l.Billed
	}

	return list, billed
}
