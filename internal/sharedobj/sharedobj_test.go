package sharedobj

import (
	"reflect"
	"slices"
	"testing"
)

func TestReadKnowsWhatALoaderKnows(t *testing.T) {
	im := library(dynamic(), verneed())
	im.segments = append(im.segments, other(SegmentInterp, 0x580, libraryBase+0x580, 8))
	im.extra[0x580] = []byte("/ld.so\x00\x00")
	want := Facts{
		Machine:  MachineX86_64,
		Type:     TypeDyn,
		Segments: im.segments,
		Needed:   []string{"libm.so.6", "libc.so.6"},
		Soname:   "libself.so.1",
		Rpath:    []string{"/old"},
		Runpath:  []string{"$ORIGIN/../x.libs", "/opt/lib"},
		VersionNeeds: []VersionNeed{
			{"libm.so.6", "GLIBC_2.28"}, {"libc.so.6", "GLIBC_2.2.5"}, {"libc.so.6", "GLIBC_2.28"},
		},
		Interp: "/ld.so",
	}
	got, err := Read(im.build())
	if err != nil {
		t.Fatal(err)
	}

	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReadFollowsLinksNotCounts(t *testing.T) {
	versions := verneed()
	copy(versions[2:], words(uint16(0xffff))) // vn_cnt of libm, which has one
	facts, err := Read(library(dynamic(), versions).build())
	if err != nil || len(facts.VersionNeeds) != 3 {
		t.Errorf("got %v, %v", facts.VersionNeeds, err)
	}
}

func TestReadOfAStrippedFileSaysSo(t *testing.T) {
	out, err := Strip(library(dynamic(), verneed()).build())
	if err != nil {
		t.Fatal(err)
	}

	if facts, err := Read(out); err != nil || !facts.StrippedOfSections {
		t.Errorf("stripped of sections: %v, error: %v", facts.StrippedOfSections, err)
	}
}

func TestIsGoesByTheMagicAlone(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want bool
	}{
		"the magic alone is enough":        {"\x7fELF", true},
		"a 32-bit file is one too":         {"\x7fELF\x01\x01", true},
		"less than the magic is not":       {"\x7fEL", false},
		"nothing is not":                   {"", false},
		"a script that mentions it is not": {"#!/bin/sh \x7fELF", false},
	} {
		if got := Is([]byte(c.in)); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// badFiles are refused by Read and Strip, with the text.
var badFiles = map[string]struct {
	in  []byte
	err string
}{
	"a text file":             {[]byte("hello"), `no ELF magic`},
	"nothing after the magic": {[]byte("\x7fELF"), `header: cut off at 4 bytes`},
	"a 32-bit file": {
		[]byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		`class 1, byte order 1: only ELF64 little-endian is supported`,
	},
	"a big-endian file": {
		[]byte("\x7fELF\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		`class 2, byte order 2: only ELF64 little-endian is supported`,
	},
	"a header that ends early": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000)}, cut: 63}.build(),
		`header: cut off at 63 bytes`,
	},
	"program headers that end early": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000)}, cut: 100}.build(),
		`program headers: 1 at 0x40, file has 0x64 bytes`,
	},
	"program headers beyond any offset": {
		image{
			segments: []Segment{load(0, 0, 0x200, 0x1000)},
			extra:    map[int][]byte{phoffAt: words(^uint64(0) - 8)},
		}.build(),
		`program headers: 1 at 0xfffffffffffffff7, file has 0x200 bytes`,
	},
	"program headers of another size": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000)}, extra: map[int][]byte{54: words(uint16(32))}}.build(),
		`program headers: 32 bytes each, want 56`,
	},
	"more program headers than a kernel takes": {
		image{
			segments: []Segment{load(0, 0, 0x200, 0x1000)},
			extra:    map[int][]byte{phnumAt: words(uint16(0xffff))},
		}.build(),
		`program headers: 65535, limit 1170`,
	},
	"a segment that ends beyond the file": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000)}, cut: 0x1ff}.build(),
		`segment 0: 0x200 bytes at 0x0, file has 0x1ff`,
	},
	"a segment whose end overflows": {
		image{
			segments: []Segment{load(0, 0, 0x200, 0x1000)},
			extra:    map[int][]byte{headerBytes + 32: words(^uint64(0))},
		}.build(),
		`segment 0: 0xffffffffffffffff bytes at 0x0, file has 0x200`,
	},
	"a segment larger than its memory": {
		image{
			segments: []Segment{load(0, 0, 0x200, 0x1000)},
			extra:    map[int][]byte{headerBytes + 40: words(uint64(0x1ff))},
		}.build(),
		`segment 0: 0x200 bytes do not fit its 0x1ff of memory at 0x0`,
	},
	"a segment that wraps around memory": {
		image{
			segments: []Segment{load(0, ^uint64(0xfff), 0x200, 0x1000)},
			extra:    map[int][]byte{headerBytes + 40: words(uint64(0x1001))},
		}.build(),
		`segment 0: 0x200 bytes do not fit its 0x1001 of memory at 0xfffffffffffff000`,
	},
	"an interpreter without an end": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000), other(SegmentInterp, 0x100, 0x100, 8)}}.build(),
		`segment 1: interpreter's name does not end within 4096 bytes`},
	"a dynamic table that is not loaded": {
		image{segments: []Segment{load(0, 0, 0x200, 0x1000), other(SegmentDynamic, 0x100, 0x900, 8)}}.build(),
		`dynamic table at 0x900: not loaded`},
	"a name beyond the string table": {
		library(dynamic(tagNeeded, 1<<40), verneed()).build(),
		`DT_NEEDED: name at 0x10000000000: string table has 0x59 bytes`,
	},
	"a name without an end": {
		library(dynamic(tagStrsz, uint64(len(libraryNames))), verneed()).build(), `DT_RPATH: name at 0x54: no end`},
	"a string table that is not loaded": {
		library(dynamic(tagStrtab, 0xdead0000), verneed()).build(),
		`DT_NEEDED: name at 0x1: string table has 0x0 bytes`,
	},
	"a string table larger than the file has none beyond it": {
		library(dynamic(tagStrsz, ^uint64(0), tagSoname, 1<<63), verneed()).build(),
		`DT_SONAME: name at 0x8000000000000000: string table has 0x400 bytes`,
	},
	"versions outside the loaded bytes": {
		library(dynamic(tagVerneed, libraryBase+librarySize-8), verneed()).build(),
		`DT_VERNEED: record outside the loaded bytes`,
	},
	"a version chain that leaves the loaded bytes": {
		library(dynamic(), words(uint16(1), uint16(1), uint32(1), uint32(0xffffffff), uint32(0))).build(),
		`DT_VERNEED: record outside the loaded bytes`,
	},
	"a library chain that leaves the loaded bytes": {
		library(dynamic(), words(uint16(1), uint16(0), uint32(1), uint32(0), uint32(0xffffffff))).build(),
		`DT_VERNEED: record outside the loaded bytes`,
	},
	"a version beyond the string table": {
		library(dynamic(), slices.Concat(
			words(uint16(1), uint16(1), uint32(1), uint32(16), uint32(0)), // the library's record
			words(uint32(0), uint32(0), uint32(0x60), uint32(0)),          // the version's
		)).build(),
		`DT_VERNEED: name at 0x60: string table has 0x59 bytes`,
	},
	"millions of versions in overlapping records": {
		overlappingVersions(),
		`DT_VERNEED: names: more than 1048576 bytes`,
	},
}

// overlappingVersions makes 4096 records look like eight million: each reads as a library whose
// versions are all that follow.
func overlappingVersions() []byte {
	im := library(dynamic(tagVerneed, libraryBase+0x1000), nil)
	im.segments[0] = load(0, libraryBase, 0x11000, 0x1000)
	im.segments[1] = load(0x12000, libraryBase+0x12000, 0x300, 0x1000)
	records := make([]byte, 0x10000)
	for i := range records {
		records[i] = [16]byte{1, 0, 0xff, 0xff, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0}[i%16]
	}

	im.extra[0x1000] = records
	records[len(records)-4] = 0 // the last one has no next
	return im.build()
}

func TestReadRefuses(t *testing.T) {
	for name, c := range badFiles {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(c.in); err == nil || err.Error() != "read elf: "+c.err {
				t.Errorf("read: got  %v\nwant %s", err, c.err)
			}

			if out, err := Strip(c.in); out != nil || err == nil || err.Error() != "strip elf: "+c.err {
				t.Errorf("strip: got %d bytes, %v", len(out), err)
			}
		})
	}
}

func TestMisalignments(t *testing.T) {
	for name, c := range map[string]struct {
		segments []Segment
		want     []string
	}{
		"offset and address agree modulo the alignment": {segments: []Segment{load(0x1f40, 0x5f40, 1, 0x1000)}},
		"an offset above its address is no problem":     {segments: []Segment{load(0x5000, 0x1000, 1, 0x1000)}},
		"0 and 1 mean no alignment":                     {segments: []Segment{load(3, 0, 1, 0), load(3, 0, 1, 1)}},
		"only loaded segments count":                    {segments: []Segment{other(7, 3, 0, 1)}},
		"one that differs is named by its index and offset": {
			segments: []Segment{
				load(0, 0, 1, 0x1000),
				load(0x1000, 0x1000, 1, 0x1000),
				load(0x1f40, 0x5f00, 1, 0x1000),
			},
			want: []string{"segment 2 at 0x1f40 is not aligned to 0x1000"},
		},
		"an alignment of 2 MiB, larger than a page": {
			segments: []Segment{load(0x1000, 0x200000, 1, 0x200000)},
			want:     []string{"segment 0 at 0x1000 is not aligned to 0x200000"},
		},
		"an alignment that is not a power of two": {
			segments: []Segment{load(0x30, 0x30, 1, 0x30)},
			want:     []string{"segment 0 at 0x30 has alignment 0x30, not a power of two"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range (Facts{Segments: c.segments}).Misalignments() {
				got = append(got, m.String())
			}

			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMachineIsNamedAsInWheelTags(t *testing.T) {
	for m, want := range map[Machine]string{
		MachineX86_64: "x86_64", MachineAArch64: "aarch64", 3: "i686", 247: "machine 247",
	} {
		if m.String() != want {
			t.Errorf("got %s, want %s", m, want)
		}
	}
}
