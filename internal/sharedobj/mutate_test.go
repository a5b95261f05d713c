package sharedobj

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// field is a number in a file that may be wrong.
type field struct {
	name  string
	at    int
	bytes int
}

// fieldsOf are all fields of the header, of every program header and of every entry of the dynamic
// table and the version records, by the ELF gABI.
func fieldsOf(im image) (all []field) {
	add := func(prefix string, at int, names string, sizes ...int) {
		for i, n := range strings.Fields(names) {
			all = append(all, field{prefix + n, at, sizes[i]})
			at += sizes[i]
		}
	}
	for i := range 16 {
		all = append(all, field{fmt.Sprintf("e_ident[%d]", i), i, 1})
	}

	add("", 16, "e_type e_machine e_version e_entry e_phoff e_shoff e_flags", 2, 2, 4, 8, 8, 8, 4)
	add("", 52, "e_ehsize e_phentsize e_phnum e_shentsize e_shnum e_shstrndx", 2, 2, 2, 2, 2, 2)
	for i := range im.segments {
		at := headerBytes + i*programBytes
		names := "p_type p_flags p_offset p_vaddr p_paddr p_filesz p_memsz p_align"
		add(fmt.Sprintf("segment %d ", i), at, names, 4, 4, 8, 8, 8, 8, 8, 8)
	}

	for i := range len(im.extra[dynamicAt]) / 16 {
		add(fmt.Sprintf("dynamic %d ", i), dynamicAt+i*16, "d_tag d_val", 8, 8)
	}

	for i := range len(im.extra[verneedAt]) / 4 {
		all = append(all, field{fmt.Sprintf("verneed word %d", i), verneedAt + i*4, 4})
	}

	return all
}

// wrong are values that break readers: 0, 1, ends of ranges, and values that overflow when
// something is added.
var wrong = []uint64{
	0, 1, 2, 3, 7, 0x10, 0x38, 0x40, 0xff, 0x1000, 0x7fff, 0x8000, 0xffff, 0x10000,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32,
	1<<63 - 1, 1 << 63, 1<<64 - 0x1000, 1<<64 - 1,
}

// TestEveryFieldMayLie sets each field in turn to each wrong value. The file is read or refused
// with a text. If it is stripped, it loads as before. The input is never modified, and nothing
// panics.
func TestEveryFieldMayLie(t *testing.T) {
	t.Parallel()
	im := library(dynamic(), verneed())
	whole := im.build()
	fields := fieldsOf(im)
	refused := 0
	read := 0
	for _, f := range fields {
		for _, v := range wrong {
			b := bytes.Clone(whole)
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], v)
			copy(b[f.at:f.at+f.bytes], word[:])
			input := bytes.Clone(b)
			name := fmt.Sprintf("%s = %#x", f.name, v)
			facts, err := Read(b)
			if err != nil {
				refused++
				if err.Error() == "" {
					t.Errorf("%s: refused without a text", name)
				}
			} else {
				read++
				for _, m := range facts.Misalignments() {
					if m.String() == "" {
						t.Errorf("%s: a misalignment without a text", name)
					}
				}
			}

			out, stripErr := Strip(b)
			if (err == nil) && stripErr != nil {
				t.Errorf("%s: readable, but: %v", name, stripErr)
			}

			if stripErr == nil {
				if err := SameLoaded(b, out); err != nil {
					t.Errorf("%s: stripped: %v", name, err)
				}

				if len(out) > len(b) {
					t.Errorf("%s: stripped to %d bytes of %d", name, len(out), len(b))
				}
			}

			if !bytes.Equal(b, input) {
				t.Fatalf("%s: the input was written to", name)
			}
		}
	}

	if refused < 100 || read < 100 {
		t.Errorf("%d refused, %d read of %d fields: too few cases", refused, read, len(fields))
	}

	t.Logf("%d fields, %d values each: %d refused, %d read", len(fields), len(wrong), refused, read)
}

// TestEveryLengthMayBeCut cuts the file after every byte.
func TestEveryLengthMayBeCut(t *testing.T) {
	t.Parallel()
	whole := library(dynamic(), verneed()).build()
	for n := range whole {
		b := whole[:n:n]
		if _, err := Read(b); err == nil && n < 0x5e00+0x300 {
			t.Fatalf("read after %d of %d bytes, in the middle of a segment", n, len(whole))
		}

		if out, err := Strip(b); err == nil {
			if err := SameLoaded(b, out); err != nil {
				t.Fatalf("cut after %d bytes, and stripped: %v", n, err)
			}
		}
	}
}
