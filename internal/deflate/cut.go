package deflate

// cutter cuts a piece into blocks. It divides the piece into units and finds the cheapest sequence
// of blocks of whole units by dynamic programming over all pairs of borders.
type cutter struct {
	ends  []int       // of the units, offsets in src
	units []histogram // of each unit
	cost  []uint64    // cost[j] is the price of the first j units
	start []int       // start[j] is the first unit of the last block in that solution
}

// minUnit is the smallest number of items in a unit. A smaller block does not save its header's
// size.
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

	// The solution is read from its end. The ends of the blocks overwrite the last elements of
	// ends, which are not needed anymore.
	out := len(c.ends)
	for j := len(c.units); j > 0; j = c.start[j] {
		out--
		c.ends[out] = c.ends[j-1]
	}

	return c.ends[out:]
}

// add adds the counts of another histogram.
func (h *histogram) add(o *histogram) {
	for s := range h.lit {
		h.lit[s] += o.lit[s]
	}

	for s := range h.dist {
		h.dist[s] += o.dist[s]
	}
}

// estimate is the approximate price of a block without extra bits, which no cut changes.
func (h *histogram) estimate() uint64 {
	lit, litHeader := entropy(h.lit[:])
	dist, distHeader := entropy(h.dist[:])
	return lit + dist + (80+litHeader+distHeader)*bitPrice
}

// entropy returns the price of the counted symbols and the approximate number of header bits for
// their lengths: three for each used symbol and three for each gap between used symbols. Both
// numbers were fitted to shared objects.
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
