// Package gate holds the checks of a pruned layer that need no Python. Each check is in a file of
// its own; all of them look at the same input and return findings, which are data: many, sorted,
// each with its check and its subject.
package gate

import (
	"fmt"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Finding is something that would not work on Lambda, or not for everybody.
type Finding struct {
	Subject string `json:"subject"` // a file of the zip, or a distribution
	Check   string `json:"check"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s [%s]", f.Subject, f.Message, f.Check) }

// Part is one layer of a stack as the gate sees it.
type Part struct {
	Name          string
	Prefix        string
	Tree          ziptree.Tree
	Distributions []wheel.Distribution
	Objects       map[string]sharedobj.Facts // of every ELF file, by its name in the zip
	Broken        map[string]string          // ELF files that cannot be read, and why
}

// Input is a layer and those it lies on.
type Input struct {
	Target pydist.Target
	Part
	Below []Part
}

// A check is what it does, and what to say of it: people decide by that whether it is enough for
// them.
type check struct {
	names []string // what its findings are called
	about string   // what it asks, as a clause
	of    string   // what it looks at, in the singular
	count func(Input) int
	blind string // what it cannot see
	run   func(Input) []Finding
}

var checks = []check{
	{
		[]string{"elf-align", "elf-format"},
		"Linux can map its segments",
		"shared object",
		elfFiles,
		"whether its code is right: that is the probe's",
		elfAlign,
	},
	{
		[]string{"elf-machine"},
		"it is for the target's processor",
		"shared object",
		elfFiles,
		"instructions that only newer processors of that kind have",
		elfMachine,
	},
	{
		[]string{"elf-glibc"},
		"the runtime's C library is new enough for it",
		"shared object",
		elfFiles,
		"symbol versions of other libraries, as libstdc++",
		elfGlibc,
	},
	{[]string{"elf-needed"}, "each library that it links to is there", "link", links,
		"libraries that code opens by name (dlopen); whether a search path leads to what is there", elfNeeded},
	{
		[]string{"boto-family"},
		"boto3, botocore and s3transfer come together",
		"layer",
		layers,
		"whether their versions fit each other",
		botoFamily,
	},
	{
		[]string{"dist-info"},
		"metadata is there, and RECORD lists what is there",
		"distribution",
		distInfos,
		"what is there and in no RECORD; whether requirements are met",
		distInfo,
	},
	{
		[]string{"paths"},
		"it can be unpacked anywhere",
		"name",
		names,
		"file systems that change names in other ways than in case",
		paths,
	},
	{
		[]string{"limits"},
		"Lambda would take it",
		"file",
		names,
		"the function's own code and other layers that it uses",
		limits,
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

// Looked is what one check did with a layer.
type Looked struct {
	Check     string `json:"check"`
	Asks      string `json:"asks"` // as a clause: Linux can map its segments
	At        string `json:"at"`   // what it looked at, in the singular
	Count     int    `json:"count"`
	Findings  int    `json:"findings"` // those that the layer allows included
	CannotSee string `json:"cannotSee"`
}

// Explain says what each check looked at, and what it cannot see.
func Explain(in Input) []Looked {
	var all []Looked
	for _, c := range checks {
		all = append(all, Looked{c.names[0], c.about, c.of, c.count(in), len(c.run(in)), c.blind})
	}

	return all
}

// Check runs all checks.
func Check(in Input) []Finding {
	all := []Finding{} // in JSON an empty list, not null
	for _, c := range checks {
		all = append(all, c.run(in)...)
	}

	sort.SliceStable(all, func(i, j int) bool {
		a := all[i]
		b := all[j]
		if a.Subject != b.Subject {
			return a.Subject < b.Subject
		}

		return a.Check < b.Check
	})
	return all
}

// owner names the wheel to blame for a file.
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

func (p Part) objects() []string {
	names := make([]string, 0, len(p.Objects))
	for n := range p.Objects {
		names = append(names, n)
	}

	sort.Strings(names)
	return names
}

// limits: what Lambda refuses to publish.
func limits(in Input) []Finding {
	if n := in.Tree.UnzippedBytes(); n > measure.MaxUnzippedBytes {
		return []Finding{
			{
				in.Name,
				"limits",
				fmt.Sprintf("%d bytes unzipped, limit %d (250 MiB)", n, int64(measure.MaxUnzippedBytes)),
				"let it extend a layer that already carries a part of it, or name the submodules that are needed " +
					"(modules in layer.yaml)",
			},
		}
	}

	return nil
}
