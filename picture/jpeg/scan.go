package jpeg

import (
	"bytes"
	"fmt"
)

// maxScans is libjpeg-turbo's advice for those who read files of strangers.
const maxScans = 500

// zigzag gives the place in a block, row by row, of the coefficients in a file's order.
// Beyond the last one it is 0, so that a run too long needs no look at every step.
var zigzag = [128]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// A scan is one pass over some of the components.
type scan struct {
	bits
	parts        []part
	first, last  int  // coefficients, in zigzag order
	high, low    uint // the bits of them known before, and those left for later
	eobRun       int  // blocks that have no more coefficients, after this one
	progressive  bool
	mcusX, mcusY int
	blocks       int // in an MCU
	rowsPerMCU   int // rows of the picture
	interleaved  bool
}

// A part is a component in a scan.
type part struct {
	*component
	dc, ac *huffman
	pred   int32 // the last DC
	blocks int   // in a row
	perX   int   // blocks of an MCU beside each other
	perY   int   // and one upon the other
}

// scan reads one scan, header and data.
func (d *decoder) scan() error {
	if d.scans++; d.scans > maxScans {
		return FormatError(fmt.Sprintf("the file has more than %d scans", maxScans))
	}
	s, err := d.scanHeader(d.sosBody)
	if err != nil {
		return err
	}
	if d.budget -= s.mcusX * s.mcusY * s.blocks; d.budget < 0 {
		return FormatError("the file has more scans than its size warrants")
	}
	s.bits = bits{data: d.nextSegment()}
	if s.progressive {
		return d.read(s, s.progressiveMCU)
	}
	if d.painted = len(s.parts) == len(d.comps); d.painted {
		d.pix = resized(d.pix, 3*d.w*d.h)
	}
	pl := newPipeline(d, s)
	defer pl.close()
	return d.read(s, func(x, y int) bool {
		b := pl.last
		if x == 0 {
			b = pl.band(y)
		}
		return s.mcu(b, x, y-b.y)
	})
}

// read reads the scan's data; mcu reads one unit, and reports whether it can.
func (d *decoder) read(s *scan, mcu func(x, y int) bool) error {
	left, rst := d.restart, uint8(rst0)
	for y := range s.mcusY {
		for x := range s.mcusX {
			if d.restart > 0 {
				if left == 0 {
					if err := d.nextInterval(s, rst); err != nil {
						return d.at(s, y, err)
					}
					left, rst = d.restart, rst0|(rst+1)&7
				}
				left--
			}
			if !mcu(x, y) {
				return d.at(s, y, FormatError("the data are corrupt"))
			}
		}
		if s.overrun() {
			return d.at(s, y, nil)
		}
	}
	return nil
}

// at says where a scan broke. If the data had ended before, that is why.
func (d *decoder) at(s *scan, mcuY int, err error) error {
	if s.overrun() {
		err = errShort
		if d.pos < len(d.data) {
			err = FormatError("the data end too early")
		}
	}
	return FormatError(fmt.Sprintf("%v, at row %d of %d", err, min(mcuY*s.rowsPerMCU, d.h-1), d.h))
}

// nextSegment collects the data up to the next marker, without the zeros that stand after
// each 0xff. It keeps them until it is called again.
func (d *decoder) nextSegment() []byte {
	segment := d.memory.segment[:0]
	defer func() { d.memory.segment = segment }()
	for {
		i := bytes.IndexByte(d.data[d.pos:], 0xff)
		if i < 0 {
			segment = append(segment, d.data[d.pos:]...)
			d.pos = len(d.data)
			return segment
		}
		segment = append(segment, d.data[d.pos:d.pos+i]...)
		d.pos += i
		next := d.pos + 1
		for next < len(d.data) && d.data[next] == 0xff { // fill bytes
			next++
		}
		if next == len(d.data) {
			d.pos = next
			return segment
		}
		if d.data[next] != 0 {
			return segment
		}
		segment = append(segment, 0xff)
		d.pos = next + 1
	}
}

// nextInterval goes on after a restart marker.
func (d *decoder) nextInterval(s *scan, rst uint8) error {
	if s.overrun() {
		return nil // at will tell
	}
	marker, _, err := d.next()
	if err != nil {
		return err
	}
	if marker != rst {
		return FormatError(fmt.Sprintf("marker %#x stands where %#x belongs", marker, rst))
	}
	s.bits = bits{data: d.nextSegment()}
	s.eobRun = 0
	for i := range s.parts {
		s.parts[i].pred = 0
	}
	return nil
}

// scanHeader reads the header of a scan (T.81, B.2.3).
func (d *decoder) scanHeader(body []byte) (*scan, error) {
	if len(body) < 1 || len(body) < 4+2*int(body[0]) {
		return nil, FormatError("a scan header is cut short")
	}
	n := int(body[0])
	if n < 1 || n > len(d.comps) {
		return nil, FormatError(fmt.Sprintf("a scan of %d components", n))
	}
	tail := body[1+2*n:]
	s := &scan{
		progressive: d.progressive, interleaved: n > 1,
		first: int(tail[0]), last: int(tail[1]), high: uint(tail[2] >> 4), low: uint(tail[2] & 15),
	}
	if !d.progressive {
		s.first, s.last, s.high, s.low = 0, 63, 0, 0 // libjpeg does not look either
	} else if s.first > s.last || s.last > 63 || s.first == 0 && s.last > 0 || s.first > 0 && n > 1 ||
		s.low > 13 || s.high > 0 && s.high != s.low+1 {
		return nil, FormatError(fmt.Sprintf("a progressive scan of coefficients %d-%d, bits %d-%d", s.first, s.last, s.high, s.low))
	}
	for i := range n {
		if err := d.addPart(s, body[1+2*i], body[2+2*i]); err != nil {
			return nil, err
		}
	}
	if s.blocks > 10 { // T.81, B.2.3
		return nil, FormatError(fmt.Sprintf("a scan of %d blocks at once", s.blocks))
	}
	return s, nil
}

func (d *decoder) addPart(s *scan, id, tables uint8) error {
	var c *component
	for i := range d.comps {
		if d.comps[i].id == id {
			c = &d.comps[i]
		}
	}
	for _, p := range s.parts {
		if p.component == c {
			c = nil
		}
	}
	if c == nil || tables>>4 > 3 || tables&15 > 3 {
		return FormatError(fmt.Sprintf("a scan of component %d with tables %#x", id, tables))
	}
	p := part{component: c, dc: d.dc[tables>>4], ac: d.ac[tables&15]}
	if s.first == 0 && s.high == 0 && p.dc == nil || s.last > 0 && p.ac == nil {
		return FormatError(fmt.Sprintf("a scan needs Huffman tables %#x, which are missing", tables))
	}
	if c.quant == nil {
		if c.quant = d.quant[c.tq]; c.quant == nil {
			return FormatError(fmt.Sprintf("quantization table %d is missing", c.tq))
		}
	}
	for k := s.first; k <= s.last; k++ {
		c.low[k] = int8(s.low)
	}
	if s.interleaved {
		s.mcusX, s.mcusY, s.rowsPerMCU = d.mcusX, d.mcusY, 8*d.maxV
		s.blocks += c.h * c.v
		p.blocks, p.perX, p.perY = c.stride/8, c.h, c.v
	} else {
		s.mcusX, s.mcusY, s.rowsPerMCU = c.blocksX, c.blocksY, 8*d.maxV/c.v
		s.blocks = 1
		p.blocks, p.perX, p.perY = c.blocksX, 1, 1
	}
	s.parts = append(s.parts, p)
	return nil
}

// mcu reads a minimum coded unit of a sequential scan: the blocks of all components at one
// place of a band; ok is false if the data are corrupt.
func (s *scan) mcu(to *band, x, y int) (ok bool) {
	for i := range s.parts {
		p := &s.parts[i]
		for v := range p.perY {
			for h := range p.perX {
				at := (y*p.perY+v)*p.blocks + x*p.perX + h
				last := s.sequential(p, &to.coef[i][at])
				if last < 0 {
					return false
				}
				to.lasts[i][at] = uint8(last)
			}
		}
	}
	return true
}

// sequential reads a whole block. It returns the place of its last coefficient, in the
// file's order; -1 if the data are corrupt.
func (s *scan) sequential(p *part, b *[64]int16) (last int) {
	if last, ok := blockFast(&s.bits, p, b); ok {
		return last
	}
	return s.bits.block(p, b)
}

// block is symbol in a loop, with the state in registers.
func (r *bits) block(p *part, b *[64]int16) (last int) {
	*b = [64]int16{}
	_, diff, ok := r.symbol(p.dc)
	if !ok {
		return -1
	}
	p.pred += diff
	b[0] = int16(p.pred)
	t, acc, n := p.ac, r.acc, r.n
	for last < 63 {
		if n < 32 {
			r.acc, r.n = acc, n
			r.refill()
			acc, n = r.acc, r.n
		}
		e := t.look[acc>>(64-lookBits)]
		if e == 0 {
			if e = t.long(acc); e == 0 {
				return -1
			}
		}
		acc <<= e & 63
		n -= uint(e & 63)
		v := int32(e) >> 16
		if v == 0 {
			size := uint(e >> 12 & 15)
			if size == 0 {
				if e>>8&15 < 15 {
					break
				}
				last += 16
				continue
			}
			v = signed(acc, size)
			acc <<= size
			n -= size
		}
		last += int(e>>8&15) + 1
		b[zigzag[last&127]&63] = int16(v)
	}
	r.acc, r.n = acc, n
	if last > 63 {
		return -1
	}
	return last
}
