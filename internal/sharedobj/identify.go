package sharedobj

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Format is a format of programs and libraries.
type Format uint8

// The formats that wheels have.
const (
	ELF   Format = iota + 1 // Linux and most other systems
	MachO                   // macOS, one architecture or several
	PE                      // Windows
)

// Program is what the first bytes of a program or library say.
type Program struct {
	Format  Format
	Machine Machine // of ELF
	Type    uint16  // of ELF: TypeExec, TypeDyn; else not loaded
	Small   bool    // ELF of 32 bits, or of big-endian byte order
	System  uint8   // EI_OSABI of ELF
}

// HeadBytes is how much of a file Identify needs. For MoreThanHead it needs LongHeadBytes.
const (
	HeadBytes     = 64
	LongHeadBytes = 4096
)

// MoreThanHead reports whether Identify needs LongHeadBytes of a file that begins so.
func MoreThanHead(head []byte) bool { return bytes.HasPrefix(head, []byte("MZ")) }

// Identify recognizes programs and libraries by their first bytes: ELF (gABI chapter 4), Mach-O
// (mach-o/loader.h, mach-o/fat.h) and PE (Microsoft's PE format). Three kinds of files that begin
// alike are none: Java classes, which share the magic number of Mach-O for several architectures;
// .NET assemblies, which run on Linux too; and programs of Cosmopolitan Libc, which are PE and a
// shell script at once.
func Identify(head []byte) (Program, bool) {
	switch {
	case Is(head):
		return identifyELF(head)
	case isMachO(head):
		return Program{Format: MachO}, true
	case isPE(head):
		return Program{Format: PE}, true
	}

	return Program{}, false
}

func identifyELF(head []byte) (Program, bool) {
	const class, byteOrder, system = 4, 5, 7 // e_ident
	if len(head) < machineAt+2 || head[class] < 1 || head[class] > 2 || head[byteOrder] < 1 || head[byteOrder] > 2 {
		return Program{}, false
	}

	order := binary.ByteOrder(binary.LittleEndian)
	if head[byteOrder] == 2 {
		order = binary.BigEndian
	}

	return Program{
		Format:  ELF,
		Machine: Machine(order.Uint16(head[machineAt:])),
		Type:    order.Uint16(head[typeAt:]),
		Small:   head[class] != 2 || head[byteOrder] != 1,
		System:  head[system],
	}, true
}

// isMachO compares the magic number, and the processor that follows it: 7 (x86), 12 (ARM) or 18
// (PowerPC), of 32 or 64 bits.
func isMachO(head []byte) bool {
	if len(head) < 12 {
		return false
	}

	processor := func(order binary.ByteOrder, at int) bool {
		const bits64 = 0x01000000
		return slices.Contains([]uint32{7, 12, 18}, order.Uint32(head[at:])&^bits64)
	}

	switch binary.BigEndian.Uint32(head) {
	case 0xfeedface, 0xfeedfacf:
		return processor(binary.BigEndian, 4)
	case 0xcefaedfe, 0xcffaedfe:
		return processor(binary.LittleEndian, 4)
	case 0xcafebabe, 0xcafebabf: // a count of architectures, then the first; a Java class has its version there
		return binary.BigEndian.Uint32(head[4:]) < 32 && processor(binary.BigEndian, 8)
	}

	return false
}

// isPE follows the DOS header to the PE header. Of .NET assemblies, data directory 14 is set.
func isPE(head []byte) bool {
	const offsetAt, fileHeaderBytes, clr = 0x3c, 24, 14
	if len(head) < headerBytes || !MoreThanHead(head) || bytes.HasPrefix(head, []byte("MZqFpD")) {
		return false
	}

	at := uint64(u32(head, offsetAt))
	if at+fileHeaderBytes+2 > uint64(len(head)) || !bytes.HasPrefix(head[at:], []byte("PE\x00\x00")) {
		return false
	}

	optional := head[at+fileHeaderBytes:]
	directories := 96 // of PE32
	if u16(optional, 0) == 0x20b {
		directories = 112 // of PE32+
	}

	entry := directories + 8*clr
	return len(optional) < entry+8 || u32(optional, entry) == 0
}

// processors are machines of ELF that run programs. Others are accelerators (CUDA 190, AMDGPU 224)
// and virtual machines (BPF 247): their files are data to a program on any processor.
var processors = []Machine{
	// SPARC, 386, MIPS, PA-RISC, SPARC, PowerPC of 32 and 64 bits, S390, ARM, SuperH, SPARC,
	// Itanium
	2, 3, 8, 15, 18, 20, 21, 22, 40, 42, 43, 50,
	MachineX86_64, MachineAArch64,
	243, 258, // RISC-V, LoongArch
}

// Loadable reports whether a loader could load the file on some system: it is no object file, and
// not for an accelerator.
func (p Program) Loadable() bool {
	return p.Format != ELF || (p.Type == TypeExec || p.Type == TypeDyn) && slices.Contains(processors, p.Machine)
}

// Linux reports whether the file is ELF for Linux, of any processor. Most linkers write 0 for the
// system, GNU's 3 where a file uses its extensions; libraries for AMD's accelerators have 64 and
// more.
func (p Program) Linux() bool {
	return p.Format == ELF && (p.System == 0 || p.System == 3 || p.System >= 64)
}

// RunsOn reports whether Linux on a processor of Lambda can load the file.
func (p Program) RunsOn(m Machine) bool {
	return p.Linux() && p.Loadable() && !p.Small && p.Machine == m
}
