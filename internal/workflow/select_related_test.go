package workflow

import (
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/workspace"
)

func TestAWishForSomeLayersBringsWhatHasToGoWithThem(t *testing.T) {
	t.Parallel()
	// science and web lie on base, ml on science, aws on nothing.
	w := workspace.Workspace{
		Layers: []workspace.Layer{
			{Name: "base"},
			{Name: "aws"},
			{Name: "science", Extends: []string{"base"}},
			{Name: "web", Extends: []string{"base", "aws"}},
			{Name: "ml", Extends: []string{"science"}},
		},
	}
	for sentence, tt := range map[string]struct{ wish, stale, want string }{
		"no wish is all":                            {"", "", "base aws science web ml"},
		"what is asked for goes, stale or not":      {"aws", "", "aws"},
		"below it what is stale goes too":           {"ml", "base science ml", "base science ml"},
		"below it what is fresh stays":              {"ml", "ml", "ml"},
		"what is stale on one that goes follows":    {"base", "base science ml", "base science ml"},
		"what is stale on a fresh one stays behind": {"base", "science", "base"},
		"what follows brings its own":               {"base", "base aws web", "base aws web"},
		"a neighbour on the same base follows":      {"ml", "base science web ml", "base science web ml"},
		"what has nothing to do with it stays":      {"aws", "base science ml aws", "aws"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			stale := map[string]bool{}
			for _, name := range strings.Fields(tt.stale) {
				stale[name] = true
			}

			var got []string
			all := withRelated(w, strings.Fields(tt.wish), stale)
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
