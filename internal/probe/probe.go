// Package probe says what the real interpreter is asked about a layer, and what it answered.
//
// A probe is a list of jobs: import a module, look up a distribution's metadata and load its entry
// points, or run a functional script. Each runs in a fresh process, on the stack of layers as
// Lambda mounts it, without any other site folder. Functional scripts are data:
// scripts/<distribution>/<what>.py, whose docstring says what they prove; a layer may bring its own
// as probe.py. They exit with 0, or say what is wrong.
package probe

import (
	"embed"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed scripts
var scripts embed.FS

// Kind is what a job does.
type Kind string

// The kinds.
const (
	Module   Kind = "module"   // import Name
	Metadata Kind = "metadata" // importlib.metadata of the distribution Name, and its entry points
	Script   Kind = "script"   // run Source
)

// Job is one thing to try.
type Job struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"-"`
}

// Result is what came of a job.
type Result struct {
	Job
	OK        bool    `json:"ok"`
	Detail    string  `json:"detail,omitempty"` // the last lines of the error
	Seconds   float64 `json:"seconds"`
	PeakBytes int64   `json:"peakBytes,omitempty"`
	Inherited bool    `json:"inherited,omitempty"` // it fails on the unpruned layer too
	Chosen    string  `json:"chosen,omitempty"`    // it needs this module, which the layer chose to leave out
}

// ImportTime is what a cold start pays for imports.
type ImportTime struct {
	Modules   []string `json:"modules"`
	Seconds   float64  `json:"seconds"`
	PeakBytes int64    `json:"peakBytes"`
}

// Jobs lists what to ask about a layer: for each of its distributions the metadata, each top-level
// module with the public packages directly below it, and the scripts that there are. own is the
// layer's own probe.py, "" for none. The order is fixed.
//
// Modules that belong to no distribution are asked in a layer, which is there to be imported; not
// in a function's own package, where they are the function.
func Jobs(tree ziptree.Tree, prefix string, dists []wheel.Distribution, own string) []Job {
	var jobs []Job
	owned := map[string]bool{}
	tops := map[string]bool{}
	for _, d := range dists {
		jobs = append(jobs, Job{Kind: Metadata, Name: d.Name.String()})
		for _, f := range d.Files {
			owned[f] = true
			tops[topName(f)] = true
		}
	}

	modules := map[string]bool{}
	for _, e := range tree.Entries() {
		site, ok := strings.CutPrefix(e.Name, prefix)
		if !ok {
			continue
		}

		mine := len(dists) == 0 || owned[site] || prefix != "" && !tops[topName(site)] && !program(topName(site))
		if source, isBytecode := pyc.Source(site); isBytecode {
			if strings.Contains(site, "__pycache__/") {
				continue
			}

			site = source // bytecode without a source stands for it
		}

		if !mine && !owned[site] {
			continue
		}

		module, isPackage, ok := pyimport.ModuleName(site)
		if !ok {
			continue
		}

		depth := strings.Count(module, ".")
		if depth == 0 && !strings.HasPrefix(module, "__") || depth == 1 && isPackage && importable(module) {
			modules[module] = true
		}
	}

	for m := range modules {
		if parent, _, ok := strings.Cut(m, "."); ok && !modules[parent] {
			continue // below a namespace package: its own distribution's business
		}

		jobs = append(jobs, Job{Kind: Module, Name: m})
	}

	for _, d := range dists {
		jobs = append(jobs, Scripts(d.Name)...)
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

// topName is the module or package at the top that a file belongs to.
func topName(site string) string {
	first, _, _ := strings.Cut(site, "/")
	first, _, _ = strings.Cut(first, ".")
	return first
}

// program reports whether a module that no distribution brought is one to be run, by pip or by
// pytest.
func program(top string) bool {
	return top == "setup" || top == "conftest" || strings.HasPrefix(top, "test_")
}

// importable leaves out what is private, and what is a program rather than a library.
func importable(module string) bool {
	last := module[strings.LastIndexByte(module, '.')+1:]
	return !strings.HasPrefix(last, "_") && last != "tests" && last != "test" && last != "conftest"
}

// Scripts are the built-in functional scripts of a distribution.
func Scripts(n pydist.Name) []Job {
	files, err := fs.Glob(scripts, path.Join("scripts", n.String(), "*.py"))
	if err != nil {
		return nil
	}

	var jobs []Job
	for _, f := range files {
		b, err := fs.ReadFile(scripts, f)
		if err != nil {
			continue
		}

		jobs = append(
			jobs,
			Job{Kind: Script, Name: n.String() + "/" + strings.TrimSuffix(path.Base(f), ".py"), Source: string(b)},
		)
	}

	return jobs
}

// Digest identifies a list of jobs.
func Digest(jobs []Job) digest.SHA256 {
	h := digest.NewHasher()
	for _, j := range jobs {
		h.Write([]byte(string(j.Kind) + "\x00" + j.Name + "\x00" + j.Source + "\x00"))
	}

	return h.Sum()
}

// TopLevel are the modules of a distribution that a program would import first.
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

// Missing is the module that a failure says is not there; "" when it says something else.
func (r Result) Missing() string {
	m := missingModule.FindStringSubmatch(r.Detail[strings.LastIndexByte(r.Detail, '\n')+1:])
	if m == nil {
		return ""
	}

	return m[1]
}

// EntryPoint reports whether a failure is that of an entry point: many of them need a distribution
// that is optional.
func (r Result) EntryPoint() bool {
	return r.Kind == Metadata && strings.HasPrefix(r.Detail[strings.LastIndexByte(r.Detail, '\n')+1:], "entry point ")
}
