package sharedobj

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// image describes a small ELF file for build. Loaded bytes are a running pattern and all others are
// 0xee, so that a byte in the wrong place is detected.
type image struct {
	typ      uint16 // default ET_DYN
	phoff    uint64 // default: after the header
	segments []Segment
	sections bool           // one section over everything, then its headers
	extra    map[int][]byte // written last, by offset
	tail     []byte         // appended after everything
	cut      int            // keep only so many bytes
}

const loadRX, loadRW = 5, 6

func load(offset, vaddr, size, align uint64) Segment {
	return Segment{
		Type:     SegmentLoad,
		Flags:    loadRW,
		Offset:   offset,
		Vaddr:    vaddr,
		FileSize: size,
		MemSize:  size,
		Align:    align,
	}
}

func other(typ uint32, offset, vaddr, size uint64) Segment {
	return Segment{Type: typ, Flags: loadRX, Offset: offset, Vaddr: vaddr, FileSize: size, MemSize: size, Align: 8}
}

// withBSS adds memory that the file does not hold.
func withBSS(s Segment, n uint64) Segment {
	s.MemSize += n
	return s
}

func (im image) build() []byte {
	phoff := im.phoff
	if phoff == 0 {
		phoff = headerBytes
	}

	size := phoff + uint64(len(im.segments))*programBytes
	for _, s := range im.segments {
		if s.FileSize > 0 {
			size = max(size, s.Offset+s.FileSize)
		}
	}

	b := []byte(strings.Repeat("\xee", int(size)))
	for _, s := range im.segments {
		for i := uint64(0); s.Type == SegmentLoad && i < s.FileSize; i++ {
			b[s.Offset+i] = byte((s.Offset+i)%251 + 1)
		}
	}

	le := binary.LittleEndian
	var shoff, shnum uint64
	if im.sections {
		shoff = uint64(len(b))
		shnum = 2
		b = append(b, make([]byte, 64)...)
		b = append(b, make([]byte, 64)...)
		le.PutUint32(b[shoff+64+4:], 3) // SHT_STRTAB
		le.PutUint64(b[shoff+64+32:], shoff)
	}

	typ := im.typ
	if typ == 0 {
		typ = TypeDyn
	}

	copy(b, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	le.PutUint16(b[16:], typ)
	le.PutUint16(b[18:], uint16(MachineX86_64))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[phoffAt:], phoff)
	le.PutUint64(b[shoffAt:], shoff)
	le.PutUint16(b[52:], headerBytes)
	le.PutUint16(b[54:], programBytes)
	le.PutUint16(b[phnumAt:], uint16(len(im.segments)))
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[shnumAt:], uint16(shnum))
	le.PutUint16(b[shstrndxAt:], uint16(shnum)/2)
	for i, s := range im.segments {
		h := b[phoff+uint64(i)*programBytes:]
		le.PutUint32(h, s.Type)
		le.PutUint32(h[4:], s.Flags)
		for k, v := range []uint64{s.Offset, s.Vaddr, s.Vaddr, s.FileSize, s.MemSize, s.Align} {
			le.PutUint64(h[8+8*k:], v)
		}
	}

	for at, p := range im.extra {
		copy(b[at:], p)
	}

	b = append(b, im.tail...)
	if im.cut > 0 {
		b = b[:im.cut]
	}

	return b
}

// words encodes values in as many bytes as their types have.
func words(values ...any) []byte {
	var b []byte
	for _, v := range values {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			panic(fmt.Sprintf("words: %v", err))
		}
	}

	return b
}

// Offsets, and addresses minus libraryBase, of the tables in library.
const (
	libraryBase = 0x10000
	strtabAt    = 0x200
	verneedAt   = 0x300
	dynamicAt   = 0x400
	librarySize = 0x600
)

const libraryNames = "\x00libm.so.6\x00libc.so.6\x00libself.so.1\x00" +
	"$ORIGIN/../x.libs:/opt/lib\x00GLIBC_2.28\x00GLIBC_2.2.5\x00/old"

func nameAt(s string) uint64 { return uint64(strings.Index(libraryNames, s)) }

// dynamic is a whole table for library. More entries override it: the last of each tag counts.
func dynamic(more ...uint64) []uint64 {
	return append([]uint64{
		tagNeeded, nameAt("libm"),
		tagNeeded, nameAt("libc"),
		tagSoname, nameAt("libself"),
		tagRunpath, nameAt("$ORIGIN"),
		tagRpath, nameAt("/old"),
		tagStrtab, libraryBase + strtabAt,
		tagStrsz, uint64(len(libraryNames) + 1),
		tagVerneed, libraryBase + verneedAt,
	}, more...)
}

// verneed has one record for libm with one version, and one for libc with two.
func verneed() []byte {
	record := func(count uint16, file string, aux, next uint32) []byte {
		return words(uint16(1), count, uint32(nameAt(file)), aux, next)
	}
	version := func(name string, next uint32) []byte { return words(uint32(0), uint32(0), uint32(nameAt(name)), next) }
	var b []byte
	for _, r := range [][]byte{
		record(1, "libm", 16, 32), version("GLIBC_2.28", 0),
		record(2, "libc", 16, 0), version("GLIBC_2.2.5", 16), version("GLIBC_2.28", 0),
	} {
		b = append(b, r...)
	}

	return b
}

// library is a shared object with every table that Read follows, a gap, and sections.
func library(entries []uint64, versions []byte) image {
	return image{
		segments: []Segment{
			load(0, libraryBase, librarySize, 0x1000),
			load(0x5e00, libraryBase+0x8e00, 0x300, 0x1000),
			other(SegmentDynamic, dynamicAt, libraryBase+dynamicAt, uint64(len(entries)+2)*8),
		},
		sections: true,
		extra: map[int][]byte{
			strtabAt:  []byte(libraryNames + "\x00"),
			verneedAt: versions,
			dynamicAt: words(append(entries, 0, 0)),
		},
	}
}
