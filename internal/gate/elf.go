package gate

import (
	_ "embed"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/sharedobj"
)

// elfAlign: Linux maps a segment only where its address and its offset agree modulo the alignment.
// Tools that strip break this in files that patchelf wrote, which is most of scipy (patchelf 510,
// scipy 17438).
func elfAlign(in Input) (found []Finding) {
	for name, why := range in.Broken {
		found = append(found, Finding{name, "elf-format", why, "build from the wheel; this file cannot be loaded"})
	}

	for _, name := range in.objects() {
		for _, m := range in.Objects[name].Misalignments() {
			found = append(found, Finding{name, "elf-align", m.String() + ", Linux will not load it",
				"build from the wheel; this file was stripped by another tool, or came so in " + in.owner(name)})
		}
	}

	return found
}

// elfMachine: the file must be for the target's processor.
func elfMachine(in Input) (found []Finding) {
	want := sharedobj.MachineX86_64
	if in.Target.Arch() == "arm64" {
		want = sharedobj.MachineAArch64
	}

	for _, name := range in.objects() {
		if got := in.Objects[name].Machine; got != want {
			found = append(
				found,
				Finding{name, "elf-machine", fmt.Sprintf("is for %v, %s needs %v", got, in.Target, want),
					"build it for " + in.Target.String() + "; it came with " + in.owner(name)},
			)
		}
	}

	return found
}

// elfGlibc: symbol versions newer than the runtime's C library cannot be resolved.
func elfGlibc(in Input) (found []Finding) {
	major, minor := in.Target.Glibc()
	for _, name := range in.objects() {
		worst := ""
		for _, v := range in.Objects[name].VersionNeeds {
			if newer(v.Version, major, minor) && newerThan(v.Version, worst) {
				worst = v.Version
			}
		}

		if worst != "" {
			found = append(
				found,
				Finding{
					name,
					"elf-glibc",
					fmt.Sprintf("needs %s, %s has glibc %d.%d", worst, in.Target.Runtime(), major, minor),
					"choose a version of " + in.owner(
						name,
					) + " with a wheel for an older manylinux, or a newer runtime",
				},
			)
		}
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

// glibcVersion reads GLIBC_2.17; GLIBC_2.2.5 counts as 2.2, GLIBC_PRIVATE and other libraries'
// versions as nothing.
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

// base are the libraries that a runtime's image has; see the head of base_libraries.txt for where
// that is from.
func base(t pydist.Target) map[string]bool {
	out := map[string]bool{}
	system := "al2"
	if t.OperatingSystem() == pydist.AmazonLinux2023 {
		system = "al2023"
	}

	for _, line := range strings.Split(baseLibraries, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] == "#" {
			continue
		}

		if fields[0] == system || fields[0] == "both" {
			for _, lib := range fields[1:] {
				out[lib] = true
			}
		}
	}

	return out
}

// loadedLate are libraries that optional parts of a package link to, where the package works
// without them.
var loadedLate = map[string]string{
	"numba/np/ufunc/omppool": "numba falls back to its workqueue threading layer",
	"numba/np/ufunc/tbbpool": "numba falls back to its workqueue threading layer",
}

// elfNeeded: every library that a file links to must be in the layer, below it, or in the runtime.
// Where in the layer does not matter much: RPATH and RUNPATH find it, Lambda's LD_LIBRARY_PATH has
// /opt/lib, or the package loads it by itself beforehand.
func elfNeeded(in Input) (found []Finding) {
	known := base(in.Target)
	for _, p := range append([]Part{in.Part}, in.Below...) {
		for name, f := range p.Objects {
			known[path.Base(name)] = true
			if f.Soname != "" {
				known[f.Soname] = true
			}
		}
	}

	for _, name := range in.objects() {
		var missing []string
		for _, lib := range in.Objects[name].Needed {
			if !known[path.Base(lib)] {
				missing = append(missing, lib)
			}
		}

		if len(missing) == 0 || optional(strings.TrimPrefix(name, in.Prefix)) {
			continue
		}

		sort.Strings(missing)
		found = append(
			found,
			Finding{
				name,
				"elf-needed",
				fmt.Sprintf("links to %s, which neither the layer nor the runtime has", strings.Join(missing, ", ")),
				"choose a build of " + in.owner(
					name,
				) + " without it (opencv-python-headless for opencv-python), put the library below lib/ of the " +
					"layer, or accept it in layer.yaml: allow: [{ match: \"" + strings.TrimPrefix(
					name,
					in.Prefix,
				) + "\", reason: ... }]",
			},
		)
	}

	return found
}

func optional(site string) bool {
	for prefix := range loadedLate {
		if strings.HasPrefix(site, prefix) {
			return true
		}
	}

	return false
}
