package sharedobj

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// StripVersion is part of the key of Strip's cached output. Raise it when the output changes.
const StripVersion = 2

// minPage is the smallest page size of Linux on x86_64 and arm64, in bytes.
const minPage = 4096

// Strip returns the file without bytes that are never loaded: sections outside PT_LOAD, section
// headers, and gaps between segments as far as alignment permits. Addresses and loaded bytes stay
// the same, except file offsets in the headers. A file that cannot be stripped safely, or that
// would not get smaller, is returned unchanged. Stripping twice gives the same result.
//
// binutils strip and llvm-strip rebuild the layout from the sections instead. That breaks files
// whose sections patchelf moved.
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

	return f.moved(moves, size), nil
}

// moved returns the loaded bytes with each segment's offset reduced, in a file of the given size,
// without section headers.
func (f file) moved(moves []uint64, size uint64) []byte {
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
	return out
}

// strippable reports whether the file certainly loads the same after Strip.
func (f file) strippable(facts Facts) bool {
	return (facts.Type == TypeExec || facts.Type == TypeDyn) &&
		len(facts.Misalignments()) == 0 &&
		f.loadsInOrder() &&
		f.tableCanMove(facts) &&
		f.othersAreLoaded() &&
		!f.hasPayload() &&
		!f.readsItself()
}

// loadsInOrder reports whether the PT_LOADs are in the order of their addresses, as loaders
// require, and in the same order in the file, with the ELF header in the first.
func (f file) loadsInOrder() bool {
	var prev *Segment
	for i := range f.segments {
		s := &f.segments[i]
		if s.Type != SegmentLoad {
			continue
		}

		if prev == nil && (s.Offset != 0 || s.FileSize < headerBytes) {
			return false
		}

		if prev != nil && !follows(*prev, *s) {
			return false
		}

		// The loader zeroes the rest of the page where .bss begins, so the file must have that
		// page.
		if s.FileSize == 0 && s.Vaddr%max(s.Align, minPage) != 0 {
			return false
		}

		prev = s
	}

	return true
}

// follows reports whether a PT_LOAD starts after the previous one, in the file and on another page
// of memory. A page of memory that two segments share is mapped from the file twice, and the second
// mapping remains, which is correct only while both segments are adjacent in the file. Loaders
// refuse a p_align below the page size, so a page is no larger than the smaller p_align.
func follows(prev, s Segment) bool {
	page := max(minPage, min(prev.Align, s.Align))
	lastPage := (prev.Vaddr + prev.MemSize - 1) / page
	return s.Offset >= prev.Offset+prev.FileSize && s.Vaddr/page > lastPage
}

// tableCanMove reports whether loaders find the program headers after their segment has moved. For
// programs, kernels before 5.18 compute their address from e_phoff as if they were in the first
// segment.
func (f file) tableCanMove(facts Facts) bool {
	home, ok := f.home(f.phoff, f.tableBytes())
	if !ok || f.phoff < headerBytes {
		return false
	}

	isProgram := facts.Type == TypeExec || facts.Interp != ""
	return f.segments[home].Offset == 0 || !isProgram
}

// othersAreLoaded reports whether every other segment is inside a PT_LOAD, by offset and by address
// alike: a reader may use either. The contents of a segment outside may be read from the file in
// unknown ways.
func (f file) othersAreLoaded() bool {
	for _, s := range f.segments {
		if s.Type == SegmentLoad || s.FileSize == 0 {
			continue
		}

		home, ok := f.home(s.Offset, s.FileSize)
		if !ok || s.Vaddr-s.Offset != f.segments[home].Vaddr-f.segments[home].Offset {
			return false
		}
	}

	return true
}

// compact returns by how many bytes each segment's offset is reduced, and the size of the new file.
// Moves are multiples of the alignment or of the page size, whichever is larger, so that segments
// can still be mapped.
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

// home returns the PT_LOAD that contains n bytes of the file at an offset.
func (f file) home(offset, n uint64) (int, bool) {
	for i, s := range f.segments {
		if s.Type == SegmentLoad && s.Offset <= offset && n <= s.FileSize && offset-s.Offset <= s.FileSize-n {
			return i, true
		}
	}

	return 0, false
}

func (f file) tableBytes() uint64 { return uint64(len(f.segments)) * programBytes }

// hasPayload reports whether the file ends with bytes that belong to no segment and no section,
// like the data of self-extracting programs and zipped applications. It also returns true if the
// section headers are damaged, because then that is unknown.
func (f file) hasPayload() bool {
	end, ok := f.endOfSections()
	if !ok {
		return true
	}

	for _, s := range f.segments {
		if s.FileSize > 0 {
			end = max(end, s.Offset+s.FileSize)
		}
	}

	return slices.ContainsFunc(f.bytes[end:], func(c byte) bool { return c != 0 })
}

// endOfSections returns the end of the last section or of the section headers, 0 if there are none.
func (f file) endOfSections() (end uint64, ok bool) {
	sections, ok := f.sections()
	if len(sections) > 0 {
		end = u64(f.bytes, shoffAt) + uint64(len(sections))*sectionBytes
	}

	for _, s := range sections {
		if s.size > 0 {
			end = max(end, s.offset+s.size)
		}
	}

	return end, ok
}
