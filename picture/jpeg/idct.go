package jpeg

import (
	"encoding/binary"
	"math"
)

// The inverse DCT is that of C. Loeffler, A. Ligtenberg and G. Moschytz, "Practical Fast
// 1-D DCT Algorithms with 11 Multiplications" (ICASSP 1989), in the variant with 12
// multiplications of which none follows another. libjpeg's accurate integer method
// ("islow") fixes the precision: constants of 13 bits, columns first, two more bits kept
// between columns and rows, halves rounded up. Every sum before such a rounding is exact, so
// whatever does the same arithmetic gives the same pixels. Between columns and rows numbers
// are clamped to 16 bits, as libjpeg-turbo's vector code does; only the coefficients of no
// picture exceed them. So no sum needs more than 32 bits, whatever the file says.
//
// Two columns, then two rows, go through at once, in the halves of an int64: a pair (a, b)
// is the number a + b<<32. Sums of pairs and products with constants are right as long as
// each half stays within 32 bits; a negative low half borrows one from the high half,
// which split undoes.

// The constants, in 1/8192. cN stands for cos(N pi/16) times the root of 2.
const (
	c6        = 4433  // 0.541196100
	c2MinusC6 = 6270  // 0.765366865
	c2PlusC6  = 15137 // 1.847759065
	c3        = 9633  // 1.175875602
	k0        = 2446  // 0.298631336: -c1+c3+c5-c7
	k1        = 16819 // 2.053119869:  c1+c3-c5+c7
	k2        = 25172 // 3.072711026:  c1+c3+c5-c7
	k3        = 12299 // 1.501321110:  c1+c3-c5-c7
	k4        = 7373  // 0.899976223:  c3-c7
	k5        = 20995 // 2.562915447:  c1+c3
	k6        = 16069 // 1.961570560:  c3+c5
	k7        = 3196  // 0.390180644:  c3-c5
)

const (
	both     = 1<<32 + 1 // a pair of ones
	colShift = 13 - 2
	rowShift = 13 + 2 + 3
)

// split returns the halves of a pair, shifted.
func split(v int64, shift uint) (a, b int64) {
	low := int64(int32(v))
	return low >> shift, (v - low) >> (32 + shift)
}

func pair(a, b int64) int64 { return a + b<<32 }

func clamp16(v int64) int64 { return max(math.MinInt16, min(math.MaxInt16, v)) }

// idctRow makes a row of blocks into 8 rows of samples at dst. lasts has for each block the
// place of its last coefficient, in a file's order.
func idctRow(dst []uint8, stride int, coef [][64]int16, lasts []uint8, quant *[64]int16) {
	for x := 0; x < len(coef); x++ {
		if lasts[x] == 0 {
			idctMean(coef[x][0]*quant[0], dst[8*x:], stride)
			continue
		}
		if pair := min(x, len(coef)-2); pair >= 0 && idctPair(dst[8*pair:], stride, coef[pair:], quant) {
			x = pair + 1
			continue
		}
		b := coef[x]
		for i, q := range quant {
			b[i] *= q
		}
		idct(&b, dst[8*x:], stride)
	}
}

// idctMean is idct of a block without frequencies.
func idctMean(mean int16, dst []uint8, stride int) {
	v := uint64(sample((clamp16(int64(mean)<<2)+128<<5+1<<4)>>5)) * 0x01010101_01010101
	for y := range 8 {
		binary.LittleEndian.PutUint64(dst[y*stride:], v)
	}
}

// idct makes 8 x 8 samples at dst from the dequantized coefficients of a block.
func idct(b *[64]int16, dst []uint8, stride int) {
	var rows [4][8]int64 // pairs of rows between the two transforms
	flat := true         // all rows are the same
	for c := 0; c < 8; c += 2 {
		flat = idctColumns(b, c, &rows) && flat
	}
	for i := range rows {
		top, bottom := dst[:8:8], dst[stride:stride+8:stride+8]
		idctRows(&rows[i], top, bottom)
		if flat {
			for y := 2; y < 8; y++ {
				copy(dst[y*stride:y*stride+8], top)
			}
			return
		}
		if i < 3 {
			dst = dst[2*stride:]
		}
	}
}

// idctColumns transforms columns c and c+1 into rows. It reports whether the rows are the
// same, for want of vertical frequencies, as in most blocks some are.
func idctColumns(b *[64]int16, c int, rows *[4][8]int64) (flat bool) {
	col := b[c : c+58 : c+58]
	if col[8]|col[16]|col[24]|col[32]|col[40]|col[48]|col[56]|
		col[9]|col[17]|col[25]|col[33]|col[41]|col[49]|col[57] == 0 {
		d0, d1 := clamp16(int64(col[0])<<2)*both, clamp16(int64(col[1])<<2)*both
		for i := range rows {
			rows[i][c], rows[i][c+1] = d0, d1
		}
		return true
	}
	at := func(y int) int64 { return pair(int64(col[8*y]), int64(col[8*y+1])) }
	store := func(i int, top, bottom int64) {
		a0, b0 := split(top, colShift)
		a1, b1 := split(bottom, colShift)
		rows[i][c], rows[i][c+1] = pair(clamp16(a0), clamp16(a1)), pair(clamp16(b0), clamp16(b1))
	}
	const half = 1 << (colShift - 1) * both

	x0, x2, x4, x6 := at(0), at(2), at(4), at(6)
	z := (x2 + x6) * c6
	e2, e3 := z-x6*c2PlusC6, z+x2*c2MinusC6
	e0, e1 := (x0+x4)<<13+half, (x0-x4)<<13+half

	x1, x3, x5, x7 := at(1), at(3), at(5), at(7)
	z5 := (x1 + x3 + x5 + x7) * c3
	z1, z2 := (x1+x7)*k4, (x3+x5)*k5
	z3, z4 := z5-(x3+x7)*k6, z5-(x1+x5)*k7
	o0, o1, o2, o3 := x1*k3-z1+z4, x3*k2-z2+z3, x5*k1-z2+z4, x7*k0-z1+z3

	store(0, e0+e3+o0, e1+e2+o1)
	store(1, e1-e2+o2, e0-e3+o3)
	store(2, e0-e3-o3, e1-e2-o2)
	store(3, e1+e2-o1, e0+e3-o0)
	return false
}

// idctRows transforms a pair of rows into samples. 128 is the sample that 0 stands for.
func idctRows(v *[8]int64, top, bottom []uint8) {
	x0, x1, x2, x3, x4, x5, x6, x7 := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
	if x1|x2|x3|x4|x5|x6|x7 == 0 {
		const shift = rowShift - 13
		a, b := split(x0+(128<<shift+1<<(shift-1))*both, shift)
		fill(top, sample(a))
		fill(bottom, sample(b))
		return
	}
	store := func(x int, v int64) {
		a, b := split(v, rowShift)
		top[x], bottom[x] = sample(a), sample(b)
	}
	const half = (128<<rowShift + 1<<(rowShift-1)) * both

	z := (x2 + x6) * c6
	e2, e3 := z-x6*c2PlusC6, z+x2*c2MinusC6
	e0, e1 := (x0+x4)<<13+half, (x0-x4)<<13+half

	z5 := (x1 + x3 + x5 + x7) * c3
	z1, z2 := (x1+x7)*k4, (x3+x5)*k5
	z3, z4 := z5-(x3+x7)*k6, z5-(x1+x5)*k7
	o0, o1, o2, o3 := x1*k3-z1+z4, x3*k2-z2+z3, x5*k1-z2+z4, x7*k0-z1+z3

	store(0, e0+e3+o0)
	store(1, e1+e2+o1)
	store(2, e1-e2+o2)
	store(3, e0-e3+o3)
	store(4, e0-e3-o3)
	store(5, e1-e2-o2)
	store(6, e1+e2-o1)
	store(7, e0+e3-o0)
}

func fill(s []uint8, v uint8) {
	for i := range s {
		s[i] = v
	}
}

// sample clamps to 0..255.
func sample(v int64) uint8 {
	if uint64(v) > 255 {
		return uint8(^(v >> 63))
	}
	return uint8(v)
}
