package prune

import (
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
)

// eachNamed calls found for every candidate that a string literal in a file may name. The literal
// is taken relative to the file's folder, and to each folder above it up to the site folder. A
// folder of tests or examples in between may be named beside it, as in
// os.path.join(here, "tests", "data", "x.csv") and read_text("pkg.tests.data", "x.csv"). Texts for people are named so by what prints them.
func (p *planner) eachNamed(x Index, f FileRefs, literal string, found func(int)) {
	literal = strings.TrimPrefix(path.Clean("/"+literal), "/")
	for _, i := range p.candidates.byBase[path.Base(literal)] {
		site := p.decisions[i].Site
		folder, ok := strings.CutSuffix("/"+site, "/"+literal)
		if ok && (around(folder, f.Path) || p.byEvidence(i) && !isManual(site) && f.leadsTo(x, folder)) {
			found(i)
		}
	}
}

// around reports whether a folder, which begins with a slash, is one of those around a file.
func around(folder, file string) bool { return strings.HasPrefix("/"+file, folder+"/") }

// leadsTo reports whether a file names a folder, as a package that it imports or hands to
// importlib.resources, or one by one from a folder around itself.
func (f FileRefs) leadsTo(x Index, folder string) bool {
	module := strings.ReplaceAll(folder[1:], "/", ".")
	if holds(x.Modules, f.Modules, module) || holds(x.Named, f.Named, module) {
		return true
	}

	for !around(folder, f.Path) {
		if !holds(x.Parts, f.Parts, path.Base(folder)) {
			return false
		}

		folder = strings.TrimSuffix(path.Dir(folder), "/")
	}

	return true
}

// holds reports whether a name is among those of a table that refs number.
func holds(table []string, refs []uint32, name string) bool {
	return slices.ContainsFunc(refs, func(n uint32) bool { return table[n] == name })
}

// byEvidence reports whether a rule wants to drop the candidate for what its folder is.
func (p *planner) byEvidence(i int) bool {
	return slices.ContainsFunc(p.wants[i], func(r *policy.Rule) bool { return r.Evidence != "" })
}

// eachListed calls found for the files of the folders that a file names, as in
// os.listdir(os.path.join(here, "examples")) and files("pkg.examples"), if a rule drops or keeps the
// folder as a whole. Texts for people are left out.
func (p *planner) eachListed(x Index, f FileRefs, found func(int)) {
	list := func(folder string) {
		for _, i := range p.candidates.whole[folder] {
			if !isManual(p.decisions[i].Site) {
				found(i)
			}
		}
	}

	for _, n := range f.Parts {
		list(path.Join(path.Dir(f.Path), x.Parts[n]))
	}

	for _, n := range f.Named {
		list(strings.ReplaceAll(x.Named[n], ".", "/"))
	}
}
