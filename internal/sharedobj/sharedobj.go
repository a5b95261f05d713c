// Package sharedobj reads from an ELF file what a loader reads, and strips everything else.
//
// Background:
//
//   - A loader (kernel, glibc, musl) reads the ELF header, the program headers and what PT_LOAD
//     maps. It finds names and versions through PT_DYNAMIC, by address. Section headers are for
//     linkers and debuggers (ELF gABI, chapters 4 and 5), so this package works on files without
//     them.
//   - A file offset only says which page to map. It may change if no address does and p_vaddr -
//     p_offset stays divisible by p_align. glibc before 2.35 checks that, and fails with "ELF load
//     command address/offset not properly aligned". Later versions, and mmap, require it for the
//     page size. p_align may exceed the page size: 0x10000 and 0x200000 are common (patchelf #510,
//     scipy #17438, auditwheel #716).
//   - Whole pages are mapped, so bytes next to a segment in the file become visible in memory.
//     Programs cannot rely on them: the linker put another segment or a section header there, and
//     the loader zeroes the part that is .bss. Two segments may share a page of the file (ld -z
//     noseparate-code); it is then mapped twice.
//   - Input is untrusted. Every declared size and count is checked against the file before use.
//
// Only little-endian ELF64 is read, the format of x86_64 and arm64. No function modifies its input.
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

// Machines of Lambda's architectures.
const (
	MachineX86_64  Machine = 62
	MachineAArch64 Machine = 183
)

var machineNames = map[Machine]string{
	MachineX86_64:  "x86_64",
	MachineAArch64: "aarch64",
	3:              "i686",
	20:             "ppc",
	21:             "ppc64",
	22:             "s390x",
	40:             "armv7l",
	243:            "riscv64",
	258:            "loongarch64",
}

// String returns the name used in wheel tags, or the number.
func (m Machine) String() string {
	if name, ok := machineNames[m]; ok {
		return name
	}

	return fmt.Sprintf("machine %d", uint16(m))
}

// Values of Facts.Type and Segment.Type.
const (
	TypeExec = 2 // ET_EXEC
	TypeDyn  = 3 // ET_DYN: libraries and position-independent programs

	SegmentLoad    = 1 // PT_LOAD
	SegmentDynamic = 2 // PT_DYNAMIC
	SegmentInterp  = 3 // PT_INTERP
)

// Segment is a program header.
type Segment struct {
	Type, Flags                             uint32
	Offset, Vaddr, FileSize, MemSize, Align uint64
}

// VersionNeed is a symbol version that a library must define, such as GLIBC_2.28 in libc.so.6.
type VersionNeed struct{ Library, Version string }

// Facts are what a loader reads from a file.
type Facts struct {
	Machine            Machine
	Type               uint16
	Segments           []Segment
	Needed             []string
	Soname             string
	Rpath, Runpath     []string // split at ":", $ORIGIN as written
	VersionNeeds       []VersionNeed
	Interp             string // program interpreter; few libraries have one
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

// Is reports whether b has the magic number of ELF, of any class and byte order.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte("\x7fELF")) }

// Read returns the facts of a file. It fails if a loader could not read them.
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

// Misalignments lists every PT_LOAD whose address and offset differ modulo p_align, or whose
// p_align is not a power of two. p_align 0 and 1 mean no alignment.
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

// Sizes of the ELF64 header and of a program header, and offsets of their fields.
const (
	headerBytes  = 64
	programBytes = 56

	typeAt      = 16 // e_type
	machineAt   = 18 // e_machine
	phoffAt     = 32 // e_phoff
	shoffAt     = 40 // e_shoff
	phentsizeAt = 54 // e_phentsize
	phnumAt     = 56 // e_phnum
	shentsizeAt = 58 // e_shentsize
	shnumAt     = 60 // e_shnum
	shstrndxAt  = 62 // e_shstrndx
	pOffsetAt   = 8  // p_offset in a program header
)

// maxSegments is the kernel's limit: 64 KiB of program headers. It excludes PN_XNUM, which moves
// the count into a section header.
const maxSegments = 65536 / programBytes

// maxInterp is the kernel's limit for the interpreter's path in bytes, PATH_MAX.
const maxInterp = 4096

// file is a parsed header. Every segment with bytes lies within the file.
type file struct {
	bytes    []byte
	phoff    uint64
	segments []Segment
}

func parse(b []byte) (file, error) {
	if err := checkHeader(b); err != nil {
		return file{}, err
	}

	f := file{bytes: b, phoff: u64(b, phoffAt)}
	n := uint64(u16(b, phnumAt))
	if n == 0 {
		return f, nil
	}

	if size := u16(b, phentsizeAt); size != programBytes {
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
		s := readSegment(b[f.phoff+uint64(i)*programBytes:])
		if err := f.checkSegment(s); err != nil {
			return file{}, fmt.Errorf("segment %d: %w", i, err)
		}

		f.segments[i] = s
	}

	return f, nil
}

// checkHeader checks that b has a whole ELF64 little-endian header.
func checkHeader(b []byte) error {
	const identBytes, class, byteOrder = 16, 4, 5 // e_ident
	switch {
	case !Is(b):
		return errors.New("no ELF magic")
	case len(b) < identBytes:
		return fmt.Errorf("header: cut off at %d bytes", len(b))
	case b[class] != 2 || b[byteOrder] != 1:
		return fmt.Errorf("class %d, byte order %d: only ELF64 little-endian is supported", b[class], b[byteOrder])
	case len(b) < headerBytes:
		return fmt.Errorf("header: cut off at %d bytes", len(b))
	}

	return nil
}

// readSegment reads a program header.
func readSegment(h []byte) Segment {
	return Segment{
		Type:     u32(h, 0),
		Flags:    u32(h, 4),
		Offset:   u64(h, pOffsetAt),
		Vaddr:    u64(h, 16),
		FileSize: u64(h, 32),
		MemSize:  u64(h, 40),
		Align:    u64(h, 48),
	}
}

func (f file) checkSegment(s Segment) error {
	if s.FileSize > 0 && !f.has(s.Offset, s.FileSize) {
		return fmt.Errorf("%#x bytes at %#x, file has %#x", s.FileSize, s.Offset, len(f.bytes))
	}

	if s.Type == SegmentLoad && (s.FileSize > s.MemSize || s.Vaddr+s.MemSize < s.Vaddr) {
		return fmt.Errorf("%#x bytes do not fit its %#x of memory at %#x", s.FileSize, s.MemSize, s.Vaddr)
	}

	return nil
}

func (f file) facts() (Facts, error) {
	facts := Facts{
		Machine:            Machine(u16(f.bytes, machineAt)),
		Type:               u16(f.bytes, typeAt),
		Segments:           f.segments,
		StrippedOfSections: u64(f.bytes, shoffAt) == 0,
	}
	if facts.Type != TypeExec && facts.Type != TypeDyn {
		return facts, nil // object files and core dumps are not loaded
	}

	// If there are several, the kernel uses the first interpreter, glibc the last dynamic table.
	if i := slices.IndexFunc(f.segments, func(s Segment) bool { return s.Type == SegmentInterp }); i >= 0 {
		name := f.content(f.segments[i]) // by offset, as the kernel does before it maps anything
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

// has reports whether the file has n bytes at the offset.
func (f file) has(offset, n uint64) bool {
	size := uint64(len(f.bytes))
	return offset <= size && n <= size-offset
}

// content returns a segment's bytes in the file.
func (f file) content(s Segment) []byte {
	if s.FileSize == 0 {
		return nil
	}

	return f.bytes[s.Offset:][:s.FileSize]
}

// mapped returns the bytes that the file maps at an address, up to the end of the segment's bytes,
// or nil.
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
