package sharedobj

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// process is the memory of a loaded file, by page.
type process map[uint64][]byte

// loadPages maps a file as glibc does: whole pages from the file, later segments over earlier ones,
// then zeros for .bss. Unlike SameLoaded it shows the effects of shared pages. It returns false if
// access to the memory would raise SIGBUS.
func loadPages(f file, page uint64) (process, bool) {
	mem := process{}
	for _, s := range f.segments {
		if s.Type != SegmentLoad {
			continue
		}

		start := s.Vaddr / page * page
		fileEnd := s.Vaddr + s.FileSize
		for at := start; at < (fileEnd+page-1)/page*page; at += page {
			from := s.Offset/page*page + at - start
			if from >= uint64(len(f.bytes)) {
				return nil, false
			}

			mem[at] = make([]byte, page)
			copy(mem[at], f.bytes[from:])
		}

		if s.MemSize == s.FileSize {
			continue // what follows in the page stays visible
		}

		if tail := fileEnd % page; tail != 0 {
			clear(mem[fileEnd-tail][tail:])
		}

		for at := (fileEnd + page - 1) / page * page; at < s.Vaddr+s.MemSize; at += page {
			mem[at] = make([]byte, page)
		}
	}

	return mem, true
}

// read returns what a program sees of a segment, without the fields that Strip may edit.
func (mem process) read(f file, s Segment, page uint64) []byte {
	b := make([]byte, 0, s.MemSize)
	for at := s.Vaddr; at < s.Vaddr+s.MemSize; {
		n := min(page-at%page, s.Vaddr+s.MemSize-at)
		b = append(b, mem[at/page*page][at%page:][:n]...)
		at += n
	}

	for _, e := range f.editable(s) {
		clear(b[e.from:e.to])
	}

	return b
}

// TestStrippedFilesLoadAlike loads files of random layout before and after.
func TestStrippedFilesLoadAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	changed := 0
	for range 3000 {
		align := []uint64{0x1000, 0x1000, 0x4000, 0x10000}[r.IntN(4)]
		im := randomImage(r, align)
		in := im.build()
		out, err := Strip(in)
		if err != nil {
			t.Fatal(err)
		}

		checkStripped(t, in, out)
		if len(out) == len(in) {
			continue
		}

		changed++
		for page := uint64(minPage); page <= align; page *= 4 {
			checkLoadsAlike(t, im, in, out, page)
		}
	}

	if changed < 1000 {
		t.Errorf("only %d files were stripped", changed)
	}
}

// randomImage has segments with random sizes and gaps, aligned as a linker would align them.
func randomImage(r *rand.Rand, align uint64) image {
	im := image{sections: r.IntN(2) == 0}
	offset := uint64(0)
	vaddr := align * r.Uint64N(3)
	for range 1 + r.IntN(5) {
		s := load(offset, vaddr, 0x400+r.Uint64N(0x3000), align)
		if r.IntN(3) == 0 {
			s = withBSS(s, r.Uint64N(0x3000))
		}

		im.segments = append(im.segments, s)
		if r.IntN(3) == 0 {
			im.segments = append(im.segments, other(4, offset+0x3f0, vaddr+0x3f0, 0x10))
		}

		offset += s.FileSize + r.Uint64N(3)*r.Uint64N(0x5000)
		vaddr = (s.Vaddr+s.MemSize)/0x1000*0x1000 + r.Uint64N(4)*0x1000
		vaddr += (offset - vaddr) % align
	}

	return im
}

// checkLoadsAlike compares the memory of two loaded files, with pages of a size.
func checkLoadsAlike(t *testing.T, im image, in, out []byte, page uint64) {
	t.Helper()
	before, err := parse(in)
	if err != nil {
		t.Fatal(err)
	}

	after, err := parse(out)
	if err != nil {
		t.Fatal(err)
	}

	x, okBefore := loadPages(before, page)
	y, okAfter := loadPages(after, page)
	if !okBefore || !okAfter {
		t.Fatalf("%+v: loads before: %v, after: %v", im.segments, okBefore, okAfter)
	}

	for i, s := range before.segments {
		if s.Type != SegmentLoad {
			continue
		}

		if !bytes.Equal(x.read(before, s, page), y.read(after, after.segments[i], page)) {
			t.Fatalf("%+v: segment %d reads differently with pages of %#x", im.segments, i, page)
		}
	}
}
