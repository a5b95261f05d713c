package sharedobj

import (
	"encoding/binary"
	"fmt"
)

// StripVersion is part of the digest of whatever Strip made; it changes when Strip's output does.
const StripVersion = 1

// minPage is the smallest page of any Linux on x86_64 and arm64.
const minPage = 4096

// Strip returns the file without the bytes that are never loaded: sections outside any PT_LOAD, the
// section headers, and gaps between segments, as far as alignment lets them close. No address
// changes and no loaded byte does, except the file offsets in the headers. A file that is not sure
// to survive this is returned as it is, and so is one that would not get smaller. The result of
// Strip is a fixed point of it.
//
// binutils strip and llvm-strip rebuild the layout from the sections instead, and break files whose
// sections were moved by patchelf.
func Strip(b []byte) ([]byte, error) {
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("strip elf: %w", err)
	}

	facts, err := f.facts()
	if err != nil {
		return nil, fmt.Errorf("strip elf: %w", err)
	}

	if !f.strippable(facts) {
		return b, nil
	}

	moves, size := f.compact()
	if size >= uint64(len(b)) {
		return b, nil
	}

	out := make([]byte, size)
	for i, s := range f.segments {
		if s.Type == SegmentLoad {
			copy(out[s.Offset-moves[i]:], f.content(s))
		}
	}

	phoff := f.phoff
	if home, ok := f.home(f.phoff, f.tableBytes()); ok {
		phoff -= moves[home]
	}

	for i, s := range f.segments {
		at := phoff + uint64(i)*programBytes + pOffsetAt
		binary.LittleEndian.PutUint64(out[at:], s.Offset-moves[i])
	}

	binary.LittleEndian.PutUint64(out[phoffAt:], phoff)
	binary.LittleEndian.PutUint64(out[shoffAt:], 0)
	binary.LittleEndian.PutUint16(out[shnumAt:], 0)
	binary.LittleEndian.PutUint16(out[shstrndxAt:], 0)
	return out, nil
}

// strippable reports whether everything that matters of the file is known and will stay true.
func (f file) strippable(facts Facts) bool {
	if facts.Type != TypeExec && facts.Type != TypeDyn || len(facts.Misalignments()) > 0 {
		return false
	}

	// Loaders want the segments by address; linkers write them to the file in that order, the
	// header first.
	var prev *Segment
	for i := range f.segments {
		s := &f.segments[i]
		if s.Type != SegmentLoad {
			continue
		}

		if prev == nil && (s.Offset != 0 || s.FileSize < headerBytes) {
			return false
		}

		if prev != nil {
			// A page of memory that two segments share is mapped from the file twice, the second
			// time for good: it is right only while both stand side by side. Loaders refuse a file
			// whose p_align is below their page, so no page is larger than the smaller of both.
			page := max(minPage, min(prev.Align, s.Align))
			if s.Offset < prev.Offset+prev.FileSize || s.Vaddr/page <= (prev.Vaddr+prev.MemSize-1)/page {
				return false
			}
		}

		// The loader zeroes the rest of the page where .bss begins, so that page must exist in the
		// file.
		if s.FileSize == 0 && s.Vaddr%max(s.Align, minPage) != 0 {
			return false
		}

		prev = s
	}

	table, ok := f.home(f.phoff, f.tableBytes())
	if !ok || f.phoff < headerBytes {
		return false
	}

	// For programs, kernels before 5.18 compute the table's address from e_phoff as if it were in
	// the first segment.
	if f.segments[table].Offset != 0 && (facts.Type == TypeExec || facts.Interp != "") {
		return false
	}

	// Whoever reads another segment finds it by address or by offset: both must lead to the same
	// loaded bytes. One outside has a reader that goes to the file, by rules unknown: that file
	// stays whole.
	for _, s := range f.segments {
		if s.Type == SegmentLoad || s.FileSize == 0 {
			continue
		}

		home, ok := f.home(s.Offset, s.FileSize)
		if !ok || s.Vaddr-s.Offset != f.segments[home].Vaddr-f.segments[home].Offset {
			return false
		}
	}

	return !f.hasPayload()
}

// compact decides by how much each segment's offset shrinks, and how long the file becomes. Moves
// are multiples of the alignment, and of the page where that is larger: nothing else keeps a
// mapping possible.
func (f file) compact() (moves []uint64, size uint64) {
	moves = make([]uint64, len(f.segments))
	for i, s := range f.segments {
		if s.Type == SegmentLoad {
			unit := max(s.Align, minPage)
			moves[i] = (s.Offset - size) / unit * unit
			if s.FileSize > 0 {
				size = s.Offset - moves[i] + s.FileSize
			}
		}
	}

	for i, s := range f.segments {
		if home, ok := f.home(s.Offset, s.FileSize); ok && s.Type != SegmentLoad {
			moves[i] = moves[home]
		}
	}

	return moves, size
}

// home finds the PT_LOAD whose bytes in the file hold the n bytes at the offset.
func (f file) home(offset, n uint64) (int, bool) {
	for i, s := range f.segments {
		if s.Type == SegmentLoad && s.Offset <= offset && n <= s.FileSize && offset-s.Offset <= s.FileSize-n {
			return i, true
		}
	}

	return 0, false
}

func (f file) tableBytes() uint64 { return uint64(len(f.segments)) * programBytes }

// hasPayload reports whether bytes follow that neither segments nor sections account for:
// self-extracting programs and zipped applications carry their data there. It also holds when the
// section headers are damaged, because then nobody can tell.
func (f file) hasPayload() bool {
	const sectionBytes, nobits = 64, 8
	var end uint64
	for _, s := range f.segments {
		if s.FileSize > 0 {
			end = max(end, s.Offset+s.FileSize)
		}
	}

	if shoff, n := u64(f.bytes, shoffAt), uint64(u16(f.bytes, shnumAt)); shoff != 0 {
		if n == 0 || u16(f.bytes, 58) != sectionBytes || !f.has(shoff, n*sectionBytes) {
			return true
		}

		end = max(end, shoff+n*sectionBytes)
		for i := range n {
			h := f.bytes[shoff+i*sectionBytes:]
			offset := u64(h, 24)
			size := u64(h, 32)
			if u32(h, 4) == nobits || size == 0 {
				continue
			}

			if !f.has(offset, size) {
				return true
			}

			end = max(end, offset+size)
		}
	}

	for _, c := range f.bytes[end:] {
		if c != 0 {
			return true
		}
	}

	return false
}
