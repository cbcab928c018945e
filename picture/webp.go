package picture

import (
	"bytes"
	"errors"
	"image"

	"golang.org/x/image/webp"

	"ultrafast/internal/bands"
)

// decodeWebP differs from plain in lossy pictures, whose planes it converts itself.
func decodeWebP(data []byte) (*RGB, error) {
	if animatedWebP(data) {
		return nil, errors.New("an animated picture, which is not read: save a frame of it as a picture of its own")
	}
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return fromVP8(img), nil
	case *image.NYCbCrA:
		return fromVP8(&img.YCbCr), nil
	}
	return FromImage(img), nil
}

// animatedWebP reports whether a file's first chunk, VP8X, says that frames follow.
func animatedWebP(data []byte) bool {
	const chunk, flags, animation = 12, 20, 1 << 1
	return len(data) > flags && string(data[chunk:chunk+4]) == "VP8X" && data[flags]&animation != 0
}

// VP8 stores colour at half the resolution on both axes. The decoder gives the planes as
// stored, and image's conversion repeats each colour sample. libwebp, which OpenCV reads
// with, draws a straight line between the samples: a sample sits in the middle of the
// pixels it was made from, so a pixel takes 3/4 of the nearer sample and 1/4 of the farther
// one, along each axis.

// fromVP8 converts the planes of a key frame, which are 4:2:0 from (0, 0) on.
func fromVP8(img *image.YCbCr) *RGB {
	p := New(img.Rect.Dx(), img.Rect.Dy())
	bands.Do(p.H, p.W, func(lo, hi int) {
		u := newUpsampler(p.W, p.H)
		cb, cr := make([]uint8, p.W+1), make([]uint8, p.W+1)
		for y := lo; y < hi; y++ {
			u.row(cb, img.Cb, img.CStride, y)
			u.row(cr, img.Cr, img.CStride, y)
			convertVP8(p.Pix[3*p.W*y:][:3*p.W], img.Y[img.YStride*y:][:p.W], cb, cr)
		}
	})
	return p
}

// An upsampler makes rows of a full-size colour plane. It has no state between rows.
type upsampler struct {
	h   int // rows stored; the planes may be padded beyond
	sum []int32
}

func newUpsampler(w, h int) *upsampler {
	return &upsampler{h: (h + 1) / 2, sum: make([]int32, (w+1)/2)}
}

// row fills dst, which has room for an even number of pixels, with row y of the plane.
func (u *upsampler) row(dst, plane []uint8, stride, y int) {
	near := y / 2
	far := near - 1 + 2*(y&1) // the row above for even y, below for odd
	far = max(0, min(far, u.h-1))
	a, b := plane[stride*near:][:len(u.sum)], plane[stride*far:][:len(u.sum)]
	for x := range a {
		u.sum[x] = 3*int32(a[x]) + int32(b[x])
	}
	widen(dst, u.sum)
}

// widen doubles a row of sums that are four times a sample. The added constants alternate,
// so that rounding leans neither way.
func widen(dst []uint8, s []int32) {
	last := len(s) - 1
	dst = dst[:2*last+2]
	dst[0] = uint8((4*s[0] + 8) >> 4)
	a := s[0]
	for x, b := range s[1:] {
		d := dst[2*x+1 : 2*x+3 : 2*x+3]
		d[0] = uint8((3*a + b + 7) >> 4)
		d[1] = uint8((3*b + a + 8) >> 4)
		a = b
	}
	dst[2*last+1] = uint8((4*a + 7) >> 4)
}

// VP8's colours (RFC 6386, section 9.2) are BT.601's with luma 16..235 and colour 16..240,
// here in fixed point of 16 bits.
const (
	lumaGain = 76309           // 255/219
	lumaFrom = 1<<15 - 1220945 // 16 times the gain, with half of the last bit for rounding
	crToR    = 104597          // 1.596027
	crToG    = 53279           // 0.812968
	cbToG    = 25675           // 0.391762
	cbToB    = 132201          // 2.017232
)

// convertVP8 fills one row of RGB.
func convertVP8(row, y, cb, cr []uint8) {
	cb, cr, row = cb[:len(y)], cr[:len(y)], row[:3*len(y)]
	for x, v := range y {
		l := lumaGain*int32(v) + lumaFrom
		b, r := int32(cb[x])-128, int32(cr[x])-128
		d := row[:3:3]
		d[0] = clamp((l + crToR*r) >> 16)
		d[1] = clamp((l - cbToG*b - crToG*r) >> 16)
		d[2] = clamp((l + cbToB*b) >> 16)
		row = row[3:]
	}
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}
