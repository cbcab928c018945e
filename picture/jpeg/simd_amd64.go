package jpeg

import "golang.org/x/sys/cpu"

var (
	haveAVX2 = cpu.X86.HasAVX2
	haveBMI2 = cpu.X86.HasBMI2 && cpu.X86.HasAVX
)

// blockFast does what bits.block does, unless the data may end within the block.
func blockFast(r *bits, p *part, b *[64]int16) (last int, ok bool) {
	const most = 8 + (64*31+7)/8 + 8 // bytes that may be looked at
	if !haveBMI2 || len(r.data)-r.pos < most {
		return 0, false
	}
	return blockBMI2(r, p, b), true
}

// idctPair makes the 8 x 16 samples of two blocks, which follow each other in coef, and
// reports whether it can.
func idctPair(dst []uint8, stride int, coef [][64]int16, quant *[64]int16) bool {
	if !haveAVX2 {
		return false
	}
	_, _ = dst[7*stride+15], coef[1]
	idctPairAVX2(&dst[0], stride, &coef[0], quant)
	return true
}

// yccFast converts the first pixels of a row and returns how many.
func yccFast(dst, y, cb, cr []uint8) int {
	n := len(y)
	if !haveAVX2 || n < 32 {
		return 0
	}
	_, _, _ = dst[3*n-1], cb[n-1], cr[n-1]
	yccAVX2(&dst[0], &y[0], &cb[0], &cr[0], n&^31)
	if n&31 > 0 { // once more, for the last of them
		yccAVX2(&dst[3*(n-32)], &y[n-32], &cb[n-32], &cr[n-32], 32)
	}
	return n
}

// triangleFast makes the pixels of samples 1 to n-2, as triangle does, and reports whether
// it can.
func triangleFast(out, near, far []uint8, n, left, right int) bool {
	m := n - 2
	if !haveAVX2 || m < 16 {
		return false
	}
	_, _, _ = out[2*n-1], near[n-1], far[n-1]
	triangleAVX2(&out[2], &near[1], &far[1], left, right, m&^15)
	if m&15 > 0 {
		triangleAVX2(&out[2*(n-17)], &near[n-17], &far[n-17], left, right, 16)
	}
	return true
}

//go:noescape
func blockBMI2(r *bits, p *part, b *[64]int16) (last int)

//go:noescape
func idctPairAVX2(dst *uint8, stride int, coef, quant *[64]int16)

//go:noescape
func yccAVX2(dst, y, cb, cr *uint8, n int)

//go:noescape
func triangleAVX2(dst, near, far *uint8, left, right, n int)
