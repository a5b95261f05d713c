// Package gate checks a pruned layer statically, without Python. Every check reads the same input
// and returns findings, each with the name of its check and a subject.
package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Finding is a defect of a layer: something that fails on Lambda, or when the layer is unpacked.
type Finding struct {
	Subject string `json:"subject"` // a file of the zip, or a distribution
	Check   string `json:"check"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s [%s]", f.Subject, f.Message, f.Check) }

// Part is one layer of a stack.
type Part struct {
	Name          string
	Prefix        string // site folder in the zip, such as "python/"
	Tree          ziptree.Tree
	Distributions []wheel.Distribution
	Objects       map[string]sharedobj.Facts // of readable ELF files, by name in the zip
	Broken        map[string]string          // unreadable ELF files, by name in the zip, and why
	AsItIs        bool                       // another tool made it: modes and folders are not ours
}

// Input is a layer and the layers below it in its stack.
type Input struct {
	Target pydist.Target
	Part
	Below []Part
}

// stack returns the layer and the layers below it.
func (in Input) stack() []Part { return append([]Part{in.Part}, in.Below...) }

// check is one check and its description, with which users decide whether it is enough for them.
type check struct {
	names     []string // of its findings
	asks      string   // what it checks, as a clause
	unit      string   // what it counts, in the singular
	count     func(Input) int
	cannotSee string
	run       func(Input) []Finding
}

var checks = []check{
	{
		names:     []string{"elf-align", "elf-format"},
		asks:      "Linux can map its segments",
		unit:      "shared object",
		count:     elfFiles,
		cannotSee: "whether its code works: that is for the probe",
		run:       elfAlign,
	},
	{
		names:     []string{"elf-machine"},
		asks:      "it is built for the target's architecture",
		unit:      "shared object",
		count:     elfFiles,
		cannotSee: "instructions that only newer processors of the architecture have",
		run:       elfMachine,
	},
	{
		names:     []string{"platform", "python-abi"},
		asks:      "it was installed for Linux and for the target's Python",
		unit:      "distribution",
		count:     distInfos,
		cannotSee: "programs of other systems that a package has beside its own; wheels with wrong tags",
		run:       platform,
	},
	{
		names:     []string{"elf-glibc"},
		asks:      "the runtime's glibc is new enough for it",
		unit:      "shared object",
		count:     elfFiles,
		cannotSee: "symbol versions of other libraries, such as libstdc++",
		run:       elfGlibc,
	},
	{
		names:     []string{"elf-needed"},
		asks:      "each library that it links to is in the stack or the runtime",
		unit:      "link",
		count:     links,
		cannotSee: "libraries opened by name (dlopen); whether the loader's search path contains a library",
		run:       elfNeeded,
	},
	{
		names:     []string{"boto-family"},
		asks:      "boto3, botocore and s3transfer come together",
		unit:      "layer",
		count:     layers,
		cannotSee: "whether their versions are compatible",
		run:       botoFamily,
	},
	{
		names:     []string{"dist-info"},
		asks:      "METADATA exists, and every file that RECORD lists",
		unit:      "distribution",
		count:     distInfos,
		cannotSee: "files that no RECORD lists; whether requirements are met",
		run:       distInfo,
	},
	{
		names:     []string{"paths"},
		asks:      "it can be unpacked on any file system",
		unit:      "name",
		count:     names,
		cannotSee: "file systems that change names other than in case",
		run:       paths,
	},
	{
		names:     []string{"modes"},
		asks:      "Lambda's user can read it",
		unit:      "file",
		count:     names,
		cannotSee: "modes of folders",
		run:       modes,
	},
	{
		names:     []string{"layout"},
		asks:      "it is in the folder that Python looks in",
		unit:      "distribution",
		count:     distInfos,
		cannotSee: "packages without .dist-info",
		run:       layout,
	},
	{
		names:     []string{"limits"},
		asks:      "Lambda accepts its unzipped size",
		unit:      "file",
		count:     names,
		cannotSee: "the function's own code and the other layers that it uses",
		run:       limits,
	},
}

func elfFiles(in Input) int  { return len(in.Objects) + len(in.Broken) }
func layers(in Input) int    { return 1 + len(in.Below) }
func names(in Input) int     { return in.Tree.Len() }
func distInfos(in Input) int { return len(distInfoFolders(in.Part)) }

func links(in Input) (n int) {
	for _, f := range in.Objects {
		n += len(f.Needed)
	}

	return n
}

// Explanation describes one check and its result for a layer.
type Explanation struct {
	Check     string `json:"check"`
	Asks      string `json:"asks"` // as a clause, such as: Linux can map its segments
	At        string `json:"at"`   // what Count counts, in the singular
	Count     int    `json:"count"`
	Findings  int    `json:"findings"` // including those that the layer allows
	CannotSee string `json:"cannotSee"`
}

// Explain runs all checks and describes each.
func Explain(in Input) []Explanation {
	var all []Explanation
	for _, c := range checks {
		all = append(all, Explanation{
			Check:     c.names[0],
			Asks:      c.asks,
			At:        c.unit,
			Count:     c.count(in),
			Findings:  len(c.run(in)),
			CannotSee: c.cannotSee,
		})
	}

	return all
}

// Check runs all checks. Findings are sorted by subject and check.
func Check(in Input) []Finding {
	all := []Finding{} // an empty list in JSON, not null
	for _, c := range checks {
		all = append(all, c.run(in)...)
	}

	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Check, b.Check))
	})
	return all
}

// owner returns the name and version of the distribution that a file belongs to.
func (p Part) owner(file string) string {
	site := strings.TrimPrefix(file, p.Prefix)
	for _, d := range p.Distributions {
		for _, f := range d.Files {
			if f == site {
				return fmt.Sprintf("%s==%s", d.Name, d.Version)
			}
		}
	}

	return "the layer"
}

// objectNames returns the names of the readable ELF files, sorted.
func (p Part) objectNames() []string { return slices.Sorted(maps.Keys(p.Objects)) }

// limits finds layers that Lambda refuses to publish.
func limits(in Input) []Finding {
	if in.Tree.Len() == 0 {
		return []Finding{{
			Subject: in.Name,
			Check:   "limits",
			Message: "is empty, and Lambda refuses an empty layer",
			Hint:    "remove it, or require something that no layer below has and that the target's markers allow",
		}}
	}

	n := in.Tree.UnzippedBytes()
	if n <= measure.MaxUnzippedBytes {
		return nil
	}

	return []Finding{{
		Subject: in.Name,
		Check:   "limits",
		Message: fmt.Sprintf("%s unzipped, %s more than Lambda's %s", measure.Bytes(n),
			measure.Bytes(n-measure.MaxUnzippedBytes), measure.Bytes(measure.MaxUnzippedBytes)),
		Hint: "extend a layer that already has some of these packages, or list the submodules that are needed " +
			"(modules in layer.yaml)",
	}}
}
