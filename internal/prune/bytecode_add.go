package prune

import (
	"fmt"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// WithBytecode returns the layer with these .pyc entries added, each compiled from a source that
// the plan keeps. An entry of the layer with the same name gives way. With sourceless, each .pyc
// replaces its source. RECORD lists the result.
func (p Pruned) WithBytecode(compiled []ziptree.Entry, sourceless bool) (Pruned, error) {
	if len(compiled) == 0 {
		return p, nil
	}

	added := make(map[string]bool, len(compiled))
	for _, e := range compiled {
		if added[e.Name] {
			return Pruned{}, fmt.Errorf("add bytecode %s: given twice", e.Name)
		}

		added[e.Name] = true
	}

	out := Pruned{plan: p.plan, Decisions: make([]Applied, 0, len(p.Decisions)+len(compiled))}
	bySite := make(map[string]int, len(p.Decisions))
	for _, o := range p.Decisions {
		if !added[o.Entry.Name] {
			bySite[o.Site] = len(out.Decisions)
			out.Decisions = append(out.Decisions, o)
		}
	}

	before := len(out.Decisions)
	for _, e := range compiled {
		site := strings.TrimPrefix(e.Name, p.plan.input.Prefix)
		source, ok := pyc.Source(site)
		if !ok {
			return Pruned{}, fmt.Errorf("add bytecode %s: not a name of bytecode", e.Name)
		}

		i, ok := bySite[source]
		if !ok || out.Decisions[i].Fate == Dropped && out.Decisions[i].Rule != BySource {
			return Pruned{}, fmt.Errorf("add bytecode %s: its source is not kept", e.Name)
		}

		of := &out.Decisions[i]
		if sourceless {
			of.replace()
		}

		d := Decision{Entry: e, Site: site, Owner: of.Owner, Wheel: of.Wheel}
		out.Decisions = append(out.Decisions, Applied{Decision: d, Result: e})
	}

	if sourceless {
		out.dropCached(before, bySite)
	}

	sort.Slice(out.Decisions, func(i, j int) bool {
		return out.Decisions[i].Entry.Name < out.Decisions[j].Entry.Name
	})

	if err := out.describe(); err != nil {
		return Pruned{}, err
	}

	return out, out.buildTree()
}

// dropCached drops cached bytecode of the sources that sourceless bytecode replaced: Python does
// not look below __pycache__ for a module without a source.
func (p *Pruned) dropCached(before int, bySite map[string]int) {
	for i := range p.Decisions[:before] {
		o := &p.Decisions[i]
		if o.Fate == Dropped || o.Rule == ByLayer {
			continue
		}

		source, isBytecode := pyc.Source(o.Site)
		if k, found := bySite[source]; isBytecode && found && p.Decisions[k].Rule == BySource {
			o.replace()
		}
	}
}

// replace drops a file that sourceless bytecode replaces.
func (o *Applied) replace() {
	o.drop(BySource, "")
	o.Result = ziptree.Entry{}
}
