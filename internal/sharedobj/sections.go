package sharedobj

import (
	"bytes"
	"slices"
	"strings"
)

const sectionBytes = 64 // sizeof(Elf64_Shdr)

// Types of sections: SHT_*.
const (
	sectionNull      = 0
	sectionProgbits  = 1
	sectionNote      = 7
	sectionNobits    = 8
	sectionUserFirst = 0x80000000
)

// section is a section header. Its bytes are within the file; a section without bytes in the file
// has size 0.
type section struct {
	name         string
	kind         uint32
	flags        uint64
	offset, size uint64
}

// sections returns the section headers. ok is false if they are damaged.
func (f file) sections() (found []section, ok bool) {
	shoff := u64(f.bytes, shoffAt)
	if shoff == 0 {
		return nil, true
	}

	n := uint64(u16(f.bytes, shnumAt))
	if n == 0 || u16(f.bytes, shentsizeAt) != sectionBytes || !f.has(shoff, n*sectionBytes) {
		return nil, false
	}

	found = make([]section, n)
	nameAt := make([]uint32, n)
	for i := range found {
		h := f.bytes[shoff+uint64(i)*sectionBytes:]
		s := section{kind: u32(h, 4), flags: u64(h, 8), offset: u64(h, 24), size: u64(h, 32)}
		if s.kind == sectionNobits || s.kind == sectionNull {
			s.size = 0
		}

		if s.size > 0 && !f.has(s.offset, s.size) {
			return nil, false
		}

		nameAt[i] = u32(h, 0)
		found[i] = s
	}

	if names := uint64(u16(f.bytes, shstrndxAt)); names < n {
		table := f.content(Segment{Offset: found[names].offset, FileSize: found[names].size})
		for i := range found {
			found[i].name = text(table, nameAt[i])
		}
	}

	return found, true
}

// text returns the NUL-terminated string in a table, "" if there is none.
func text(table []byte, at uint32) string {
	if uint64(at) >= uint64(len(table)) {
		return ""
	}

	end := bytes.IndexByte(table[at:], 0)
	return string(table[at:][:max(0, end)])
}

// forTools are the names, or their beginnings, of sections that only linkers, debuggers, profilers
// and auditors read.
var forTools = []string{
	".debug", ".zdebug", ".gdb_index", ".gnu_debug", ".gnu.debug", ".stab", ".line", ".mdebug", ".comment", ".ident",
	".note.", ".annobin", ".gnu.build.attributes", ".gnu.lto_", ".gnu.warning", ".GCC.command.line", ".llvm",
	".rel", ".ARM.attributes", ".riscv.attributes", ".sframe",
}

// readsItself reports whether the program reads data from its own file: in a section that is not
// loaded and that no tool writes, as programs of PyInstaller have their archive in .pydata, or by
// offsets, as programs that UPX packed.
func (f file) readsItself() bool {
	const alloc, upxHeader = 2, 4096 // SHF_ALLOC
	if bytes.Contains(f.bytes[:min(len(f.bytes), upxHeader)], []byte("UPX!")) {
		return true
	}

	sections, _ := f.sections() // if damaged, hasPayload refuses
	return slices.ContainsFunc(sections, func(s section) bool {
		holdsData := s.kind == sectionProgbits || s.kind == sectionNote || s.kind >= sectionUserFirst
		return holdsData && s.size > 0 && s.flags&alloc == 0 && !isForTools(s.name)
	})
}

func isForTools(name string) bool {
	return slices.ContainsFunc(forTools, func(known string) bool { return strings.HasPrefix(name, known) })
}
