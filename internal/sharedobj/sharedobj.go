// Package sharedobj reads what a loader reads of an ELF file, and removes what it does not.
//
// The rules of this world:
//
//   - A loader (the kernel, glibc, musl) reads the ELF header, the program headers, and what PT_LOAD maps.
//     Names and versions are found through PT_DYNAMIC by address. Section headers are for linkers and
//     debuggers (ELF gABI, chapters 4 and 5), so everything here works on files that have none.
//   - A file offset means only "map this page there". It may change as long as no address does, and
//     (p_vaddr - p_offset) stays divisible by p_align. glibc before 2.35 checks exactly that and refuses
//     the file with "ELF load command address/offset not properly aligned"; later ones, and mmap, need the
//     same of the page size. p_align may exceed the page: 0x10000 and 0x200000 are common
//     (patchelf #510, scipy #17438, auditwheel #716).
//   - Whole pages are mapped, so the bytes next to a segment in the file show up in memory beyond its edges.
//     No program may rely on them: the linker put another segment or a section header there, and the part
//     that is .bss is zeroed by the loader. Two segments may share a page of the file, as ld -z
//     noseparate-code lays them out: it is mapped twice.
//   - Files come from strangers. No declared size or count is believed before it is checked against the file.
//
// Only little-endian ELF64 is read: x86_64 and arm64 are nothing else. All functions are pure and
// leave the bytes that they are given alone.
package sharedobj

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Machine is the e_machine of an ELF header.
type Machine uint16

// The machines that Lambda has.
const (
	MachineX86_64  Machine = 62
	MachineAArch64 Machine = 183
)

// String is the name that wheel tags use, or the number.
func (m Machine) String() string {
	switch m {
	case MachineX86_64:
		return "x86_64"
	case MachineAArch64:
		return "aarch64"
	}

	return fmt.Sprintf("machine %d", uint16(m))
}

// Values of Facts.Type and Segment.Type that mean something here.
const (
	TypeExec = 2 // ET_EXEC
	TypeDyn  = 3 // ET_DYN: libraries, and programs that may be loaded anywhere

	SegmentLoad    = 1 // PT_LOAD
	SegmentDynamic = 2 // PT_DYNAMIC
	SegmentInterp  = 3 // PT_INTERP
)

// Segment is a program header.
type Segment struct {
	Type, Flags                             uint32
	Offset, Vaddr, FileSize, MemSize, Align uint64
}

// VersionNeed is a symbol version that a library must define: libc.so.6, GLIBC_2.28.
type VersionNeed struct{ Library, Version string }

// Facts is what a loader learns from a file.
type Facts struct {
	Machine            Machine
	Type               uint16
	Segments           []Segment
	Needed             []string
	Soname             string
	Rpath, Runpath     []string // split at ":", $ORIGIN as written
	VersionNeeds       []VersionNeed
	Interp             string // set for programs, and for the odd library that is one too
	StrippedOfSections bool
}

// Misalignment is a PT_LOAD that a loader refuses to map.
type Misalignment struct {
	Segment              int // index into Facts.Segments
	Offset, Vaddr, Align uint64
}

func (m Misalignment) String() string {
	if !powerOfTwo(m.Align) {
		return fmt.Sprintf("segment %d at %#x has alignment %#x, not a power of two", m.Segment, m.Offset, m.Align)
	}

	return fmt.Sprintf("segment %d at %#x is not aligned to %#x", m.Segment, m.Offset, m.Align)
}

// Is reports whether b begins as an ELF file does, of any class and byte order.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte("\x7fELF")) }

// Read returns the facts of a file, or why a loader could not have read them.
func Read(b []byte) (Facts, error) {
	f, err := parse(b)
	if err != nil {
		return Facts{}, fmt.Errorf("read elf: %w", err)
	}

	facts, err := f.facts()
	if err != nil {
		return Facts{}, fmt.Errorf("read elf: %w", err)
	}

	return facts, nil
}

// Misalignments lists every PT_LOAD that breaks the alignment rule; p_align 0 and 1 ask for
// nothing.
func (f Facts) Misalignments() []Misalignment {
	var found []Misalignment
	for i, s := range f.Segments {
		if s.Type != SegmentLoad || s.Align <= 1 {
			continue
		}

		if !powerOfTwo(s.Align) || (s.Vaddr-s.Offset)%s.Align != 0 {
			found = append(found, Misalignment{i, s.Offset, s.Vaddr, s.Align})
		}
	}

	return found
}

func powerOfTwo(n uint64) bool { return n != 0 && n&(n-1) == 0 }

// Layout of the ELF64 header and program header, and the fields that Strip edits.
const (
	headerBytes  = 64
	programBytes = 56

	phoffAt    = 32 // e_phoff
	shoffAt    = 40 // e_shoff
	phnumAt    = 56 // e_phnum
	shnumAt    = 60 // e_shnum
	shstrndxAt = 62 // e_shstrndx
	pOffsetAt  = 8  // p_offset in a program header
)

// maxSegments is the kernel's limit of 64 KiB of program headers, and excludes PN_XNUM, the escape
// that keeps the count among the sections.
const maxSegments = 65536 / programBytes

// maxInterp is the kernel's limit, PATH_MAX.
const maxInterp = 4096

// file is a parsed header. Every segment with bytes lies within the file.
type file struct {
	bytes    []byte
	phoff    uint64
	segments []Segment
}

func parse(b []byte) (file, error) {
	switch {
	case !Is(b):
		return file{}, errors.New("no ELF magic")
	case len(b) < 16:
		return file{}, fmt.Errorf("header: cut off at %d bytes", len(b))
	case b[4] != 2 || b[5] != 1:
		return file{}, fmt.Errorf("class %d, byte order %d: only ELF64 little-endian is supported", b[4], b[5])
	case len(b) < headerBytes:
		return file{}, fmt.Errorf("header: cut off at %d bytes", len(b))
	}

	f := file{bytes: b, phoff: u64(b, phoffAt)}
	n := uint64(u16(b, phnumAt))
	if n == 0 {
		return f, nil
	}

	if size := u16(b, 54); size != programBytes {
		return file{}, fmt.Errorf("program headers: %d bytes each, want %d", size, programBytes)
	}

	if n > maxSegments {
		return file{}, fmt.Errorf("program headers: %d, limit %d", n, maxSegments)
	}

	if !f.has(f.phoff, n*programBytes) {
		return file{}, fmt.Errorf("program headers: %d at %#x, file has %#x bytes", n, f.phoff, len(b))
	}

	f.segments = make([]Segment, n)
	for i := range f.segments {
		h := b[f.phoff+uint64(i)*programBytes:]
		s := Segment{
			Type: u32(h, 0), Flags: u32(h, 4), Offset: u64(h, pOffsetAt), Vaddr: u64(h, 16),
			FileSize: u64(h, 32), MemSize: u64(h, 40), Align: u64(h, 48),
		}
		if s.FileSize > 0 && !f.has(s.Offset, s.FileSize) {
			return file{}, fmt.Errorf("segment %d: %#x bytes at %#x, file has %#x", i, s.FileSize, s.Offset, len(b))
		}

		if s.Type == SegmentLoad && (s.FileSize > s.MemSize || s.Vaddr+s.MemSize < s.Vaddr) {
			return file{}, fmt.Errorf(
				"segment %d: %#x bytes do not fit its %#x of memory at %#x",
				i,
				s.FileSize,
				s.MemSize,
				s.Vaddr,
			)
		}

		f.segments[i] = s
	}

	return f, nil
}

func (f file) facts() (Facts, error) {
	facts := Facts{
		Machine:            Machine(u16(f.bytes, 18)),
		Type:               u16(f.bytes, 16),
		Segments:           f.segments,
		StrippedOfSections: u64(f.bytes, shoffAt) == 0,
	}
	if facts.Type != TypeExec && facts.Type != TypeDyn {
		return facts, nil // objects and core dumps are not loaded
	}

	// Of several, the kernel takes the first interpreter, and glibc the last dynamic table.
	if i := slices.IndexFunc(f.segments, func(s Segment) bool { return s.Type == SegmentInterp }); i >= 0 {
		name := f.content(f.segments[i]) // by offset: the kernel reads it before it maps anything
		end := bytes.IndexByte(name[:min(len(name), maxInterp)], 0)
		if end < 0 {
			return Facts{}, fmt.Errorf("segment %d: interpreter's name does not end within %d bytes", i, maxInterp)
		}

		facts.Interp = string(name[:end])
	}

	for _, s := range slices.Backward(f.segments) {
		if s.Type == SegmentDynamic {
			if err := f.readDynamic(s, &facts); err != nil {
				return Facts{}, err
			}

			break
		}
	}

	return facts, nil
}

// has reports whether the file holds n bytes at the offset.
func (f file) has(offset, n uint64) bool {
	size := uint64(len(f.bytes))
	return offset <= size && n <= size-offset
}

// content is a segment's bytes in the file.
func (f file) content(s Segment) []byte {
	if s.FileSize == 0 {
		return nil
	}

	return f.bytes[s.Offset:][:s.FileSize]
}

// mapped is what the file puts at an address, up to the end of its segment's bytes; nil when
// nothing is there.
func (f file) mapped(vaddr uint64) []byte {
	for _, s := range f.segments {
		if s.Type == SegmentLoad && s.Vaddr <= vaddr && vaddr-s.Vaddr < s.FileSize {
			return f.content(s)[vaddr-s.Vaddr:]
		}
	}

	return nil
}

func u16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
