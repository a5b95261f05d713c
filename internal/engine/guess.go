package engine

import (
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// objectsToGuess is how many shared objects are read to find a layer's processor.
const objectsToGuess = 30

// GuessTarget finds the target that a layer was made for by its files: the Python by folders and by
// the names of extension modules and bytecode, the processor by shared objects. What the files do
// not say is that of the default. told is false if they say nothing.
func GuessTarget(t ziptree.Tree, def pydist.Target) (target pydist.Target, told bool) {
	pythons := map[string]int{}
	machines := map[sharedobj.Machine]int{}
	read := 0
	for _, e := range t.Entries() {
		if python := pythonOf(e.Name); python != "" {
			pythons[python]++
		}

		if x, ok := pydist.ParseExtension(e.Name); ok && x.System == "" && read < objectsToGuess {
			read++
			if m, ok := machineOf(e); ok {
				machines[m]++
			}
		}
	}

	arch := map[sharedobj.Machine]string{
		sharedobj.MachineX86_64: "x86_64", sharedobj.MachineAArch64: "arm64",
	}[mostOf(machines)]
	python := mostOf(pythons)
	own := "cp" + strings.ReplaceAll(def.PythonVersion(), ".", "")
	for _, p := range []string{python, own} {
		for _, a := range []string{arch, def.Arch()} {
			if target, ok := pydist.TargetOf(p, a); ok {
				return target, p == python && python != "" || a == arch && arch != ""
			}
		}
	}

	return def, false
}

// mostOf is the key that was counted most often, and the greatest of several; the zero value for
// none.
func mostOf[K interface{ ~string | ~uint16 }](counts map[K]int) (best K) {
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		if counts[k] >= counts[best] {
			best = k
		}
	}

	return best
}

var (
	sitePackages = regexp.MustCompile(`(^|/)lib/python3\.(\d+)/site-packages/`)
	cacheTag     = regexp.MustCompile(`\.cpython-3(\d+)(\.opt-\d)?\.pyc$`)
)

// pythonOf is the Python that the name of a file tells, such as "cp311"; "" for none.
func pythonOf(name string) string {
	if m := sitePackages.FindStringSubmatch(name); m != nil {
		return "cp3" + m[2]
	}

	if path.Ext(name) == ".pyc" {
		if m := cacheTag.FindStringSubmatch(name); m != nil {
			return "cp3" + m[1]
		}

		return ""
	}

	x, _ := pydist.ParseExtension(name)
	return x.Python
}

// machineOf reads the processor from the header of an ELF file.
func machineOf(e ziptree.Entry) (sharedobj.Machine, bool) {
	r, err := e.Open()
	if err != nil {
		return 0, false
	}
	defer r.Close()

	const machineAt = 18 // e_machine, gABI chapter 4
	head := make([]byte, machineAt+2)
	if _, err := io.ReadFull(r, head); err != nil || !sharedobj.Is(head) {
		return 0, false
	}

	return sharedobj.Machine(uint16(head[machineAt]) | uint16(head[machineAt+1])<<8), true
}
