package check

import (
	"crypto/sha256"
	"math/bits"

	"ultrafast/picture"
)

// thumbSide is the side of the small grey picture that two alike are compared by.
const thumbSide = 16

// A look is what is remembered of a picture, to know it again.
type look struct {
	file  [sha256.Size]byte
	dhash uint64
	thumb [thumbSide * thumbSide]uint8
}

func newLook(file []byte, p *picture.RGB) look {
	l := look{file: sha256.Sum256(file), dhash: dhash(p)}
	for i, v := range grey(p, thumbSide, thumbSide) {
		l.thumb[i] = uint8(v)
	}
	return l
}

// dhash is the difference hash (Neal Krawetz, Kind of Like That, 2013): of a grey picture of
// 9 x 8, whether each pixel is brighter than its right neighbour. Scaling, recoding and
// small changes of light turn few of the bits.
func dhash(p *picture.RGB) (h uint64) {
	g := grey(p, 9, 8)
	for y := range 8 {
		for x := range 8 {
			h <<= 1
			if g[9*y+x] > g[9*y+x+1] {
				h |= 1
			}
		}
	}
	return h
}

// grey returns the mean brightness of each of w x h equal fields. Of a large field a part of
// the pixels is enough.
func grey(p *picture.RGB, w, h int) []int {
	const samples = 16 // of a field, along each side
	out := make([]int, w*h)
	for fy := range h {
		y0, y1 := fy*p.H/h, max((fy+1)*p.H/h, fy*p.H/h+1)
		for fx := range w {
			x0, x1 := fx*p.W/w, max((fx+1)*p.W/w, fx*p.W/w+1)
			sum, n := 0, 0
			for y := y0; y < y1; y += max((y1-y0)/samples, 1) {
				for x := x0; x < x1; x += max((x1-x0)/samples, 1) {
					i := 3 * (y*p.W + x)
					sum += 299*int(p.Pix[i]) + 587*int(p.Pix[i+1]) + 114*int(p.Pix[i+2])
					n += 1000
				}
			}
			out[fy*w+fx] = sum / n
		}
	}
	return out
}

// What makes two pictures near duplicates: hashes that differ in few bits, and small
// pictures that differ little. The second keeps pictures of one even colour apart, whose
// hashes are all alike.
const (
	nearBits = 4
	nearGrey = 6 // of 255, the mean over the small picture
)

func (l *look) near(other *look) bool {
	if bits.OnesCount64(l.dhash^other.dhash) > nearBits {
		return false
	}
	sum := 0
	for i, v := range l.thumb {
		d := int(v) - int(other.thumb[i])
		sum += max(d, -d)
	}
	return sum <= nearGrey*len(l.thumb)
}
