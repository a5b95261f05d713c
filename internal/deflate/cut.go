package deflate

// cutter finds where a piece falls apart into blocks. It sees the piece as a row of units and tries
// each pair of borders, so a cut is judged by the whole of what it divides and not by a change
// nearby.
type cutter struct {
	ends  []int
	units []histogram
	cost  []uint64
	start []int
}

// minUnit is how many items a unit has at least: below that, a header of its own does not pay.
const minUnit = 128

// cut returns the ends of the blocks for the parse of src[from:to].
func (c *cutter) cut(p *parser, from, to, units int) []int {
	items := 0
	for i := from; i < to; i += p.step[i-p.base].length() {
		items++
	}

	size := max(minUnit, (items+units-1)/units)
	c.ends = c.ends[:0]
	c.units = c.units[:0]
	for i := from; i < to; {
		c.units = append(c.units, histogram{})
		h := &c.units[len(c.units)-1]
		for n := 0; n < size && i < to; n++ {
			i += p.tally(i, h)
		}

		c.ends = append(c.ends, i)
	}

	c.cost = append(c.cost[:0], 0)
	c.start = append(c.start[:0], 0)
	for j := range c.units {
		var h histogram
		h.lit[endMark] = 1
		best := ^uint64(0)
		start := 0
		for i := j; i >= 0; i-- {
			h.add(&c.units[i])
			if sum := c.cost[i] + h.estimate(); sum < best {
				best = sum
				start = i
			}
		}

		c.cost = append(c.cost, best)
		c.start = append(c.start, start)
	}

	// The cheapest way is known from its end, so the ends of the blocks gather at the end of ends,
	// over units passed already.
	out := len(c.ends)
	for j := len(c.units); j > 0; j = c.start[j] {
		out--
		c.ends[out] = c.ends[j-1]
	}

	return c.ends[out:]
}

func (h *histogram) add(o *histogram) {
	for s := range h.lit {
		h.lit[s] += o.lit[s]
	}

	for s := range h.dist {
		h.dist[s] += o.dist[s]
	}
}

// estimate is about the size of a block in prices, without the extra bits, which no cut changes.
func (h *histogram) estimate() uint64 {
	lit, litHeader := entropy(h.lit[:])
	dist, distHeader := entropy(h.dist[:])
	return lit + dist + (80+litHeader+distHeader)*bitPrice
}

// entropy returns the size of the counted symbols in prices, and about how many bits a header needs
// for their lengths: three for a symbol in use and three for each gap between those. Both were
// fitted to shared objects.
func entropy(freq []uint32) (size, header uint64) {
	total := uint32(0)
	gap := true
	for _, f := range freq {
		switch {
		case f > 0:
			total += f
			header += 3
			size += uint64(f) * uint64(log2(f))
		case !gap:
			header += 3
		}

		gap = f == 0
	}

	if total == 0 {
		return 0, 0
	}

	return uint64(total)*uint64(log2(total)) - size, header
}
