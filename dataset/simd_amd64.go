package dataset

import (
	"golang.org/x/sys/cpu"

	"ultrafast/picture"
)

// A variable, so that tests can compare with plain Go.
var haveAVX2 = cpu.X86.HasAVX2

// warpFast makes the first pixels of a row as warpRow does, all of which lie inside src,
// and returns how many.
func warpFast(row []uint8, src *picture.RGB, x0, y0 int, s *steps, from, to int) int {
	n := (to - from) &^ 7
	if !haveAVX2 || n == 0 {
		return 0
	}
	// Sums of positions fit in 32 bits although their parts may not.
	_, _, _ = row[3*(from+n)-1], s.x32[to-1], s.y32[to-1]
	warpAVX2(&row[3*from], &src.Pix[0], 3*src.W, int32(x0), int32(y0), &s.x32[from], &s.y32[from], n)
	return n
}

// planesFast converts the first pixels of a row and returns how many.
func planesFast(r, g, b []float32, src []uint8, mirrored bool) int {
	n := len(src) / 3 &^ 7
	if !haveAVX2 || n == 0 {
		return 0
	}
	if k := len(r) - n; mirrored {
		r, g, b = r[k:], g[k:], b[k:]
		mirrorAVX2(&r[0], &g[0], &b[0], &src[0], n)
	} else {
		planesAVX2(&r[0], &g[0], &b[0], &src[0], n)
	}
	return n
}

// jitterFast changes the first pixels and returns how many.
func jitterFast(pix []uint8, t *gains) int {
	n := len(pix) / 3 &^ 7
	if !haveAVX2 {
		return 0
	}
	const block = 512 // what stays in the first cache
	var hsv, mix, satVal [block]uint32
	for from := 0; from < n; from += block {
		k := min(block, n-from)
		p := &pix[3*from]
		hsvAVX2(&hsv[0], p, k)
		for i, v := range hsv[:k] {
			mix[i] = t.mix[uint8(v)]
			satVal[i] = t.sat[uint8(v>>8)] | t.val[uint8(v>>16)]<<16
		}
		shadeAVX2(p, &mix[0], &satVal[0], k)
	}
	return n
}

//go:noescape
func warpAVX2(dst, src *uint8, stride int, x0, y0 int32, stepX, stepY *int32, n int)

//go:noescape
func planesAVX2(red, green, blue *float32, src *uint8, n int)

//go:noescape
func mirrorAVX2(red, green, blue *float32, src *uint8, n int)

//go:noescape
func hsvAVX2(hsv *uint32, src *uint8, n int)

//go:noescape
func shadeAVX2(dst *uint8, mix, satVal *uint32, n int)
