// Package binaries makes small programs and libraries for tests: what loaders and Layersmith look
// at, and no code.
package binaries

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// ELF describes a file for 64-bit Linux.
type ELF struct {
	Machine string // x86_64 or arm64
	Soname  string
	Needed  []string
	Interp  string // of a program
	Text    string // read-only data
	Symbols int    // bytes of a symbol table, in a section that is not loaded
	Section string // name of one more such section; "" for none
}

const headerBytes, programBytes, sectionBytes = 64, 56, 64

// Bytes returns the file.
func (e ELF) Bytes() []byte {
	strs := "\x00"
	at := func(s string) uint64 {
		strs += s + "\x00"
		return uint64(len(strs) - len(s) - 1)
	}

	var dynamic []uint64
	for _, n := range e.Needed {
		dynamic = append(dynamic, 1, at(n))
	}

	if e.Soname != "" {
		dynamic = append(dynamic, 14, at(e.Soname))
	}

	segments := 2
	if e.Interp != "" {
		segments = 3
	}

	table := uint64(headerBytes + segments*programBytes)
	size := uint64(len(dynamic)+6) * 8
	dynamic = append(dynamic, 5, table+size, 10, uint64(len(strs)), 0, 0)
	interp := table + size + uint64(len(strs))
	loaded := interp + uint64(len(e.Interp)) + 1 + uint64(len(e.Text))

	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	machine := map[string]uint16{"x86_64": 62, "arm64": 183}[e.Machine]
	sections := e.sections(loaded)
	shoff := uint64(0)
	if len(sections.headers) > 0 {
		shoff = loaded + uint64(len(sections.content))
	}

	put(&b, uint16(3), machine, uint32(1), uint64(0), uint64(headerBytes), shoff, uint32(0), uint16(headerBytes),
		uint16(programBytes), uint16(segments), uint16(sectionBytes), uint16(len(sections.headers)), uint16(0))
	segment(&b, 1, 0, loaded, 0x1000)
	segment(&b, 2, table, size, 8)
	if e.Interp != "" {
		segment(&b, 3, interp, uint64(len(e.Interp))+1, 1)
	}

	put(&b, dynamic)
	b.WriteString(strs + e.Interp + "\x00" + e.Text)
	b.Write(sections.content)
	for _, h := range sections.headers {
		put(&b, h.name, h.kind, uint64(0), uint64(0), h.offset, h.size, uint64(0), uint64(0), uint64(0))
	}

	return b.Bytes()
}

func segment(b *bytes.Buffer, kind uint32, offset, size, align uint64) {
	put(b, kind, uint32(4), offset, offset, offset, size, size, align)
}

func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err) // a type without a size
		}
	}
}

type section struct {
	name, kind   uint32
	offset, size uint64
}

type sections struct {
	content []byte
	headers []section
}

// sections returns what follows the loaded bytes.
func (e ELF) sections(from uint64) (s sections) {
	if e.Symbols == 0 && e.Section == "" {
		return s
	}

	names := "\x00.symtab\x00" + e.Section + "\x00.shstrtab\x00"
	s.content = slices.Concat(bytes.Repeat([]byte("s"), e.Symbols), []byte("archive"), []byte(names))
	s.headers = []section{
		{},
		{name: 1, kind: 2, offset: from, size: uint64(e.Symbols)},
		{name: 9, kind: 1, offset: from + uint64(e.Symbols), size: 7},
		{name: uint32(10 + len(e.Section)), kind: 3, offset: from + uint64(e.Symbols) + 7, size: uint64(len(names))},
	}
	if e.Section == "" { // what would be its content is one of symbols
		s.headers[2].kind = 2
	}

	return s
}

// Foreign returns the first bytes of a program of another system, and some filler. Kinds: i686,
// freebsd, macos, macos-universal, windows; and two that only look so: java (a class) and dotnet.
func Foreign(kind string) ([]byte, error) {
	pe := func(clr uint32) []byte {
		b := make([]byte, 0x400)
		copy(b, "MZ")
		b[0x3c] = 0x80
		copy(b[0x80:], "PE\x00\x00\x64\x86")
		copy(b[0x98:], "\x0b\x02")
		binary.LittleEndian.PutUint32(b[0x98+112+8*14:], clr)
		return b
	}

	switch kind {
	case "i686":
		return pad("\x7fELF\x01\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00\x03\x00"), nil
	case "freebsd":
		return pad("\x7fELF\x02\x01\x01\x09" + strings.Repeat("\x00", 8) + "\x02\x00\x3e\x00"), nil
	case "macos":
		return pad("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"), nil
	case "macos-universal":
		return pad("\xca\xfe\xba\xbe\x00\x00\x00\x02\x01\x00\x00\x07"), nil
	case "java":
		return pad("\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x1d\x0a\x00"), nil
	case "windows":
		return pe(0), nil
	case "dotnet":
		return pe(0x2008), nil
	}

	return nil, fmt.Errorf("unknown kind %q", kind)
}

func pad(head string) []byte { return append([]byte(head), make([]byte, 256)...) }
