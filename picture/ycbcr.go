package picture

import "image"

// JPEG and lossy WebP store colour at half the resolution, mostly. Go's decoders give the
// planes as stored, and its conversion repeats each colour sample. libjpeg and libwebp,
// which OpenCV reads with, draw a straight line between the samples ("fancy upsampling",
// libjpeg's jdsample.c): a sample sits in the middle of the pixels it was made from, so a
// pixel takes 3/4 of the nearer sample and 1/4 of the farther one, along each halved axis.

// fromYCbCr converts to RGB as libjpeg does.
func fromYCbCr(img *image.YCbCr, m matrix) *RGB {
	p := New(img.Rect.Dx(), img.Rect.Dy())
	halfX, halfY, ok := halved(img.SubsampleRatio)
	// libjpeg interpolates only between three columns or more.
	if !ok || halfX && p.W <= 4 || img.Rect.Min != (image.Point{}) {
		nearest(p, img, m)
		return p
	}
	parallel(p.H, p.W, func(lo, hi int) {
		u := newUpsampler(p.W, p.H, halfX, halfY)
		cb, cr := make([]uint8, p.W+1), make([]uint8, p.W+1)
		for y := lo; y < hi; y++ {
			u.row(cb, img.Cb, img.CStride, y)
			u.row(cr, img.Cr, img.CStride, y)
			m.convert(p.Pix[3*p.W*y:][:3*p.W], img.Y[img.YStride*y:][:p.W], cb, cr)
		}
	})
	return p
}

// halved says which axes hold half the colour samples; ok is false for ratios that
// libjpeg does not interpolate.
func halved(r image.YCbCrSubsampleRatio) (x, y, ok bool) {
	switch r {
	case image.YCbCrSubsampleRatio444:
		return false, false, true
	case image.YCbCrSubsampleRatio422:
		return true, false, true
	case image.YCbCrSubsampleRatio420:
		return true, true, true
	case image.YCbCrSubsampleRatio440:
		return false, true, true
	}
	return false, false, false
}

// nearest repeats colour samples.
func nearest(p *RGB, img *image.YCbCr, m matrix) {
	parallel(p.H, p.W, func(lo, hi int) {
		cb, cr := make([]uint8, p.W), make([]uint8, p.W)
		for y := lo; y < hi; y++ {
			for x := range p.W {
				i := img.COffset(img.Rect.Min.X+x, img.Rect.Min.Y+y)
				cb[x], cr[x] = img.Cb[i], img.Cr[i]
			}
			at := img.YOffset(img.Rect.Min.X, img.Rect.Min.Y+y)
			m.convert(p.Pix[3*p.W*y:][:3*p.W], img.Y[at:][:p.W], cb, cr)
		}
	})
}

// An upsampler makes rows of a full-size colour plane. It has no state between rows.
type upsampler struct {
	w, h         int // samples stored; the planes may be padded beyond
	halfX, halfY bool
	sum          []int32
}

func newUpsampler(w, h int, halfX, halfY bool) *upsampler {
	u := &upsampler{w: w, h: h, halfX: halfX, halfY: halfY}
	if halfX {
		u.w = (w + 1) / 2
	}
	if halfY {
		u.h = (h + 1) / 2
	}
	u.sum = make([]int32, u.w)
	return u
}

// row fills dst, which has room for an even number of pixels, with row y of the plane.
// The added constants are libjpeg's: they alternate, so that rounding leans neither way.
func (u *upsampler) row(dst, plane []uint8, stride, y int) {
	if !u.halfY {
		s := plane[stride*y:][:u.w]
		if u.halfX {
			widen(dst, s)
		} else {
			copy(dst, s)
		}
		return
	}
	near := y / 2
	far := near - 1 + 2*(y&1) // the row above for even y, below for odd
	far = max(0, min(far, u.h-1))
	a, b := plane[stride*near:][:u.w], plane[stride*far:][:u.w]
	if !u.halfX {
		bias := int32(1 + y&1)
		for x := range a {
			dst[x] = uint8((3*int32(a[x]) + int32(b[x]) + bias) >> 2)
		}
		return
	}
	for x := range a {
		u.sum[x] = 3*int32(a[x]) + int32(b[x])
	}
	widenSum(dst, u.sum)
}

// widen doubles a row: dst[2*len(s)].
func widen(dst, s []uint8) {
	last := len(s) - 1
	dst = dst[:2*last+2]
	dst[0] = s[0]
	for x := range last {
		a, b := int32(s[x]), int32(s[x+1])
		d := dst[2*x+1 : 2*x+3 : 2*x+3]
		d[0] = uint8((3*a + b + 2) >> 2)
		d[1] = uint8((3*b + a + 1) >> 2)
	}
	dst[2*last+1] = s[last]
}

// widenSum doubles a row of sums that are four times a sample.
func widenSum(dst []uint8, s []int32) {
	last := len(s) - 1
	dst = dst[:2*last+2]
	dst[0] = uint8((4*s[0] + 8) >> 4)
	a := s[0]
	for x, b := range s[1:] {
		d := dst[2*x+1 : 2*x+3 : 2*x+3]
		d[0] = uint8((3*a + b + 7) >> 4)
		d[1] = uint8((3*b + a + 8) >> 4)
		a = b
	}
	dst[2*last+1] = uint8((4*a + 7) >> 4)
}

// A matrix turns luma and colour differences into RGB, in fixed point of 16 bits.
type matrix struct {
	gain, offset       int32 // of luma; the offset holds half of the last bit, for rounding
	crR, crG, cbG, cbB int32
}

// fullRange is JPEG's (JFIF): BT.601 with all values 0..255, in libjpeg's precision.
var fullRange = newMatrix(1, 0, 1.402, 0.71414, 0.34414, 1.772)

// studioRange is VP8's (RFC 6386, section 9.2): BT.601 with luma 16..235, colour 16..240.
var studioRange = newMatrix(255./219, 16, 1.596027, 0.812968, 0.391762, 2.017232)

func newMatrix(gain, black, crR, crG, cbG, cbB float64) matrix {
	fix := func(v float64) int32 { return int32(v*(1<<16) + 0.5) }
	return matrix{fix(gain), 1<<15 - fix(gain*black), fix(crR), -fix(crG), -fix(cbG), fix(cbB)}
}

// convert fills one row of RGB.
func (m matrix) convert(row, y, cb, cr []uint8) {
	cb, cr, row = cb[:len(y)], cr[:len(y)], row[:3*len(y)]
	for x, v := range y {
		l := m.gain*int32(v) + m.offset
		b, r := int32(cb[x])-128, int32(cr[x])-128
		d := row[:3:3]
		d[0] = clamp((l + m.crR*r) >> 16)
		d[1] = clamp((l + m.cbG*b + m.crG*r) >> 16)
		d[2] = clamp((l + m.cbB*b) >> 16)
		row = row[3:]
	}
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}
