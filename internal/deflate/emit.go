package deflate

import "encoding/binary"

// bitWriter appends bits to buf, lowest first.
type bitWriter struct {
	buf  []byte
	bits uint64
	n    uint // pending bits, below 32 between calls
}

// write appends the low n bits of v; n is at most 32 and the higher bits of v are zero.
func (w *bitWriter) write(v uint32, n uint) {
	w.bits |= uint64(v) << w.n
	w.n += n
	if w.n >= 32 {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(w.bits))
		w.bits >>= 32
		w.n -= 32
	}
}

// align pads the last byte with zero bits.
func (w *bitWriter) align() {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.buf = append(w.buf, byte(w.bits))
		w.bits >>= 8
	}
}

func lastBit(last bool) uint32 {
	if last {
		return 1
	}

	return 0
}

// storedHeaderBits is the size of a stored block without its bytes: kind, padding and length.
const storedHeaderBits = 40

// storedBlocks returns the number of stored blocks for n bytes.
func storedBlocks(n int) int { return (n + maxStored - 1) / maxStored }

// emit writes the parsed block src[from:to] as its smallest kind. e.code is the code for it, and
// codedBits the size with this code.
func (e *encoder) emit(from, to, codedBits int, last bool) {
	fixedBits := 3 + itemBits(&e.code.hist, &fixedLit, &fixedDist)

	waiting := e.stored.to - e.stored.from
	newHeaders := storedBlocks(waiting+to-from) - storedBlocks(waiting)
	storedBits := 8*(to-from) + storedHeaderBits*newHeaders
	if !last {
		// After a coded block, stored bytes need a new header and up to 7 bits of padding. A coded
		// block must save this too, so that no mix of kinds is larger than stored blocks alone.
		storedBits -= storedHeaderBits + 7
	}

	if storedBits <= min(codedBits, fixedBits) {
		if e.stored.from == e.stored.to {
			e.stored.from = from
		}

		e.stored.to = to
		return
	}

	e.flushStored(false)
	if fixedBits <= codedBits {
		e.out.write(lastBit(last)|1<<1, 3)
		e.emitItems(from, to, &fixedLit, &fixedDist)
	} else {
		e.out.write(lastBit(last)|2<<1, 3)
		e.emitHeader()
		e.emitItems(from, to, &e.code.lit, &e.code.dist)
	}
}

// emitHeader writes the code lengths of a block of kind 2.
func (e *encoder) emitHeader() {
	c := &e.code
	e.out.write(uint32(c.nlit-257), 5)
	e.out.write(uint32(c.ndist-1), 5)
	e.out.write(uint32(c.nclen-4), 4)
	for _, s := range clenOrder[:c.nclen] {
		e.out.write(uint32(c.clen[s]), 3)
	}

	var words [numClenSyms]uint16
	codewords(words[:], c.clen[:])
	for _, r := range c.runs {
		e.out.write(uint32(words[r.sym]), uint(c.clen[r.sym]))
		if x := runExtra[r.sym]; x.bits > 0 {
			e.out.write(uint32(r.n-x.base), uint(x.bits))
		}
	}
}

// emitItems writes the items and the end mark.
func (e *encoder) emitItems(from, to int, lit, dist *[288]uint8) {
	p := &e.parser
	var litWords, distWords [288]uint16
	codewords(litWords[:], lit[:])
	codewords(distWords[:], dist[:])
	for i := from; i < to; {
		m := p.kept[i-p.base]
		n := m.length()
		if n == 1 {
			b := e.src[i]
			e.out.write(uint32(litWords[b]), uint(lit[b]))
			i++
			continue
		}

		s := lengthSlot[n]
		sym := endMark + 1 + int(s)
		bits := uint(lit[sym])
		e.out.write(uint32(litWords[sym])|uint32(n-int(lengthBase[s]))<<bits, bits+uint(lengthExtra[s]))
		d := m.slot()
		bits = uint(dist[d])
		e.out.write(uint32(distWords[d])|(m.dist()-distBase(d))<<bits, bits+uint(distExtra(d)))
		i += n
	}

	e.out.write(uint32(litWords[endMark]), uint(lit[endMark]))
}

// flushStored writes the bytes in e.stored as stored blocks.
func (e *encoder) flushStored(last bool) {
	for s := &e.stored; s.from < s.to; {
		n := min(s.to-s.from, maxStored)
		e.out.write(lastBit(last && s.from+n == s.to), 3)
		e.out.align()
		e.out.write(uint32(n)|uint32(^uint16(n))<<16, 32)
		e.out.buf = append(e.out.buf, e.src[s.from:s.from+n]...)
		s.from += n
	}

	e.stored = span{}
}
