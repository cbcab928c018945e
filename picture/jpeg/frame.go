package jpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// The markers that matter, second byte (T.81, table B.1).
const (
	sof0  = 0xc0 // frames: sequential,
	sof1  = 0xc1 // sequential with more tables,
	sof2  = 0xc2 // progressive; to 0xcf, the kinds not supported
	dht   = 0xc4 // Huffman tables
	jpg   = 0xc8
	dac   = 0xcc
	rst0  = 0xd0
	soi   = 0xd8
	eoi   = 0xd9
	sos   = 0xda // a scan
	dqt   = 0xdb // quantization tables
	dri   = 0xdd // restart interval
	app0  = 0xe0
	app14 = 0xee
)

// A decoder holds what the segments of a file have said so far.
type decoder struct {
	data []byte
	pos  int // of the next byte
	frame
	quant    [4]*[64]int16 // in natural order; beyond int16 they wrap, as products with them do
	dc, ac   [4]*huffman
	restart  int // MCUs between restart markers; 0: none
	memory   *memory
	sosBody  []byte // of the scan that follows
	sawEnd   bool   // the end marker was there
	scans    int
	budget   int // of blocks that may still be visited
	jfif     bool
	adobe    bool
	adobeRGB uint8 // Adobe's transform flag
	pix      []uint8
	painted  bool // pix has what the planes have
}

// A frame is the picture that a file announces.
type frame struct {
	w, h, maxH, maxV int
	mcusX, mcusY     int // of an interleaved scan
	progressive      bool
	comps            []component
}

// A component is one plane of the picture.
type component struct {
	id, tq           uint8
	h, v             int // sampling factors
	w, rows          int // samples that belong to the picture
	blocksX, blocksY int // blocks that those fill
	stride           int // of plane and, in blocks, stride/8 of coef
	plane            []uint8
	coef             [][64]int16 // of a progressive picture, in natural order
	known            []uint64    // and which of them are not zero: see firstAC
	quant            *[64]int16  // that of the component's first scan, in natural order
	low              [64]int8    // for each coefficient in zigzag order the bits still missing; -1: all
}

// next returns the next marker and, where it has one, its segment.
func (d *decoder) next() (marker uint8, body []byte, err error) {
	for {
		// Fill bytes and what lies astray before a marker is skipped, as everybody does.
		i := bytes.IndexByte(d.data[d.pos:], 0xff)
		if i < 0 || d.pos+i+1 >= len(d.data) {
			d.pos = len(d.data)
			return 0, nil, errShort
		}
		d.pos += i + 1
		if marker = d.data[d.pos]; marker != 0 && marker != 0xff {
			break
		}
	}
	d.pos++
	if marker >= rst0 && marker <= eoi || marker == 1 {
		return marker, nil, nil
	}
	rest := d.data[d.pos:]
	if len(rest) < 2 {
		return marker, nil, errShort
	}
	n := int(binary.BigEndian.Uint16(rest))
	if n < 2 {
		return marker, nil, FormatError(fmt.Sprintf("segment %#x at byte %d has a length of %d", marker, d.pos-2, n))
	}
	if n > len(rest) {
		return marker, nil, errShort
	}
	d.pos += n
	return marker, rest[2:n], nil
}

// size reads no further than the frame header.
func (d *decoder) size() error {
	if len(d.data) < 2 {
		return errShort
	}
	if d.data[0] != 0xff || d.data[1] != soi {
		return FormatError("not a JPEG")
	}
	d.pos = 2
	for d.comps == nil {
		marker, body, err := d.next()
		if err != nil {
			return err
		}
		switch {
		case marker == eoi || marker == sos:
			return FormatError("there is no picture in the file")
		case marker >= sof0 && marker <= 0xcf && marker != dht && marker != jpg && marker != dac:
			if err := d.readFrame(marker, body); err != nil {
				return err
			}
		default:
			if err := d.readTables(marker, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// header reads up to the first scan.
func (d *decoder) header() (ended bool, err error) {
	if err := d.size(); err != nil {
		return false, err
	}
	return d.tables()
}

// tables reads on to the next scan, or to the picture's end. A file may lack the end
// marker: cameras and scrapers lose it.
func (d *decoder) tables() (ended bool, err error) {
	for {
		marker, body, err := d.next()
		switch {
		case err == errShort && marker == 0:
			return true, nil
		case err != nil:
			return false, err
		case marker == eoi:
			d.sawEnd = true
			return true, nil
		case marker == sos:
			d.sosBody = body
			return false, nil
		case marker >= sof0 && marker <= 0xcf && marker != dht && marker != jpg && marker != dac:
			return false, FormatError("the file has a second frame header")
		}
		if err := d.readTables(marker, body); err != nil {
			return false, err
		}
	}
}

// readTables reads the segments that may come anywhere between scans.
func (d *decoder) readTables(marker uint8, body []byte) error {
	switch marker {
	case dqt:
		return d.readQuant(body)
	case dht:
		return d.readHuffman(body)
	case dri:
		if len(body) < 2 {
			return FormatError("the restart interval is cut short")
		}
		d.restart = int(binary.BigEndian.Uint16(body))
	case dac:
		return UnsupportedError("arithmetic coding")
	case app0:
		d.jfif = d.jfif || len(body) >= 14 && string(body[:5]) == "JFIF\x00"
	case app14:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe, d.adobeRGB = true, body[11]
		}
	}
	return nil
}

// readQuant reads quantization tables (T.81, B.2.4.1).
func (d *decoder) readQuant(body []byte) error {
	for len(body) > 0 {
		wide, id := int(body[0]>>4), body[0]&15
		if wide > 1 || id > 3 {
			return FormatError(fmt.Sprintf("a quantization table with the number %#x", body[0]))
		}
		body = body[1:]
		if len(body) < 64<<wide {
			return FormatError("a quantization table is cut short")
		}
		q := new([64]int16)
		for i := range q {
			if wide == 1 {
				q[zigzag[i]] = int16(binary.BigEndian.Uint16(body[2*i:]))
			} else {
				q[zigzag[i]] = int16(body[i])
			}
		}
		d.quant[id] = q
		body = body[64<<wide:]
	}
	return nil
}

// readHuffman reads Huffman tables (T.81, B.2.4.2).
func (d *decoder) readHuffman(body []byte) error {
	for len(body) > 0 {
		if len(body) < 17 {
			return FormatError("a Huffman table is cut short")
		}
		class, id := body[0]>>4, body[0]&15
		if class > 1 || id > 3 {
			return FormatError(fmt.Sprintf("a Huffman table with the number %#x", body[0]))
		}
		n := 0
		for _, c := range body[1:17] {
			n += int(c)
		}
		if n > 256 || len(body) < 17+n {
			return FormatError("a Huffman table is cut short")
		}
		t, err := newHuffman([16]uint8(body[1:17]), body[17:17+n], class == 0)
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		body = body[17+n:]
	}
	return nil
}

// readFrame reads the frame header (T.81, B.2.2).
func (d *decoder) readFrame(marker uint8, body []byte) error {
	switch {
	case marker == 0xc3:
		return UnsupportedError("a lossless JPEG")
	case marker > sof2 && marker < jpg:
		return UnsupportedError("a hierarchical JPEG")
	case marker > sof2:
		return UnsupportedError("arithmetic coding")
	case len(body) < 6:
		return FormatError("the frame header is cut short")
	case body[0] != 8:
		return UnsupportedError(fmt.Sprintf("a JPEG of %d bits", body[0]))
	}
	f := frame{progressive: marker == sof2}
	f.h, f.w = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	n := int(body[5])
	switch {
	case f.w == 0:
		return FormatError("the picture is 0 pixels wide")
	case f.h == 0:
		return UnsupportedError("a height that follows the picture (DNL)")
	case n != 1 && n != 3 && n != 4:
		return UnsupportedError(fmt.Sprintf("a JPEG of %d components", n))
	case len(body) < 6+3*n:
		return FormatError("the frame header is cut short")
	}
	for i := range n {
		b := body[6+3*i:]
		c := component{id: b[0], h: int(b[1] >> 4), v: int(b[1] & 15), tq: b[2]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return FormatError(fmt.Sprintf("component %d has sampling %d x %d and quantization table %d", c.id, c.h, c.v, c.tq))
		}
		for _, o := range f.comps {
			if o.id == c.id {
				return FormatError(fmt.Sprintf("two components have the number %d", c.id))
			}
		}
		f.maxH, f.maxV = max(f.maxH, c.h), max(f.maxV, c.v)
		f.comps = append(f.comps, c)
	}
	f.mcusX, f.mcusY = ceil(f.w, 8*f.maxH), ceil(f.h, 8*f.maxV)
	for i := range f.comps {
		c := &f.comps[i]
		if f.maxH%c.h != 0 || f.maxV%c.v != 0 {
			return UnsupportedError(fmt.Sprintf("sampling %d x %d beside %d x %d", c.h, c.v, f.maxH, f.maxV))
		}
		c.w, c.rows = ceil(f.w*c.h, f.maxH), ceil(f.h*c.v, f.maxV)
		c.blocksX, c.blocksY = ceil(c.w, 8), ceil(c.rows, 8)
		c.stride = 8 * f.mcusX * c.h
	}
	d.frame = f
	return nil
}

// A memory is what one decoding leaves to the next: taking so much anew, and clearing it,
// would be a good part of the work.
type memory struct {
	comps [4]struct {
		plane []uint8
		coef  [][64]int16
		known []uint64
	}
	bands   [4]band
	segment []byte
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// resized returns s with n elements of any value.
func resized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

func ceil(a, b int) int { return (a + b - 1) / b }

// visits is how often a scan may come to each block, apart from what the file pays for
// with a bit. Encoders make about five scans of each component.
const visits = 20

// allocate takes memory for the planes. Each block costs the file a bit at least, so a
// short file cannot ask for much.
func (d *decoder) allocate() error {
	blocks := 0
	for _, c := range d.comps {
		blocks += c.blocksX * c.blocksY
	}
	if blocks > 8*(len(d.data)-d.pos) {
		return FormatError(fmt.Sprintf("the file is too short for %d x %d pixels", d.w, d.h))
	}
	d.budget = 8 * len(d.data)
	for i := range d.comps {
		c := &d.comps[i]
		n := c.stride / 8 * d.mcusY * c.v
		d.budget += visits * n
		mem := &d.memory.comps[i]
		mem.plane = resized(mem.plane, 64*n)
		c.plane = mem.plane
		if d.progressive {
			mem.coef, mem.known = resized(mem.coef, n), resized(mem.known, n)
			c.coef, c.known = mem.coef, mem.known
			clear(c.coef)
			clear(c.known)
		}
		for k := range c.low {
			c.low[k] = -1
		}
	}
	return nil
}

// complete checks that the scans gave every component. What of a progressive picture's
// precision is missing was lost only if the end marker is missing too.
func (d *decoder) complete() error {
	for _, c := range d.comps {
		for k, low := range c.low {
			if low < 0 && k == 0 || low != 0 && !d.sawEnd {
				return FormatError(fmt.Sprintf("the file ends too early, after %d scans", d.scans))
			}
		}
	}
	return nil
}
