package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
)

func TestTextNamesHealedFilesAndCausesOfFailures(t *testing.T) {
	l := Layer{
		Name:    "base",
		Verdict: measure.Within,
		Healed: []Healed{
			{
				Match: "a/tests/x.py",
				Files: 1,
				Bytes: 2_800,
				Rules: []string{"tests"},
				Why:   "import a.testing fails without it",
				File:  "base/layer.yaml",
			},
			{
				Match: "a/docs/**",
				Files: 3,
				Bytes: 12,
				Rules: []string{"docs", "stubs"},
				Why:   "script a/b fails without it",
				File:  "base/layer.yaml",
			},
		},
		Probe: Probe{
			Status:  ProbeFailed,
			Healing: &Healing{Runs: 40, Why: "the limit of 40 runs of the interpreter is reached"},
			Causes:  map[string]string{"module lib.old": "lib 1.0", "script probe.py": "lib 1.0"},
			Failures: []probe.Result{
				{Job: probe.Job{Kind: probe.Module, Name: "lib.old"}, Detail: "TypeError: x", Inherited: true},
				{Job: probe.Job{Kind: probe.Script, Name: "probe.py"}, Detail: "TypeError: x", Inherited: true},
			},
		},
	}
	const healed = "healed  base kept a/tests/x.py (2.8 kB, rule tests): import a.testing fails without it; " +
		"written to base/layer.yaml\n" +
		"healed  base kept a/docs/** (3 files, 12 B, rules docs, stubs): script a/b fails without it; " +
		"written to base/layer.yaml\n"
	const rest = "note    base: module lib.old is broken as published (lib 1.0): TypeError: x; " +
		`to try: take another version
failed  base: script probe.py (fails unpruned too)
        TypeError: x
        caused by lib 1.0 as published
note    base: not healed: the limit of 40 runs of the interpreter is reached
`
	for sentence, c := range map[string]struct {
		options TextOptions
		want    string
	}{
		"in a report":               {TextOptions{}, healed + rest},
		"healed files were printed": {TextOptions{HealedPrinted: true}, rest},
	} {
		t.Run(sentence, func(t *testing.T) {
			var b strings.Builder
			Text(&b, Report{Layers: []Layer{l}}, c.options)
			_, below, _ := strings.Cut(b.String(), "removed nothing\n")
			if d := cmp.Diff(c.want, below); d != "" {
				t.Error(d)
			}
		})
	}
}
