package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/report"
)

// What an earlier layer of the same round needed is restored for the next layer too.
func TestHealRemembersEarlierLayers(t *testing.T) {
	t.Parallel()
	f := stacked(t, "alpha/probe.py=import alpha\n")
	f.python.fails = needs(silently, "alpha/tests/test_007.py")
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	if n := strings.Count(f.written["alpha/layer.yaml"], "match:"); n != 1 || f.writes != 1 {
		t.Errorf("%d writes: %q", f.writes, f.written)
	}

	h := healings(rep)
	if h["alpha"].Runs < 2 || h["beta"].Runs != 1 {
		t.Errorf("%+v; want one run for beta, with what alpha needs", h)
	}
}

// A job that passed in a trial and fails on the finished layer is not tried again.
func TestHealRemembersWhatItHealed(t *testing.T) {
	t.Parallel()
	f := newAlphaClinic(t, many(3))
	once := needs(byModule, "alpha/tests/test_001.py")
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		if j.Kind == probe.Script && f.writes > 0 && !has("python/alpha/tests/test_002.py") {
			return byModule("alpha/tests/test_002.py")
		}

		return once(j, has)
	}
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "alpha.tests.test_002")
	const why = "what was restored made it pass, but it fails again on the finished layer"
	if h := healings(rep)["alpha"]; f.writes != 1 || h.Why != why || h.Runs != 1 {
		t.Errorf("%d writes, %+v", f.writes, h)
	}
}

// Rounds of a build share the limit of a layer, and the report has what all of them kept.
func TestHealAddsUpItsRounds(t *testing.T) {
	t.Parallel()
	f := newAlphaClinic(t, many(3))
	script := needs(byModule, "alpha/tests/test_001.py")
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		if j.Kind == probe.Metadata && f.writes > 0 && !has("python/alpha/tests/test_002.py") {
			return byModule("alpha/tests/test_002.py") // it fails only after the script was healed
		}

		return script(j, has)
	}
	rep, _, err := f.heal()
	if err != nil {
		t.Fatal(err)
	}

	var kept []string
	for _, h := range rep.Layers[0].Healed {
		kept = append(kept, h.Match)
	}

	want := []string{"alpha/tests/test_001.py", "alpha/tests/test_002.py"}
	if h := healings(rep)["alpha"]; f.writes != 2 || h.Runs != 2 || !slices.Equal(kept, want) {
		t.Errorf("%d writes, %+v, kept %v", f.writes, h, kept)
	}
}

// A layer that could not be healed is not tried again when another one was. A layer whose probe
// passed is not probed again.
func TestHealDoesNotRepeatOtherLayers(t *testing.T) {
	t.Parallel()
	wheels := map[string][]string{
		"alpha": append(many(3), "alpha/data.txt=1"),
		"beta":  {"beta/__init__.py=", "beta/tests/__init__.py=", "beta/tests/test_a.py="},
		"gamma": {"gamma/__init__.py="},
	}
	f := newClinic(t, wheels, "alpha/layer.yaml=drop:\n  - { match: alpha/data.txt, reason: no }\n")
	f.python.fails = func(j probe.Job, has func(string) bool) string {
		switch {
		case j.Name == "alpha" && j.Kind == probe.Module && !has("python/alpha/data.txt"):
			return byPath("alpha/data.txt")
		case j.Name == "beta" && j.Kind == probe.Module && !has("python/beta/tests/test_a.py"):
			return byModule("beta/tests/test_a.py")
		}

		return ""
	}
	rep, _, err := f.heal()
	wantFault(t, err, fault.ProbeFailed, "module alpha: ")
	h := healings(rep)
	if f.writes != 1 || rep.Layers[1].Probe.Status != report.ProbePassed {
		t.Errorf("%d writes, %+v", f.writes, rep.Layers[1].Probe)
	}

	if h["alpha"].Runs != 2 || !strings.HasPrefix(h["alpha"].Why, "module alpha fails even with all restored") {
		t.Errorf("%+v", h["alpha"])
	}

	asked := 0
	for _, p := range f.python.probed {
		if p == "module gamma" {
			asked++
		}
	}

	if asked != 1 {
		t.Errorf("gamma was asked %d times", asked)
	}
}
