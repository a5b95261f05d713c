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
	for sentence, tt := range map[string]struct{ input, layers, summary string }{
		"nothing requested: all": {
			`{}`, "base science ml web", "base new; science new; ml new; web new",
		},
		"a layer without relations": {
			`{"layers": ["web"]}`, "web", "web new",
		},
		"the layers below it": {
			`{"layers": ["ml"]}`, "base science ml", "base new; science new; ml new",
		},
		"the layers that extend it": {
			`{"layers": ["base"]}`, "base science ml", "base new; science new; ml new",
		},
		"the layers below it and those that extend it": {
			`{"layers": ["science"]}`, "base science ml", "base new; science new; ml new",
		},
		"two layers": {
			`{"layers": ["web", "ml"]}`, "base science ml web", "base new; science new; ml new; web new",
		},
		"force applies to the requested layers": {
			`{"layers": ["web"], "force": true}`, "web", "web new",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.makes(all...)
			f.begun("first", tt.input)
			out, err := f.selectLayers("first")
			if err != nil {
				t.Fatal(err)
			}

			d := cmp.Diff(strings.Fields(tt.layers), namesOf(out.Layers))
			if d != "" || out.Summary != tt.summary || !out.Changed {
				t.Errorf("%q, changed %v (-want +got):\n%s", out.Summary, out.Changed, d)
			}
		})
	}
}

// A stale layer that was not requested stays stale.
func TestWhatWasLeftOutIsReleasedByTheNextRun(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.push("consumers.yaml", "consumers: []\n")
	f.must("first", `{"layers": ["base"]}`, release.Promoted)
	f.mustSay("again", `{"layers": ["base"]}`, release.Unchanged, "Unchanged: base fresh")
	f.mustSay("second", `{}`, release.Promoted, "Released: 1 layer (layersmith-web:1), 0 functions moved.")
	f.must("third", `{}`, release.Unchanged)
	if !slices.Equal(f.names, []string{"Intake", "Report"}) {
		t.Errorf("a run after all was released went through %v", f.names)
	}
}

func TestABuildOfAnotherRunIsRefused(t *testing.T) {
	t.Parallel()
	const (
		nothing = "the build stored no result. Hint: read the build's log in CodeBuild"
		other   = "it was built from another workspace. Hint: start a new execution"
	)
	replace := func(change func(*release.Built)) func(*flow) {
		return func(f *flow) { f.replaceBuilt(change) }
	}
	for sentence, tt := range map[string]struct {
		change func(f *flow)
		want   string
	}{
		"no result":         {func(f *flow) { f.registers.Set(release.BuiltName("first"), nil) }, nothing},
		"another run":       {replace(func(b *release.Built) { b.Run = "other" }), other},
		"another workspace": {replace(func(b *release.Built) { b.Workspace = digest.Of([]byte("other")) }), other},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			f.begun("first", `{}`)
			tt.change(f)
			_, err := f.selectLayers("first")
			refusedAs(t, err, fault.ProvenanceMismatch, "read runs/first/built.json: "+tt.want)
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
		"the same":  {[]string{"numpy 2.1", "six 1.0"}, []string{"numpy 2.1", "six 1.0"}, nil},
		"the first": {nil, []string{"numpy 2.1"}, []string{"+ numpy 2.1"}},
		"an update": {[]string{"numpy 2.1"}, []string{"numpy 2.2"}, []string{"numpy 2.1 -> 2.2"}},
		"all at once": {
			[]string{"six 1.0", "numpy 2.1", "idna 3"},
			[]string{"numpy 2.0", "pandas 3.0"},
			[]string{"numpy 2.1 -> 2.0", "+ pandas 3.0", "- idna 3", "- six 1.0"},
		},
		"the last": {[]string{"six 1.0"}, nil, []string{"- six 1.0"}},
	} {
		if got := workflow.Versions(wheels(tt.before...), wheels(tt.after...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", sentence, got, tt.want)
		}
	}
}
