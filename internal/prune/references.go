package prune

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
)

// keepReferenced restores the candidates that kept files and entry points refer to. A restored file
// joins the queue, so the search ends when nothing more is restored.
func (p *planner) keepReferenced() {
	if len(p.candidates.byPath) == 0 {
		return
	}

	p.resolveIndexes()
	for i := range p.decisions {
		if p.decisions[i].Fate != Dropped {
			p.queue = append(p.queue, i)
		}
	}

	for _, d := range p.input.Distributions {
		p.followEntryPoints(d)
	}

	p.restoreSiblings()
	for len(p.queue) > 0 {
		site := p.decisions[p.queue[0]].Site
		p.queue = p.queue[1:]
		p.restorePackages(site)
		p.followReferences(site)
		p.restoreSiblings()
	}
}

func (p *planner) resolveIndexes() {
	provided := providedModules(p.input.Tree, p.input.Prefix)
	p.indexes = make([]resolvedIndex, len(p.input.Indexes))
	for k, x := range p.input.Indexes {
		p.indexes[k] = p.resolve(x, provided)
	}
}

// followEntryPoints restores the modules that a distribution's entry points name:
// importlib.metadata imports them. A module without __init__.py is a namespace package, of which a
// plugin may read any file, so all files directly in its folder are restored.
func (p *planner) followEntryPoints(d wheel.Distribution) {
	for _, e := range d.Entry {
		by := fmt.Sprintf("entry point %s of %s", e.Name, d.Name)
		for _, i := range p.candidates.byModule[e.Module] {
			p.refer(i, by)
		}

		folder := strings.ReplaceAll(e.Module, ".", "/")
		if _, regular := p.input.Tree.Lookup(p.input.Prefix + folder + "/__init__.py"); regular {
			continue
		}

		for _, i := range p.candidates.inFolder(folder) {
			p.refer(i, by)
		}
	}
}

// restorePackages restores the __init__.py of the packages around a kept module: Python imports
// them first.
func (p *planner) restorePackages(site string) {
	if _, _, isModule := pyimport.ModuleName(site); !isModule {
		return
	}

	for dir := path.Dir(site); dir != "."; dir = path.Dir(dir) {
		if i, ok := p.candidates.byPath[dir+"/__init__.py"]; ok {
			p.restore(i, site+" is in this package")
		}
	}
}

// followReferences restores the candidates that a kept file imports or names.
func (p *planner) followReferences(site string) {
	k, ok := p.indexOf[site]
	if !ok {
		return
	}

	if refs, ok := p.indexes[k].index.file(site); ok {
		p.eachReferenced(p.indexes[k], refs, func(i int) { p.refer(i, site) })
	}
}

// refer restores candidate i and, for rules with "references: folder", the candidates of its group.
func (p *planner) refer(i int, by string) {
	d := &p.decisions[i]
	if d.Fate != Dropped {
		return
	}

	rules := p.wants[i]
	p.restore(i, by+" refers to it")
	p.siblings = append(p.siblings, sibling{i, by})
	for _, r := range rules {
		if r.References != "folder" {
			continue
		}

		for _, j := range p.groups[group(r, d.Site)] {
			p.withdraw(j, r, by+" refers to "+path.Base(d.Site)+" beside it")
		}
	}
}

// sibling is a file that something refers to, whose siblings are still to be restored.
type sibling struct {
	i  int
	by string
}

// restoreSiblings restores what lies beside a file that is referred to and is of the same kind: a
// program that needs one helper of a folder of tests, or one of its data files, may find the others
// by a name that it computes. Tests are not siblings of what they test, and a package is not a
// sibling of its modules. A stub belongs to its module alone.
func (p *planner) restoreSiblings() {
	for _, s := range p.siblings {
		site := p.decisions[s.i].Site
		if path.Base(site) == "__init__.py" || path.Ext(site) == ".pyi" || p.isTest(site) {
			continue
		}

		for _, j := range p.candidates.inFolder(path.Dir(site)) {
			other := p.decisions[j].Site
			if path.Ext(other) == path.Ext(site) && !p.isTest(other) {
				p.restore(j, s.by+" refers to "+path.Base(site)+" beside it")
			}
		}
	}

	p.siblings = nil
}

// restore keeps candidate i, or transforms it if a rule names a transform for it.
func (p *planner) restore(i int, why string) {
	d := &p.decisions[i]
	if d.Fate != Dropped || len(p.wants[i]) == 0 {
		return
	}

	d.Fate = Kept
	d.Why = why
	if d.transform != nil {
		d.Fate = Transformed
		d.Rule = d.transformRule
	}

	p.wants[i] = nil
	p.queue = append(p.queue, i)
}

// withdraw removes one rule from those that want to drop candidate i. The last one restores it.
func (p *planner) withdraw(i int, r *policy.Rule, why string) {
	k := slices.Index(p.wants[i], r)
	if k < 0 {
		return
	}

	if len(p.wants[i]) == 1 {
		p.restore(i, why)
		return
	}

	p.wants[i] = slices.Concat(p.wants[i][:k], p.wants[i][k+1:]) // refer may still iterate over the old slice
	p.decisions[i].Rule = p.wants[i][0].ID
}
