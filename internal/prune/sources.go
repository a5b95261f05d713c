package prune

import (
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/pyimport"
)

// KeptSources returns the Python modules kept as sources, for which bytecode can be compiled. A
// file whose name is no module's, such as hook-x.api.py, is a script or data: Python neither looks
// for its bytecode nor writes any. So are files in bin/ and outside the site folder.
func (p Plan) KeptSources() []Decision {
	var sources []Decision
	for _, d := range p.decisions {
		if d.Fate != Dropped && isSource(d.Site) {
			sources = append(sources, d)
		}
	}

	return sources
}

func isSource(site string) bool {
	_, _, isModule := pyimport.ModuleName(site)
	return isModule && strings.HasSuffix(site, ".py") &&
		!strings.HasPrefix(site, "bin/") && !strings.HasPrefix(site, Outside)
}

// ImportedSources returns the kept sources that nothing but the import system reads, so that
// sourceless bytecode can replace them. Others are read or started by their path. Either a string
// literal names them as a file, or they lie inside a package, in a folder without __init__.py that
// nothing imports: alembic copies templates/generic/env.py into a project.
func (p Plan) ImportedSources() []Decision {
	f := folders{input: p.input, imported: p.importedModules(), known: map[string]bool{".": true}}
	named := p.namedSources()
	var sources []Decision
	for _, d := range p.KeptSources() {
		if f.importable(path.Dir(d.Site)) && !named[d.Site] {
			sources = append(sources, d)
		}
	}

	return sources
}

// namedSources are the sources that string literals name as files. __init__.py and __main__.py do
// not count: their names are asked for to find packages.
func (p Plan) namedSources() map[string]bool {
	named := map[string]bool{}
	for _, x := range p.input.Indexes {
		for _, f := range x.Files {
			for _, n := range f.Strings {
				s := x.Strings[n]
				if base := path.Base(s); strings.HasSuffix(s, ".py") && base != "__init__.py" && base != "__main__.py" {
					nameSource(named, f.Path, s)
				}
			}
		}
	}

	return named
}

// nameSource adds every site that a literal in a file may mean: see candidates.eachNamed.
func nameSource(named map[string]bool, file, literal string) {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		named[path.Join(dir, literal)] = true
		if dir == "." {
			return
		}
	}
}

// importedModules are the modules that sources and entry points name, and the packages around them.
func (p Plan) importedModules() map[string]bool {
	imported := map[string]bool{}
	add := func(module string) {
		for ; module != "" && !imported[module]; module = parent(module) {
			imported[module] = true
		}
	}

	for _, x := range p.input.Indexes {
		for _, m := range x.Modules {
			add(m)
		}

		for _, s := range x.Strings { // of import_module(name) with a name from a table
			if !strings.Contains(s, "/") {
				add(s)
			}
		}
	}

	for _, d := range p.input.Distributions {
		for _, e := range d.Entry {
			add(e.Module)
		}
	}

	return imported
}

// parent is the package of a dotted name, "" for a top-level one.
func parent(module string) string {
	return module[:max(0, strings.LastIndexByte(module, '.'))]
}

// folders decides which folders are packages that programs import.
type folders struct {
	input    Input
	imported map[string]bool
	known    map[string]bool // answers
}

// importable reports whether the modules of a folder can be meant to be imported: it and each
// folder above is a package, a namespace outside of packages (google/), or is imported by name.
func (f folders) importable(dir string) bool {
	if is, ok := f.known[dir]; ok {
		return is
	}

	above := path.Dir(dir)
	is := f.importable(above) &&
		(f.isPackage(dir) || !f.insidePackage(above) || f.imported[strings.ReplaceAll(dir, "/", ".")])
	f.known[dir] = is
	return is
}

func (f folders) isPackage(dir string) bool {
	_, ok := f.input.Tree.Lookup(f.input.Prefix + dir + "/__init__.py")
	return ok
}

func (f folders) insidePackage(dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if f.isPackage(dir) {
			return true
		}
	}

	return false
}
