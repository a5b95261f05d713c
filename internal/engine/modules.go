package engine

import (
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
)

// EntryModules are the top-level modules of a layer's direct requirements, which a function that
// uses the layer imports when it starts.
func EntryModules(direct []pydist.Requirement, dists []wheel.Distribution) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range direct {
		for _, d := range dists {
			if d.Name != r.Name {
				continue
			}

			for _, m := range probe.TopLevel(d) {
				if !seen[m] {
					seen[m] = true
					out = append(out, m)
				}
			}
		}
	}

	return out
}

// LeftOut lists the modules that layer.yaml leaves out: by its drop list, by a rule that it
// switches on, or by a selection (modules, services).
func (m Made) LeftOut() []string {
	var out []string
	for _, o := range m.Pruned.Decisions {
		if name, _, ok := pyimport.ModuleName(o.Site); ok && m.chose(o) {
			out = append(out, name)
		}
	}

	return out
}

func (m Made) leavesOut(module string) bool { return slices.Contains(m.LeftOut(), module) }

// chose reports whether a file was dropped because of layer.yaml, and not by default.
func (m Made) chose(o prune.Applied) bool {
	if o.Fate != prune.Dropped {
		return false
	}

	return o.Rule == prune.ByLayer || slices.ContainsFunc(m.Policy.Rules(), func(r policy.Rule) bool {
		return r.ID == o.Rule && (r.Select != nil || !r.Default)
	})
}

// RootModules are the top-level modules of the distributions that no other distribution requires.
// They stand for EntryModules where the direct requirements are unknown.
func RootModules(dists []wheel.Distribution) []string {
	var out []string
	for _, name := range roots(dists) {
		for _, d := range dists {
			if d.Name == name {
				out = append(out, probe.TopLevel(d)...)
			}
		}
	}

	return out
}

// roots are the distributions that no other distribution requires.
func roots(dists []wheel.Distribution) []pydist.Name {
	required := map[pydist.Name]bool{}
	for _, d := range dists {
		for _, text := range d.Metadata.RequiresDist {
			if r, err := pydist.ParseRequirement(text); err == nil && !strings.Contains(r.Marker, "extra") {
				required[r.Name] = true
			}
		}
	}

	var out []pydist.Name
	for _, d := range dists {
		if !required[d.Name] && !slices.Contains(out, d.Name) {
			out = append(out, d.Name)
		}
	}

	return out
}
