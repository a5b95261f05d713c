package sharedobj

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

const gnuStack, tls = 0x6474e551, 7

// stripCases are files that Strip changes, with the expected offsets and size.
var stripCases = map[string]struct {
	in      image
	offsets []uint64
	size    int
}{
	"a gap between two segments closes up to the alignment": {
		image{segments: []Segment{load(0, 0, 0x1234, 0x1000), load(0x5e00, 0x8e00, 0x300, 0x1000)}, sections: true},
		[]uint64{0, 0x1e00}, 0x2100},
	"a gap that cannot close is zeroed": {
		image{segments: []Segment{load(0, 0, 0x1234, 0x1000), load(0x2000, 0x2000, 0x300, 0x1000)}, sections: true},
		[]uint64{0, 0x2000}, 0x2300},
	"2 MiB of alignment move by 2 MiB only": {
		image{segments: []Segment{load(0, 0, 0x1000, 0x200000), load(0x600100, 0xa00100, 0x200, 0x200000)}},
		[]uint64{0, 0x200100}, 0x200300},
	"a 64 KiB alignment stays valid where pages have 64 KiB": {
		image{segments: []Segment{load(0, 0, 0x1000, 0x10000), load(0x3fe00, 0x5fe00, 0x200, 0x10000)}},
		[]uint64{0, 0xfe00}, 0x10000},
	"each segment moves by its own alignment": {
		image{segments: []Segment{load(0, 0, 0x1000, 0x200000), load(0x5000, 0x205000, 0x200, 0x1000)}},
		[]uint64{0, 0x1000}, 0x1200},
	"without an alignment a move keeps to pages": {
		image{segments: []Segment{load(0, 0, 0x200, 0), load(0x5010, 0x8010, 0x200, 1)}},
		[]uint64{0, 0x1010}, 0x1210},
	"segments that share a page of the file keep sharing it": {
		image{
			segments: []Segment{
				load(0, 0, 0x1800, 0x1000),
				load(0x5800, 0x8800, 0x100, 0x1000),
				load(0x5900, 0xa900, 0x100, 0x1000),
			},
		},
		[]uint64{0, 0x1800, 0x1900},
		0x1a00,
	},
	"segments inside a moved one move along, an empty one stays": {
		image{segments: []Segment{
			load(0, 0, 0x1000, 0x1000), withBSS(load(0x5e00, 0x8e00, 0x200, 0x1000), 0x3000),
			other(4, 0x5e80, 0x8e80, 0x20), withBSS(other(tls, 0x6000, 0x9000, 0), 0x40), other(gnuStack, 0, 0, 0)}},
		[]uint64{0, 0x1e00, 0x1e80, 0x2000, 0}, 0x2000},
	"the program headers move with their segment, as patchelf leaves them": {
		image{
			phoff: 0x7000,
			segments: []Segment{
				load(0, 0, 0x1000, 0x1000),
				load(0x7000, 0x9000, 0x400, 0x1000),
				other(6, 0x7000, 0x9000, 3*programBytes),
			},
		},
		[]uint64{0, 0x1000, 0x1000},
		0x1400,
	},
	"a segment that is all .bss keeps its alignment": {
		image{
			segments: []Segment{
				load(0, 0, 0x1000, 0x1000),
				withBSS(load(0x5000, 0x8000, 0, 0x1000), 0x1000),
				load(0x9000, 0xa000, 0x10, 0x1000),
			},
		},
		[]uint64{0, 0x1000, 0x1000},
		0x1010,
	},
	"a program is treated like a library": {
		image{
			typ:      TypeExec,
			segments: []Segment{load(0, 0x400000, 0x1000, 0x1000), load(0x5000, 0x408000, 0x10, 0x1000)},
		},
		[]uint64{0, 0x1000},
		0x1010,
	},
	"zeros at the end are no payload": {
		image{segments: []Segment{load(0, 0, 0x1000, 0x1000)}, sections: true, tail: make([]byte, 50)},
		[]uint64{0}, 0x1000},
	"a library with tables": {library(dynamic(), verneed()), []uint64{0, 0xe00, dynamicAt}, 0x1100},
}

func TestStrip(t *testing.T) {
	for name, c := range stripCases {
		t.Run(name, func(t *testing.T) {
			in := c.in.build()
			original := bytes.Clone(in)
			out, err := Strip(in)
			if err != nil {
				t.Fatal(err)
			}

			if !bytes.Equal(in, original) {
				t.Error("the input was written to")
			}

			facts, err := Read(out)
			if err != nil {
				t.Fatal(err)
			}

			var offsets []uint64
			for _, s := range facts.Segments {
				offsets = append(offsets, s.Offset)
			}

			if !slices.Equal(offsets, c.offsets) || len(out) != c.size {
				t.Errorf("got %#x, size %#x, want %#x, size %#x", offsets, len(out), c.offsets, c.size)
			}

			if bytes.Contains(out, []byte{0xee, 0xee}) {
				t.Error("bytes that are not loaded remain")
			}

			if !facts.StrippedOfSections || u16(out, shnumAt) != 0 || u16(out, shstrndxAt) != 0 {
				t.Error("section headers remain")
			}

			checkStripped(t, in, out)
		})
	}
}

// checkStripped checks properties that hold for every readable file.
func checkStripped(t *testing.T, in, out []byte) {
	t.Helper()
	if len(out) > len(in) {
		t.Errorf("grew from %d to %d bytes", len(in), len(out))
	}

	if err := SameLoaded(in, out); err != nil {
		t.Error(err)
	}

	before, err := Read(in)
	if err != nil {
		t.Fatal(err)
	}

	after, err := Read(out)
	if err != nil {
		t.Fatal(err)
	}

	if len(after.Misalignments()) > len(before.Misalignments()) {
		t.Errorf("misaligned: %v", after.Misalignments())
	}

	before.Segments = nil
	after.Segments = nil // SameLoaded has compared them
	before.StrippedOfSections = true
	after.StrippedOfSections = true
	if !reflect.DeepEqual(before, after) {
		t.Errorf("facts after  %+v\nfacts before %+v", after, before)
	}

	again, err := Strip(out)
	if err != nil {
		t.Fatal(err)
	}

	if !bytes.Equal(again, out) {
		t.Errorf("a second time changes %d bytes to %d", len(out), len(again))
	}
}

// keptCases are files that Strip returns unchanged although they would get smaller.
var keptCases = map[string]image{
	"an object file, whose sections are all it has": {typ: 1, sections: true, tail: []byte{1}},
	"a core dump": {typ: 4, segments: []Segment{load(0, 0, 0x1000, 0x1000)}, sections: true},
	"misaligned as shipped": {
		segments: []Segment{load(0, 0, 0x1000, 0x1000), load(0x5e00, 0x8000, 0x300, 0x1000)}, sections: true},
	"segments that overlap in the file": {
		segments: []Segment{
			load(0, 0, 0x1800, 0x1000),
			load(0x1000, 0x8000, 0x1000, 0x1000),
			load(0x9000, 0xa000, 0x10, 0x1000),
		},
		sections: true,
	},
	"program headers that overlap the header": {
		phoff:    62,
		segments: []Segment{load(0, 0, 0x1000, 0x1000)},
		sections: true,
	},
	"segments that share a page of memory": {
		segments: []Segment{load(0, 0, 0x1100, 0x1000), load(0x5200, 0x1200, 0x100, 0x1000)}, sections: true},
	"segments that share a page of memory where pages have 64 KiB": {
		segments: []Segment{load(0, 0, 0x1100, 0x10000), load(0x45000, 0x5000, 0x100, 0x10000)}, sections: true},
	"segments out of order in memory": {
		segments: []Segment{load(0, 0x8000, 0x1000, 0x1000), load(0x5000, 0, 0x1000, 0x1000)}, sections: true},
	"segments out of order in the file": {
		segments: []Segment{
			load(0, 0, 0x1000, 0x1000),
			load(0x8000, 0x4000, 0x1000, 0x1000),
			load(0x5000, 0x6000, 0x1000, 0x1000),
		},
		sections: true,
	},
	"a header that is not loaded": {segments: []Segment{load(0x1000, 0x1000, 0x1000, 0x1000)}, sections: true},
	"program headers that are not loaded": {
		phoff:    0x2000,
		segments: []Segment{load(0, 0, 0x1000, 0x1000), load(0x5000, 0x5000, 0x1000, 0x1000)},
		sections: true,
	},
	"program headers of a program in a later segment": {
		typ:      TypeExec,
		phoff:    0x5000,
		segments: []Segment{load(0, 0, 0x1000, 0x1000), load(0x5000, 0x8000, 0x1000, 0x1000)},
		sections: true,
	},
	"a note that is not loaded": {
		segments: []Segment{load(0, 0, 0x1000, 0x1000), other(4, 0x1800, 0, 0x20)}, sections: true},
	"a note whose address is elsewhere": {
		segments: []Segment{load(0, 0, 0x1000, 0x1000), other(4, 0x800, 0x900, 0x20)}, sections: true},
	"a .bss that begins inside a page of its own": {
		segments: []Segment{
			load(0, 0, 0x1000, 0x1000),
			withBSS(load(0x2010, 0x8010, 0, 0x1000), 0x10),
		},
		sections: true,
	},
	"a payload after the sections": {
		segments: []Segment{load(0, 0, 0x1000, 0x1000)},
		sections: true,
		tail:     []byte("PK\x03\x04"),
	},
	"a payload where no sections are": {segments: []Segment{load(0, 0, 0x1000, 0x1000)}, tail: []byte("PK\x03\x04")},
	"section headers beyond the file": {
		segments: []Segment{load(0, 0, 0x1000, 0x1000)},
		tail:     make([]byte, 50),
		extra:    map[int][]byte{shoffAt: words(^uint64(0)), shnumAt: words(uint16(9))},
	},
}

func TestStripLeavesAlone(t *testing.T) {
	for name, im := range keptCases {
		t.Run(name, func(t *testing.T) {
			in := im.build()
			out, err := Strip(in)
			if err != nil {
				t.Fatal(err)
			}

			if !bytes.Equal(in, out) {
				t.Errorf("changed %d bytes to %d", len(in), len(out))
			}
		})
	}
}

func TestSameLoadedNotices(t *testing.T) {
	before := library(dynamic(), verneed()).build()
	for name, c := range map[string]struct {
		at  int
		to  []byte
		err string
	}{
		"another entry point": {24, words(uint64(1)), "compare elf: headers differ"},
		"another machine":     {18, words(uint16(MachineAArch64)), "compare elf: headers differ"},
		"one header fewer":    {phnumAt, words(uint16(2)), "compare elf: headers differ"},
		"a byte of code": {
			0x5ff,
			[]byte{0},
			"compare elf: segment 0: bytes differ between 0x100c0 and 0x10600",
		},
		"a byte of data": {
			0xe80,
			[]byte{0},
			"compare elf: segment 1: bytes differ between 0x18e00 and 0x19100",
		},
		"a physical address": {
			headerBytes + 24,
			words(uint64(1)),
			"compare elf: segment 0: bytes differ between 0x10050 and 0x10080",
		},
		"a segment read elsewhere": {
			headerBytes + 2*programBytes + pOffsetAt,
			words(uint64(dynamicAt + 8)),
			"compare elf: segment 2: bytes differ between 0x10400 and 0x10490",
		},
		"another address": {headerBytes + programBytes + 16, words(uint64(0x28e00)),
			"compare elf: segment 1: type, flags, address, sizes or alignment differ"},
		"no ELF at all": {0, []byte("PK"), "compare elf after: no ELF magic"},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := Strip(before)
			if err != nil {
				t.Fatal(err)
			}

			copy(after[c.at:], c.to)
			if err := SameLoaded(before, after); err == nil || err.Error() != c.err {
				t.Errorf("got  %v\nwant %s", err, c.err)
			}
		})
	}

	t.Run("program headers at another address", func(t *testing.T) {
		after := bytes.Clone(before)
		copy(after[0x140:], after[headerBytes:headerBytes+3*programBytes])
		copy(after[phoffAt:], words(uint64(0x140)))
		want := "compare elf: segment 0: header tables are at other addresses"
		if err := SameLoaded(before, after); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

// Files are mostly filler, which is not worth fuzzing. The fuzzer gets both ends and the size.
const headBytes, tailBytes, maxFuzzed = 0x600, 0x480, 1 << 17

func seed(f *testing.F) {
	add := func(b []byte) {
		head := min(len(b), headBytes)
		tail := max(head, len(b)-tailBytes)
		f.Add(b[:head], uint32(tail-head), b[tail:])
	}
	for _, c := range stripCases {
		if b := c.in.build(); len(b) < maxFuzzed {
			add(b)
		}
	}

	for _, im := range keptCases {
		add(im.build())
	}

	for _, c := range badFiles {
		add(c.in)
	}
}

func fuzzed(head []byte, filler uint32, tail []byte) []byte {
	b := bytes.Clone(head)
	for i := range filler % maxFuzzed {
		b = append(b, byte(i%251+1))
	}

	return append(b, tail...)
}

func FuzzRead(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, head []byte, filler uint32, tail []byte) {
		b := fuzzed(head, filler, tail)
		facts, err := Read(b)
		if err == nil && !Is(b) {
			t.Error("read a file that is not ELF")
		}

		names := len(facts.Soname) + len(facts.Interp)
		for _, list := range [][]string{facts.Needed, facts.Rpath, facts.Runpath} {
			for _, name := range list {
				names += len(name)
			}
		}

		if names+recordBytes*len(facts.VersionNeeds) > maxNameBytes+maxInterp {
			t.Errorf("%d bytes of names, %d versions", names, len(facts.VersionNeeds))
		}

		for _, m := range facts.Misalignments() {
			_ = m.String()
		}

		if err := SameLoaded(b, b); err != nil {
			t.Error(err)
		}
	})
}

func FuzzStrip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, head []byte, filler uint32, tail []byte) {
		b := fuzzed(head, filler, tail)
		original := bytes.Clone(b)
		out, err := Strip(b)
		if !bytes.Equal(b, original) {
			t.Error("the input was written to")
		}

		if err != nil {
			if _, readable := Read(b); readable == nil {
				t.Errorf("readable, but: %v", err)
			}

			return
		}

		checkStripped(t, b, out)
		_ = SameLoaded(out, append(b, 0)) // must not panic on unrelated files
	})
}
