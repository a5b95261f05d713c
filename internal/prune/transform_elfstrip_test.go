package prune

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/layersmith/layersmith/internal/policy"
)

// sharedObject is a small ELF file: one loaded segment at an address, then a section that no loader
// reads.
func sharedObject(address uint64) []byte {
	const loaded, section, align = 0x200, 0x100, 0x1000
	b := make([]byte, loaded+section+2*64)
	for i := range b {
		b[i] = byte(i%250 + 1)
	}

	le := binary.LittleEndian
	clear(b[:64+56])
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_DYN))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64) // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	le.PutUint16(b[58:], 64)
	p := b[64:]
	le.PutUint32(p, uint32(elf.PT_LOAD))
	le.PutUint32(p[4:], uint32(elf.PF_R))
	le.PutUint64(p[16:], address) // the file offset is 0
	le.PutUint64(p[32:], loaded)
	le.PutUint64(p[40:], loaded)
	le.PutUint64(p[48:], align)
	le.PutUint64(b[40:], loaded+section) // section headers
	le.PutUint16(b[60:], 2)
	headers := b[loaded+section:]
	clear(headers)
	le.PutUint32(headers[64+4:], uint32(elf.SHT_SYMTAB))
	le.PutUint64(headers[64+24:], loaded)
	le.PutUint64(headers[64+32:], section)
	return b
}

func TestElfStripKeepsLoadedBytes(t *testing.T) {
	in := sharedObject(0)
	before := bytes.Clone(in)
	out, err := elfStrip.Rewrite("a.so", in, policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}

	if !bytes.Equal(in, before) {
		t.Error("the input was written to")
	}

	if len(out) != 0x200 {
		t.Errorf("%d bytes, want %d", len(out), 0x200)
	}

	if err := elfStrip.Verify("a.so", in, out); err != nil {
		t.Error(err)
	}

	again, err := elfStrip.Rewrite("a.so", out, policy.Policy{})
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("stripping twice: %d bytes, %v", len(again), err)
	}
}

func TestElfStripRefusesResultsThatDoNotLoad(t *testing.T) {
	in := sharedObject(0)
	other := bytes.Clone(in)
	other[0x1f0]++
	if err := elfStrip.Verify("a.so", in, other); err == nil {
		t.Error("a loaded byte differs, and the result was accepted")
	}

	if err := elfStrip.Verify("a.so", in, sharedObject(0x10)); err == nil {
		t.Error("a segment is misaligned, and the result was accepted")
	}

	if err := elfStrip.Verify("a.so", in, []byte("gone")); err == nil {
		t.Error("the result is not a shared object, and was accepted")
	}

	if _, err := elfStrip.Rewrite("a.so", in[:70], policy.Policy{}); err == nil {
		t.Error("half a file was stripped")
	}
}

// Linker scripts may have the extension .so too.
func TestElfStripLeavesOtherFilesAlone(t *testing.T) {
	in := []byte("INPUT(libgfortran.so.5)\n")
	out, err := elfStrip.Rewrite("a.so", in, policy.Policy{})
	if err != nil || !bytes.Equal(in, out) || elfStrip.Verify("a.so", in, out) != nil {
		t.Errorf("got %q, %v", out, err)
	}
}
