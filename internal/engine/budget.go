package engine

import (
	"fmt"
	"maps"
	"sort"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// stackNames lists the stacks whose size is limited: each layer that no other layer extends, with
// the layers below it, and all layers together when a function may have that many.
func stackNames(ws workspace.Workspace) [][]string {
	extended := map[string]bool{}
	for _, l := range ws.Layers {
		for _, e := range l.Extends {
			extended[e] = true
		}
	}

	var stacks [][]string
	for _, l := range ws.Layers {
		if !extended[l.Name] {
			stacks = append(stacks, append(ws.Below(l.Name), l.Name))
		}
	}

	if all := ws.Names(); len(stacks) > 1 && len(all) <= workspace.MaxLayers {
		stacks = append(stacks, all)
	}

	return stacks
}

// Stacks judges the stacks of a workspace whose layers have all been built.
func Stacks(ws workspace.Workspace, layers []report.Layer) []measure.Stack {
	var out []measure.Stack
	for _, names := range stackNames(ws) {
		var sum measure.Bytes
		complete := true
		for _, n := range names {
			i := indexOf(layers, n)
			if i < 0 {
				complete = false
				break
			}

			sum += layers[i].After.Unzipped
		}

		if complete {
			out = append(out, measure.JudgeStack(names, sum, ws.Total))
		}
	}

	return out
}

// secondsPerMB is how much longer a cold start takes for each megabyte (10^6 bytes) of missing
// bytecode, measured on the layers of this repository (docs/why/bytecode.md). It is for the message
// only. The choice depends on bytes, so it is the same on every machine.
const secondsPerMB = 0.07

// bytecodeOf is the bytecode of one distribution in one layer: what auto keeps or leaves out.
type bytecodeOf struct {
	layer, distribution string
	size                measure.Size
}

// roomForCode is what auto leaves of Lambda's limit for the code of a function, where the workspace
// has no budget of its own.
const roomForCode = 25 << 20

// autoTotal is the size up to which auto fills a stack.
func autoTotal(ws workspace.Workspace) measure.Bytes {
	return min(ws.Total, measure.MaxUnzippedBytes-roomForCode)
}

// room compares the sizes of layers with the budgets of each layer and of every stack.
type room struct {
	ws     workspace.Workspace
	stacks [][]string
	sizes  map[string]measure.Size
}

// fits reports whether a layer is within its budget, and all its stacks are within the budget of
// the workspace.
func (r room) fits(layer string) bool {
	l, _ := r.ws.Layer(layer)
	if b := l.Budget.Unzipped; b > 0 && r.sizes[layer].Unzipped > b {
		return false
	}

	if b := l.Budget.Zipped; b > 0 && r.sizes[layer].Zipped > b {
		return false
	}

	for _, names := range r.stacks {
		var sum measure.Bytes
		counts := false
		for _, n := range names {
			sum += r.sizes[n].Unzipped
			counts = counts || n == layer
		}

		if counts && sum > autoTotal(r.ws) {
			return false
		}
	}

	return true
}

// fitBytecode chooses the bytecode that fits. plain are the sizes of the layers without it. The
// largest units come first: bytecode saves time in proportion to its size, and few large
// distributions are easier to explain than many small ones. The result is true for the units to
// keep.
func fitBytecode(ws workspace.Workspace, plain map[string]measure.Size, units []bytecodeOf) map[bytecodeOf]bool {
	order := append([]bytecodeOf(nil), units...)
	sort.Slice(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if a.size.Unzipped != b.size.Unzipped {
			return a.size.Unzipped > b.size.Unzipped
		}

		return a.layer+" "+a.distribution < b.layer+" "+b.distribution
	})

	r := room{ws: ws, stacks: stackNames(ws), sizes: maps.Clone(plain)}
	if r.sizes == nil {
		r.sizes = map[string]measure.Size{}
	}

	with := map[bytecodeOf]bool{}
	for _, u := range order {
		before := r.sizes[u.layer]
		r.sizes[u.layer] = before.Add(u.size)
		if with[u] = r.fits(u.layer); !with[u] {
			r.sizes[u.layer] = before
		}
	}

	return with
}

// chooseBytecode decides how much of the compiled bytecode is kept in the layers with bytecode
// auto. bare are the layers without bytecode, compiled is all bytecode of each.
func chooseBytecode(ws workspace.Workspace, bare []Made, compiled []Bytecode) []Bytecode {
	plain := map[string]measure.Size{}
	var units []bytecodeOf
	entries := map[bytecodeOf][]ziptree.Entry{}
	for i, m := range bare {
		name := m.Spec.Name
		plain[name] = sizeOf(m.Pruned.Tree.Entries())
		switch b := compiled[i]; {
		case b.Mode == workspace.NoBytecode || len(b.Entries) == 0:
		case m.Spec.Bytecode != workspace.Auto:
			plain[name] = plain[name].Add(m.cost(b.Mode, b.Entries))
		default:
			byDist := m.byDistribution(b.Entries)
			for _, dist := range sortedKeys(byDist) {
				u := bytecodeOf{name, dist, m.cost(b.Mode, byDist[dist])}
				units = append(units, u)
				entries[u] = byDist[dist]
			}
		}
	}

	with := fitBytecode(ws, plain, units)
	out := make([]Bytecode, len(bare))
	for i, m := range bare {
		out[i] = compiled[i]
		if s := shareOf(m.Spec.Name, units, with); s.all > 0 {
			out[i] = s.apply(compiled[i], entries)
		}
	}

	return out
}

// share is how much of its bytecode one layer keeps.
type share struct {
	all, lost measure.Bytes
	kept      []bytecodeOf
	without   []string // distributions
}

func shareOf(layer string, units []bytecodeOf, with map[bytecodeOf]bool) share {
	var s share
	for _, u := range units {
		if u.layer != layer {
			continue
		}

		s.all += u.size.Unzipped
		if with[u] {
			s.kept = append(s.kept, u)
			continue
		}

		s.lost += u.size.Unzipped
		s.without = append(s.without, u.distribution)
	}

	return s
}

func (s share) apply(b Bytecode, entries map[bytecodeOf][]ziptree.Entry) Bytecode {
	if s.lost == 0 {
		b.Reason = fmt.Sprintf("all %s fit the budgets", s.all)
		return b
	}

	b.Entries = nil
	for _, u := range s.kept {
		b.Entries = append(b.Entries, entries[u]...)
	}

	if len(b.Entries) == 0 {
		b.Mode = workspace.NoBytecode
	}

	b.Partial = true
	b.Without = s.without
	verb, them := "goes", "1 distribution"
	if n := len(s.without); n > 1 {
		verb, them = "go", fmt.Sprintf("%d distributions", n)
	}

	b.Reason = fmt.Sprintf("%s of %s fit the budgets; %s %s without, about %.1f s at a cold start (layersmith report)",
		s.all-s.lost, s.all, them, verb, float64(s.lost)/1e6*secondsPerMB)
	return b
}

// byDistribution groups .pyc entries by the distribution of their source.
func (p Planned) byDistribution(bytecode []ziptree.Entry) map[string][]ziptree.Entry {
	owner := map[string]string{}
	for _, d := range p.Artifact.Distributions {
		for _, f := range d.Files {
			owner[f] = d.Name.String()
		}
	}

	out := map[string][]ziptree.Entry{}
	for _, e := range bytecode {
		name := owner[p.sourceOf(e)]
		out[name] = append(out[name], e)
	}

	return out
}

// cost is the size that bytecode adds to a layer that has none: its files and their lines in
// RECORD, less the sources that sourceless bytecode replaces. It is an upper bound.
func (m Made) cost(mode workspace.Mode, bytecode []ziptree.Entry) measure.Size {
	s := sizeOf(bytecode)
	for _, e := range bytecode {
		site, _ := m.Artifact.Place.Site(e.Name)
		line := measure.Bytes(len(site) + len(",,\n"))
		s.Unzipped += line
		s.Zipped += line
		if mode != workspace.Sourceless {
			continue
		}

		if source, ok := m.Pruned.Tree.Lookup(m.Artifact.Place.Prefix + m.sourceOf(e)); ok {
			was := measure.Of(source.Name, source.Size, source.ZippedBytes)
			s.Files -= was.Files
			s.Unzipped -= was.Unzipped
			s.Zipped -= was.Zipped
		}
	}

	return s
}

// sourceOf is the source of a .pyc entry, relative to the site folder.
func (p Planned) sourceOf(e ziptree.Entry) string {
	site, _ := p.Artifact.Place.Site(e.Name)
	source, _ := pyc.Source(site)
	return source
}
