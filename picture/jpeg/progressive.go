package jpeg

import "ultrafast/internal/bands"

import mathbits "math/bits"

// Progressive scans (T.81, annex G) bring a block's coefficients in bands, and each band
// first roughly, then bit by bit.

// progressiveMCU reads what a progressive scan says of the blocks at one place.
func (s *scan) progressiveMCU(x, y int) (ok bool) {
	if s.first > 0 { // such a scan is of one component
		p := &s.parts[0]
		at := y*(p.stride/8) + x
		if s.high == 0 {
			return s.firstAC(p.ac, &p.coef[at], &p.known[at])
		}
		return s.moreAC(p.ac, &p.coef[at], &p.known[at])
	}
	for i := range s.parts {
		p := &s.parts[i]
		for v := range p.perY {
			row := p.coef[(y*p.perY+v)*(p.stride/8)+x*p.perX:][:p.perX]
			for j := range row {
				if s.high > 0 {
					row[j][0] |= int16(s.take(1) << s.low)
					continue
				}
				_, diff, ok := s.symbol(p.dc)
				if !ok {
					return false
				}
				p.pred += diff
				row[j][0] = int16(p.pred << s.low)
			}
		}
	}
	return true
}

// firstAC reads coefficients for the first time (T.81, G.1.2.2). known has a bit for each
// AC coefficient, in the file's order, that is not zero.
func (s *scan) firstAC(t *huffman, b *[64]int16, known *uint64) (ok bool) {
	if s.eobRun > 0 {
		s.eobRun--
		return true
	}
	for k := s.first; k <= s.last; k++ {
		run, v, ok := s.symbol(t)
		if !ok {
			return false
		}
		if v == 0 && run < 15 {
			s.eobRun = s.run(run) - 1
			break
		}
		k += run
		if v == 0 {
			continue
		}
		if k > 63 {
			return false
		}
		s.set(b, known, k, v)
	}
	return true
}

// set makes v, which lacks the lower bits yet, a coefficient.
func (s *scan) set(b *[64]int16, known *uint64, k int, v int32) {
	c := int16(v << s.low)
	b[zigzag[k&63]&63] = c
	if c != 0 {
		*known |= 1 << (k & 63)
	}
}

// run reads how many blocks end here, this one included.
func (s *scan) run(size int) int {
	if size == 0 {
		return 1
	}
	return 1<<size + s.take(uint(size))
}

// moreAC reads one more bit of coefficients (T.81, G.1.2.3): a bit of correction for each
// that is known, in between new ones, which are plus or minus one.
func (s *scan) moreAC(t *huffman, b *[64]int16, known *uint64) (ok bool) {
	k := s.first
	for s.eobRun == 0 && k <= s.last {
		run, v, ok := s.symbol(t)
		if !ok || v < -1 || v > 1 {
			return false
		}
		if v == 0 && run < 15 {
			s.eobRun = s.run(run)
			break
		}
		// The new one stands after run zeros.
		from := k
		for {
			k += mathbits.TrailingZeros64(^(*known >> k))
			if run == 0 || k > s.last {
				break
			}
			zeros := min(run, mathbits.TrailingZeros64(*known>>k))
			k, run = k+zeros, run-zeros
		}
		s.correct(b, *known&between(from, min(k-1, s.last)))
		if v != 0 {
			if k > s.last {
				return false
			}
			s.set(b, known, k, v)
		}
		k++
	}
	if s.eobRun > 0 {
		s.eobRun--
		if k <= s.last {
			s.correct(b, *known&between(k, s.last))
		}
	}
	return true
}

// between has the bits first to last, of 0 to 63.
func between(first, last int) uint64 { return 2<<last - 1<<first }

// correct moves coefficients away from zero by the scan's bit, where the data say so.
func (s *scan) correct(b *[64]int16, which uint64) {
	for ; which != 0; which &= which - 1 {
		if s.n == 0 {
			s.refill()
		}
		c := &b[zigzag[mathbits.TrailingZeros64(which)&63]&63]
		sign := *c >> 15
		step := int16(s.acc>>63) << s.low
		*c += step ^ sign - sign
		s.acc <<= 1
		s.n--
	}
}

// reconstruct makes the planes of a progressive picture.
func (d *decoder) reconstruct() {
	for i := range d.comps {
		c := &d.comps[i]
		bands.Do(c.blocksY, 64*c.blocksX, func(lo, hi int) {
			lasts := make([]uint8, c.blocksX)
			for y := lo; y < hi; y++ {
				at := y * (c.stride / 8)
				for x := range lasts {
					lasts[x] = uint8(63 - mathbits.LeadingZeros64(c.known[at+x]|1))
				}
				idctRow(c.plane[8*y*c.stride:], c.stride, c.coef[at:][:c.blocksX], lasts, c.quant)
			}
		})
	}
}
