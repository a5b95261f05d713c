package prune

import (
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// candidates are the files that rules want to drop, by the names that references use. Values are
// positions in Plan.decisions.
type candidates struct {
	byModule map[string][]int
	bySuffix map[string][]int // as byModule, by the last parts of the name: two and more
	byPath   map[string]int
	byFolder map[string][]int
	whole    map[string][]int // by the folder that a rule keeps or drops as a whole
	byBase   map[string][]int // by the last element of the path
}

func newCandidates() candidates {
	return candidates{
		byModule: map[string][]int{},
		bySuffix: map[string][]int{},
		byPath:   map[string]int{},
		byFolder: map[string][]int{},
		whole:    map[string][]int{},
		byBase:   map[string][]int{},
	}
}

func (c candidates) add(i int, site string) {
	if module, _, ok := pyimport.ModuleName(site); ok {
		c.byModule[module] = append(c.byModule[module], i)
		for _, suffix := range suffixes(module)[1:] {
			c.bySuffix[suffix] = append(c.bySuffix[suffix], i)
		}
	}

	c.byPath[site] = i
	c.byFolder[path.Dir(site)] = append(c.byFolder[path.Dir(site)], i)
	c.byBase[path.Base(site)] = append(c.byBase[path.Base(site)], i)
}

// suffixes are a dotted name and its ends of two parts and more: a.b.c, b.c.
func suffixes(module string) []string {
	all := []string{module}
	for {
		_, rest, _ := strings.Cut(module, ".")
		if !strings.Contains(rest, ".") {
			return all
		}

		all = append(all, rest)
		module = rest
	}
}

// inFolder returns the candidates directly in a folder, in the order of the plan.
func (c candidates) inFolder(dir string) []int {
	in := c.byFolder[dir]
	sort.Ints(in)
	return in
}

// named returns the candidates that an import can refer to: the module itself, or, where the tree
// has no module of the name, one whose name ends with it. Distributions carry copies of others
// below a package of their own, and make them importable by the name of the original:
// pkg/_vendor/yaml/nodes.py as pkg.extern.yaml.nodes.
func (c candidates) named(module string, provided map[string]bool) []int {
	if found := c.byModule[module]; len(found) > 0 || provided[module] {
		return found
	}

	for _, suffix := range suffixes(module) {
		if found := c.bySuffix[suffix]; len(found) > 0 {
			return found
		}
	}

	return nil
}

// providedModules are the names of all modules of a tree.
func providedModules(t ziptree.Tree, prefix string) map[string]bool {
	provided := map[string]bool{}
	for _, e := range t.Entries() {
		if site, ok := strings.CutPrefix(e.Name, prefix); ok {
			if module, _, ok := pyimport.ModuleName(site); ok {
				provided[module] = true
			}
		}
	}

	return provided
}

// resolvedIndex is an index and, by position in its tables, the candidates that a name can refer
// to. Most names refer to none.
type resolvedIndex struct {
	index    Index
	modules  [][]int
	computed [][]int
	literals [][]int
	strings  []bool // whether a candidate has the same last path element
}

func (p *planner) resolve(x Index, provided map[string]bool) resolvedIndex {
	c := p.candidates
	r := resolvedIndex{
		index:    x,
		modules:  make([][]int, len(x.Modules)),
		computed: make([][]int, len(x.Computed)),
		literals: make([][]int, len(x.Named)),
		strings:  make([]bool, len(x.Strings)),
	}
	for i, m := range x.Modules {
		r.modules[i] = c.named(m, provided)
	}

	for i, pkg := range x.Computed {
		r.computed[i] = p.modulesIn(strings.ReplaceAll(pkg, ".", "/"))
	}

	for i, name := range x.Named {
		r.literals[i] = p.literally(name)
	}

	for i, s := range x.Strings {
		r.strings[i] = len(c.byBase[path.Base(s)]) > 0
	}

	return r
}

// modulesIn returns the candidates that are modules directly in a folder, except tests: a name that
// is computed, or found by listing a folder, may be that of any of them.
func (p *planner) modulesIn(folder string) []int {
	var in []int
	for _, i := range p.candidates.inFolder(folder) {
		site := p.decisions[i].Site
		if _, _, ok := pyimport.ModuleName(site); ok && !p.isTest(site) {
			in = append(in, i)
		}
	}

	return in
}

// literally returns the candidates that a dotted name in a literal can mean: a module, or the one
// that has an attribute of the last name. Tests are not meant: their names are for those who run
// them.
func (p *planner) literally(name string) []int {
	found := p.candidates.byModule[name]
	if at := strings.LastIndexByte(name, '.'); len(found) == 0 && at > 0 {
		found = p.candidates.byModule[name[:at]]
	}

	return slices.DeleteFunc(slices.Clone(found), func(i int) bool { return p.isTest(p.decisions[i].Site) })
}

// eachReferenced calls found for every candidate that the file refers to.
func (p *planner) eachReferenced(r resolvedIndex, f FileRefs, found func(int)) {
	c := p.candidates
	for _, n := range f.Modules {
		for _, i := range r.modules[n] {
			found(i)
		}
	}

	for _, n := range f.Computed {
		for _, i := range r.computed[n] {
			found(i)
		}
	}

	for _, n := range f.Named {
		for _, i := range r.literals[n] {
			found(i)
		}
	}

	for _, n := range f.Strings {
		if r.strings[n] {
			p.eachNamed(r.index, f, r.index.Strings[n], found)
		}
	}

	p.eachListed(r.index, f, found)
	if f.Walks {
		for _, i := range p.modulesIn(path.Dir(f.Path)) {
			found(i)
		}
	}

	if f.Stub {
		if i, ok := c.byPath[strings.TrimSuffix(f.Path, ".py")+".pyi"]; ok {
			found(i)
		}
	}
}
