package workflow_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestAWishForSomeLayersTakesThoseBelowAndAbove(t *testing.T) {
	t.Parallel()
	all := []made{
		{layer: "base"},
		{layer: "science", extends: []string{"base"}},
		{layer: "ml", extends: []string{"base", "science"}},
		{layer: "web"},
	}
	for sentence, tt := range map[string]struct {
		input   string
		layers  []string
		summary string
	}{
		"no wish is all": {
			`{}`,
			[]string{"base", "science", "ml", "web"},
			"base new; science new; ml new; web new",
		},
		"one on its own goes alone": {`{"layers": ["web"]}`, []string{"web"}, "web new"},
		"what it lies on goes with it": {
			`{"layers": ["ml"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"what lies on it follows": {
			`{"layers": ["base"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"in the middle, what lies below and above": {
			`{"layers": ["science"]}`,
			[]string{"base", "science", "ml"},
			"base new; science new; ml new",
		},
		"two wishes": {
			`{"layers": ["web", "ml"]}`,
			[]string{"base", "science", "ml", "web"},
			"base new; science new; ml new; web new",
		},
		"force does not reach further": {`{"layers": ["web"], "force": true}`, []string{"web"}, "web new"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.makes(all...)
			f.begun("first", tt.input)
			out, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			if err != nil {
				t.Fatal(err)
			}

			if d := cmp.Diff(tt.layers, namesOf(out.Layers)); d != "" || out.Summary != tt.summary || !out.Changed {
				t.Errorf("%q, changed %v (-want +got):\n%s", out.Summary, out.Changed, d)
			}
		})
	}
}

// What was not asked for stays stale: the next look must not think that all is well.
func TestWhatWasLeftOutIsReleasedByTheNextRun(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.push("consumers.yaml", "consumers: []\n")
	f.must("first", `{"layers": ["base"]}`, release.Promoted)
	if end := f.must("again", `{"layers": ["base"]}`, release.Unchanged); end.Message != "Unchanged: base fresh" {
		t.Errorf("message %q", end.Message)
	}

	if end := f.must("second", `{}`,
		release.Promoted); end.Message != "Released: 1 layer (layersmith-web:1), 0 functions moved." {
		t.Errorf("message %q", end.Message)
	}

	f.must("third", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("a run after all was released went through %v", f.names)
	}
}

func TestABuildOfAnotherRunIsRefused(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		change func(f *flow)
		want   string
	}{
		"it left nothing": {func(f *flow) { f.registers.Set(release.BuiltName("first"), nil) },
			"read runs/first/built.json: the build stored no result. Hint: read the build's log in CodeBuild"},
		"it is another run's": {func(f *flow) { f.replaceBuilt(func(b *release.Built) { b.Run = "other" }) },
			"read runs/first/built.json: it was built from another workspace. Hint: start a new execution"},
		"it was made of another workspace": {
			func(f *flow) { f.replaceBuilt(func(b *release.Built) { b.Workspace = digest.Of([]byte("other")) }) },
			"read runs/first/built.json: it was built from another workspace. Hint: start a new execution",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.begun("first", `{}`)
			tt.change(f)
			_, err := workflow.Select{Ledger: f.ledger()}.Run(t.Context(), workflow.RunInput{Run: "first"})
			refusedAs(t, err, fault.ProvenanceMismatch, tt.want)
		})
	}
}

func TestVersionsAreComparedForPeople(t *testing.T) {
	t.Parallel()
	wheels := func(s ...string) (all []report.Wheel) {
		for _, w := range s {
			name, version, _ := strings.Cut(w, " ")
			all = append(all, report.Wheel{Name: name, Version: version})
		}

		return all
	}
	for sentence, tt := range map[string]struct{ before, after, want []string }{
		"the same":    {[]string{"numpy 2.1", "six 1.0"}, []string{"numpy 2.1", "six 1.0"}, nil},
		"the first":   {nil, []string{"numpy 2.1"}, []string{"+ numpy 2.1"}},
		"another one": {[]string{"numpy 2.1"}, []string{"numpy 2.2"}, []string{"numpy 2.1 -> 2.2"}},
		"all at once": {
			[]string{"six 1.0", "numpy 2.1", "idna 3"},
			[]string{"numpy 2.0", "pandas 3.0"},
			[]string{"numpy 2.1 -> 2.0", "+ pandas 3.0", "- idna 3", "- six 1.0"},
		},
		"nothing is in": {[]string{"six 1.0"}, nil, []string{"- six 1.0"}},
	} {
		if got := workflow.Versions(wheels(tt.before...), wheels(tt.after...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", sentence, got, tt.want)
		}
	}
}
