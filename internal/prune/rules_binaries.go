package prune

import (
	"fmt"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/sharedobj"
)

// contents are the files that have a content which rules ask for, by its name and the file's
// position in Plan.decisions: why they have it.
type contents map[string]map[int]string

func (p *planner) hasContent(r *policy.Rule, i int, o policy.Owner) bool {
	_, has := p.contents[r.Content][i]
	return has && r.About(o)
}

// readContents finds out what the rules ask of the contents of files. What is asked about links
// needs every ELF file, so it is read last, and only if it can matter.
func (p *planner) readContents() error {
	asked := map[string]bool{}
	for _, r := range p.policy.Rules() {
		asked[r.Content] = true
	}

	b := newBinaries(p.Plan)
	p.contents = contents{}
	if asked[policy.Program] {
		p.contents[policy.Program] = b.marked()
	}

	if asked[policy.Foreign] {
		p.contents[policy.Foreign] = b.foreign()
	}

	var twins [][]int
	if asked[policy.Copy] {
		twins = b.twins()
	}

	if p.input.Links == nil || len(twins) == 0 && !asked[policy.UnusedLibrary] {
		return nil
	}

	links, err := p.input.Links()
	if err != nil {
		return err
	}

	l := b.libraries(links)
	p.libraries = &l
	p.contents[policy.Copy] = l.copies(twins)
	if asked[policy.UnusedLibrary] {
		p.contents[policy.UnusedLibrary] = l.unused()
	}

	return nil
}

// binaries are the programs and libraries of a plan's files.
type binaries struct {
	plan    Plan
	machine sharedobj.Machine
	order   []int                     // positions in Plan.decisions
	is      map[int]sharedobj.Program // by position
}

func newBinaries(p Plan) binaries {
	programs := map[string]sharedobj.Program{}
	for _, b := range p.input.Binaries {
		for _, f := range b.Files {
			programs[f.Path] = f.Program
		}
	}

	b := binaries{plan: p, machine: machineOf(p.input.Target), is: map[int]sharedobj.Program{}}
	for i, d := range p.decisions {
		if program, ok := programs[d.Site]; ok {
			b.order = append(b.order, i)
			b.is[i] = program
		}
	}

	return b
}

func machineOf(t pydist.Target) sharedobj.Machine {
	if t.Arch() == "arm64" {
		return sharedobj.MachineAArch64
	}

	return sharedobj.MachineX86_64
}

func (b binaries) runs(i int) bool { return b.is[i].RunsOn(b.machine) }

// marked returns the programs of the target, and the libraries that have permission to be executed
// or are modules of Node.js. Other ELF files are data: tests of pyelftools read their sections.
func (b binaries) marked() map[int]string {
	out := map[int]string{}
	for _, i := range b.order {
		d := b.plan.decisions[i]
		if b.runs(i) && (d.Entry.Exec || strings.HasSuffix(d.Site, ".node")) {
			out[i] = ""
		}
	}

	return out
}

// foreign returns the programs and libraries that Lambda cannot run. Names in strings do not keep
// them: programs choose among such files by the system they run on. Two kinds stay, so that the
// gate names what would be missing: a module that is imported and has no other form, and what a
// distribution has for Linux on other processors only.
func (b binaries) foreign() map[int]string {
	native := map[pydist.Name]bool{}
	var others []int
	for _, i := range b.order {
		if b.runs(i) {
			native[b.plan.decisions[i].Owner.Name] = true
		} else if b.is[i].Loadable() {
			others = append(others, i)
		}
	}

	if len(others) == 0 {
		return nil
	}

	needed := b.neededModules()
	out := map[int]string{}
	for _, i := range others {
		d := b.plan.decisions[i]
		module := extensionModule(d.Site)
		onlyForOthers := b.is[i].Linux() && !native[d.Owner.Name]
		if !onlyForOthers && !(module != "" && needed(module)) {
			out[i] = "it is for " + system(b.is[i])
		}
	}

	return out
}

// system names what a program is for.
func system(p sharedobj.Program) string {
	switch {
	case p.Format == sharedobj.MachO:
		return "macOS"
	case p.Format == sharedobj.PE:
		return "Windows"
	case !p.Linux():
		return fmt.Sprintf("another system than Linux (ELF's OS/ABI %d)", p.System)
	case p.Small && (p.Machine == sharedobj.MachineX86_64 || p.Machine == sharedobj.MachineAArch64):
		return p.Machine.String() + " in its 32-bit form"
	}

	return p.Machine.String()
}

// extensionModule returns the module that a file would be on the system it is for, or "". On
// Windows, modules have names like x.cp313-win_amd64.pyd.
func extensionModule(site string) string {
	if stem, ok := strings.CutSuffix(site, ".pyd"); ok {
		dir, base := path.Split(stem)
		base, _, _ = strings.Cut(base, ".")
		site = dir + base + ".so"
	}

	module, _, _ := pyimport.ModuleName(site)
	return module
}

// neededModules returns a function that tells whether a module must exist: nothing else in the
// layer is it, and something imports it, or only a function can.
func (b binaries) neededModules() func(string) bool {
	imported := b.plan.importedModules()
	exists := map[string]bool{}
	for i, d := range b.plan.decisions {
		if module, _, ok := pyimport.ModuleName(d.Site); ok && (strings.HasSuffix(d.Site, ".py") || b.runs(i)) {
			exists[module] = true
		}
	}

	return func(module string) bool {
		return !exists[module] && (imported[module] || !strings.Contains(module, "."))
	}
}

// twins returns the groups of libraries in one folder that have the same bytes. Wheels cannot hold
// links, so that is what becomes of libx.so -> libx.so.1 -> libx.so.1.0.
func (b binaries) twins() [][]int {
	hashes := map[string]string{}
	for _, d := range b.plan.input.Distributions {
		for file, hash := range d.Record {
			hashes[file] = hash
		}
	}

	type same struct {
		folder, hash string
		size         int64
		crc          uint32
	}
	groups := map[same][]int{}
	var order []same
	for _, i := range b.order {
		d := b.plan.decisions[i]
		hash := hashes[d.Site]
		if !b.runs(i) || b.is[i].Type != sharedobj.TypeDyn || hash == "" {
			continue
		}

		k := same{path.Dir(d.Site), hash, d.Entry.Size, d.Entry.CRC32}
		groups[k] = append(groups[k], i)
		if len(groups[k]) == 2 {
			order = append(order, k)
		}
	}

	out := make([][]int, len(order))
	for n, k := range order {
		out[n] = groups[k]
	}

	return out
}
