package prune

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
)

// worthNoting is the size of an optional part that a note is for, in bytes.
const worthNoting = 10 << 20

// optionalParts notes large parts of a distribution that only functions can ask for: an extension
// module that a single source imports, which nothing in the layer imports, with the libraries that
// only this module links to. They stay, since a function may import them.
func (l libraries) optionalParts() []string {
	importers := l.plan.importers()
	var notes []string
	for _, i := range l.order {
		d := l.plan.decisions[i]
		module := extensionModule(d.Site)
		if d.Fate == Dropped || !l.objects[d.Site].Module || module == "" || len(importers[module]) != 1 {
			continue
		}

		source := importers[module][0]
		name, _, ok := pyimport.ModuleName(source)
		if !ok || len(importers[name]) > 0 || path.Dir(source) != path.Dir(d.Site) {
			continue
		}

		files := append([]int{i}, l.onlyFor(i)...)
		if bytes := l.bytes(files); len(files) > 1 && bytes >= worthNoting {
			notes = append(notes, fmt.Sprintf("%s: %d MB serve only %s, which nothing in the layer imports; "+
				"if no function does: drop: [{ match: %q, reason: ... }]",
				d.Owner.Name, bytes/1_000_000, name, pattern(source, l.sites(files))))
		}
	}

	return notes
}

// importers returns the kept sources that import each module.
func (p Plan) importers() map[string][]string {
	dropped := map[string]bool{}
	for _, d := range p.decisions {
		dropped[d.Site] = d.Fate == Dropped
	}

	importers := map[string][]string{}
	for _, x := range p.input.Indexes {
		for _, f := range x.Files {
			for _, n := range f.Modules {
				if !dropped[f.Path] {
					importers[x.Modules[n]] = append(importers[x.Modules[n]], f.Path)
				}
			}
		}
	}

	return importers
}

// onlyFor returns the kept libraries that are reached from one module and from no other.
func (l libraries) onlyFor(module int) []int {
	byName := map[string][]int{}
	var roots []int
	for _, i := range l.order {
		d := l.plan.decisions[i]
		o, ok := l.objects[d.Site]
		switch base := path.Base(d.Site); {
		case !ok || d.Fate == Dropped:
		case o.Module || o.Program || l.named[base]:
			roots = append(roots, i)
		default:
			byName[base] = append(byName[base], i)
			byName[o.Soname] = append(byName[o.Soname], i)
		}
	}

	others := l.reached(slices.DeleteFunc(roots, func(i int) bool { return i == module }), byName)
	var only []int
	for i := range l.reached([]int{module}, byName) {
		if !others[i] && i != module {
			only = append(only, i)
		}
	}

	slices.Sort(only)
	return only
}

// reached returns the files that are linked to, from files and including them.
func (l libraries) reached(from []int, byName map[string][]int) map[int]bool {
	seen := map[int]bool{}
	for len(from) > 0 {
		i := from[0]
		from = from[1:]
		if seen[i] {
			continue
		}

		seen[i] = true
		for _, name := range l.objects[l.plan.decisions[i].Site].Needed {
			from = append(from, byName[name]...)
		}
	}

	return seen
}

func (l libraries) bytes(files []int) (n int64) {
	for _, i := range files {
		n += l.plan.decisions[i].Entry.Size
	}

	return n
}

func (l libraries) sites(files []int) []string {
	out := make([]string, len(files))
	for n, i := range files {
		out[n] = l.plan.decisions[i].Site
	}

	return out
}

// pattern returns a glob for files of one folder. Versions and tags are left out of it.
func pattern(source string, others []string) string {
	dir := path.Dir(source)
	names := []string{path.Base(source)}
	for _, o := range others {
		if path.Dir(o) != dir {
			return strings.Join(append([]string{source}, others...), " ")
		}

		stem, _, _ := strings.Cut(path.Base(o), ".")
		names = append(names, stem+".*")
	}

	return dir + "/{" + strings.Join(names, ",") + "}"
}
