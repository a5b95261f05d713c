package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/gate"
)

// Explained lists what the gate and the probe tested of a layer, and what they did not.
type Explained struct {
	Gate            []gate.Explanation `json:"gate"`
	Probe           []Asked            `json:"probe"` // also of a layer that was not probed: the jobs that it has
	Modules         []string           `json:"modules"`
	Scripts         []Script           `json:"scripts"`
	WithoutScript   []string           `json:"withoutScript"`    // distributions that no functional script calls
	Unreached       []string           `json:"unreached"`        // Python files that no import of the modules leads to
	Unread          []string           `json:"unread"`           // other files whose content no check reads
	NotDistribution int                `json:"ofNoDistribution"` // number of files that no distribution owns
}

// Asked counts the probe's jobs of one kind.
type Asked struct {
	Kind      string `json:"kind"`
	Asked     int    `json:"asked"`
	Passed    int    `json:"passed"`
	Failed    int    `json:"failed"`
	Inherited int    `json:"inherited"` // of those that failed: they fail unpruned too
	Skipped   int    `json:"skipped"`
	CannotSee string `json:"cannotSee"`
}

// Script is a functional script.
type Script struct {
	Name   string `json:"name"`
	Proves string `json:"proves"` // the first sentence of its docstring
}

// explainedFiles is how many files of a list the text names. The JSON document has all.
const explainedFiles = 5

// Explain prints what was tested of a layer and what was not; all names every file.
func Explain(w io.Writer, l Layer, all bool) {
	x := l.Explained
	if x == nil {
		return
	}

	fmt.Fprintf(w, "\n%s: what was tested, and what was not\n", l.Name)
	explainGate(w, l, x.Gate)
	if l.Probe.Status == NotProbed {
		fmt.Fprintf(w, "  NOT PROBED: %s; nothing below was run\n", l.Probe.Reason)
	}

	explainProbe(w, x.Probe)
	if len(x.Modules) > 0 {
		fmt.Fprintf(w, "  modules %s\n", strings.Join(x.Modules, ", "))
	}

	explainScripts(w, *x)
	explainFiles(w, "not reached by imports from these modules", x.Unreached, all)
	explainFiles(w, "content not checked, unless a script reads it", x.Unread, all)
	if x.NotDistribution > 0 {
		fmt.Fprintf(w, "  without a distribution, so of unknown version: %s\n", Count(x.NotDistribution, "file"))
	}

	for _, n := range l.Notes {
		fmt.Fprintf(w, "  note    %s\n", n)
	}
}

func explainGate(w io.Writer, l Layer, checks []gate.Explanation) {
	rows := [][]string{{"  gate", "result", "checked", "requirement"}}
	for _, c := range checks {
		rows = append(rows,
			[]string{"  " + c.Check, gateResult(l, c), Count(c.Count, c.At), c.Asks},
			[]string{"", "", "", "not checked: " + c.CannotSee})
	}

	Table(w, rows, nil)
}

// gateResult is "allowed" when layer.yaml accepts all findings of the check.
func gateResult(l Layer, c gate.Explanation) string {
	switch {
	case c.Count == 0:
		return "-"
	case hasFindings(l, c.Check):
		return "FAILED"
	case c.Findings > 0:
		return "allowed"
	}

	return "passed"
}

func explainProbe(w io.Writer, kinds []Asked) {
	rows := [][]string{{"  probe", "asked", "passed", "failed", "inherited", "skipped", ""}}
	for _, a := range kinds {
		row := []string{"  " + a.Kind}
		for _, n := range []int{a.Asked, a.Passed, a.Failed, a.Inherited, a.Skipped} {
			row = append(row, fmt.Sprint(n))
		}

		rows = append(rows, append(row, "not checked: "+a.CannotSee))
	}

	Table(w, rows, map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true})
}

func explainScripts(w io.Writer, x Explained) {
	for _, s := range x.Scripts {
		fmt.Fprintf(w, "  script  %s: %s\n", s.Name, cmp.Or(s.Proves, "(no docstring)"))
	}

	if len(x.WithoutScript) == 0 {
		return
	}

	advice := "add one as probe.py"
	if slices.ContainsFunc(x.Scripts, func(s Script) bool { return s.Name == "probe.py" }) {
		advice = "call it in probe.py"
	}

	fmt.Fprintf(w, "  no functional script for %s: %s\n", strings.Join(x.WithoutScript, ", "), advice)
}

func explainFiles(w io.Writer, what string, files []string, all bool) {
	if len(files) == 0 {
		return
	}

	n := len(files)
	more := ""
	if n > explainedFiles && !all {
		files = files[:explainedFiles]
		more = ", ..."
	}

	fmt.Fprintf(w, "  %s, %s: %s%s\n", what, Count(n, "file"), strings.Join(files, ", "), more)
}

// hasFindings says whether a check found something that the layer does not allow. Findings of
// elf-format belong to the check elf-align, which reads the same headers.
func hasFindings(l Layer, check string) bool {
	return slices.ContainsFunc(l.Gate, func(f gate.Finding) bool {
		return f.Check == check || check == "elf-align" && f.Check == "elf-format"
	})
}
