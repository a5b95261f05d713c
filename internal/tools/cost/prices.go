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

// Prices is docs/prices.json: prices of AWS in one region at one date.
type Prices struct {
	Region   string   `json:"region"`
	Currency string   `json:"currency"`
	Date     string   `json:"date"` // year and month of all of them
	Notes    []string `json:"notes"`
	Prices   []Price  `json:"prices"`
}

// Price is one line of a bill.
type Price struct {
	ID      string  `json:"id"`
	Service string  `json:"service"`
	What    string  `json:"what"`
	USD     float64 `json:"usd"` // for Per of Unit
	Per     float64 `json:"per"`
	Unit    string  `json:"unit"`
	Free    float64 `json:"free"` // of Unit, each month and account, without end
	Source  string  `json:"source"`
	Checked bool    `json:"checked"` // compared with the page of Source
}

// One is the price of one unit, in USD.
func (p Price) One() float64 { return p.USD / p.Per }

// ReadPrices reads the file. Unknown keys, repeated IDs and incomplete prices are errors.
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
		incomplete := l.ID == "" || l.Service == "" || l.What == "" || l.Unit == "" || l.Source == ""
		if incomplete || seen[l.ID] || l.USD < 0 || l.Per <= 0 || l.Free < 0 {
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

// Usage maps the ID of a price to the quantity used, in its unit.
type Usage map[string]float64

// Plus adds n times another usage.
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

// Line is a line of a bill.
type Line struct {
	Price
	Quantity float64
	List     float64 // USD, without the free allowance
	Billed   float64 // USD, if nothing else in the account uses the free allowance
}

// Bill prices the usage of a month, in the order of the file.
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

// Total adds up a bill.
func Total(bill []Line) (list, billed float64) {
	for _, l := range bill {
		list += l.List
		billed += l.Billed
	}

	return list, billed
}
