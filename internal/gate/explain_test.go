package gate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/wheel"
)

// Every finding belongs to a check with a description and its limits.
func TestEveryCheckExplainsItself(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range checks {
		for _, text := range append([]string{c.asks, c.unit, c.cannotSee}, c.names...) {
			if text == "" {
				t.Errorf("%v has an empty description", c.names)
			}
		}

		for _, n := range c.names {
			if seen[n] {
				t.Errorf("%s is the name of two checks", n)
			}

			seen[n] = true
		}
	}

	// A layer with a finding for each check.
	p := objects(t, map[string]sharedobj.Facts{"a.so": {
		Machine:      3,
		Needed:       []string{"z.so"},
		VersionNeeds: needs("GLIBC_2.99").VersionNeeds,
		Segments:     []sharedobj.Segment{{Type: sharedobj.SegmentLoad, Vaddr: 1, Align: 0x1000}},
	}})
	p.Tree = tree(t, map[string]string{
		"python/a.so":                 "",
		"python/A.so":                 "",
		"python/boto3/__init__.py":    "",
		"python/b-1.dist-info/RECORD": "",
		"python/c/_d.pyd":             "",
	})
	p.Broken = map[string]string{"python/b.so": "broken"}
	for _, f := range Check(input(t, "python3.13-x86_64", p)) {
		if !seen[f.Check] {
			t.Errorf("%s names no check", f)
		}
	}

	for _, l := range Explain(input(t, "python3.13-x86_64", p)) {
		if l.Findings == 0 && l.Check != "limits" {
			t.Errorf("%s has no finding", l.Check)
		}
	}
}

func TestExplainCountsWhatEachCheckCovers(t *testing.T) {
	t.Parallel()
	p := objects(t, map[string]sharedobj.Facts{
		"a.so": {Needed: []string{"libc.so.6", "libm.so.6"}},
		"b.so": {Needed: []string{"libc.so.6"}},
	})
	p.Distributions = nil
	p.Tree = tree(t, map[string]string{"python/a.so": "", "python/b.so": "", "python/c-1.dist-info/METADATA": ""})
	got := map[string]int{}
	for _, l := range Explain(input(t, "python3.13-x86_64", p, Part{}, Part{})) {
		got[l.Check] = l.Count
	}

	want := map[string]int{
		"elf-align":   2,
		"elf-machine": 2,
		"platform":    1,
		"elf-glibc":   2,
		"elf-needed":  3,
		"boto-family": 3,
		"dist-info":   1,
		"paths":       3,
		"limits":      3,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Prebuilt layers may have metadata that no set of wheels has.
func TestDistInfoOfPrebuiltLayers(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		files map[string]string
		dists []wheel.Distribution
		want  []string
	}{
		"a .dist-info without METADATA, of no known distribution": {
			files: map[string]string{"python/some_pkg-1.0.dist-info/RECORD": ""},
			want: []string{
				"python/some_pkg-1.0.dist-info: has no METADATA: " +
					"importlib.metadata would not find some_pkg [dist-info]",
			},
		},
		"two versions of one distribution": {
			files: map[string]string{"python/a-1.dist-info/METADATA": "", "python/a-2.dist-info/METADATA": ""},
			dists: []wheel.Distribution{owned(t, "a", "1"), owned(t, "a", "2")},
			want: []string{
				"python/a-2.dist-info: is a second version of a, beside python/a-1.dist-info: " +
					"importlib.metadata takes one of them [dist-info]",
			},
		},
		"a vendored .dist-info, and one outside the site folder": {
			files: map[string]string{
				"python/a/_vendor/b-1.dist-info/RECORD": "",
				"c-1.dist-info/RECORD":                  "",
				"python/d.dist-info":                    "",
			},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := Part{Name: "x", Prefix: prefix, Tree: tree(t, tt.files), Distributions: tt.dists}
			got := said(Check(input(t, "python3.13-x86_64", p)))
			if d := cmp.Diff(append([]string{}, tt.want...), slices.Clone(got)); d != "" {
				t.Error(d)
			}
		})
	}
}
