// Package probe lists the jobs that the target's interpreter runs against a layer, and reads their
// results.
//
// A job imports a module, reads a distribution's metadata and loads its entry points, or runs a
// functional script. Each job runs in a new process, on the stack of layers as Lambda mounts it,
// without any other site-packages. The functional scripts are scripts/<distribution>/<topic>.py,
// whose docstring says what they prove, and which may say for which versions. A layer may have its
// own as probe.py. A script exits with 0 or raises.
package probe

import (
	"cmp"
	"embed"
	"path"
	"regexp"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed scripts
var scripts embed.FS

// Kind is the kind of a job.
type Kind string

// The kinds.
const (
	Module   Kind = "module"   // import Name
	Metadata Kind = "metadata" // importlib.metadata of the distribution Name, and its entry points
	Script   Kind = "script"   // run Source
)

// Job is one run of the interpreter.
type Job struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"-"`
	// modules of one group may be imported in one process, in their order; "" for a process of its
	// own
	Group string `json:"-"`
	// its failure in the process of a group stands: who asks will ask again
	Loose bool `json:"-"`
}

// Result is the outcome of a job.
type Result struct {
	Job
	OK        bool    `json:"ok"`
	Detail    string  `json:"detail,omitempty"` // the last lines of the error
	Seconds   float64 `json:"seconds"`
	PeakBytes int64   `json:"peakBytes,omitempty"`
	Inherited bool    `json:"inherited,omitempty"` // it fails on the unpruned layer too
	Chosen    string  `json:"chosen,omitempty"`    // a module that the job needs and the layer excludes
	Library   string  `json:"library,omitempty"`   // a library of this machine that it needs, and Lambda has not
	Fatal     bool    `json:"fatal,omitempty"`     // inherited, but the layer cannot be used with it
}

// ImportTime is the cost of importing modules in a new process.
type ImportTime struct {
	Modules   []string `json:"modules"`
	Seconds   float64  `json:"seconds"`
	PeakBytes int64    `json:"peakBytes"`
}

// Jobs lists the jobs of a layer, sorted: the metadata of each distribution, its top-level modules
// with the public packages directly below them, and its functional scripts. own is the source of
// the layer's probe.py, "" for none.
//
// A module that no distribution owns is imported in a layer, but not in a function's own package
// (an empty prefix), where it is the function.
func Jobs(tree ziptree.Tree, prefix string, dists []wheel.Distribution, own string) []Job {
	var jobs []Job
	for _, d := range dists {
		jobs = append(jobs, Job{Kind: Metadata, Name: d.Name.String()})
		jobs = append(jobs, Scripts(d.Name, d.Version)...)
	}

	for m, owner := range modulesToImport(tree, prefix, dists) {
		jobs = append(jobs, Job{Kind: Module, Name: m, Group: owner})
	}

	if own != "" {
		jobs = append(jobs, Job{Kind: Script, Name: "probe.py", Source: own})
	}

	sort.SliceStable(jobs, func(i, j int) bool {
		if jobs[i].Kind != jobs[j].Kind {
			return jobs[i].Kind < jobs[j].Kind
		}

		return jobs[i].Name < jobs[j].Name
	})
	return jobs
}

// modulesToImport are the top-level modules and the public packages directly below them, with the
// distribution that each belongs to. Namespace packages have no code: below them, every public
// module counts as a top-level one.
func modulesToImport(tree ziptree.Tree, prefix string, dists []wheel.Distribution) map[string]string {
	modules := map[string]string{}
	all := modulesOf(tree, prefix, dists)
	for m, f := range all {
		if parent, namespace := all.parent(m); f.owned && all.isTop(m, parent, namespace, f.isPackage) {
			modules[m] = f.owner
		}
	}

	return modules
}

// module is the file of a module.
type module struct {
	isPackage bool
	owned     bool   // its import is a job: see owners.include
	owner     string // the distribution, "" for none
}

type modules map[string]module

// modulesOf are the modules of the site folder.
func modulesOf(tree ziptree.Tree, prefix string, dists []wheel.Distribution) modules {
	o := ownersOf(dists, prefix != "")
	all := modules{}
	for _, e := range tree.Entries() {
		site, ok := strings.CutPrefix(e.Name, prefix)
		if !ok {
			continue
		}

		ours := o.include(site)
		owner := o.files[site]
		if source, isBytecode := pyc.Source(site); isBytecode {
			if strings.Contains(site, "__pycache__/") {
				continue
			}

			site = source // sourceless: RECORD may name the source only
			owner = cmp.Or(owner, o.files[source])
			ours = ours || owner != ""
		}

		if name, isPackage, ok := pyimport.ModuleName(site); ok && !isLibrary(site) {
			old := all[name]
			all[name] = module{old.isPackage || isPackage, old.owned || ours, cmp.Or(old.owner, owner)}
		}
	}

	return all
}

// isLibrary reports whether a file is called as libraries are, and not as extension modules:
// libx.so.
func isLibrary(site string) bool {
	base := path.Base(site)
	return strings.HasPrefix(base, "lib") && strings.HasSuffix(base, ".so") && strings.Count(base, ".") == 1
}

// parent returns the nearest package that has code above a module; "" when there are none, or
// namespace packages only. namespace reports whether there is a namespace package above it.
func (all modules) parent(m string) (parent string, namespace bool) {
	for {
		i := strings.LastIndexByte(m, '.')
		if i < 0 {
			return "", namespace
		}

		m = m[:i]
		if all[m].isPackage {
			return m, namespace
		}

		namespace = true
	}
}

// isTop reports whether a module is a top-level one, or a public package directly below one.
func (all modules) isTop(m, parent string, namespace, isPackage bool) bool {
	switch {
	case parent == "" && !namespace:
		return !strings.HasPrefix(m, "__")
	case parent == "":
		return importable(m) && !isFolderOfFiles(m)
	case namespace || !isPackage || !importable(m) || strings.Count(m, ".") != strings.Count(parent, ".")+1:
		return false
	}

	above, namespace := all.parent(parent)
	return above == "" && (!namespace || importable(parent) && !isFolderOfFiles(parent))
}

// isFolderOfFiles reports whether a module lies below a folder that is no package although Python
// would take it for a namespace package: programs and tests beside the packages of a distribution.
func isFolderOfFiles(m string) bool {
	top, _, _ := strings.Cut(m, ".")
	switch top {
	case "test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks", "bin", "scripts",
		"share", "tools", "etc":
		return true
	}

	return false
}

// owners tell which files of a tree belong to the probed distributions.
type owners struct {
	files   map[string]string // of all distributions, with the name of each
	tops    map[string]bool   // top-level names of those files
	none    bool              // no distribution at all
	isLayer bool
}

func ownersOf(dists []wheel.Distribution, isLayer bool) owners {
	o := owners{files: map[string]string{}, tops: map[string]bool{}, none: len(dists) == 0, isLayer: isLayer}
	for _, d := range dists {
		for _, f := range d.Files {
			o.files[f] = d.Name.String()
			o.tops[topName(f)] = true
		}
	}

	return o
}

// include says whether the modules of a file are imported: those of a distribution, those of a
// layer that no distribution provides, and all if there is no distribution.
func (o owners) include(site string) bool {
	if o.none || o.files[site] != "" {
		return true
	}

	top := topName(site)
	return o.isLayer && !o.tops[top] && !isProgram(top)
}

// topName is the top-level module or package of a file.
func topName(site string) string {
	first, _, _ := strings.Cut(site, "/")
	first, _, _ = strings.Cut(first, ".")
	return first
}

// isProgram reports whether a module without a distribution is run by pip or pytest, not imported.
func isProgram(top string) bool {
	return top == "setup" || top == "conftest" || strings.HasPrefix(top, "test_")
}

// importable is false for private modules, and for tests.
func importable(module string) bool {
	last := module[strings.LastIndexByte(module, '.')+1:]
	return !strings.HasPrefix(last, "_") && last != "tests" && last != "test" && last != "conftest"
}

// Digest identifies a list of jobs.
func Digest(jobs []Job) digest.SHA256 {
	h := digest.NewHasher()
	for _, j := range jobs {
		h.Write([]byte(string(j.Kind) + "\x00" + j.Name + "\x00" + j.Source + "\x00"))
	}

	return h.Sum()
}

// TopLevel returns a distribution's public top-level modules, sorted.
func TopLevel(d wheel.Distribution) []string {
	seen := map[string]bool{}
	for _, f := range d.Files {
		module, isPackage, ok := pyimport.ModuleName(f)
		if ok && !strings.Contains(module, ".") && (isPackage || !strings.Contains(f, "/")) && importable(module) {
			seen[module] = true
		}
	}

	var out []string
	for m := range seen {
		out = append(out, m)
	}

	sort.Strings(out)
	return out
}

var missingModule = regexp.MustCompile(`No module named '([A-Za-z0-9_.]+)'`)

// Missing is the name in a ModuleNotFoundError that ended the job; "" for any other outcome.
func (r Result) Missing() string {
	m := missingModule.FindStringSubmatch(r.Detail[strings.LastIndexByte(r.Detail, '\n')+1:])
	if m == nil {
		return ""
	}

	return m[1]
}

// EntryPoint reports whether an entry point could not be loaded. Many entry points need an optional
// distribution.
func (r Result) EntryPoint() bool {
	return r.Kind == Metadata && strings.HasPrefix(r.Detail[strings.LastIndexByte(r.Detail, '\n')+1:], "entry point ")
}
