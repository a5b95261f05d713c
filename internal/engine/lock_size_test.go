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
