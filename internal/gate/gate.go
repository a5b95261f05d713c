// Package gate holds the checks of a pruned layer that need no Python. Each check is in a file of its own; all of them look at the same
// input and return findings, which are data: many, sorted, each with its check and its subject.
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

var checks = []func(Input) []Finding{elfAlign, elfMachine, elfGlibc, elfNeeded, botoFamily, distInfo, paths, limits}

// Check runs all checks.
func Check(in Input) []Finding {
	all := []Finding{} // in JSON an empty list, not null
	for _, check := range checks {
		all = append(all, check(in)...)
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
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
		return []Finding{{in.Name, "limits", fmt.Sprintf("%d bytes unzipped, limit %d (250 MiB)", n, int64(measure.MaxUnzippedBytes)), "let it extend a layer that already carries a part of it, or name the submodules that are needed (modules in layer.yaml)"}}
	}
	return nil
}
