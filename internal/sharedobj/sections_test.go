package sharedobj

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// withSection adds a section named and typed so after a file's loaded bytes, with 16 bytes.
func withSection(name string, kind uint32, flags uint64) []byte {
	b := image{segments: []Segment{load(0, 0, 0x1000, 0x1000)}}.build()
	at := uint64(len(b))
	names := "\x00" + name + "\x00.shstrtab\x00"
	b = append(append(b, bytes.Repeat([]byte{0xee}, 16)...), names...)
	shoff := uint64(len(b))
	add := func(nameAt int, kind uint32, flags, offset, size uint64) {
		h := make([]byte, sectionBytes)
		binary.LittleEndian.PutUint32(h, uint32(nameAt))
		binary.LittleEndian.PutUint32(h[4:], kind)
		binary.LittleEndian.PutUint64(h[8:], flags)
		binary.LittleEndian.PutUint64(h[24:], offset)
		binary.LittleEndian.PutUint64(h[32:], size)
		b = append(b, h...)
	}
	add(0, 0, 0, 0, 0)
	add(1, kind, flags, at, 16)
	add(len(name)+2, 3, 0, at+16, uint64(len(names)))
	binary.LittleEndian.PutUint64(b[shoffAt:], shoff)
	binary.LittleEndian.PutUint16(b[shnumAt:], 3)
	binary.LittleEndian.PutUint16(b[shstrndxAt:], 2)
	return b
}

func TestStripKeepsDataOfPrograms(t *testing.T) {
	t.Parallel()
	const progbits, note, alloc = sectionProgbits, sectionNote, 2
	for sentence, tt := range map[string]struct {
		in      []byte
		smaller bool
	}{
		"debug data":                       {withSection(".debug_info", progbits, 0), true},
		"compressed debug data":            {withSection(".zdebug_line", progbits, 0), true},
		"the compiler's name":              {withSection(".comment", progbits, 0), true},
		"probes of SystemTap":              {withSection(".note.stapsdt", note, 0), true},
		"symbols":                          {withSection(".symtab", 2, 0), true},
		"symbols under another name":       {withSection(".own", 2, 0), true},
		"the archive of PyInstaller":       {withSection("pydata", progbits, 0), false},
		"a note of an application":         {withSection("node_sea", note, 0), false},
		"a kind that an application chose": {withSection(".own", 0x80000001, 0), false},
		"nothing to load from it, in name": {withSection("pydata", sectionNobits, 0), true},
		"loaded, whatever its name":        {withSection("pydata", progbits, alloc), true},
		"packed by UPX":                    {packed(), false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			out, err := Strip(tt.in)
			if err != nil {
				t.Fatal(err)
			}

			if smaller := len(out) < len(tt.in); smaller != tt.smaller {
				t.Errorf("%d bytes of %d", len(out), len(tt.in))
			}
		})
	}
}

func packed() []byte {
	b := withSection(".symtab", 2, 0)
	copy(b[0x200:], "UPX!")
	return b
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	elf := func(class, order, system, kind, machine byte) []byte {
		b := append([]byte("\x7fELF"), class, order, 1, system)
		b = append(b, make([]byte, 56)...)
		b[typeAt], b[machineAt] = kind, machine
		if order == 2 {
			b[typeAt], b[typeAt+1], b[machineAt], b[machineAt+1] = 0, kind, 0, machine
		}

		return b
	}
	for sentence, tt := range map[string]struct {
		head           []byte
		runs, loadable bool
	}{
		"a library for Lambda":       {elf(2, 1, 0, 3, 62), true, true},
		"a program for Lambda":       {elf(2, 1, 3, 2, 62), true, true},
		"of 32 bits":                 {elf(1, 1, 0, 3, 3), false, true},
		"x86_64 with 32-bit numbers": {elf(1, 1, 0, 3, 62), false, true},
		"for another processor":      {elf(2, 1, 0, 3, 183), false, true},
		"big-endian":                 {elf(2, 2, 0, 3, 21), false, true},
		"for FreeBSD":                {elf(2, 1, 9, 2, 62), false, true},
		"an object file":             {elf(2, 1, 0, 1, 62), false, false},
		"for CUDA":                   {elf(2, 1, 51, 2, 190), false, false},
		"for AMD's accelerators":     {elf(2, 1, 64, 3, 224), false, false},
		"for BPF":                    {elf(2, 1, 0, 1, 247), false, false},
	} {
		p, ok := Identify(tt.head)
		if !ok || p.RunsOn(MachineX86_64) != tt.runs || p.Loadable() != tt.loadable {
			t.Errorf("%s: %+v, %v", sentence, p, ok)
		}
	}

	for n := range 64 {
		Identify(elf(2, 1, 0, 3, 62)[:n]) // must not panic
		Identify([]byte("MZ" + string(make([]byte, n))))
		Identify([]byte("\xca\xfe\xba\xbe" + string(make([]byte, n))))
	}

	if p, ok := Identify(append([]byte("MZqFpD='\n\x00"), make([]byte, 300)...)); ok {
		t.Errorf("a program of Cosmopolitan Libc is %+v", p)
	}
}
