package jpeg

import (
	"bytes"

	"ultrafast/internal/bands"
)

// A painter converts rows of the planes to pixels. It belongs to one goroutine.
type painter struct {
	d       *decoder
	ups     []*upsampler
	in      [4][]uint8
	convert func(row []uint8, in *[4][]uint8)
}

func newPainter(d *decoder) *painter {
	p := &painter{d: d, convert: d.conversion()}
	for i := range d.comps {
		p.ups = append(p.ups, newUpsampler(d, &d.comps[i]))
	}
	if len(d.comps) == 1 {
		grey := bytes.Repeat([]byte{128}, d.w)
		p.in[1], p.in[2] = grey, grey
	}
	return p
}

// rows makes the pixels of rows lo to hi.
func (p *painter) rows(lo, hi int) {
	w := p.d.w
	for y := lo; y < hi; y++ {
		for i, u := range p.ups {
			p.in[i] = u.row(u, y)[:w]
		}
		p.convert(p.d.pix[3*w*y:][:3*w], &p.in)
	}
}

// paint makes all pixels.
func (d *decoder) paint() {
	bands.Do(d.h, d.w, func(lo, hi int) { newPainter(d).rows(lo, hi) })
}

// conversion decides what the components are. JFIF has only YCbCr; Adobe's segment says;
// without either the components' numbers tell, and the rest is the commonest.
func (d *decoder) conversion() func(row []uint8, in *[4][]uint8) {
	switch len(d.comps) {
	case 1:
		return fromYCbCr
	case 4:
		if d.adobe && d.adobeRGB != 0 {
			return fromYCCK
		}
		return fromCMYK
	}
	ids := [3]uint8{d.comps[0].id, d.comps[1].id, d.comps[2].id}
	if !d.jfif && (d.adobe && d.adobeRGB == 0 || !d.adobe && ids == [3]uint8{'R', 'G', 'B'}) {
		return fromRGB
	}
	return fromYCbCr
}

func fromRGB(row []uint8, in *[4][]uint8) {
	g, b := in[1][:len(in[0])], in[2][:len(in[0])]
	for x, r := range in[0] {
		o := row[:3:3]
		o[0], o[1], o[2] = r, g[x], b[x]
		row = row[3:]
	}
}

// A sum has three numbers in an uint64, with their fractions: green in bits 0-31 as 16.16,
// red in bits 32-47 and blue in bits 48-63. 256 is added to each, so that none is negative
// and ten bits hold it.
const (
	redAt, greenAt, blueAt = 32, 16, 48

	lanes = 1<<redAt | 1<<greenAt | 1<<blueAt
)

// clamp takes the 256 away and clamps to 0..255.
var clamp = func() (t [1024]uint8) {
	for i := range t {
		t[i] = sample(int64(i) - 256)
	}
	return t
}()

// ofCb and ofCr are what the colours add to luma (JFIF 1.02; BT.601 with full range), with
// libjpeg's roundings: to the nearest for red and blue, and for green after both are added.
var ofCb, ofCr = func() (cb, cr [256]uint64) {
	fix := func(v float64) int64 { return int64(v*(1<<16) + 0.5) }
	for i := range cb {
		d := int64(i) - 128
		blue := (fix(1.772)*d + 1<<15) >> 16
		red := (fix(1.402)*d + 1<<15) >> 16
		// Two's complement: what is negative borrows from above, and the sum gives it back.
		cb[i] = uint64(blue<<blueAt - fix(0.34414)*d + 1<<15)
		cr[i] = uint64(red<<redAt-fix(0.71414)*d) + 256*lanes
	}
	return cb, cr
}()

func fromYCbCr(row []uint8, in *[4][]uint8) {
	n := yccFast(row, in[0], in[1], in[2])
	ycc(row[3*n:], in[0][n:], in[1][n:], in[2][n:])
}

func ycc(row, luma, cb, cr []uint8) {
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for x, y := range luma {
		s := uint64(y)*lanes + ofCb[cb[x]] + ofCr[cr[x]]
		o := row[:3:3]
		o[0], o[1], o[2] = clamp[s>>redAt&0x3ff], clamp[s>>greenAt&0x3ff], clamp[s>>blueAt&0x3ff]
		row = row[3:]
	}
}

// fromCMYK takes ink as Adobe's programs store it, 255 for none, with OpenCV's rounding.
func fromCMYK(row []uint8, in *[4][]uint8) {
	for x, k := range in[3] {
		for i := range 3 {
			row[3*x+i] = k - uint8((255-int(in[i][x]))*int(k)>>8)
		}
	}
}

// fromYCCK has the complements of the inks as YCbCr.
func fromYCCK(row []uint8, in *[4][]uint8) {
	fromYCbCr(row, in)
	for x, k := range in[3] {
		for i, v := range row[3*x : 3*x+3] {
			row[3*x+i] = k - uint8(int(v)*int(k)>>8)
		}
	}
}
