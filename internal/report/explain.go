package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/gate"
)

// Explained is what was proven of a layer, and what was not: more than a verdict, for whoever has
// to decide whether that is enough.
type Explained struct {
	Gate            []gate.Explanation `json:"gate"`
	Probe           []Asked       `json:"probe"` // what would have been asked, when it was not probed
	Modules         []string      `json:"modules"`
	Scripts         []Script      `json:"scripts"`
	WithoutScript   []string      `json:"withoutScript"` // distributions of which nothing was called
	Unreached       []string      `json:"unreached"`     // Python that no import statement leads to from the modules
	Unread          []string      `json:"unread"`        // other files of which no check reads the content
	NotDistribution int           `json:"ofNoDistribution"`
}

// Asked is one kind of the probe's jobs.
type Asked struct {
	Kind      string `json:"kind"`
	Asked     int    `json:"asked"`
	Passed    int    `json:"passed"`
	Failed    int    `json:"failed"`
	Inherited int    `json:"inherited"` // of those that failed: the package's own business
	Skipped   int    `json:"skipped"`
	CannotSee string `json:"cannotSee"`
}

// Script is a functional script.
type Script struct {
	Name   string `json:"name"`
	Proves string `json:"proves"` // the first sentence of its docstring
}

// explainedFiles is how many unread files the text names; the document has all.
const explainedFiles = 5

// Explain prints what was proven of a layer and what was not.
func Explain(w io.Writer, l Layer, all bool) {
	x := l.Explained
	if x == nil {
		return
	}

	fmt.Fprintf(w, "\n%s: what was proven, and what was not\n", l.Name)
	rows := [][]string{{"  gate", "result", "looked at", "asks"}}
	for _, c := range x.Gate {
		result := "passed"
		switch n := len(findings(l, c.Check)); {
		case c.Count == 0:
			result = "-"
		case n > 0:
			result = "FAILED"
		case c.Findings > 0:
			result = "allowed"
		}

		rows = append(
			rows,
			[]string{"  " + c.Check, result, Count(c.Count, c.At), c.Asks},
			[]string{"", "", "", "not seen: " + c.CannotSee},
		)
	}

	Table(w, rows, nil)
	if l.Probe.Status == NotProbed {
		fmt.Fprintf(w, "  NOT PROBED: %s; nothing below was tried\n", l.Probe.Reason)
	}

	rows = [][]string{{"  probe", "asked", "passed", "failed", "inherited", "skipped", ""}}
	for _, a := range x.Probe {
		row := []string{"  " + a.Kind}
		for _, n := range []int{a.Asked, a.Passed, a.Failed, a.Inherited, a.Skipped} {
			row = append(row, fmt.Sprint(n))
		}

		rows = append(rows, append(row, "not seen: "+a.CannotSee))
	}

	Table(w, rows, map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true})
	if len(x.Modules) > 0 {
		fmt.Fprintf(w, "  modules %s\n", strings.Join(x.Modules, ", "))
	}

	for _, s := range x.Scripts {
		fmt.Fprintf(w, "  script  %s: %s\n", s.Name, cmp.Or(s.Proves, "(says nothing of itself)"))
	}

	if len(x.WithoutScript) > 0 {
		advice := "write one as probe.py"
		if slices.ContainsFunc(x.Scripts, func(s Script) bool { return s.Name == "probe.py" }) {
			advice = "it is for probe.py to call it"
		}

		fmt.Fprintf(w, "  no functional script for %s: %s\n", strings.Join(x.WithoutScript, ", "), advice)
	}

	unseen := func(said string, files []string) {
		if n := len(files); n > 0 {
			more := ""
			if n > explainedFiles && !all {
				files = files[:explainedFiles]
				more = ", ..."
			}

			fmt.Fprintf(w, "  %s, %s: %s%s\n", said, Count(n, "file"), strings.Join(files, ", "), more)
		}
	}
	unseen("never tried, since no import leads there from these modules", x.Unreached)
	unseen("read by no check, unless a script does", x.Unread)
	if x.NotDistribution > 0 {
		fmt.Fprintf(
			w,
			"  no distribution owns %s: which package and version that is, nobody can say\n",
			Count(x.NotDistribution, "file"),
		)
	}

	for _, n := range l.Notes {
		fmt.Fprintf(w, "  note    %s\n", n)
	}
}

// findings are the names of what a check found and the layer does not allow. elf-format is found by
// elf-align.
func findings(l Layer, check string) (found []string) {
	for _, f := range l.Gate {
		if f.Check == check || check == "elf-align" && f.Check == "elf-format" {
			found = append(found, f.Subject)
		}
	}

	return found
}
