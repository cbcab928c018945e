package picture

import "math"

// Resize returns the picture scaled to w x h, both at least 1, as cv2.resize with
// INTER_LINEAR does: bilinear between pixel centres, no antialiasing, weights of 11 bits,
// edges continued. Halving exactly is the mean of 2 x 2 pixels, there as here.
func (p *RGB) Resize(w, h int) *RGB {
	out := New(w, h)
	p.resizeInto(out, 0, 0, w, h)
	return out
}

// resizeInto scales p into the w x h rectangle of out at (x0, y0).
func (p *RGB) resizeInto(out *RGB, x0, y0, w, h int) {
	switch {
	case p.W == 0 || p.H == 0 || w == 0 || h == 0:
		return
	case p.W == w && p.H == h:
		for y := range h {
			copy(out.Pix[3*((y0+y)*out.W+x0):][:3*w], p.Pix[3*w*y:])
		}
		return
	case p.W == 2*w && p.H == 2*h:
		parallel(h, w, func(lo, hi int) {
			for y := lo; y < hi; y++ {
				halve(out.Pix[3*((y0+y)*out.W+x0):][:3*w], p.Pix[3*p.W*2*y:], p.Pix[3*p.W*(2*y+1):])
			}
		})
		return
	}
	xs, ys := taps(w, p.W), taps(h, p.H)
	parallel(h, w, func(lo, hi int) {
		// The two source rows in use, scaled in width, as 11-bit fixed point. Bands go
		// downwards, so that the lower row of one line is often the upper of the next.
		upper, lower := make([]int32, 3*w), make([]int32, 3*w)
		upperY, lowerY := -1, -1
		for y := lo; y < hi; y++ {
			t := ys[y]
			at, next := int(t.at), int(t.next)
			if at == lowerY {
				upper, lower, upperY, lowerY = lower, upper, lowerY, upperY
			}
			if at != upperY {
				scaleRow(upper, p.Pix[3*p.W*at:][:3*p.W], xs)
				upperY = at
			}
			if next != lowerY {
				scaleRow(lower, p.Pix[3*p.W*next:][:3*p.W], xs)
				lowerY = next
			}
			blend(out.Pix[3*((y0+y)*out.W+x0):][:3*w], upper, lower, t.w0, t.w1)
		}
	})
}

// A tap says which two source pixels make one pixel, with weights that add up to 2048.
type tap struct {
	at, next int32
	w0, w1   int32
}

// taps computes the taps of n pixels from size source pixels; beyond an edge both are the
// pixel at the edge. OpenCV takes the scale in double and the position in float, and
// rounds both weights to even.
func taps(n, size int) []tap {
	out := make([]tap, n)
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

// scaleRow scales one row in width: dst[3*len(xs)] in fixed point of 11 bits.
func scaleRow(dst []int32, src []uint8, xs []tap) {
	dst = dst[:3*len(xs)]
	for _, t := range xs {
		a, b := src[3*t.at:][:3:3], src[3*t.next:][:3:3]
		d := dst[:3:3]
		d[0] = int32(a[0])*t.w0 + int32(b[0])*t.w1
		d[1] = int32(a[1])*t.w0 + int32(b[1])*t.w1
		d[2] = int32(a[2])*t.w0 + int32(b[2])*t.w1
		dst = dst[3:]
	}
}

// blend mixes two rows, dropping bits in the order in which OpenCV drops them.
func blend(dst []uint8, upper, lower []int32, w0, w1 int32) {
	upper, lower = upper[:len(dst)], lower[:len(dst)]
	for i := range dst {
		dst[i] = uint8((w0*(upper[i]>>4)>>16 + w1*(lower[i]>>4)>>16 + 2) >> 2)
	}
}

// halve makes one row of half the width from two.
func halve(dst, upper, lower []uint8) {
	for ; len(dst) >= 3; dst, upper, lower = dst[3:], upper[6:], lower[6:] {
		a, b, d := upper[:6:6], lower[:6:6], dst[:3:3]
		d[0] = uint8((int32(a[0]) + int32(a[3]) + int32(b[0]) + int32(b[3]) + 2) >> 2)
		d[1] = uint8((int32(a[1]) + int32(a[4]) + int32(b[1]) + int32(b[4]) + 2) >> 2)
		d[2] = uint8((int32(a[2]) + int32(a[5]) + int32(b[2]) + int32(b[5]) + 2) >> 2)
	}
}
