package main

import (
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/tools/page"
)

// totals are sums over all distributions that were built; broken also counts those that were not.
type totals struct {
	tool, interpreter string
	rules             map[string]int // id to version

	count, broken  int
	bothProbed     int // distributions of which the unpruned layer was probed in full
	compared       compared
	before         measure.Size
	bare           measure.Size // pruned, without bytecode
	after          measure.Size
	removed        measure.Sizes
	modules        int
	metadata       int
	scripts        int
	inherited      int
	shippedImports float64 // seconds
	prunedImports  float64 // seconds
	shrunk         []float64
}

func (t *totals) add(r result) {
	t.broken += len(r.Problems())
	if r.Failed != "" {
		return
	}

	t.count++
	t.tool = r.Tool
	t.interpreter = r.Pruned.Probe.Interpreter
	t.rules = r.Pruned.Inputs.Rules
	t.addSizes(r)
	t.addProbe(r)

	t.compared.Objects += r.Compared.Objects
	t.compared.Models += r.Compared.Models
	t.compared.Bytecode += r.Compared.Bytecode
}

func (t *totals) addSizes(r result) {
	bare := r.bare()
	t.before = t.before.Add(r.Pruned.Before)
	t.bare = t.bare.Add(bare)
	t.after = t.after.Add(r.Pruned.After)
	t.shrunk = append(t.shrunk, 1-float64(bare.Unzipped)/float64(max(1, r.Pruned.Before.Unzipped)))

	if t.removed == nil {
		t.removed = measure.Sizes{}
	}

	for id, s := range r.Pruned.Removed {
		t.removed.Count(id, s)
	}
}

func (t *totals) addProbe(r result) {
	p := r.Pruned.Probe
	t.modules += p.Modules
	t.metadata += p.Metadata
	t.scripts += p.Scripts
	t.inherited += len(r.inherited())

	if without, with, ok := r.imports(); ok {
		t.shippedImports += without
		t.prunedImports += with
	}

	if r.bothProbed() {
		t.bothProbed++
	}
}

// asked says which of the unpruned layers were probed in full.
func (t *totals) asked() string {
	const onDemand = "the probe tested the unpruned layer only where the pruned one failed"
	switch t.bothProbed {
	case t.count:
		return "the probe tested both"
	case 0:
		return onDemand
	}

	return fmt.Sprintf("the probe tested both (%d), or %s", t.bothProbed, onDemand)
}

// write writes the table of sums.
func (t *totals) write(p *page.Page) {
	if t.count == 0 {
		return
	}

	slices.Sort(t.shrunk)
	less := func(a, b measure.Bytes) float64 { return 100 * (1 - float64(b)/float64(max(1, a))) }

	p.Line("| in all | |\n|---|---|")
	p.Line("| as shipped | %s MB, %d files |", page.Size(t.before), t.before.Files)
	p.Line("| pruned | %s MB, %d files: %.1f %% / %.1f %% less; the median distribution %.1f %% unzipped |",
		page.Size(t.bare), t.bare.Files, less(t.before.Zipped, t.bare.Zipped), less(t.before.Unzipped, t.bare.Unzipped),
		100*t.shrunk[len(t.shrunk)/2])
	p.Line("| and bytecode | %s MB |", page.Size(t.after))
	p.Line("| removed by | %s MB unzipped |", removedBy(t.removed))
	p.Line("| import | %.1f s -> %.1f s |", t.shippedImports, t.prunedImports)
	p.Line("| asked | %d modules, %d distributions, %d scripts; %d fail as shipped too |",
		t.modules, t.metadata, t.scripts, t.inherited)
	p.Line("| compared by what is loaded | %d shared objects and %d models that were changed, %d files of bytecode |",
		t.compared.Objects, t.compared.Models, t.compared.Bytecode)
	p.Line("| broken | %d |", t.broken)
}
