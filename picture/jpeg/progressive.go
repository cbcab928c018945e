package jpeg

// Progressive scans (T.81, annex G) bring a block's coefficients in bands, and each band
// first roughly, then bit by bit.

// refine reads what a scan says of a block.
func (s *scan) refine(p *part, b *[64]int16) (ok bool) {
	switch {
	case s.first == 0 && s.high == 0:
		_, diff, ok := s.symbol(p.dc)
		p.pred += diff
		b[0] = int16(p.pred << s.low)
		return ok
	case s.first == 0:
		b[0] |= int16(s.take(1) << s.low)
		return true
	case s.high == 0:
		return s.firstAC(p.ac, b)
	}
	return s.moreAC(p.ac, b)
}

// firstAC reads coefficients for the first time (T.81, G.1.2.2).
func (s *scan) firstAC(t *huffman, b *[64]int16) (ok bool) {
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
		b[zigzag[k]] = int16(v << s.low)
	}
	return true
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
func (s *scan) moreAC(t *huffman, b *[64]int16) (ok bool) {
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
		for ; k <= s.last; k++ {
			c := &b[zigzag[k]]
			if *c != 0 {
				s.correct(c)
				continue
			}
			if run == 0 {
				*c = int16(v << s.low)
				break
			}
			run--
		}
		if k > s.last && v != 0 {
			return false
		}
		k++
	}
	if s.eobRun == 0 {
		return true
	}
	s.eobRun--
	for ; k <= s.last; k++ {
		if c := &b[zigzag[k]]; *c != 0 {
			s.correct(c)
		}
	}
	return true
}

// correct moves a coefficient away from zero by the scan's bit, if the data say so.
func (s *scan) correct(c *int16) {
	bit := int16(s.take(1) << s.low)
	if *c < 0 {
		bit = -bit
	}
	*c += bit
}

// reconstruct makes the planes of a progressive picture.
func (d *decoder) reconstruct() {
	for i := range d.comps {
		c := &d.comps[i]
		parallel(c.blocksY, 64*c.blocksX, func(lo, hi int) {
			for y := lo; y < hi; y++ {
				for x := range c.blocksX {
					b := &c.coef[y*(c.stride/8)+x]
					for k, q := range c.quant {
						b[zigzag[k]] *= int16(q)
					}
					idct(b, c.plane[8*(y*c.stride+x):], c.stride)
				}
			}
		})
		c.coef = nil
	}
}
