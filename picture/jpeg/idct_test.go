package jpeg

import (
	"math"
	"testing"
)

// direct is the definition (T.81, A.3.3), in floating point.
func direct(b *[64]int16) (out [64]float64) {
	for y := range 8 {
		for x := range 8 {
			sum := 0.0
			for v := range 8 {
				for u := range 8 {
					c := 0.25
					if u == 0 {
						c /= math.Sqrt2
					}
					if v == 0 {
						c /= math.Sqrt2
					}
					sum += c * float64(b[8*v+u]) * math.Cos(float64((2*x+1)*u)*math.Pi/16) *
						math.Cos(float64((2*y+1)*v)*math.Pi/16)
				}
			}
			out[8*y+x] = max(0, min(255, sum+128))
		}
	}
	return out
}

// Blocks of every shape that a shortcut is taken for, against the definition.
func TestIDCT(t *testing.T) {
	blocks := map[string]func(i int) bool{
		"nothing":    func(i int) bool { return false },
		"mean":       func(i int) bool { return i == 0 },
		"first row":  func(i int) bool { return i < 8 },
		"first col":  func(i int) bool { return i%8 == 0 },
		"one column": func(i int) bool { return i%8 == 5 },
		"low":        func(i int) bool { return i%8 < 3 && i < 24 },
		"all":        func(i int) bool { return true },
	}
	seed := uint32(7)
	for name, in := range blocks {
		for _, size := range []int{3, 100, 1500} {
			var b [64]int16
			for i := range b {
				seed = seed*1664525 + 1013904223
				if in(i) {
					b[i] = int16(int(seed>>8)%(2*size+1) - size)
				}
			}
			const stride = 11
			dst := make([]uint8, 7*stride+8)
			idct(&b, dst, stride)
			for i, want := range direct(&b) {
				if got := dst[i/8*stride+i%8]; math.Abs(float64(got)-want) > 0.8 {
					t.Fatalf("%s of %d: sample %d is %d, want %.2f", name, size, i, got, want)
				}
			}
		}
	}
}

// The pairs are right for whatever the halves are, and no input is out of bounds.
func TestIDCTExtremes(t *testing.T) {
	for _, v := range []int16{math.MinInt16, math.MaxInt16} {
		var b [64]int16
		for i := range b {
			b[i] = v
			if i%3 == 0 {
				b[i] = -v
			}
		}
		idct(&b, make([]uint8, 64), 8)
	}
	for _, a := range []int64{-5 << 20, -1, 0, 1, 7<<20 + 3} {
		for _, b := range []int64{-9 << 20, -1, 0, 1, 1 << 30} {
			x, y := split(pair(a, b), 11)
			if x != a>>11 || y != b>>11 {
				t.Errorf("%d and %d become %d and %d", a, b, x, y)
			}
		}
	}
}

// Every way of upsampling against its weights in floating point, odd sizes included.
func TestUpsample(t *testing.T) {
	for _, wide := range []int{1, 2} {
		for _, tall := range []int{1, 2} {
			for _, size := range [][2]int{{16, 16}, {17, 9}, {5, 1}, {6, 3}, {33, 2}} {
				d := &decoder{frame: frame{w: size[0], h: size[1], maxH: wide, maxV: tall}}
				c := &component{h: 1, v: 1, w: ceil(size[0], wide), rows: ceil(size[1], tall)}
				c.stride = 8 * ceil(c.w, 8)
				c.plane = make([]uint8, c.stride*c.rows)
				for i := range c.plane {
					c.plane[i] = uint8(i * i * 37)
				}
				u := newUpsampler(d, c)
				for y := range size[1] {
					row := u.row(u, y)
					for x := range size[0] {
						want := weigh(c, x, y, wide == 2, tall == 2)
						if off := math.Abs(float64(row[x]) - want); off > 0.51 {
							t.Fatalf("%d x %d, %v at %d,%d: %d, want %.3f", wide, tall, size, x, y, row[x], want)
						}
					}
				}
			}
		}
	}
}

func weigh(c *component, x, y int, halfX, halfY bool) float64 {
	axis := func(v, n int, half bool) (near, far int) {
		if !half {
			return v, v
		}
		return v / 2, min(max(v/2-1+v%2*2, 0), n-1)
	}
	nx, fx := axis(x, c.w, halfX)
	ny, fy := axis(y, c.rows, halfY)
	at := func(x, y int) float64 { return float64(c.plane[y*c.stride+x]) }
	return (9*at(nx, ny) + 3*at(fx, ny) + 3*at(nx, fy) + at(fx, fy)) / 16
}
