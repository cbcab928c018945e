package jpeg

import (
	"bytes"
	"fmt"
)

// maxScans is libjpeg-turbo's advice for those who read files of strangers.
const maxScans = 500

// zigzag gives the place in a block, row by row, of the coefficients in a file's order.
var zigzag = [64]uint8{
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
	block        [64]int16
	interleaved  bool
}

// A part is a component in a scan.
type part struct {
	*component
	dc, ac *huffman
	pred   int32 // the last DC
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
	d.nextSegment()
	s.bits = bits{data: d.segment}
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
			if !s.mcu(x, y) {
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
// each 0xff.
func (d *decoder) nextSegment() {
	d.segment = d.segment[:0]
	for {
		i := bytes.IndexByte(d.data[d.pos:], 0xff)
		if i < 0 {
			d.segment = append(d.segment, d.data[d.pos:]...)
			d.pos = len(d.data)
			return
		}
		d.segment = append(d.segment, d.data[d.pos:d.pos+i]...)
		d.pos += i
		next := d.pos + 1
		for next < len(d.data) && d.data[next] == 0xff { // fill bytes
			next++
		}
		if next == len(d.data) {
			d.pos = next
			return
		}
		if d.data[next] != 0 {
			return
		}
		d.segment = append(d.segment, 0xff)
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
	d.nextSegment()
	s.bits = bits{data: d.segment}
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
	s.parts = append(s.parts, p)
	if s.interleaved {
		s.mcusX, s.mcusY, s.rowsPerMCU = d.mcusX, d.mcusY, 8*d.maxV
		s.blocks += c.h * c.v
	} else {
		s.mcusX, s.mcusY, s.rowsPerMCU = c.blocksX, c.blocksY, 8*d.maxV/c.v
		s.blocks = 1
	}
	return nil
}

// mcu reads a minimum coded unit: the blocks of all components at one place; ok is false
// if the data are corrupt.
func (s *scan) mcu(x, y int) (ok bool) {
	for i := range s.parts {
		p := &s.parts[i]
		if !s.interleaved {
			if !s.readBlock(p, x, y) {
				return false
			}
			continue
		}
		for v := range p.v {
			for h := range p.h {
				if !s.readBlock(p, x*p.h+h, y*p.v+v) {
					return false
				}
			}
		}
	}
	return true
}

// readBlock reads one block, and of a sequential picture makes its pixels.
func (s *scan) readBlock(p *part, x, y int) (ok bool) {
	if s.progressive {
		return s.refine(p, &p.coef[y*(p.stride/8)+x])
	}
	clear(s.block[:])
	if !s.sequential(p, &s.block) {
		return false
	}
	idct(&s.block, p.plane[8*(y*p.stride+x):], p.stride)
	return true
}

// sequential reads a whole block and multiplies it with the quantization table. It is
// symbol in a loop, with the state in registers.
func (s *scan) sequential(p *part, b *[64]int16) (ok bool) {
	_, diff, ok := s.symbol(p.dc)
	if !ok {
		return false
	}
	p.pred += diff
	t, q := p.ac, p.quant
	b[0] = int16(p.pred * int32(q[0]))
	acc, n := s.acc, s.n
	for k := 1; k < 64; k++ {
		if n < 32 {
			s.acc, s.n = acc, n
			s.refill()
			acc, n = s.acc, s.n
		}
		e := t.look[acc>>(64-lookBits)]
		if e == 0 {
			if e = t.long(acc); e == 0 {
				return false
			}
		}
		acc <<= e & 31
		n -= uint(e & 31)
		k += int(e >> 5 & 15)
		v := int32(e) >> 16
		if v == 0 {
			size := uint(e >> 9 & 15)
			if size == 0 {
				if e>>5&15 < 15 {
					break
				}
				continue
			}
			v = signed(acc, size)
			acc <<= size
			n -= size
		}
		if k > 63 {
			return false
		}
		b[zigzag[k]] = int16(v * int32(q[k]))
	}
	s.acc, s.n = acc, n
	return true
}
