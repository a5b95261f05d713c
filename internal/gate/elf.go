package gate

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
)

// elfAlign finds ELF files with a segment whose address and offset differ modulo its alignment:
// Linux cannot map it. Stripping tools cause this in files that patchelf wrote, such as most of
// scipy (patchelf #510, scipy #17438). It also finds unreadable ELF files.
func elfAlign(in Input) (found []Finding) {
	for name, why := range in.Broken {
		found = append(found, Finding{
			Subject: name,
			Check:   "elf-format",
			Message: why,
			Hint:    "build from the wheel; this file cannot be loaded",
		})
	}

	for _, name := range in.objectNames() {
		for _, m := range in.Objects[name].Misalignments() {
			found = append(found, Finding{
				Subject: name,
				Check:   "elf-align",
				Message: m.String() + ", Linux will not load it",
				Hint: "build from the wheel; this file was damaged by another strip tool, or shipped so in " +
					in.owner(name),
			})
		}
	}

	return found
}

// elfMachine finds ELF files for another architecture than the target's.
func elfMachine(in Input) (found []Finding) {
	want := sharedobj.MachineX86_64
	if in.Target.Arch() == "arm64" {
		want = sharedobj.MachineAArch64
	}

	for _, name := range in.objectNames() {
		if got := in.Objects[name].Machine; got != want {
			found = append(found, Finding{
				Subject: name,
				Check:   "elf-machine",
				Message: fmt.Sprintf("is for %v, %s needs %v", got, in.Target, want),
				Hint:    "build it for " + in.Target.String() + "; it came with " + in.owner(name),
			})
		}
	}

	return found
}

// elfGlibc finds ELF files that need symbol versions newer than the runtime's glibc.
func elfGlibc(in Input) (found []Finding) {
	major, minor := in.Target.Glibc()
	for _, name := range in.objectNames() {
		newest := ""
		for _, v := range in.Objects[name].VersionNeeds {
			if newer(v.Version, major, minor) && newerThan(v.Version, newest) {
				newest = v.Version
			}
		}

		if newest == "" {
			continue
		}

		found = append(found, Finding{
			Subject: name,
			Check:   "elf-glibc",
			Message: fmt.Sprintf("needs %s, %s has glibc %d.%d", newest, in.Target.Runtime(), major, minor),
			Hint: "choose a version of " + in.owner(name) +
				" with a wheel for an older manylinux, or a newer runtime",
		})
	}

	return found
}

func newer(version string, major, minor int) bool {
	a, b, ok := glibcVersion(version)
	return ok && (a > major || a == major && b > minor)
}

func newerThan(version, other string) bool {
	a, b, _ := glibcVersion(other)
	return newer(version, a, b)
}

// glibcVersion parses versions such as GLIBC_2.17. GLIBC_2.2.5 counts as 2.2. It is not ok for
// GLIBC_PRIVATE and versions of other libraries.
func glibcVersion(s string) (major, minor int, ok bool) {
	rest, ok := strings.CutPrefix(s, "GLIBC_")
	if !ok {
		return 0, 0, false
	}

	parts := strings.SplitN(rest, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}

	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return major, minor, err1 == nil && err2 == nil
}

//go:embed base_libraries.txt
var baseLibraries string

// RuntimeLibraries are the names of the libraries that the target's runtime has, as
// base_libraries.txt lists them.
func RuntimeLibraries(t pydist.Target) map[string]bool { return base(t) }

// base returns the libraries of the target's runtime image. See base_libraries.txt for the source.
func base(t pydist.Target) map[string]bool {
	system := "al2"
	if t.OperatingSystem() == pydist.AmazonLinux2023 {
		system = "al2023"
	}

	libraries := map[string]bool{}
	for _, line := range strings.Split(baseLibraries, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != system && fields[0] != "both" {
			continue
		}

		for _, lib := range fields[1:] {
			libraries[lib] = true
		}
	}

	return libraries
}

// optionalObjects are prefixes of ELF files whose libraries may be missing: optional parts of a
// package, which falls back to another implementation.
var optionalObjects = []string{
	"numba/np/ufunc/omppool", // numba falls back to its workqueue threading layer
	"numba/np/ufunc/tbbpool",
}

// elfNeeded finds ELF files that link to a library which is neither in the stack nor in the
// runtime. The folder of a library does not matter: RPATH and RUNPATH may point to it, Lambda's
// LD_LIBRARY_PATH contains /opt/lib, and some packages load their libraries themselves beforehand.
func elfNeeded(in Input) (found []Finding) {
	available := in.libraries()
	for _, name := range in.objectNames() {
		site := strings.TrimPrefix(name, in.Prefix)
		if isOptional(site) {
			continue
		}

		var missing []string
		for _, lib := range in.Objects[name].Needed {
			if !available[path.Base(lib)] {
				missing = append(missing, lib)
			}
		}

		if len(missing) == 0 {
			continue
		}

		sort.Strings(missing)
		list := strings.Join(missing, ", ")
		found = append(found, Finding{
			Subject: name,
			Check:   "elf-needed",
			Message: "links to " + list + ", which neither the layer nor the runtime has",
			Hint: "choose a build of " + in.owner(name) + " without it (opencv-python-headless for opencv-python), " +
				"put the library below lib/ of the layer, or accept it in layer.yaml: " +
				"allow: [{ match: \"" + site + "\", reason: ... }]",
		})
	}

	return found
}

// libraries returns the names and sonames of the libraries in the runtime and in the stack.
func (in Input) libraries() map[string]bool {
	available := base(in.Target)
	for _, p := range in.stack() {
		for name, f := range p.Objects {
			available[path.Base(name)] = true
			if f.Soname != "" {
				available[f.Soname] = true
			}
		}
	}

	return available
}

func isOptional(site string) bool {
	return slices.ContainsFunc(optionalObjects, func(prefix string) bool { return strings.HasPrefix(site, prefix) })
}
