package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// difference is a test with another result on the pruned layer.
type difference struct {
	Test    string  `json:"test"`
	Shipped outcome `json:"shipped"`
	Pruned  outcome `json:"pruned"`
}

func (d difference) String() string {
	s := fmt.Sprintf("%s: %s unpruned, %s pruned", d.Test, d.Shipped.Result, d.Pruned.Result)
	if d.Pruned.Why != "" {
		s += ": " + d.Pruned.Why
	}

	return s
}

func good(result string) bool { return result == passed || result == xpassed }

func bad(result string) bool { return result == failed || result == erred || result == crashed }

// lost are the tests that pass unpruned and do not pass pruned, sorted.
func lost(shipped, pruned side) []difference {
	var out []difference
	for id, was := range shipped.Tests {
		if is := pruned.of(id); good(was.Result) && !good(is.Result) {
			out = append(out, difference{id, was, is})
		}
	}

	slices.SortFunc(out, func(a, b difference) int { return strings.Compare(a.Test, b.Test) })

	return out
}

// of is the outcome of a test. One that was not collected has the reason of its file, or of a
// folder above it.
func (s side) of(id string) outcome {
	if o, ok := s.Tests[id]; ok {
		return o
	}

	file, _, _ := strings.Cut(id, "::")
	for at := file; at != "." && at != "/"; at = path.Dir(at) {
		if m, ok := s.Modules[at]; ok {
			return outcome{absent, m.Why}
		}
	}

	return outcome{Result: absent}
}

// counts are numbers of tests.
type counts struct {
	Collected   int `json:"collected"`   // unpruned
	Passed      int `json:"passed"`      // on both sides
	Failed      int `json:"failed"`      // on both sides; with errors and crashes
	Skipped     int `json:"skipped"`     // on both sides
	XFailed     int `json:"xfailed"`     // on both sides: expected to fail
	Lost        int `json:"lost"`        // passed unpruned and not pruned
	About       int `json:"about"`       // the same, but they test exactly what a rule removes
	Flaky       int `json:"flaky"`       // the same, but not when they were run again
	Otherwise   int `json:"otherwise"`   // did not pass unpruned and had another result pruned
	Uncollected int `json:"uncollected"` // files, unpruned
}

// count counts all tests of the unpruned side. lost, flaky and about are all that passed there and
// not pruned.
func count(shipped, pruned side, lost, flaky, about []difference) counts {
	n := counts{Collected: len(shipped.Tests), Lost: len(lost), Flaky: len(flaky), About: len(about)}
	differs := map[string]bool{}
	for _, d := range slices.Concat(lost, flaky, about) {
		differs[d.Test] = true
	}

	for id, was := range shipped.Tests {
		if !differs[id] {
			n.add(was.Result, pruned.of(id).Result)
		}
	}

	for _, m := range shipped.Modules {
		if m.Result == failed {
			n.Uncollected++
		}
	}

	return n
}

// add counts a test by its results unpruned and pruned.
func (n *counts) add(was, is string) {
	switch {
	case good(was) && good(is):
		n.Passed++
	case bad(was) && bad(is):
		n.Failed++
	case was == skipped && is == skipped:
		n.Skipped++
	case was == xfailed && is == xfailed:
		n.XFailed++
	default:
		n.Otherwise++
	}
}

// reason is a text with which tests failed on both sides.
type reason struct {
	Tests int    `json:"tests"`
	Why   string `json:"why"`  // of Like, unpruned
	Like  string `json:"like"` // the first of the tests
}

// reasonBytes is how much of a text decides whether two tests failed for the same reason.
const reasonBytes = 80

// reasons are those of the tests that fail on both sides, the most frequent first. Numbers in the
// texts do not count.
func reasons(shipped, pruned side) []reason {
	found := map[string]*reason{}
	for id, was := range shipped.Tests {
		if is := pruned.of(id).Result; bad(was.Result) && (bad(is) || is == absent) {
			note(found, id, was.Why)
		}
	}

	for id, m := range shipped.Modules {
		if m.Result == failed {
			note(found, id, "not collected: "+m.Why)
		}
	}

	out := make([]reason, 0, len(found))
	for _, r := range found {
		out = append(out, *r)
	}

	slices.SortFunc(out, func(a, b reason) int {
		return cmp.Or(cmp.Compare(b.Tests, a.Tests), strings.Compare(a.Like, b.Like))
	})

	return out
}

// note adds a test to the reasons that were found.
func note(found map[string]*reason, id, why string) {
	key := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}

		return r
	}, why)
	key = key[:min(len(key), reasonBytes)]

	r := found[key]
	if r == nil {
		r = &reason{Why: why, Like: id}
		found[key] = r
	}

	if id < r.Like {
		r.Why = why
		r.Like = id
	}

	r.Tests++
}
