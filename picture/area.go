package picture

import (
	"math"

	"ultrafast/internal/bands"
)

// ResizeArea returns the picture scaled to w x h, both at least 1, each pixel the mean of
// the area it covers, as cv2.resize with INTER_AREA does (where a whole number of pixels
// makes one, exact halves may round the other way). YOLOv5 shrinks with it in validation.
// Where a side would grow it is Resize.
func (p *RGB) ResizeArea(w, h int) *RGB {
	if w > p.W || h > p.H || p.W == 0 || p.H == 0 {
		return p.Resize(w, h)
	}
	if w == p.W && h == p.H || p.W == 2*w && p.H == 2*h {
		return p.Resize(w, h) // two pixels weigh the same there
	}
	out := New(w, h)
	xs, ys := cells(w, p.W), cells(h, p.H)
	bands.Do(p.H, p.W, func(lo, hi int) { // bands of source rows: that is where the work is
		row, sum := make([]float32, 3*w), make([]float32, 3*w)
		for y := h * lo / p.H; y < h*hi/p.H; y++ {
			clear(sum) // products are rounded before they are added, as OpenCV's are
			for i, weight := range ys[y].weights {
				shrinkRow(row, p.Pix[3*p.W*(ys[y].at+i):][:3*p.W], xs)
				for j, v := range row {
					sum[j] += float32(weight * v)
				}
			}
			for j, v := range sum {
				out.Pix[3*w*y+j] = uint8(min(255, math.RoundToEven(float64(v))))
			}
		}
	})
	return out
}

// A cell is a run of source pixels with weights that add up to 1.
type cell struct {
	at      int
	weights []float32
}

// cells computes the cells of n pixels from size source pixels, size >= n. As in OpenCV a
// share below a thousandth of a pixel is left out.
func cells(n, size int) []cell {
	out := make([]cell, n)
	scale := 1 / (float64(n) / float64(size))
	for i := range out {
		from := float64(i) * scale
		to := from + scale
		width := min(scale, float64(size)-from)
		last := min(int(math.Floor(to)), size-1)
		first := min(int(math.Ceil(from)), last)
		c := cell{at: first}
		if float64(first)-from > 1e-3 {
			c.at--
			c.weights = append(c.weights, float32((float64(first)-from)/width))
		}
		for range last - first {
			c.weights = append(c.weights, float32(1/width))
		}
		if to-float64(last) > 1e-3 {
			c.weights = append(c.weights, float32(min(to-float64(last), 1, width)/width))
		}
		out[i] = c
	}
	return out
}

// shrinkRow shrinks one row in width.
func shrinkRow(dst []float32, src []uint8, xs []cell) {
	for i := range xs {
		var r, g, b float32
		s := src[3*xs[i].at:]
		for j, w := range xs[i].weights {
			q := s[3*j : 3*j+3 : 3*j+3]
			r += float32(w * float32(q[0]))
			g += float32(w * float32(q[1]))
			b += float32(w * float32(q[2]))
		}
		dst[3*i], dst[3*i+1], dst[3*i+2] = r, g, b
	}
}
