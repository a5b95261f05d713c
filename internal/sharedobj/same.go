package sharedobj

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// span is a range of bytes, from and to.
type span struct{ from, to uint64 }

// SameLoaded returns nil when loading either file gives the same process: the same headers, and for
// every segment the same address, size, rights and bytes. Only the fields that Strip edits may
// differ, and only where both files have them at the same address.
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

	for i, s := range a.segments {
		t := b.segments[i]
		editable := a.editable(s)
		if !slices.Equal(editable, b.editable(t)) {
			return fmt.Errorf("compare elf: segment %d: header tables are at other addresses", i)
		}

		x := a.content(s)
		y := b.content(t)
		var at uint64
		for _, e := range append(editable, span{s.FileSize, s.FileSize}) {
			if e.from > at && !bytes.Equal(x[at:e.from], y[at:e.from]) {
				return fmt.Errorf(
					"compare elf: segment %d: bytes differ between %#x and %#x",
					i,
					s.Vaddr+at,
					s.Vaddr+e.from,
				)
			}

			at = max(at, e.to)
		}
	}

	return nil
}

// editable lists the fields of the headers that Strip may edit, as positions in a segment, in
// order.
func (f file) editable(s Segment) []span {
	all := []span{{phoffAt, shoffAt + 8}, {shnumAt, shstrndxAt + 2}}
	for i := range f.segments {
		at := f.phoff + uint64(i)*programBytes + pOffsetAt
		all = append(all, span{at, at + 8})
	}

	var inside []span
	for _, e := range all {
		if s.FileSize > 0 && e.to > s.Offset && e.from < s.Offset+s.FileSize {
			inside = append(inside, span{max(e.from, s.Offset) - s.Offset, min(e.to, s.Offset+s.FileSize) - s.Offset})
		}
	}

	return inside
}
