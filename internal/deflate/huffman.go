package deflate

import (
	"math/bits"
	"slices"
)

const (
	maxLitSyms   = 286
	maxDistSyms  = 30
	maxCodeBits  = 15
	maxClenBits  = 7
	endMark      = 256
	numClenSyms  = 19
	maxHeaderSym = maxLitSyms + maxDistSyms
)

// histogram counts the symbols of a range of items.
type histogram struct {
	lit  [maxLitSyms]uint32
	dist [maxDistSyms]uint32
}

// codeLengths sets lens to the lengths of an optimal prefix code of at most limit bits, by the
// package-merge algorithm. The code always has two or more codewords, because decoders differ in
// how they handle incomplete codes.
func codeLengths(lens []uint8, freq []uint32, limit int) {
	var keys [maxLitSyms]uint32 // count<<9 | symbol; counts stay below 1<<23 because a block is at most maxPiece bytes
	n := 0
	for s, f := range freq {
		lens[s] = 0
		if f > 0 {
			keys[n] = f<<9 | uint32(s)
			n++
		}
	}

	for s := 0; n < 2; s++ {
		if freq[s] == 0 {
			keys[n] = 1<<9 | uint32(s)
			n++
		}
	}

	leaves := keys[:n]
	slices.Sort(leaves)

	// isLeaf[level] says for each item of the level, lightest first, whether it is a leaf or a pair
	// of items of the level before.
	var isLeaf [maxCodeBits][2 * maxLitSyms]bool
	var rows [2][2 * maxLitSyms]uint32
	prev := rows[0][:0]
	for level := range limit {
		row := rows[level&1][:0]
		for l, p := 0, 0; l < n || p+1 < len(prev); {
			if p+1 >= len(prev) || l < n && leaves[l]>>9 <= prev[p]+prev[p+1] {
				isLeaf[level][len(row)] = true
				row = append(row, leaves[l]>>9)
				l++
			} else {
				isLeaf[level][len(row)] = false
				row = append(row, prev[p]+prev[p+1])
				p += 2
			}
		}

		prev = row
	}

	for level, take := limit-1, 2*n-2; level >= 0; level-- {
		l := 0
		for _, leaf := range isLeaf[level][:take] {
			if leaf {
				lens[leaves[l]&511]++
				l++
			}
		}

		take = 2 * (take - l)
	}
}

// codewords sets words to the canonical code for lens. The words are bit-reversed, because the
// format writes them from the highest bit.
func codewords(words []uint16, lens []uint8) {
	var count, next [maxCodeBits + 1]uint16
	for _, n := range lens {
		count[n]++
	}

	count[0] = 0
	for n := 1; n <= maxCodeBits; n++ {
		next[n] = (next[n-1] + count[n-1]) << 1
	}

	for s, n := range lens {
		if n > 0 {
			words[s] = bits.Reverse16(next[n]) >> (16 - n)
			next[n]++
		}
	}
}

// blockCode is the code of a block of kind 2 and its header.
type blockCode struct {
	hist        histogram
	lit, dist   [288]uint8 // code lengths
	nlit, ndist int        // numbers of code lengths in the header
	clen        [numClenSyms]uint8
	nclen       int
	runs        []run

	// Work space of header and chooseRuns.
	lengths [maxHeaderSym]uint8
	price   [maxHeaderSym + 1]uint32
	choice  [maxHeaderSym]run
}

// run is one symbol of the header: sym stands for n lengths.
type run struct{ sym, n uint8 }

// clenOrder is the order of the code length code in the header (RFC 1951, 3.2.7).
var clenOrder = [numClenSyms]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// runExtra has the extra bits and the shortest run of symbols 16, 17 and 18.
var runExtra = [numClenSyms]struct{ bits, base uint8 }{16: {2, 3}, 17: {3, 3}, 18: {7, 11}}

// build makes the code for h and returns the exact size of the block in bits, items included.
func (c *blockCode) build(h *histogram) int {
	c.hist = *h
	codeLengths(c.lit[:maxLitSyms], h.lit[:], maxCodeBits)
	codeLengths(c.dist[:maxDistSyms], h.dist[:], maxCodeBits)
	return c.header() + itemBits(h, &c.lit, &c.dist)
}

// header chooses the runs for c.lit and c.dist and returns the size of the header in bits,
// including the three bits that begin the block.
func (c *blockCode) header() int {
	c.nlit = maxLitSyms
	c.ndist = maxDistSyms
	for c.nlit > 257 && c.lit[c.nlit-1] == 0 {
		c.nlit--
	}

	for c.ndist > 1 && c.dist[c.ndist-1] == 0 {
		c.ndist--
	}

	all := append(append(c.lengths[:0], c.lit[:c.nlit]...), c.dist[:c.ndist]...)
	price := [numClenSyms]uint32{4, 5, 5, 5, 5, 4, 4, 3, 3, 3, 4, 4, 5, 5, 6, 6, 5, 7, 10}
	price[16] = 4
	price[17] = 4
	price[18] = 5
	size := 0

	// The runs depend on the prices and the prices on the runs. For nearly all headers, the third
	// round changes nothing.
	for range 3 {
		c.chooseRuns(all, &price)
		var freq [numClenSyms]uint32
		for _, r := range c.runs {
			freq[r.sym]++
		}

		codeLengths(c.clen[:], freq[:], maxClenBits)
		c.nclen = numClenSyms
		for c.nclen > 4 && c.clen[clenOrder[c.nclen-1]] == 0 {
			c.nclen--
		}

		size = 3 + 5 + 5 + 4 + 3*c.nclen
		for s, f := range freq {
			size += int(f) * int(c.clen[s]+runExtra[s].bits)
			price[s] = uint32(c.clen[s])
			if f == 0 {
				price[s] = maxClenBits
			}
		}
	}

	return size
}

// chooseRuns sets c.runs to the cheapest sequence of runs for all.
func (c *blockCode) chooseRuns(all []uint8, price *[numClenSyms]uint32) {
	c.price[len(all)] = 0
	same := 0 // number of equal lengths from i on
	for i := len(all) - 1; i >= 0; i-- {
		v := all[i]
		if i+1 < len(all) && all[i+1] == v {
			same++
		} else {
			same = 1
		}

		best := c.price[i+1] + price[v]
		pick := run{v, 1}
		try := func(sym uint8, from, to int) {
			cost := price[sym] + uint32(runExtra[sym].bits)
			for n := from; n <= min(to, same); n++ {
				if p := cost + c.price[i+n]; p < best {
					best = p
					pick = run{sym, uint8(n)}
				}
			}
		}
		if i > 0 && all[i-1] == v {
			try(16, 3, 6)
		}

		if v == 0 {
			try(17, 3, 10)
			try(18, 11, 138)
		}

		c.price[i] = best
		c.choice[i] = pick
	}

	c.runs = c.runs[:0]
	for i := 0; i < len(all); i += int(c.choice[i].n) {
		c.runs = append(c.runs, c.choice[i])
	}
}

// itemBits is the size in bits of the items counted in h with the given code lengths.
func itemBits(h *histogram, lit, dist *[288]uint8) int {
	n := 0
	for s, f := range h.lit {
		n += int(f) * int(lit[s])
		if s > endMark {
			n += int(f) * int(lengthExtra[s-endMark-1])
		}
	}

	for s, f := range h.dist {
		n += int(f) * int(dist[s]+distExtra(uint32(s)))
	}

	return n
}

var fixedLit, fixedDist = func() (lit, dist [288]uint8) {
	for s := range lit {
		switch {
		case s < 144 || s >= 280:
			lit[s] = 8
		case s < 256:
			lit[s] = 9
		default:
			lit[s] = 7
		}

		dist[s] = 5
	}

	return lit, dist
}()
