package engine

import (
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

func TestCheckSizes(t *testing.T) {
	t.Parallel()
	const mb = 1_000_000
	for name, tt := range map[string]struct {
		sizes map[string]int64 // of the wheels, bytes
		drop  []policy.Choice
		note  string
		err   string
		hint  string
	}{
		"what fits is not mentioned": {sizes: map[string]int64{"a": 200 * mb, "b": 62 * mb}},
		"what may fit once it is pruned is noted": {
			sizes: map[string]int64{"a": 10 * mb, "b": 300 * mb},
			note:  "main: its wheels have 310.0 MB zipped, Lambda allows 262.1 MB unzipped: b 300.0 MB, a 10.0 MB",
		},
		"what cannot fit is refused before it is downloaded": {
			sizes: map[string]int64{"torch": 539 * mb, "nvidia-cudnn-cu13": 519 * mb, "c": 1, "d": 1},
			err: "1058.0 MB zipped, Lambda allows 262.1 MB unzipped: torch 539.0 MB, nvidia-cudnn-cu13 519.0 MB, " +
				"c 0.0 MB, and 1 more",
			hint: "CPU index",
		},
		"another GPU package": {
			sizes: map[string]int64{"jax": 539 * mb, "nvidia-cudnn-cu13": 519 * mb},
			err:   "jax 539.0 MB",
			hint:  "without CUDA",
		},
		"no GPU": {sizes: map[string]int64{"a": 900 * mb}, err: "a 900.0 MB", hint: "a is the largest"},
		"a layer that drops files itself is only noted": {
			sizes: map[string]int64{"a": 900 * mb},
			drop:  []policy.Choice{{Match: "a/data/**"}},
			note:  "main: its wheels have 900.0 MB zipped, Lambda allows 262.1 MB unzipped: a 900.0 MB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lock.Lock{Closures: map[string][]pydist.Name{}}
			for _, n := range sortedKeys(tt.sizes) {
				d := lock.Distribution{Name: parsed(t, n), File: lock.File{Size: tt.sizes[n]}}
				l.Distributions = append(l.Distributions, d)
				l.Closures["main"] = append(l.Closures["main"], d.Name)
			}

			w := workspace.Workspace{Layers: []workspace.Layer{{
				Name:   "main",
				Policy: policy.Settings{Drop: tt.drop},
			}}}
			notes, err := checkSizes(l, w)
			if got := strings.Join(notes, "\n"); got != tt.note {
				t.Errorf("notes %q, want %q", got, tt.note)
			}

			if tt.err == "" {
				if err != nil {
					t.Error(err)
				}

				return
			}

			if fault.CodeOf(err) != fault.OverLimit || !strings.Contains(err.Error(), tt.err) ||
				!strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("%v (%v)\nhint: %s", err, fault.CodeOf(err), fault.HintOf(err))
			}
		})
	}
}

// Lambda's limit is for all layers of a function together.
func TestCheckSizesOfAStack(t *testing.T) {
	t.Parallel()
	const mb = 1_000_000
	for name, tt := range map[string]struct {
		base, top int64 // bytes
		drop      []policy.Choice
		notes     string
		err       string
	}{
		"fits": {base: 200 * mb, top: 62 * mb},
		"only together too large": {
			base:  200 * mb,
			top:   100 * mb,
			notes: "top: its wheels with those of base have 300.0 MB zipped, Lambda allows 262.1 MB unzipped: ",
		},
		"the lowest layer is named": {base: 300 * mb, top: 100 * mb, notes: "base: its wheels have 300.0 MB zipped"},
		"hopeless together": {
			base: 300 * mb, top: 300 * mb,
			err: "top: its wheels with those of base have 600.0 MB",
		},
		"the layer below drops": {
			base: 300 * mb, top: 300 * mb,
			drop: []policy.Choice{{Match: "a/**"}}, notes: "base: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := parsed(t, "a"), parsed(t, "b")
			l := lock.Lock{
				Distributions: []lock.Distribution{
					{Name: a, File: lock.File{Size: tt.base}}, {Name: b, File: lock.File{Size: tt.top}},
				},
				Closures: map[string][]pydist.Name{"base": {a}, "top": {a, b}},
			}
			w := workspace.Workspace{Layers: []workspace.Layer{
				{Name: "base", Policy: policy.Settings{Drop: tt.drop}}, {Name: "top", Extends: []string{"base"}},
			}}
			notes, err := checkSizes(l, w)
			if got := strings.Join(notes, "\n"); !strings.HasPrefix(got, tt.notes) || (got == "") != (tt.notes == "") ||
				len(notes) > 1 {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}

			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}
