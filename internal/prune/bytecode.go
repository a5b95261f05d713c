package prune

import (
	"io"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// decideBytecode decides about the .pyc files of the tree, after all other files. Bytecode of a
// dropped source is dropped with it. The stale-bytecode rule drops what Python would not load.
func (p *planner) decideBytecode() {
	bySite := map[string]*Decision{}
	for i := range p.decisions {
		bySite[p.decisions[i].Site] = &p.decisions[i]
	}

	isStale := func(r policy.Rule) bool { return r.ID == staleRule }
	dropStale := slices.ContainsFunc(p.policy.Rules(), isStale)
	for i := range p.decisions {
		d := &p.decisions[i]
		name, isBytecode := pyc.Source(d.Site)
		if !isBytecode || d.applyLayerChoice(p.policy, strings.TrimPrefix(d.Site, Outside)) {
			continue
		}

		source := bySite[name]
		inCache := strings.Contains(d.Site, "__pycache__/")
		switch {
		case source != nil && source.Fate == Dropped:
			d.drop(source.Rule, source.Why)
		case source == nil && !inCache:
			d.Why = "there is no source that it could be made from"
		case dropStale && (source == nil || !d.loadable(name, p.input.Target)):
			d.drop(staleRule, "")
		}
	}
}

// loadable reports whether the target's Python loads the bytecode for a source that is present.
func (d *Decision) loadable(source string, t pydist.Target) bool {
	return d.Site == pyc.Cached(source, t) && hasValidHeader(d.Entry, t)
}

func hasValidHeader(e ziptree.Entry, t pydist.Target) bool {
	r, err := e.Open()
	if err != nil {
		return false
	}
	defer r.Close()

	var header [pyc.HeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return false
	}

	return pyc.CheckHeader(header[:], t) == nil
}
