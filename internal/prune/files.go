package prune

import (
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
)

// eachNamed calls found for every candidate that a string literal in a file may name. The literal
// is taken relative to the file's folder, and to each folder above it up to the site folder. A
// folder of tests or examples in between may be named one by one, as in
// os.path.join(here, "tests", "data", "x.csv"). Texts for people are named so by what prints them.
func (p *planner) eachNamed(x Index, f FileRefs, literal string, found func(int)) {
	literal = strings.TrimPrefix(path.Clean("/"+literal), "/")
	for _, i := range p.candidates.byBase[path.Base(literal)] {
		site := p.decisions[i].Site
		between, ok := missing(f.Path, literal, site)
		if ok && (len(between) == 0 || p.byEvidence(i) && !isManual(site) && f.hasParts(x, between)) {
			found(i)
		}
	}
}

// missing returns the folders between a folder around file and literal in the path of another file,
// site. ok is false when site does not end with literal.
func missing(file, literal, site string) (between []string, ok bool) {
	folder, ok := strings.CutSuffix("/"+site, "/"+literal)
	if !ok {
		return nil, false
	}

	for folder != "" && !strings.HasPrefix("/"+file, folder+"/") {
		between = append(between, path.Base(folder))
		folder = strings.TrimSuffix(path.Dir(folder), "/")
	}

	return between, true
}

// byEvidence reports whether a rule wants to drop the candidate for what its folder is.
func (p *planner) byEvidence(i int) bool {
	return slices.ContainsFunc(p.wants[i], func(r *policy.Rule) bool { return r.Evidence != "" })
}

func (f FileRefs) hasParts(x Index, names []string) bool {
	for _, name := range names {
		if !slices.ContainsFunc(f.Parts, func(n uint32) bool { return x.Parts[n] == name }) {
			return false
		}
	}

	return true
}

// eachListed calls found for the files of the folders beside a file that it names, as in
// os.listdir(os.path.join(here, "examples")), if a rule drops or keeps the folder as a whole. Texts
// for people are left out.
func (p *planner) eachListed(x Index, f FileRefs, found func(int)) {
	for _, n := range f.Parts {
		folder := path.Join(path.Dir(f.Path), x.Parts[n])
		for _, i := range p.candidates.whole[folder] {
			if !isManual(p.decisions[i].Site) {
				found(i)
			}
		}
	}
}
