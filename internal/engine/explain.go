package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// blindSpots are what each kind of job cannot see.
var blindSpots = map[probe.Kind]string{
	probe.Module:   "functions that nobody calls, and modules that importing these does not load",
	probe.Metadata: "whether what RECORD lists has the bytes that its package shipped",
	probe.Script:   "calls that the script does not make, and services on a network",
}

// explain lists what gate and probe tested in a layer and what they did not. in is the input of the
// gate, jobs are those of the probe, whether it ran or not.
func explain(ctx context.Context, r report.Layer, in gate.Input, jobs []probe.Job) (*report.Explained, error) {
	x := &report.Explained{
		Gate:          gate.Explain(in),
		Modules:       modulesOf(jobs),
		Scripts:       scriptsOf(jobs),
		WithoutScript: withoutScript(in.Distributions, jobs),
	}
	for _, kind := range []probe.Kind{probe.Module, probe.Metadata, probe.Script} {
		x.Probe = append(x.Probe, countJobs(kind, jobs, r.Probe))
	}

	c := coverage{part: in.Part}
	var err error
	if c.imported, err = reached(ctx, in.Part, x.Modules); err != nil {
		return nil, err
	}

	x.Unreached = c.list(unreached)
	x.Unread = c.list(unread)
	x.NotDistribution = withoutOwner(in.Part)
	return x, nil
}

// modulesOf are the modules that the probe imports. An empty list is not nil: in JSON it is [].
func modulesOf(jobs []probe.Job) []string {
	out := []string{}
	for _, j := range jobs {
		if j.Kind == probe.Module {
			out = append(out, j.Name)
		}
	}

	return out
}

func scriptsOf(jobs []probe.Job) []report.Script {
	out := []report.Script{}
	for _, j := range jobs {
		if j.Kind == probe.Script {
			out = append(out, report.Script{Name: j.Name, Proves: proves(j.Source)})
		}
	}

	return out
}

// withoutScript are the distributions that no script is about: a built-in script is named
// distribution/topic.
func withoutScript(dists []wheel.Distribution, jobs []probe.Job) []string {
	called := map[string]bool{}
	for _, j := range jobs {
		if dist, _, _ := strings.Cut(j.Name, "/"); j.Kind == probe.Script {
			called[dist] = true
		}
	}

	out := []string{}
	for _, d := range dists {
		if name := d.Name.String(); !called[name] {
			out = append(out, name)
		}
	}

	return out
}

// countJobs counts the probe's jobs of one kind by their results. The failure of the imports that
// are timed is no job, and does not count.
func countJobs(kind probe.Kind, jobs []probe.Job, p report.Probe) report.Asked {
	a := report.Asked{Kind: string(kind), CannotSee: blindSpots[kind]}
	names := map[string]bool{}
	for _, j := range jobs {
		if j.Kind == kind {
			names[j.Name] = true
			a.Asked++
		}
	}

	for _, f := range p.Failures {
		if f.Kind != kind || !names[f.Name] {
			continue
		}

		a.Failed++
		if f.Inherited {
			a.Inherited++
		}
	}

	for _, f := range p.Skipped {
		if f.Kind == kind {
			a.Skipped++
		}
	}

	if p.Status != report.NotProbed {
		a.Passed = a.Asked - a.Failed - a.Skipped
	}

	return a
}

// withoutOwner is the number of files that no distribution lists.
func withoutOwner(p gate.Part) int {
	owned := map[string]bool{}
	for _, d := range p.Distributions {
		for _, f := range d.Files {
			owned[p.Prefix+f] = true
		}
	}

	n := 0
	for _, e := range p.Tree.Entries() {
		if !owned[e.Name] {
			n++
		}
	}

	return n
}

// reading says whether a test reads a file's content.
type reading int

const (
	covered   reading = iota // a test reads it
	unreached                // Python code that no tested import leads to
	unread                   // any other file that no test reads
)

// coverage decides for each file of a layer whether a test reads it.
type coverage struct {
	part     gate.Part
	imported map[string]bool // sources that the probe's imports lead to, relative to the site folder
}

// list returns the files of one kind, in the order of the zip. An empty list is not nil: in JSON it
// is [].
func (c coverage) list(want reading) []string {
	out := []string{}
	for _, e := range c.part.Tree.Entries() {
		if c.of(e.Name) == want {
			out = append(out, e.Name)
		}
	}

	return out
}

// of decides about one file of the zip. The gate reads ELF files and metadata as a whole, and the
// interpreter reads what imports lead to. A script may happen to open any other file.
func (c coverage) of(name string) reading {
	_, readable := c.part.Objects[name]
	_, broken := c.part.Broken[name]
	if readable || broken {
		return covered
	}

	site, inside := strings.CutPrefix(name, c.part.Prefix)
	if !inside {
		return unread
	}

	source, isBytecode := pyc.Source(site)
	if !isBytecode {
		source = site
	}

	kind := measure.Kind(name)
	switch {
	case kind == "metadata" || c.imported[source]:
		return covered
	case isBytecode && c.has(source): // the list names the source
		return covered
	case kind == "source" || kind == "bytecode":
		return unreached
	}

	return unread
}

// has reports whether the layer has a file of the site folder.
func (c coverage) has(site string) bool {
	_, ok := c.part.Tree.Lookup(c.part.Prefix + site)
	return ok
}

// reached are the sources, relative to the site folder, that the import statements of some modules
// lead to, at any depth and in any function. That can be too many: a function that is never called
// imports nothing. Sourceless bytecode has no statements to follow, so it counts only when its
// module is one of modules.
func reached(ctx context.Context, p gate.Part, modules []string) (map[string]bool, error) {
	site, files := siteFiles(p)
	index, err := prune.NewIndex(ctx, site)
	if err != nil {
		return nil, err
	}

	refs := map[string]prune.FileRefs{}
	for _, f := range index.Files {
		refs[f.Path] = f
	}

	done := map[string]bool{}
	queue := slices.Clone(modules)
	for len(queue) > 0 {
		module := queue[0]
		queue = queue[1:]
		if i := strings.LastIndexByte(module, '.'); i > 0 {
			queue = append(queue, module[:i]) // Python imports the packages around a module first
		}

		file, ok := files[module]
		if !ok || done[file] {
			continue
		}

		done[file] = true
		for _, n := range refs[file].Modules {
			queue = append(queue, index.Modules[n])
		}
	}

	return done, nil
}

// siteFiles returns the entries of the site folder, named relative to it, and the source of each
// module.
func siteFiles(p gate.Part) (site []ziptree.Entry, byModule map[string]string) {
	byModule = map[string]string{}
	for _, e := range p.Tree.Entries() {
		name, inside := strings.CutPrefix(e.Name, p.Prefix)
		if !inside {
			continue
		}

		site = append(site, e.Named(name))
		if source, isBytecode := pyc.Source(name); isBytecode {
			name = source
		}

		if module, _, ok := pyimport.ModuleName(name); ok {
			byModule[module] = name
		}
	}

	return site, byModule
}

// proves is the first sentence of a script's docstring, which says what the script proves.
func proves(source string) string {
	text := strings.TrimSpace(source)
	for _, quotes := range []string{`"""`, `'''`} {
		if rest, ok := strings.CutPrefix(text, quotes); ok {
			doc, _, _ := strings.Cut(rest, quotes)
			first, _, _ := strings.Cut(strings.Join(strings.Fields(doc), " "), ". ")
			return strings.TrimSuffix(first, ".")
		}
	}

	return ""
}
