package workflow

import (
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/workspace"
)

func TestAWishForSomeLayersBringsWhatHasToGoWithThem(t *testing.T) {
	t.Parallel()
	w := workspace.Workspace{
		Layers: []workspace.Layer{
			{Name: "base"},
			{Name: "aws"},
			{Name: "science", Extends: []string{"base"}},
			{Name: "web", Extends: []string{"base", "aws"}},
			{Name: "ml", Extends: []string{"science"}},
		},
	}
	for sentence, tt := range map[string]struct{ requested, stale, want string }{
		"nothing requested: all":                         {"", "", "base aws science web ml"},
		"a requested layer, stale or not":                {"aws", "", "aws"},
		"stale layers below a requested one":             {"ml", "base science ml", "base science ml"},
		"not the fresh layers below it":                  {"ml", "ml", "ml"},
		"stale layers that extend a stale requested one": {"base", "base science ml", "base science ml"},
		"not those that extend a fresh one":              {"base", "science", "base"},
		"the other layers below one that is added":       {"base", "base aws web", "base aws web"},
		"others that extend a layer that is added":       {"ml", "base science web ml", "base science web ml"},
		"not unrelated layers":                           {"aws", "base science ml aws", "aws"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			stale := map[string]bool{}
			for _, name := range strings.Fields(tt.stale) {
				stale[name] = true
			}

			var got []string
			all := withRelated(w, strings.Fields(tt.requested), stale)
			for _, l := range w.Layers {
				if all[l.Name] {
					got = append(got, l.Name)
				}
			}

			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}
