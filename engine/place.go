package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// How kernels of machine code want a map to lie. Maps of one height and width share a
// layout, whatever their channels, in one of two forms:
//
//	rows  [picture][row][channel][column]: a row of all channels is near in memory
//	flat  [picture][channel][row][column]: rows follow each other with only the padding
//	      between them, so that narrow maps fill the vectors
//
// Around each map lie columns and rows of zeros, as many as any convolution of that size
// reads; of quads, the zero point. In rows form the columns right of one channel are those
// left of the next.

// A layout is the form of all maps of one height, width and zero point. Strides are in floats.
type layout struct {
	h, w       int
	padX, padY int
	flat       bool
	lanes      int
	zero       uint8 // what each byte of the padding holds
	line       int   // flat: from one row to the next; rows: from one channel to the next
}

// lead is the alignment of the first pixel and of channels, in floats: a line of the cache.
const lead = 16

// behind is how many floats a kernel may read behind a map.
const behind = 160

func newLayout(h, w, padX, padY, lanes int, zero uint8) *layout {
	l := &layout{h: h, w: w, padX: padX, padY: padY, lanes: lanes, zero: zero}
	if l.flat = narrow(w, padX, lanes); l.flat {
		l.line = w + padX
	} else if l.line = roundUp(w, lead); l.line-w < padX {
		l.line += lead
	}
	return l
}

// like reports whether maps of the two lie alike, whatever their padding holds.
func (l *layout) like(m *layout) bool {
	a, b := *l, *m
	a.zero = b.zero
	return a == b
}

// padding is what a lane of the padding holds.
func (l *layout) padding() float32 { return codegen.Quad([4]uint8{l.zero, l.zero, l.zero, l.zero}) }

// narrow reports whether maps of that width are laid out flat.
func narrow(w, padX, lanes int) bool {
	return float64(roundUp(w, lanes)) > flatGain*float64(w+padX)
}

// flatGain is by how much rows have to waste vectors before a map is laid out flat.
const flatGain = 1.05

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// A place is where a value lies: a whole value or some channels of a larger one.
type place struct {
	*layout
	value   int // whose memory this is
	n, c    int // pictures, channels; where these lie in pairs or quads, those
	origin  int // of picture 0, channel 0, row 0, column 0
	picture int // strides
	channel int
	row     int
	first   int // of these channels in the whole value
	slots   slots
	grid    *graph.Quantize // of the bytes, where they lie in quads, else nil
}

// newPlace lays out a whole value. The second result is the floats that it takes.
func (l *layout) newPlace(value, n, c int) (place, int, error) {
	p := place{layout: l, value: value, n: n, c: c}
	if l.flat {
		p.row = l.line
		p.origin = roundUp(l.padY*l.line+l.padX, lead)
		p.channel = roundUp(p.origin+roundUp(l.h*l.line, l.lanes)+l.padY*l.line, lead)
		p.picture = c * p.channel
	} else {
		p.channel = l.line
		p.row = c * l.line
		p.origin = lead + l.padY*p.row
		p.picture = (l.h + 2*l.padY) * p.row
	}
	// The size with every factor checked, as channels times rows times columns might overflow.
	if _, err := tensor.Count([]int{n, c + 1, l.h + 2*l.padY + 1, l.line + lead}); err != nil {
		return p, 0, err
	}
	return p, lead + n*p.picture + p.origin + behind, nil
}

// part returns the place of channels first to first+c.
func (p place) part(first, c int) place {
	p.origin += first * p.channel
	p.first += first
	p.c = c
	return p
}

// at returns where a pixel lies in the value's memory.
func (p *place) at(n, c, y, x int) int {
	return p.origin + n*p.picture + c*p.channel + y*p.row + x
}

// perLane is how many channels a lane holds.
func (p *place) perLane() int {
	switch {
	case p.slots == nil:
		return 1
	case p.grid == nil:
		return 2
	}
	return 4
}

// slot returns the channel that slot i is a part of; without slots, channel i.
func (p *place) slot(i int) int { return i / p.perLane() }

// clearRows sets the rows of padding from row first on to what it holds. In flat form nothing
// else is ever written there.
func (p *place) clearRows(mem []float32, n, first int) {
	if p.flat {
		return
	}
	for y := first; y < first+p.padY; y++ {
		row := mem[p.at(n, 0, y, 0)-p.padX:][:p.c*p.channel]
		if clear(row); p.zero != 0 {
			fill(row, p.padding())
		}
	}
}

// pads clears the padding above and below a picture, as far as the rows from to to-1
// are next to it. Whoever writes rows writes it, since another map may have lain there.
func (p *place) pads(mem []float32, n, from, to int) {
	if from == 0 {
		p.clearRows(mem, n, -p.padY)
	}
	if to == p.h {
		p.clearRows(mem, n, p.h)
	}
}

// packRow copies row y of picture n from a plain tensor into the place, unpackRow the other
// way, and unpack all rows.
func (p *place) packRow(mem, plain []float32, n, y int) {
	p.pads(mem, n, y, y+1)
	if p.slots != nil {
		p.slots.packRow(p, mem, plain, n, y)
		return
	}
	for c := range p.c {
		copy(mem[p.at(n, c, y, 0):][:p.w], plain[((n*p.c+c)*p.h+y)*p.w:])
	}
}

func (p *place) unpackRow(plain, mem []float32, n, y int) {
	if p.slots != nil {
		p.slots.unpackRow(p, plain, mem, n, y)
		return
	}
	for c := range p.c {
		copy(plain[((n*p.c+c)*p.h+y)*p.w:][:p.w], mem[p.at(n, c, y, 0):])
	}
}

func (p *place) unpack(plain, mem []float32) {
	for i := range p.n * p.h {
		p.unpackRow(plain, mem, i/p.h, i%p.h)
	}
}

// plainPlace is the place that a plain tensor is.
func plainPlace(value int, s graph.Shape, lanes int) place {
	l := &layout{h: s[2], w: s[3], flat: true, lanes: lanes, line: s[3]}
	return place{layout: l, value: value, n: s[0], c: s[1],
		picture: s[1] * s[2] * s[3], channel: s[2] * s[3], row: s[3]}
}
