package engine

import (
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

func TestMergeKeepsWhatWasNotBuilt(t *testing.T) {
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	is := func(n, d string) report.Layer { return report.Layer{Name: n, Description: d} }
	ws := layers(1, "a", "b", "c")
	old := report.Report{
		Target: target.String(),
		Layers: []report.Layer{is("gone", "old"), is("c", "old"), is("b", "old")},
	}
	for name, c := range map[string]struct {
		old  report.Report
		want string
	}{
		"in the workspace's order, without layers that are gone": {old, "a new, b new, c old"},
		"nothing of another target": {
			report.Report{Target: "python3.12-x86_64", Layers: old.Layers},
			"a new, b new",
		},
		"nothing of no report": {report.Report{}, "a new, b new"},
	} {
		var got []string
		for _, l := range merge(ws, []report.Layer{is("b", "new"), is("a", "new")}, c.old, target) {
			got = append(got, l.Name+" "+l.Description)
		}

		if g := strings.Join(got, ", "); g != c.want {
			t.Errorf("%s: got %q, want %q", name, g, c.want)
		}
	}
}
