package deflate

import (
	"encoding/binary"
	"math/bits"
)

const (
	windowSize = 1 << 15
	windowMask = windowSize - 1
	minMatch   = 3
	maxMatch   = 258
	hash3Bits  = 16
	hash4Bits  = 16
)

// item is a literal or a match: length in bits 0-8, slot of the distance in bits 9-13, distance
// from bit 14. A literal has length 1 and no distance.
type item uint32

const literal item = 1

func newItem(length int, dist uint32) item {
	return item(uint32(length) | distSlot(dist)<<9 | dist<<14)
}

func (m item) length() int    { return int(m & 511) }
func (m item) slot() uint32   { return uint32(m>>9) & 31 }
func (m item) dist() uint32   { return uint32(m >> 14) }
func (m item) cut(n int) item { return m&^511 | item(n) }

// finder keeps the last 32 KiB in binary trees, one for each hash of four bytes. A node is a
// position, its left and right children are older positions whose text sorts before and after it.
// The way down from the newest position visits matches in order of distance, and each step skips
// the bytes that are known to be equal. Positions are stored plus windowSize, so that 0 is always
// outside the window.
type finder struct {
	src        []byte
	depth      int
	nice, take int
	next       int // first position that is not in a tree
	taken      int // end of a match that was taken at once; positions before it get no matches
	head3      [1 << hash3Bits]int32
	head4      [1 << hash4Bits]int32
	child      [windowSize][2]int32
}

func (f *finder) reset(src []byte, depth, nice, take int) {
	f.src = src
	f.depth = depth
	f.nice = nice
	f.take = take
	f.next = 0
	f.taken = 0
	clear(f.head3[:])
	clear(f.head4[:])
}

// fill adds the matches of all positions before to, or of fewer when p.matches is full. It returns
// the first position that was not searched.
func (f *finder) fill(p *parser, to int) int {
	matches := p.matches
	first := p.first
	for ; f.next < to && len(matches)+maxMatch <= maxMatches; f.next++ {
		n := len(matches)
		if matches = f.enter(f.next, matches); f.next < f.taken {
			matches = matches[:n]
		} else if n < len(matches) {
			if l := matches[len(matches)-1].length(); l >= f.take {
				f.taken = f.next + l
			}
		}

		first = append(first, uint32(len(matches)))
	}

	p.matches = matches
	p.first = first
	return f.next
}

// enter inserts pos into its tree and appends the matches found there: each is longer than the one
// before and has the smallest distance for its length.
func (f *finder) enter(pos int, found []item) []item {
	src := f.src
	limit := min(len(src)-pos, maxMatch)
	if limit < 4 {
		return found
	}

	four := binary.LittleEndian.Uint32(src[pos:])
	h3 := four << 8 * 0x9E3779B1 >> (32 - hash3Bits)
	h4 := four * 0x9E3779B1 >> (32 - hash4Bits)
	here := int32(pos) + windowSize
	oldest := here - windowSize // itself too old: here reuses its place in child
	node3 := f.head3[h3]
	node := f.head4[h4]
	f.head3[h3] = here
	f.head4[h4] = here

	best := minMatch - 1
	if node3 > oldest && node3 != node {
		if binary.LittleEndian.Uint32(src[node3-windowSize:])<<8 == four<<8 {
			found = append(found, newItem(minMatch, uint32(here-node3)))
			best = minMatch
		}
	}

	nice := min(f.nice, limit)
	left := &f.child[here&windowMask][0]
	right := &f.child[here&windowMask][1]
	leftLen := 0
	rightLen := 0
	cur := src[pos : pos+limit]
	for depth := f.depth; node > oldest && depth > 0; depth-- {
		old := src[node-windowSize:][:len(cur)]
		n := common(cur, old, min(leftLen, rightLen))
		pair := &f.child[node&windowMask]
		if n > best {
			best = n
			found = append(found, newItem(n, uint32(here-node)))
			if n >= nice {
				*left = pair[0]
				*right = pair[1]
				return found
			}
		}

		if old[n] < cur[n] {
			*left = node
			left = &pair[1]
			leftLen = n
			node = pair[1]
		} else {
			*right = node
			right = &pair[0]
			rightLen = n
			node = pair[0]
		}
	}

	*left = 0
	*right = 0
	return found
}

// common returns the length of the common prefix of a and b, of which n bytes are known to be
// equal. a and b have the same length.
func common(a, b []byte, n int) int {
	for ; n+8 <= len(a) && n+8 <= len(b); n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}

	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}

	return n
}
