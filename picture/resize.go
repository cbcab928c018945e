package picture

import (
	"image"
	"math"
	"slices"

	"ultrafast/internal/bands"
)

// Resize returns the picture scaled to w x h, both at least 1, as cv2.resize with
// INTER_LINEAR does: bilinear between pixel centres, no antialiasing, weights of 11 bits,
// edges continued.
func (p *RGB) Resize(w, h int) *RGB {
	out := New(w, h)
	if p.W == 0 || p.H == 0 {
		return out
	}
	var s scaling
	s.set(p.W, p.H, w, h)
	bands.Do(h, w, func(lo, hi int) {
		var l lines
		s.rows(out.Pix, 3*w, p, lo, hi, &l)
	})
	return out
}

// A scaling has the tables for scaling pictures of one size to another.
type scaling struct {
	srcW, srcH, w, h int
	xs, ys           []tap
	columns          columns // xs for the vector unit
}

// lines is the memory that one goroutine scales in.
type lines struct {
	upper, lower []int16 // two source rows scaled in width: see scaleRow
	src          []uint8 // a row of a picture that is not RGB
}

// set prepares for the given sizes, all at least 1.
func (s *scaling) set(srcW, srcH, w, h int) {
	if s.srcW != srcW || s.w != w {
		s.xs = taps(s.xs, w, srcW)
		s.columns.set(s.xs, srcW)
	}
	if s.srcH != srcH || s.h != h {
		s.ys = taps(s.ys, h, srcH)
	}
	s.srcW, s.srcH, s.w, s.h = srcW, srcH, w, h
}

// rows makes rows lo to hi of the scaled picture. The picture's rows are stride bytes
// apart in dst, beginning with the first.
func (s *scaling) rows(dst []uint8, stride int, img image.Image, lo, hi int, l *lines) {
	b := img.Bounds()
	if s.srcW == s.w && s.srcH == s.h {
		for y := lo; y < hi; y++ {
			copyRow(dst[y*stride:][:3*s.w], img, b.Min.X, b.Min.Y+y)
		}
		return
	}
	l.upper, l.lower = resized(l.upper, 4*s.w), resized(l.lower, 4*s.w)
	upperY, lowerY := -1, -1
	for y := lo; y < hi; y++ {
		t := s.ys[y]
		at, next := int(t.at), int(t.next)
		// The lower row of one line is often the upper row of the next.
		if at == lowerY {
			l.upper, l.lower, upperY, lowerY = l.lower, l.upper, lowerY, upperY
		}
		if at != upperY {
			s.scaleRow(l.upper, l.row(img, at))
			upperY = at
		}
		lower := l.upper
		if t.w1 != 0 && next != at {
			if next != lowerY {
				s.scaleRow(l.lower, l.row(img, next))
				lowerY = next
			}
			lower = l.lower
		}
		s.blend(dst[y*stride:][:3*s.w], l.upper, lower, t.w0, t.w1)
	}
}

// row returns a row of img as RGB.
func (l *lines) row(img image.Image, y int) []uint8 {
	if p, ok := img.(*RGB); ok {
		return p.Pix[3*p.W*y:][:3*p.W]
	}
	b := img.Bounds()
	l.src = resized(l.src, 3*b.Dx())
	copyRow(l.src, img, b.Min.X, b.Min.Y+y)
	return l.src
}

// resized returns s with n elements of any value.
func resized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

func (s *scaling) scaleRow(dst []int16, src []uint8) {
	n := s.columns.scaleRow(dst, src)
	scaleRow(dst[4*n:], src, s.xs[n:])
}

func (s *scaling) blend(dst []uint8, upper, lower []int16, w0, w1 int32) {
	n := blendFast(dst, upper, lower, w0, w1)
	blend(dst[3*n:], upper[4*n:], lower[4*n:], w0, w1)
}

// A tap says which two source pixels make one pixel, with weights that add up to 2048.
type tap struct {
	at, next int32
	w0, w1   int32
}

// taps computes the taps of n pixels from size source pixels, in out's memory if it has
// enough; beyond an edge both are the pixel at the edge. OpenCV takes the scale in double
// and the position in float, and rounds both weights to even.
func taps(out []tap, n, size int) []tap {
	out = resized(out, n)
	scale := 1 / (float64(n) / float64(size))
	for i := range out {
		// The inner conversion keeps the compiler from fusing, which would round once less.
		f := float32(float64((float64(i)+0.5)*scale) - 0.5)
		at := int(math.Floor(float64(f)))
		f -= float32(at)
		out[i] = tap{int32(min(max(at, 0), size-1)), int32(min(max(at+1, 0), size-1)),
			int32(math.RoundToEven(float64((1 - f) * 2048))),
			int32(math.RoundToEven(float64(f * 2048)))}
	}
	return out
}

// scaleRow scales one row in width: dst[4*len(xs)], four numbers a pixel of which the last
// is of no account. They have a fraction of 7 bits, of the 11 that the weights give: OpenCV
// drops the others next.
func scaleRow(dst []int16, src []uint8, xs []tap) {
	dst = dst[:4*len(xs)]
	for _, t := range xs {
		a, b := src[3*t.at:][:3:3], src[3*t.next:][:3:3]
		d := dst[:3:3]
		d[0] = int16((int32(a[0])*t.w0 + int32(b[0])*t.w1) >> 4)
		d[1] = int16((int32(a[1])*t.w0 + int32(b[1])*t.w1) >> 4)
		d[2] = int16((int32(a[2])*t.w0 + int32(b[2])*t.w1) >> 4)
		dst = dst[4:]
	}
}

// blend mixes two rows that scaleRow made into pixels, dropping bits in the order in which
// OpenCV drops them.
func blend(dst []uint8, upper, lower []int16, w0, w1 int32) {
	for ; len(dst) >= 3; dst, upper, lower = dst[3:], upper[4:], lower[4:] {
		u, l, d := upper[:4:4], lower[:4:4], dst[:3:3]
		d[0] = uint8((w0*int32(u[0])>>16 + w1*int32(l[0])>>16 + 2) >> 2)
		d[1] = uint8((w0*int32(u[1])>>16 + w1*int32(l[1])>>16 + 2) >> 2)
		d[2] = uint8((w0*int32(u[2])>>16 + w1*int32(l[2])>>16 + 2) >> 2)
	}
}
