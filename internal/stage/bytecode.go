package stage

import (
	"fmt"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// secondsPerMB is what a cold start pays for each megabyte (10^6) of bytecode that is not there,
// measured on the layers of this repository: see docs/why/bytecode.md. It is for the message only;
// the choice is made from bytes, so that it is the same on every machine.
const secondsPerMB = 0.07

// bytecodeOf is the bytecode of one distribution in one layer: what auto keeps or gives up.
type bytecodeOf struct {
	layer, distribution string
	size                measure.Size
}

// chooseBytecode picks the bytecode that fits: every layer within its budget and every stack within
// the workspace's, given what the layers weigh without. All of it when that fits; otherwise by
// size, largest first, since what bytecode saves at a start is in proportion to the source that
// need not be compiled, and fewer, larger distributions are easier to explain. The result has a
// true for each unit that stays.
func chooseBytecode(ws workspace.Workspace, plain map[string]measure.Size, units []bytecodeOf) map[bytecodeOf]bool {
	order := append([]bytecodeOf(nil), units...)
	sort.Slice(order, func(i, j int) bool {
		a := order[i]
		b := order[j]
		if a.size.Unzipped != b.size.Unzipped {
			return a.size.Unzipped > b.size.Unzipped
		}

		return a.layer+" "+a.distribution < b.layer+" "+b.distribution
	})
	after := map[string]measure.Size{}
	for n, s := range plain {
		after[n] = s
	}

	stacks := stackNames(ws)
	fits := func(layer string) bool {
		l, _ := ws.Layer(layer)
		if b := l.Budget; b.Unzipped > 0 && after[layer].Unzipped > b.Unzipped ||
			b.Zipped > 0 && after[layer].Zipped > b.Zipped {
			return false
		}

		for _, names := range stacks {
			var sum measure.Bytes
			counts := false
			for _, n := range names {
				sum += after[n].Unzipped
				counts = counts || n == layer
			}

			if counts && sum > ws.Total {
				return false
			}
		}

		return true
	}
	with := map[bytecodeOf]bool{}
	for _, u := range order {
		before := after[u.layer]
		after[u.layer] = before.Add(u.size)
		if with[u] = fits(u.layer); !with[u] {
			after[u.layer] = before
		}
	}

	return with
}

// decideBytecode turns auto into a decision from measured bytes.
func (s Build) decideBytecode(ws workspace.Workspace, works []*work) {
	plain := map[string]measure.Size{}
	var units []bytecodeOf
	parts := map[bytecodeOf][]ziptree.Entry{}
	for _, w := range works {
		plain[w.spec.Name] = sizeOf(w.pruned.Tree.Entries())
		if w.mode == workspace.NoBytecode || len(w.bytecode) == 0 {
			continue
		}

		if w.spec.Bytecode != workspace.Auto {
			plain[w.spec.Name] = plain[w.spec.Name].Add(w.cost(w.bytecode))
			continue
		}

		owner := map[string]string{}
		for _, d := range w.artifact.Distributions {
			for _, f := range d.Files {
				owner[f] = d.Name.String()
			}
		}

		byDist := map[string][]ziptree.Entry{}
		for _, e := range w.bytecode {
			name := owner[w.sourceOf(e)]
			byDist[name] = append(byDist[name], e)
		}

		for _, name := range sortedKeys(byDist) {
			u := bytecodeOf{w.spec.Name, name, w.cost(byDist[name])}
			units = append(units, u)
			parts[u] = byDist[name]
		}
	}

	with := chooseBytecode(ws, plain, units)
	for _, w := range works {
		var kept []ziptree.Entry
		var all, lost measure.Bytes
		var without []string
		for _, u := range units {
			if u.layer != w.spec.Name {
				continue
			}

			all += u.size.Unzipped
			if with[u] {
				kept = append(kept, parts[u]...)
				continue
			}

			lost += u.size.Unzipped
			without = append(without, u.distribution)
		}

		switch {
		case all == 0:
			continue
		case lost == 0:
			w.reason = fmt.Sprintf("all %s fit the budgets", all)
			continue
		case len(kept) == 0:
			w.mode = workspace.NoBytecode
		}

		w.bytecode = kept
		w.partial = true
		w.reason = fmt.Sprintf(
			"%s of %s fit the budgets of the layer and of every stack (%s); without: %s; costs about %.1f s at a "+
				"cold start that imports all of it",
			all-lost,
			all,
			ws.Total,
			strings.Join(without, ", "),
			float64(lost)/1e6*secondsPerMB,
		)
	}
}

// cost is what bytecode adds to the layer: its files and their lines in RECORD, without the sources
// that sourceless bytecode replaces. It may be a little more than it turns out to be, never less.
func (w *work) cost(bytecode []ziptree.Entry) measure.Size {
	s := sizeOf(bytecode)
	for _, e := range bytecode {
		line := measure.Bytes(len(strings.TrimPrefix(e.Name, w.artifact.Place.Prefix)) + len(",,\n"))
		s.Unzipped = s.Unzipped + line
		s.Zipped = s.Zipped + line
		if source, ok := w.pruned.Tree.Lookup(w.artifact.Place.Prefix + w.sourceOf(e)); ok &&
			w.mode == workspace.Sourceless {
			was := measure.Of(source.Name, source.Size, source.ZippedBytes)
			s.Files = s.Files - was.Files
			s.Unzipped = s.Unzipped - was.Unzipped
			s.Zipped = s.Zipped - was.Zipped
		}
	}

	return s
}

// sourceOf is the source of a .pyc entry, relative to the site folder.
func (w *work) sourceOf(e ziptree.Entry) string {
	source, _ := pyc.Source(strings.TrimPrefix(e.Name, w.artifact.Place.Prefix))
	return source
}
