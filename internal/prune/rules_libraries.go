package prune

import (
	"path"
	"slices"
	"strings"
)

// libraries are the shared libraries of a plan, and what loads or names them. A library counts as
// named whether or not the file that names it is kept.
type libraries struct {
	binaries
	objects map[string]Object // by path relative to the site folder
	needed  map[string]bool   // names by which ELF files link
	named   map[string]bool   // names that occur in ELF files and in string literals of Python
	loaders []relatedLoader
}

// relatedLoader is a source that loads libraries by name: those of its own distribution, and of the
// packages that it imports.
type relatedLoader struct {
	Loader
	words []string // of its wheel
	owner string
	tops  map[string]bool
}

func (b binaries) libraries(links []Links) libraries {
	l := libraries{
		binaries: b,
		objects:  map[string]Object{},
		needed:   map[string]bool{},
		named:    map[string]bool{},
	}
	owners := map[string]string{}
	for _, d := range b.plan.decisions {
		owners[d.Site] = d.Owner.Name.String()
	}

	for k, wheel := range links {
		for _, o := range wheel.Objects {
			l.objects[o.Path] = o
			addAll(l.needed, o.Needed)
			addAll(l.named, o.Names)
		}

		for _, s := range wheel.Loaders {
			l.loaders = append(l.loaders, relatedLoader{
				Loader: s, words: wheel.Words, owner: owners[s.Path], tops: imports(b.plan.input.Indexes[k], s.Path),
			})
		}
	}

	for _, x := range b.plan.input.Indexes {
		for _, s := range x.Strings {
			l.named[path.Base(s)] = true
		}
	}

	return l
}

func addAll(set map[string]bool, names []string) {
	for _, n := range names {
		set[n] = true
	}
}

// imports returns the top-level modules that a file imports.
func imports(x Index, file string) map[string]bool {
	tops := map[string]bool{}
	refs, _ := x.file(file)
	for _, n := range refs.Modules {
		top, _, _ := strings.Cut(x.Modules[n], ".")
		tops[top] = true
	}

	return tops
}

// related returns the loaders that may load a file.
func (l libraries) related(i int) []relatedLoader {
	d := l.plan.decisions[i]
	top, _, _ := strings.Cut(d.Site, "/")
	var out []relatedLoader
	for _, s := range l.loaders {
		if s.owner == d.Owner.Name.String() || s.tops[top] {
			out = append(out, s)
		}
	}

	return out
}

// copies returns of each group of twins those that nothing asks for. Loaders ask for the SONAME, so
// one with that name must be among them.
func (l libraries) copies(twins [][]int) map[int]string {
	out := map[int]string{}
	for _, group := range twins {
		base := func(i int) string { return path.Base(l.plan.decisions[i].Site) }
		o := l.objects[l.plan.decisions[group[0]].Site]
		isSoname := func(i int) bool { return base(i) == o.Soname }
		if o.Soname == "" || o.Module || o.Program || !slices.ContainsFunc(group, isSoname) {
			continue
		}

		for _, i := range group {
			if !isSoname(i) && !l.needed[base(i)] && !l.named[base(i)] && !l.mayBeComputed(i) {
				out[i] = "it has the bytes of " + o.Soname + " beside it"
			}
		}
	}

	return out
}

// mayBeComputed reports whether Python may load the library by a name that it computes: it has a
// part of it, x or libx of libx.so.1, in the wheel of a source that loads libraries. Without ".so."
// in that source it can only be the name without a version.
func (l libraries) mayBeComputed(i int) bool {
	unversioned := strings.HasSuffix(l.plan.decisions[i].Site, ".so")
	return slices.ContainsFunc(l.related(i), func(s relatedLoader) bool {
		return (unversioned || s.Versioned) && l.hasPart(i, s)
	})
}

func (l libraries) hasPart(i int, s relatedLoader) bool {
	stem, _, _ := strings.Cut(path.Base(l.plan.decisions[i].Site), ".so")
	for _, word := range []string{stem, strings.TrimPrefix(stem, "lib")} {
		if _, has := slices.BinarySearch(s.words, word); has {
			return true
		}
	}

	return false
}

// unused returns the libraries that no module, no program and no source asks for, directly or
// through libraries that are asked for.
func (l libraries) unused() map[int]string {
	waiting := map[string][]int{} // candidates by the names that ask for them
	unused := map[int]string{}
	var asking []Object
	for _, i := range l.order {
		site := l.plan.decisions[i].Site
		o, ok := l.objects[site]
		if !ok || !l.runs(i) {
			continue
		}

		if !isLibraryName(path.Base(site)) || o.Module || o.Program || l.namedInPython(i) {
			asking = append(asking, o)
			continue
		}

		unused[i] = "nothing links to it or names it"
		for _, name := range []string{path.Base(site), o.Soname} {
			waiting[name] = append(waiting[name], i)
		}
	}

	for len(asking) > 0 {
		o := asking[0]
		asking = asking[1:]
		for _, name := range slices.Concat(o.Needed, o.Names) {
			for _, i := range waiting[name] {
				if _, is := unused[i]; is {
					delete(unused, i)
					asking = append(asking, l.objects[l.plan.decisions[i].Site])
				}
			}
		}
	}

	return unused
}

// namedInPython reports whether a string literal is the name of the library, or a source that loads
// libraries has its name in any form: libx.so.1, libx, x.
func (l libraries) namedInPython(i int) bool {
	base := path.Base(l.plan.decisions[i].Site)
	for _, x := range l.plan.input.Indexes {
		for _, s := range x.Strings {
			if path.Base(s) == base {
				return true
			}
		}
	}

	return slices.ContainsFunc(l.loaders, func(s relatedLoader) bool { return l.hasPart(i, s) })
}
