package deflate

import "math/bits"

// bitPrice is the price of one bit. Prices are in 1/256 bit, because the next code is not known
// yet: prices rounded to code lengths would favor the code of the previous parse.
const bitPrice = 256

// prices are the prices of items, extra bits included.
type prices struct {
	lit    [256]uint32
	length [maxMatch + 1]uint32
	dist   [32]uint32
}

func (p *prices) set(h *histogram) {
	total := uint32(0)
	for _, f := range h.lit {
		total += f
	}

	for b := range p.lit {
		p.lit[b] = price(h.lit[b], total)
	}

	for n := minMatch; n <= maxMatch; n++ {
		s := lengthSlot[n]
		p.length[n] = price(h.lit[endMark+1+int(s)], total) + uint32(lengthExtra[s])*bitPrice
	}

	total = 0
	for _, f := range h.dist {
		total += f
	}

	for s := range h.dist {
		p.dist[s] = price(h.dist[s], total) + uint32(distExtra(uint32(s)))*bitPrice
	}
}

// price is the entropy of a symbol that occurs count times in total, limited to possible code
// lengths. A symbol that does not occur is priced as if it occurred half a time.
func price(count, total uint32) uint32 {
	p := log2(max(total, 1)) + bitPrice
	if count > 0 {
		p -= bitPrice + log2(count)
	}

	return min(max(p, bitPrice), 14*bitPrice)
}

// parser finds the cheapest items for a range of src. Matches, steps and costs are kept for one
// piece of the input, which begins at base: first[i-base] is the index of the first match of
// position i.
type parser struct {
	src     []byte
	base    int
	first   []uint32
	matches []item
	price   prices
	hist    histogram
	cost    [maxPiece + 1]uint32 // price from a position to the end of the range
	step    [maxPiece]item       // first item of the cheapest parse from a position
	kept    [maxPiece]item       // best parse so far
}

func (p *parser) reset(src []byte) {
	p.src = src
	p.base = 0
	p.first = append(p.first[:0], 0)
	p.matches = p.matches[:0]
}

// drop removes the matches before from, which becomes the base.
func (p *parser) drop(from int) {
	i := from - p.base
	gone := p.first[i]
	p.first = p.first[:copy(p.first, p.first[i:])]
	for i := range p.first {
		p.first[i] -= gone
	}

	p.matches = p.matches[:copy(p.matches, p.matches[gone:])]
	p.base = from
}

// guess sets step for src[from:to] without prices: the longest match, unless the next position has
// a longer one. Only its statistics are used.
func (p *parser) guess(from, to int) {
	to -= p.base
	for i := from - p.base; i < to; {
		pick := literal
		if m := p.longest(i); m.length() > minMatch || m.length() == minMatch && m.dist() < 4096 {
			if i+1 == to || p.longest(i+1).length() <= m.length() {
				pick = m.cut(min(m.length(), to-i))
			}
		}

		if pick.length() < minMatch {
			pick = literal
		}

		p.step[i] = pick
		i += pick.length()
	}
}

// longest returns the longest match at first[i], or a literal.
func (p *parser) longest(i int) item {
	if lo, hi := p.first[i], p.first[i+1]; lo < hi {
		return p.matches[hi-1]
	}

	return literal
}

// parse sets step for src[from:to], from the end to the beginning. A match may be shortened, so
// each length is tried with the nearest distance that has it.
func (p *parser) parse(from, to int) {
	from -= p.base
	to -= p.base
	src := p.src[p.base:][:to]
	pr := &p.price
	p.cost[to] = 0
	hi := p.first[to]
	for i := to - 1; i >= from; i-- {
		best := p.cost[i+1] + pr.lit[src[i]]
		pick := literal
		lo := p.first[i]
		if lo < hi {
			limit := to - i
			n := minMatch
			for _, m := range p.matches[lo:hi] {
				reach := min(m.length(), limit)
				dist := pr.dist[m.slot()]
				if n > reach {
					continue
				}

				lens := pr.length[n : reach+1]
				ahead := p.cost[i+n:][:len(lens)]
				at := -1
				for k, l := range lens {
					if c := dist + l + ahead[k]; c < best {
						best = c
						at = k
					}
				}

				if at >= 0 {
					pick = m.cut(n + at)
				}

				n = reach + 1
			}
		}

		hi = lo
		p.cost[i] = best
		p.step[i] = pick
	}
}

// keep saves the parse of src[from:to] before the next one overwrites it.
func (p *parser) keep(from, to int) {
	copy(p.kept[from-p.base:], p.step[from-p.base:to-p.base])
}

// count sets h to the symbol counts of the parse of src[from:to], end mark included.
func (p *parser) count(from, to int, h *histogram) {
	*h = histogram{}
	h.lit[endMark] = 1
	for i := from; i < to; {
		i += p.tally(i, h)
	}
}

// tally adds the item at i to h and returns its length.
func (p *parser) tally(i int, h *histogram) int {
	m := p.step[i-p.base]
	n := m.length()
	if n == 1 {
		h.lit[p.src[i]]++
	} else {
		h.lit[endMark+1+int(lengthSlot[n])]++
		h.dist[m.slot()]++
	}

	return n
}

// lengthSlot, lengthBase and lengthExtra describe the length symbols, numbered from 0 instead of
// 257.
var lengthSlot, lengthBase, lengthExtra = func() (slot [maxMatch + 1]uint8, base [29]uint16, extra [29]uint8) {
	n := minMatch
	for s := range 28 {
		extra[s] = uint8(max(s/4-1, 0))
		base[s] = uint16(n)
		for range 1 << extra[s] {
			slot[min(n, maxMatch)] = uint8(s)
			n++
		}
	}

	base[28] = maxMatch
	slot[maxMatch] = 28
	return slot, base, extra
}()

// distSlot is the symbol of a distance: two slots for each power of two.
func distSlot(dist uint32) uint32 {
	d := dist - 1
	if d < 2 {
		return d
	}

	n := uint32(bits.Len32(d)) - 1
	return 2*n + d>>(n-1)&1
}

// distExtra is the number of extra bits of a slot.
func distExtra(slot uint32) uint8 {
	if slot < 2 {
		return 0
	}

	return uint8(slot/2 - 1)
}

// distBase is the smallest distance of a slot.
func distBase(slot uint32) uint32 {
	if slot < 2 {
		return slot + 1
	}

	return 1 + (2+slot&1)<<(slot/2-1)
}

const logTableSize = 1 << 12

// logs holds log2 in prices. It is computed by repeated squaring of integers, so that it is the
// same on all machines.
var logs = func() (t [logTableSize]uint16) {
	for x := 1; x < logTableSize; x++ {
		whole := bits.Len(uint(x)) - 1
		r := uint64(whole)
		v := uint64(x) << (31 - whole) // 1 <= v/2^31 < 2
		for range 9 {
			v = v * v >> 31
			r <<= 1
			if v >= 1<<32 {
				v >>= 1
				r |= 1
			}
		}

		t[x] = uint16((r + 1) >> 1)
	}

	return t
}()

// log2 is the logarithm of x > 0, in prices.
func log2(x uint32) uint32 {
	shift := max(bits.Len32(x)-12, 0)
	return uint32(shift)*bitPrice + uint32(logs[x>>shift])
}
