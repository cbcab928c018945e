package dataset

import (
	"encoding/binary"
	"math"

	"ultrafast/picture"
)

// A matrix moves a point (x, y, 1), written as a column; the last row is 0 0 1 where it is
// affine.
type matrix [3][3]float64

var identity = matrix{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}

// mul returns the matrix that applies b, then a.
func (a matrix) mul(b matrix) (c matrix) {
	for i := range 3 {
		for j := range 3 {
			c[i][j] = a[i][0]*b[0][j] + a[i][1]*b[1][j] + a[i][2]*b[2][j]
		}
	}
	return c
}

// at returns where a point goes. ok is false for points behind a perspective's horizon.
func (a matrix) at(x, y float64) (u, v float64, ok bool) {
	w := a[2][0]*x + a[2][1]*y + a[2][2]
	return (a[0][0]*x + a[0][1]*y + a[0][2]) / w, (a[1][0]*x + a[1][1]*y + a[1][2]) / w, w > 0
}

// invert reports false where the matrix has no inverse.
func (a matrix) invert() (b matrix, ok bool) {
	for i := range 3 {
		for j := range 3 { // cofactors, transposed
			p, q, r, s := (j+1)%3, (j+2)%3, (i+1)%3, (i+2)%3
			b[i][j] = a[p][r]*a[q][s] - a[p][s]*a[q][r]
		}
	}
	det := a[0][0]*b[0][0] + a[0][1]*b[1][0] + a[0][2]*b[2][0]
	if !(math.Abs(det) > 1e-12) {
		return b, false
	}
	for i := range 3 {
		for j := range 3 {
			b[i][j] /= det
		}
	}
	return b, true
}

func (a matrix) affine() bool { return a[2] == [3]float64{0, 0, 1} }

// Positions in the source are fixed-point, as in OpenCV: a pixel's offset is computed in
// steps of 1/1024 and used in steps of 1/32, so that bilinear weights are whole numbers
// that add up to 1024.
const (
	stepBits = 10
	tapBits  = 5
	taps     = 1 << tapBits
)

// warp fills dst with src as m moves it, as cv2.warpAffine (or warpPerspective) does with
// INTER_LINEAR and a border of 114: pixel (x, y) of src goes to m*(x, y). What src does not
// reach is grey.
func warp(dst, src *picture.RGB, m matrix) {
	inv, ok := m.invert()
	if !ok {
		fill(dst.Pix)
		return
	}
	if !inv.affine() {
		warpPerspective(dst, src, inv)
		return
	}
	s := newSteps(dst.W, inv[0][0], inv[1][0])
	const half = 1 << (stepBits - tapBits - 1)
	for y := range dst.H {
		x0 := fixed(inv[0][1]*float64(y)+inv[0][2], 1<<stepBits) + half
		y0 := fixed(inv[1][1]*float64(y)+inv[1][2], 1<<stepBits) + half
		warpRow(dst.Pix[3*dst.W*y:][:3*dst.W], src, x0, y0, s)
	}
}

// steps say where each pixel of a row comes from, relative to the first, in steps of 1/1024.
type steps struct {
	x, y     []int
	x32, y32 []int32 // the same for the vector unit
}

func newSteps(n int, dx, dy float64) *steps {
	s := &steps{make([]int, n), make([]int, n), make([]int32, n), make([]int32, n)}
	for i := range n {
		s.x[i], s.y[i] = fixed(dx*float64(i), 1<<stepBits), fixed(dy*float64(i), 1<<stepBits)
		s.x32[i], s.y32[i] = int32(s.x[i]), int32(s.y[i])
	}
	return s
}

// warpRow fills a row whose pixel i comes from (x0+s.x[i], y0+s.y[i]) in steps of 1/1024.
func warpRow(row []uint8, src *picture.RGB, x0, y0 int, s *steps) {
	// Within these the two 8-byte loads below, for 2 x 2 pixels, stay inside src. The other
	// positions are few, or mostly outside.
	right, below := uint(max(src.W-3, 0)), uint(max(src.H-1, 0))
	outside := func(i int) bool {
		px, py := (x0+s.x[i])>>(stepBits-tapBits), (y0+s.y[i])>>(stepBits-tapBits)
		if uint(px>>tapBits) < right && uint(py>>tapBits) < below {
			return false
		}
		sample(row[3*i:][:3:3], src, px, py)
		return true
	}
	// They go from one side to the other, so that those inside lie together.
	from, to := 0, len(row)/3
	for from < to && outside(from) {
		from++
	}
	for from < to && outside(to-1) {
		to--
	}
	from += warpFast(row, src, x0, y0, s, from, to)
	stride, pix := 3*src.W, src.Pix
	stepX, stepY := s.x[from:to], s.y[from:to]
	row = row[3*from : 3*to]
	for x := range stepX {
		px, py := (x0+stepX[x])>>(stepBits-tapBits), (y0+stepY[x])>>(stepBits-tapBits)
		o := py>>tapBits*stride + 3*(px>>tapBits)
		upper, lower := binary.LittleEndian.Uint64(pix[o:]), binary.LittleEndian.Uint64(pix[o+stride:])
		// Three channels are computed at once, in lanes of 21 bits. A difference may be
		// negative in a lane, but what it is added to makes the sum right again.
		fx, fy := uint64(px&(taps-1)), uint64(py&(taps-1))
		a, b := lanes(upper), lanes(lower)
		a = a*taps + (lanes(upper>>24)-a)*fx
		b = b*taps + (lanes(lower>>24)-b)*fx
		v := (a*taps + (b-a)*fy + (512 | 512<<21 | 512<<42)) >> 10
		d := row[3*x : 3*x+3 : 3*x+3]
		d[0], d[1], d[2] = uint8(v), uint8(v>>21), uint8(v>>42)
	}
}

// lanes spreads the lowest three bytes.
func lanes(v uint64) uint64 { return v&0xff | v&0xff00<<13 | v&0xff0000<<26 }

// sample computes one pixel at (px, py), in steps of 1/32, wherever that is.
func sample(d []uint8, src *picture.RGB, px, py int) {
	ix, iy := px>>tapBits, py>>tapBits
	if ix < -1 || iy < -1 || ix >= src.W || iy >= src.H {
		d[0], d[1], d[2] = picture.Grey, picture.Grey, picture.Grey
		return
	}
	fx, fy := px&(taps-1), py&(taps-1)
	var sum [3]int
	for i, weight := range [4]int{(taps - fx) * (taps - fy), fx * (taps - fy), (taps - fx) * fy, fx * fy} {
		x, y := ix+i&1, iy+i>>1
		inside := uint(x) < uint(src.W) && uint(y) < uint(src.H)
		for c := range sum {
			v := picture.Grey
			if inside {
				v = int(src.Pix[3*(y*src.W+x)+c])
			}
			sum[c] += weight * v
		}
	}
	d[0], d[1], d[2] = uint8((sum[0]+512)>>10), uint8((sum[1]+512)>>10), uint8((sum[2]+512)>>10)
}

func warpPerspective(dst, src *picture.RGB, inv matrix) {
	for y := range dst.H {
		for x := range dst.W {
			u, v, ok := inv.at(float64(x), float64(y))
			d := dst.Pix[3*(y*dst.W+x):][:3]
			if !ok {
				fill(d)
				continue
			}
			sample(d, src, fixed(u, taps), fixed(v, taps))
		}
	}
}

// fixed rounds v to steps of 1/scale. Far outside of any picture it stops, so that sums do
// not overflow.
func fixed(v float64, scale float64) int {
	return int(math.RoundToEven(min(max(v, -1e12), 1e12) * scale))
}

// fill makes pixels grey.
func fill(pix []uint8) {
	if len(pix) == 0 {
		return
	}
	pix[0] = picture.Grey
	for n := 1; n < len(pix); n *= 2 { // copying is ten times as fast as a loop over bytes
		copy(pix[n:], pix[:n])
	}
}
