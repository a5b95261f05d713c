package gate

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/wheel"
)

// group is the files of one distribution, or those of one folder that belong to none.
type group struct {
	name  string   // "numpy 2.1.0", or the folder
	tags  []string // of its WHEEL
	meta  string   // name of WHEEL in the zip
	files []string // names in the zip
}

// foreign is why files of a group cannot be loaded.
type foreign struct {
	check, what string // "platform", "for macOS"
	files       []string
}

// platform finds distributions that were installed for another system or another Python: those
// whose WHEEL says so, and without a WHEEL those whose extension modules say so, by name or by
// content. A distribution may have modules for many systems: one that has a module for the target
// too is right.
func platform(in Input) (found []Finding) {
	for _, g := range groups(in.Part) {
		f, ok := g.byTags(in)
		if len(g.tags) == 0 {
			f, ok = g.byFiles(in)
		}

		if ok {
			found = append(found, f.finding(in, g))
		}
	}

	return found
}

func (f foreign) finding(in Input, g group) Finding {
	text := fmt.Sprintf("%s: its wheel is %s", g.name, f.what)
	subject := g.meta
	if len(f.files) > 0 {
		subject = f.files[0]
		text = fmt.Sprintf("%s: %d files are %s", g.name, len(f.files), f.what)
		if len(f.files) == 1 {
			text = fmt.Sprintf("%s: the file is %s", g.name, f.what)
		}
	}

	machine := map[string]string{"x86_64": "x86_64", "arm64": "aarch64"}[in.Target.Arch()]
	return Finding{
		Subject: subject,
		Check:   f.check,
		Message: text,
		Hint: fmt.Sprintf("install it for %s: layersmith build does, or: pip install --only-binary=:all: --platform "+
			"manylinux2014_%s --python-version %s --target python %s", in.Target, machine, in.Target.PythonVersion(),
			strings.ReplaceAll(g.name, " ", "==")),
	}
}

// groups are the distributions of a layer, and the folders whose files belong to none.
func groups(p Part) []group {
	var out []group
	owned := map[string]bool{}
	for _, d := range p.Distributions {
		g := group{name: d.Name.String() + " " + d.Version.String(), meta: p.Prefix + d.DistInfo + "/WHEEL"}
		g.tags = wheelTags(p, d)
		for _, f := range d.Files {
			if _, ok := p.Tree.Lookup(p.Prefix + f); ok {
				g.files = append(g.files, p.Prefix+f)
				owned[p.Prefix+f] = true
			}
		}

		out = append(out, g)
	}

	rest := map[string][]string{}
	for _, e := range p.Tree.Entries() {
		if site, inside := strings.CutPrefix(e.Name, p.Prefix); inside && !owned[e.Name] {
			top, _, _ := strings.Cut(site, "/")
			rest[top] = append(rest[top], e.Name)
		}
	}

	for _, top := range slices.Sorted(maps.Keys(rest)) {
		out = append(out, group{name: top, files: rest[top]})
	}

	return out
}

// maxWheelBytes limits the size of a WHEEL.
const maxWheelBytes = 1 << 20

// wheelTags are the tags in a distribution's WHEEL (PEP 427); none without one.
func wheelTags(p Part, d wheel.Distribution) (tags []string) {
	e, ok := p.Tree.Lookup(p.Prefix + d.DistInfo + "/WHEEL")
	if !ok {
		return nil
	}

	b, err := e.Bytes(maxWheelBytes)
	if err != nil {
		return nil
	}

	for line := range strings.SplitSeq(string(b), "\n") {
		if key, value, _ := strings.Cut(line, ":"); strings.EqualFold(strings.TrimSpace(key), "Tag") {
			tags = append(tags, strings.TrimSpace(value))
		}
	}

	return tags
}

// byTags judges by the tags of WHEEL. The version of glibc is for elf-glibc, the processor for
// elf-machine.
func (g group) byTags(in Input) (foreign, bool) {
	var systems, pythons []string
	for _, tag := range g.tags {
		system := pydist.TagSystem(tag)
		python := in.Target.SupportsPython(tag)
		if system == "" && python {
			return foreign{}, false
		}

		if system != "" {
			systems = append(systems, system)
		} else {
			pythons = append(pythons, pydist.TagPython(tag))
		}
	}

	if len(pythons) > 0 {
		what := fmt.Sprintf("for %s, which %s does not load", pythons[0], in.Target.Runtime())
		return foreign{"python-abi", what, g.binaries()}, true
	}

	if len(systems) == 0 {
		return foreign{}, false
	}

	return foreign{"platform", "for " + systems[0], g.binaries()}, true
}

// binaries are the files that look like libraries or extension modules.
func (g group) binaries() []string {
	var out []string
	for _, f := range g.files {
		switch _, isExtension := pydist.ParseExtension(f); {
		case isExtension,
			slices.Contains([]string{".dylib", ".dll"}, path.Ext(f)),
			strings.Contains(path.Base(f), ".so."):
			out = append(out, f)
		}
	}

	return out
}

// byFiles judges by the names and the content of extension modules.
func (g group) byFiles(in Input) (foreign, bool) {
	right := map[string]bool{} // modules that the target has a file for
	systems := map[string][]string{}
	pythons := map[string][]string{}
	module := map[string]string{}
	for _, f := range g.files {
		x, ok := pydist.ParseExtension(f)
		if !ok {
			continue
		}

		module[f] = x.Module
		switch system := cmp.Or(x.System, in.system(f)); {
		case system != "":
			systems[system] = append(systems[system], f)
		case !in.Target.Imports(x.Python):
			pythons[x.Python] = append(pythons[x.Python], f)
		default:
			right[x.Module] = true
		}
	}

	for _, byWhat := range []map[string][]string{systems, pythons} {
		for what, files := range byWhat {
			byWhat[what] = slices.DeleteFunc(files, func(f string) bool { return right[module[f]] })
		}
	}

	if system := most(systems); system != "" {
		return foreign{"platform", "for " + system, systems[system]}, true
	}

	if python := most(pythons); python != "" {
		what := fmt.Sprintf("for %s, which %s does not load", python, in.Target.Runtime())
		return foreign{"python-abi", what, pythons[python]}, true
	}

	return foreign{}, false
}

// most is the key with the most files; "" when none has any.
func most(m map[string][]string) string {
	best := ""
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if len(m[k]) > len(m[best]) {
			best = k
		}
	}

	return best
}

// system is the system that a file which is not ELF is for, by its first bytes; "" for Linux.
func (in Input) system(file string) string {
	_, isELF := in.Objects[file]
	_, broken := in.Broken[file]
	e, ok := in.Tree.Lookup(file)
	if isELF || broken || !ok {
		return ""
	}

	r, err := e.Open()
	if err != nil {
		return "" // the file is damaged, which whoever reads it whole reports
	}
	defer r.Close()

	head := make([]byte, sharedobj.ForeignHeadBytes)
	n, err := io.ReadFull(r, head)
	if err != nil && n == 0 {
		return ""
	}

	return sharedobj.ForeignSystem(head[:n])
}
