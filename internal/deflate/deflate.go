// Package deflate writes raw DEFLATE streams (RFC 1951). A stream is made once and stored under the
// digest of its content, so the encoder spends time to save bytes. The output depends only on the
// input, the level and Version, never on the machine.
//
// The rules of the format, with their numbers:
//   - A stream is a sequence of blocks. A block begins with one bit "last" and two bits of kind: 0
//     stored, 1 fixed codes, 2 own codes. A stored block is aligned to a byte and has at most
//     65,535 bytes after 4 bytes of length.
//   - The items of a block are literals (symbols 0-255), matches and one end mark (256). A match
//     copies 3 to 258 bytes from 1 to 32,768 bytes back, also from an earlier block. Its length is
//     a symbol 257-285 with 0 to 5 extra bits, its distance one of 30 slots with 0 to 13 extra
//     bits. Length 258 has its own symbol without extra bits.
//   - Codes are canonical Huffman codes of at most 15 bits. A block of kind 2 begins with their
//     lengths, coded as runs: 0-15 is a length, 16 repeats the last one 3-6 times, 17 and 18 are
//     3-10 and 11-138 zeros. The code of these 19 symbols has at most 7 bits.
//
// The algorithm, for each piece of the input: find all useful matches once; take the longest ones
// as a first parse; cut the parse into blocks where the sum of the estimated block sizes is
// smallest; parse each block again as a shortest path, with prices from its own statistics; write
// it. Prices and entropies are integers.
package deflate

import (
	"math"
	"runtime"
	"sync"
)

// Version must change when the output changes for any input.
const Version = "2"

// Level is a trade-off between time and size.
type Level int

const (
	Fast Level = iota // for interactive builds
	Best              // for artifacts that are kept
)

const (
	maxStored  = 65535
	maxPiece   = 4 * maxStored // bytes parsed together; the longest block
	maxMatches = 6 * maxPiece  // matches kept for a piece, which ends early at this number
	maxSegment = 4 << 20       // bytes encoded independently; no match crosses a segment's end
)

// minGain ends the passes over a block when the last pass saved less than 1/minGain of its size.
const minGain = 8000

// effort holds the parameters of a level.
type effort struct {
	depth  int // nodes visited for one position
	nice   int // a match of this length ends the search
	take   int // a match of this length is taken at once
	seeds  int // parses of a piece with prices before it is cut
	passes int // parses of a block with its own prices
	units  int // units of a piece, at whose ends it may be cut
}

var efforts = [...]effort{
	Fast: {depth: 8, nice: 128, take: 64, seeds: 0, passes: 1, units: 32},
	Best: {depth: 100, nice: 258, take: 258, seeds: 1, passes: 8, units: 160},
}

type encoder struct {
	effort
	finder finder
	parser parser
	cutter cutter
	code   blockCode
	trial  blockCode
	out    bitWriter
	src    []byte
	stored span // bytes to be written as stored blocks
}

type span struct{ from, to int }

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// Encode appends the raw DEFLATE stream of src to dst.
func Encode(dst, src []byte, level Level) []byte {
	if len(src) > maxSegment {
		return encodeSegments(dst, src, level)
	}

	return encode(dst, src, level, true)
}

func encode(dst, src []byte, level Level, last bool) []byte {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.effort = efforts[level]
	e.out = bitWriter{buf: dst}

	if len(src) > 0 {
		e.segment(src, last)
	} else {
		e.out.write(0b011, 3) // last, fixed codes
		e.out.write(0, 7)     // end mark
	}

	if !last {
		e.out.write(0, 3) // an empty stored block ends at a byte, so that the next segment can be appended
		e.out.align()
		e.out.buf = append(e.out.buf, 0, 0, 0xff, 0xff)
	}

	e.out.align()
	dst = e.out.buf

	// The pool must not keep the caller's memory.
	e.out = bitWriter{}
	e.src = nil
	e.parser.src = nil
	e.finder.src = nil
	return dst
}

// encodeSegments encodes segments in parallel and joins them. Their length is fixed, so that the
// output does not depend on the number of processors.
func encodeSegments(dst, src []byte, level Level) []byte {
	parts := make([][]byte, (len(src)+maxSegment-1)/maxSegment)
	var work sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range parts {
		free <- struct{}{}
		work.Add(1)
		go func() {
			defer func() { <-free; work.Done() }()
			from := i * maxSegment
			to := min((i+1)*maxSegment, len(src))
			parts[i] = encode(nil, src[from:to], level, to == len(src))
		}()
	}

	work.Wait()
	for _, p := range parts {
		dst = append(dst, p...)
	}

	return dst
}

// segment writes src piece by piece. The last block of a piece may be cut short by the end of the
// piece, so it is parsed again as the beginning of the next piece.
func (e *encoder) segment(src []byte, last bool) {
	e.src = src
	e.stored = span{}
	e.finder.reset(src, e.depth, e.nice, e.take)
	p := &e.parser
	p.reset(src)

	for from := 0; from < len(src); {
		to := e.finder.fill(p, min(from+maxPiece, len(src)))
		p.guess(from, to)
		for range e.seeds {
			p.count(from, to, &p.hist)
			p.price.set(&p.hist)
			p.parse(from, to)
		}

		cuts := e.cutter.cut(p, from, to, e.units)
		if n := len(cuts) - 1; to < len(src) && n > 0 && to-cuts[n-1] <= (to-from)/2 {
			cuts = cuts[:n]
		}

		for _, end := range cuts {
			e.block(from, end, last && end == len(src))
			from = end
		}

		p.drop(from)
	}

	e.flushStored(last)
}

// block parses src[from:to] with its own prices and writes it as the smallest of the three kinds.
func (e *encoder) block(from, to int, last bool) {
	p := &e.parser
	p.count(from, to, &p.hist)
	best := math.MaxInt
	for range e.passes {
		p.price.set(&p.hist)
		p.parse(from, to)
		p.count(from, to, &p.hist)
		bits := e.trial.build(&p.hist)
		if bits >= best {
			break
		}

		e.code, e.trial = e.trial, e.code
		p.keep(from, to)
		small := best-bits < best/minGain
		best = bits
		if small {
			break
		}
	}

	e.emit(from, to, best, last)
}
