package release

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	layers1 = "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base:1"
	layers2 = "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base:2"
	vendor  = "arn:aws:lambda:us-east-1:999999999999:layer:vendor:7"
)

func TestStandingTellsOursFromOthers(t *testing.T) {
	t.Parallel()
	at := func(alias, code string, layers ...string) State {
		return State{Layers: layers, CodeSHA256: code, AliasVersion: alias}
	}
	pointer := func(s State) *State { return &s }
	recorded := Change{Alias: "live", Before: at("1", "code", vendor, layers1)}
	intended := recorded
	intended.After = pointer(at("", "code", vendor, layers2))
	published := recorded
	published.After = pointer(at("2", "code", vendor, layers2))
	latest := Change{Before: at("", "code", layers1), After: pointer(at("", "code", layers2))}
	same := Change{Alias: "live", Before: at("1", "code", layers1), After: pointer(at("1", "code", layers1))}
	first := Change{Before: at("", "code"), After: pointer(at("", "code", layers1))}
	for sentence, tt := range map[string]struct {
		change Change
		now    State
		want   Standing
	}{
		"recorded, nothing happened":                        {recorded, at("1", "code", vendor, layers1), AtBefore},
		"recorded, then deployed by others":                 {recorded, at("1", "other", vendor, layers1), Diverged},
		"recorded, then other layers":                       {recorded, at("1", "code", vendor, layers2), Diverged},
		"recorded, then another alias":                      {recorded, at("2", "code", vendor, layers1), Diverged},
		"intended, nothing happened":                        {intended, at("1", "code", vendor, layers1), AtBefore},
		"intended, layers are set":                          {intended, at("1", "code", vendor, layers2), Between},
		"intended, the alias was moved by others":           {intended, at("2", "code", vendor, layers2), Diverged},
		"intended, no alias is not the version to come":     {intended, at("", "code", vendor, layers2), Diverged},
		"published, nothing else":                           {published, at("1", "code", vendor, layers2), Between},
		"published, all done":                               {published, at("2", "code", vendor, layers2), AtAfter},
		"layers taken back, the alias not yet":              {published, at("2", "code", vendor, layers1), Between},
		"all taken back":                                    {published, at("1", "code", vendor, layers1), AtBefore},
		"the alias moved on by others":                      {published, at("3", "code", vendor, layers2), Diverged},
		"layers changed by others, the alias is ours":       {published, at("2", "code", vendor), Diverged},
		"other code, though layers and alias are ours":      {published, at("2", "other", vendor, layers2), Diverged},
		"the same layers in another order are others":       {published, at("2", "code", layers2, vendor), Diverged},
		"without an alias, before":                          {latest, at("", "code", layers1), AtBefore},
		"without an alias, after":                           {latest, at("", "code", layers2), AtAfter},
		"without an alias nobody looks where one points":    {latest, at("5", "code", layers2), AtAfter},
		"without an alias, others":                          {latest, at("", "code", vendor), Diverged},
		"a change that changes nothing has nothing to undo": {same, at("1", "code", layers1), AtBefore},
		"a change that changes nothing, and others":         {same, at("2", "code", layers1), Diverged},
		"a function that had no layers, before":             {first, State{CodeSHA256: "code"}, AtBefore},
		"a function that had no layers, an empty list of it": {
			first,
			State{CodeSHA256: "code", Layers: []string{}},
			AtBefore,
		},
		"a function that had no layers, after": {first, at("", "code", layers1), AtAfter},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := tt.change.Standing(tt.now); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestNewVersionsReplaceOldOnesInPlace(t *testing.T) {
	t.Parallel()
	const others = "arn:aws:lambda:us-east-1:999999999999:layer:layersmith-base:7"
	const alike = "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-base-arm64:1"
	base := Replace{Layer: "base", LayerName: "layersmith-base", ARN: layers2}
	science := Replace{
		Layer:     "science",
		LayerName: "layersmith-science",
		ARN:       "arn:aws:lambda:us-east-1:123456789012:layer:layersmith-science:5",
	}
	for sentence, tt := range map[string]struct {
		before   []string
		replaces []Replace
		want     []string
		err      string
	}{
		"at its place": {
			[]string{layers1, vendor},
			[]Replace{base},
			[]string{layers2, vendor},
			"",
		},
		"at its place behind another": {
			[]string{vendor, layers1},
			[]Replace{base},
			[]string{vendor, layers2},
			"",
		},
		"a layer that it did not have": {
			[]string{vendor},
			[]Replace{base, science},
			[]string{vendor, layers2, science.ARN},
			"",
		},
		"a function without layers":              {nil, []Replace{base}, []string{layers2}, ""},
		"a version that it has already":          {[]string{layers2}, []Replace{base}, []string{layers2}, ""},
		"nothing to replace":                     {[]string{vendor}, nil, []string{vendor}, ""},
		"a name that only begins alike is other": {[]string{alike}, []Replace{base}, []string{alike, layers2}, ""},
		"another account's of the same name":     {[]string{others}, []Replace{base}, []string{others, layers2}, ""},
		"one that is not published yet": {
			[]string{layers1},
			[]Replace{{Layer: "base", LayerName: "layersmith-base"}},
			nil,
			"change of arn:f: layer base is not published",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tt.before)
			got, err := Change{Function: "arn:f", Replaces: tt.replaces, Before: State{Layers: tt.before}}.WithLayers()
			if text := fmt.Sprint(err); tt.err != "" && text != tt.err || tt.err == "" && err != nil {
				t.Fatalf("error %q, want %q", text, tt.err)
			}

			if !slices.Equal(got, tt.want) {
				t.Errorf("%s, want %s", strings.Join(got, ", "), strings.Join(tt.want, ", "))
			}

			if !slices.Equal(tt.before, before) {
				t.Errorf("what was recorded became %s", strings.Join(tt.before, ", "))
			}
		})
	}
}
