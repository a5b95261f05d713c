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
	"github.com/layersmith/layersmith/internal/ziptree"
)

// blindSpots are what each kind of job cannot see.
var blindSpots = map[probe.Kind]string{
	probe.Module:   "functions that nobody calls, and modules that importing these does not load",
	probe.Metadata: "whether what RECORD lists has the bytes that its package shipped",
	probe.Script:   "calls that the script does not make, and services on a network",
}

// explain says what was looked at in a layer, from its report, what the gate was given and what the
// probe was to ask.
func explain(ctx context.Context, r report.Layer, in gate.Input, jobs []probe.Job) (*report.Explained, error) {
	x := report.Explained{
		Gate:          gate.Explain(in),
		Modules:       []string{},
		Scripts:       []report.Script{},
		WithoutScript: []string{},
		Unreached:     []string{},
		Unread:        []string{},
	}
	called := map[string]bool{}
	for _, kind := range []probe.Kind{probe.Module, probe.Metadata, probe.Script} {
		a := report.Asked{Kind: string(kind), CannotSee: blindSpots[kind]}
		for _, j := range jobs {
			if j.Kind != kind {
				continue
			}

			a.Asked++
			switch kind {
			case probe.Module:
				x.Modules = append(x.Modules, j.Name)
			case probe.Script:
				dist, _, _ := strings.Cut(j.Name, "/")
				called[dist] = true
				x.Scripts = append(x.Scripts, report.Script{Name: j.Name, Proves: proves(j.Source)})
			}
		}

		is := func(f probe.Result) bool { return f.Kind == kind }
		for _, f := range r.Probe.Failures {
			if is(f) &&
				slices.ContainsFunc(jobs, func(j probe.Job) bool { return j.Kind == f.Kind && j.Name == f.Name }) {
				a.Failed++
				if f.Inherited {
					a.Inherited++
				}
			}
		}

		for _, f := range r.Probe.Skipped {
			if is(f) {
				a.Skipped++
			}
		}

		if r.Probe.Status != report.NotProbed {
			a.Passed = a.Asked - a.Failed - a.Skipped
		}

		x.Probe = append(x.Probe, a)
	}

	loaded, err := reached(ctx, in.Part, x.Modules)
	if err != nil {
		return nil, err
	}

	owned := map[string]bool{}
	for _, d := range in.Distributions {
		if !called[d.Name.String()] {
			x.WithoutScript = append(x.WithoutScript, d.Name.String())
		}

		for _, f := range d.Files {
			owned[in.Prefix+f] = true
		}
	}

	for _, e := range in.Tree.Entries() {
		_, object := in.Objects[e.Name]
		_, broken := in.Broken[e.Name]
		site, inside := strings.CutPrefix(e.Name, in.Prefix)
		source, isBytecode := pyc.Source(site)
		if !isBytecode {
			source = site
		}

		// Of metadata, and of what imports lead to, the interpreter reads all; of everything else a
		// script may happen to open a file.
		switch kind := measure.Kind(e.Name); {
		case object || broken || inside && kind == "metadata" || inside && loaded[source]:
		case inside && isBytecode && hasSource(in.Part, source): // its source is listed
		case inside && (kind == "source" || kind == "bytecode"):
			x.Unreached = append(x.Unreached, e.Name)
		default:
			x.Unread = append(x.Unread, e.Name)
		}

		if !owned[e.Name] {
			x.NotDistribution++
		}
	}

	return &x, nil
}

func hasSource(p gate.Part, source string) bool {
	_, ok := p.Tree.Lookup(p.Prefix + source)
	return ok
}

// reached are the sources that import statements lead to from the modules asked for, at any depth
// and in any function: rather too many than too few, since a function that nobody calls imports
// nothing. Sourceless bytecode has no statements to follow; it counts where its module is asked
// for.
func reached(ctx context.Context, p gate.Part, asked []string) (map[string]bool, error) {
	var site []ziptree.Entry
	files := map[string]string{} // by module
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
			files[module] = name
		}
	}

	index, err := prune.NewIndex(ctx, site)
	if err != nil {
		return nil, err
	}

	refs := map[string]prune.FileRefs{}
	for _, f := range index.Files {
		refs[f.Path] = f
	}

	done := map[string]bool{}
	queue := slices.Clone(asked)
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

// proves is the first sentence of a script's docstring: what it says it proves.
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
