package picture

import "golang.org/x/sys/cpu"

var haveAVX2 = cpu.X86.HasAVX2

// columns holds taps as scaleRowAVX2 reads them.
type columns struct {
	n       int     // pixels that it may make: a multiple of 4, all that lie well within the row
	at      []int32 // for each pixel the first of the 6 bytes it is made of
	weights []int16 // for each pixel w0, w1 four times; of each four pixels in the order 0 2 1 3
}

func (c *columns) set(xs []tap, srcW int) {
	c.n = 0
	if !haveAVX2 {
		return
	}
	// 16 bytes are read where a pixel begins.
	for c.n < len(xs) && 3*int(xs[c.n].at)+16 <= 3*srcW {
		c.n++
	}
	c.n &^= 3
	c.at, c.weights = resized(c.at, c.n), resized(c.weights, 8*c.n)
	for i, t := range xs[:c.n] {
		if t.next == t.at { // left of the first pixel's centre
			t.w0, t.w1 = t.w0+t.w1, 0
		}
		c.at[i] = 3 * t.at
		place := i&^3 | i&1<<1 | i>>1&1
		w := c.weights[8*place:][:8]
		for j := 0; j < 8; j += 2 {
			w[j], w[j+1] = int16(t.w0), int16(t.w1)
		}
	}
}

// scaleRow scales the first pixels of a row and returns how many.
func (c *columns) scaleRow(dst []int16, src []uint8) int {
	if c.n > 0 {
		_ = dst[4*c.n-1]
		_ = src[c.at[c.n-1]+15]
		scaleRowAVX2(&dst[0], &src[0], &c.at[0], &c.weights[0], c.n)
	}
	return c.n
}

// blendFast makes the first pixels of a row and returns how many.
func blendFast(dst []uint8, upper, lower []int16, w0, w1 int32) int {
	// Four bytes beyond each eight pixels are overwritten.
	n := max(0, len(dst)-4) / 24 * 8
	if !haveAVX2 || n == 0 {
		return 0
	}
	_, _ = upper[4*n-1], lower[4*n-1]
	blendAVX2(&dst[0], &upper[0], &lower[0], w0, w1, n)
	return n
}

//go:noescape
func scaleRowAVX2(dst *int16, src *uint8, at *int32, weights *int16, n int)

//go:noescape
func blendAVX2(dst *uint8, upper, lower *int16, w0, w1 int32, n int)
