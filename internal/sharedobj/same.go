package sharedobj

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// span is a range of bytes [from, to).
type span struct{ from, to uint64 }

// SameLoaded returns an error if loading the two files gives different processes. They must have
// the same headers, and for every segment the same address, size, flags and bytes. Only the header
// fields that Strip edits may differ, and both files must have those at the same addresses.
func SameLoaded(before, after []byte) error {
	if bytes.Equal(before, after) {
		return nil
	}

	a, err := parse(before)
	if err != nil {
		return fmt.Errorf("compare elf before: %w", err)
	}

	b, err := parse(after)
	if err != nil {
		return fmt.Errorf("compare elf after: %w", err)
	}

	if !bytes.Equal(before[:phoffAt], after[:phoffAt]) ||
		!bytes.Equal(before[shoffAt+8:shnumAt], after[shoffAt+8:shnumAt]) {
		return errors.New("compare elf: headers differ")
	}

	for i, s := range a.segments {
		s.Offset = b.segments[i].Offset // e_phnum is among the bytes compared above
		if s != b.segments[i] {
			return fmt.Errorf("compare elf: segment %d: type, flags, address, sizes or alignment differ", i)
		}
	}

	for i := range a.segments {
		if err := sameContent(a, b, i); err != nil {
			return fmt.Errorf("compare elf: segment %d: %w", i, err)
		}
	}

	return nil
}

// sameContent compares the bytes of segment i, except those that Strip may edit.
func sameContent(a, b file, i int) error {
	s := a.segments[i]
	editable := a.editable(s)
	if !slices.Equal(editable, b.editable(b.segments[i])) {
		return errors.New("header tables are at other addresses")
	}

	x := a.content(s)
	y := b.content(b.segments[i])
	end := span{s.FileSize, s.FileSize}
	var at uint64
	for _, e := range append(editable, end) {
		if e.from > at && !bytes.Equal(x[at:e.from], y[at:e.from]) {
			return fmt.Errorf("bytes differ between %#x and %#x", s.Vaddr+at, s.Vaddr+e.from)
		}

		at = max(at, e.to)
	}

	return nil
}

// editable lists the header fields that Strip may edit and that are in a segment, as ranges
// relative to the segment, in order.
func (f file) editable(s Segment) []span {
	all := []span{{phoffAt, shoffAt + 8}, {shnumAt, shstrndxAt + 2}}
	for i := range f.segments {
		at := f.phoff + uint64(i)*programBytes + pOffsetAt
		all = append(all, span{at, at + 8})
	}

	end := s.Offset + s.FileSize
	var inside []span
	for _, e := range all {
		if s.FileSize > 0 && e.to > s.Offset && e.from < end {
			inside = append(inside, span{max(e.from, s.Offset) - s.Offset, min(e.to, end) - s.Offset})
		}
	}

	return inside
}
