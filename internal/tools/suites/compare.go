package main

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
)

// difference is a test that came to something else on the pruned layer.
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

// lost are the tests that pass unpruned and do not pass pruned, in whatever way, sorted.
func lost(shipped, pruned side) []difference {
	var out []difference
	for id, was := range shipped.Tests {
		if is := pruned.of(id); good(was.Result) && !good(is.Result) {
			out = append(out, difference{id, was, is})
		}
	}

	sort.Slice(out, func(i, j int) bool { return out[i].Test < out[j].Test })
	return out
}

// of is what a test came to. One that was not collected has the reason of the file, or folder, that
// could not be.
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
	Collected   int `json:"collected"` // unpruned
	Passed      int `json:"passed"`    // on both sides
	Failed      int `json:"failed"`    // on both sides, errors and crashes too
	Skipped     int `json:"skipped"`   // on both sides
	XFailed     int `json:"xfailed"`   // unpruned: expected to fail
	Lost        int `json:"lost"`      // passed unpruned and not pruned
	About       int `json:"about"`     // so did they, but a rule removes their subject
	Flaky       int `json:"flaky"`     // of those that differed, what another run could not tell apart
	Otherwise   int `json:"otherwise"` // did not pass unpruned and came to something else pruned
	Uncollected int `json:"uncollected"`
}

// count sorts all tests of the unpruned side; the lists of differences are what is left of them
// after they were run again.
func count(shipped, pruned side, lost, flaky, about []difference) counts {
	n := counts{Collected: len(shipped.Tests), Lost: len(lost), Flaky: len(flaky), About: len(about)}
	differs := map[string]bool{}
	for _, d := range slices.Concat(lost, flaky, about) {
		differs[d.Test] = true
	}

	bad := func(r string) bool { return r == failed || r == erred || r == crashed }
	for id, was := range shipped.Tests {
		is := pruned.of(id)
		switch {
		case differs[id]:
		case good(was.Result) && good(is.Result):
			n.Passed++
		case bad(was.Result) && bad(is.Result):
			n.Failed++
		case was.Result == skipped && is.Result == skipped:
			n.Skipped++
		case was.Result == xfailed && is.Result == xfailed:
			n.XFailed++
		default:
			n.Otherwise++
		}
	}

	for _, m := range shipped.Modules {
		if m.Result == failed {
			n.Uncollected++
		}
	}

	return n
}

// reason is how often tests failed on both sides, and with what words.
type reason struct {
	Tests int    `json:"tests"`
	Why   string `json:"why"` // unpruned
	Like  string `json:"like"`
}

// reasons are those of the tests that fail on both sides, the most frequent first. Numbers in the
// words are left out of the comparison.
func reasons(shipped, pruned side) []reason {
	found := map[string]*reason{}
	note := func(id, why string) {
		key := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return '0'
			}

			return r
		}, why)
		key = key[:min(len(key), 80)]
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
	for id, was := range shipped.Tests {
		switch was.Result {
		case failed, erred, crashed:
			switch pruned.of(id).Result {
			case failed, erred, crashed, absent:
				note(id, was.Why)
			}
		}
	}

	for id, m := range shipped.Modules {
		if m.Result == failed {
			note(id, "not collected: "+m.Why)
		}
	}

	out := make([]reason, 0, len(found))
	for _, r := range found {
		out = append(out, *r)
	}

	sort.Slice(out, func(i, j int) bool {
		if out[i].Tests != out[j].Tests {
			return out[i].Tests > out[j].Tests
		}

		return out[i].Like < out[j].Like
	})
	return out
}
