package dataset

import "ultrafast/picture"

// Hue, saturation and value are OpenCV's in 8 bits: v = max(r, g, b), s = 255*(v-min)/v,
// h = 0..179 in steps of two degrees. The way there is in fixed point with OpenCV's own
// rounding; the way back is exact where OpenCV computes in float32.

const hueSteps = 180

// hsvTables holds what depends on no picture.
type hsvTables struct {
	sat [256]int32 // [v]: 255/v in 12 bits behind the point
	hue [256]int32 // [v-min]: 30/(v-min), likewise
	// mix[h] says how much of v*s each channel of a hue is short of v, in 1/30: it goes up,
	// stays and goes down again along the circle. R in the lowest byte, then G and B.
	mix [hueSteps]uint32
}

var hsv = newHSVTables()

func newHSVTables() *hsvTables {
	t := &hsvTables{}
	for i := int32(1); i < 256; i++ {
		t.sat[i] = (255<<13/i + 1) / 2
		t.hue[i] = (30<<13/i + 1) / 2
	}
	for h := range int32(hueSteps) {
		// Channel n is v - v*s*max(0, min(k, 4-k, 1)), k = (n + h/60 degrees) mod 6, with
		// n = 5, 3, 1 for R, G and B.
		for i, n := range [3]int32{5, 3, 1} {
			k := (n*30 + h) % 180
			t.mix[h] |= uint32(max(0, min(k, 120-k, 30))) << (8 * i)
		}
	}
	return t
}

// gains are the tables of one change of colours.
type gains struct {
	mix, sat, val [256]uint32 // of hue, saturation and value
}

// jitter multiplies hue (mod 180), saturation and value (up to 255) by the gains, by way
// of tables as YOLOv5's augment_hsv.
func jitter(p *picture.RGB, hueGain, satGain, valGain float64) {
	var t gains
	for i := range 256 {
		v := float64(i)
		t.mix[i] = hsv.mix[int(v*hueGain)%hueSteps]
		t.sat[i] = uint32(min(v*satGain, 255))
		t.val[i] = uint32(min(v*valGain, 255))
	}
	done := jitterFast(p.Pix, &t)
	for pix := p.Pix[3*done:]; len(pix) >= 3; pix = pix[3:] {
		r, g, b := int32(pix[0]), int32(pix[1]), int32(pix[2])
		v := max(r, g, b)
		diff := v - min(r, g, b)
		// On equality red goes before green before blue.
		h := r - g + 4*diff
		if v == g {
			h = b - r + 2*diff
		}
		if v == r {
			h = g - b
		}
		h = (h*hsv.hue[uint8(diff)] + 1<<11) >> 12
		h += h >> 31 & hueSteps
		s := (diff*hsv.sat[uint8(v)] + 1<<11) >> 12

		m, s2, v2 := t.mix[uint8(h)], t.sat[uint8(s)], t.val[uint8(v)]
		pix[0] = shade(v2, s2, m&0xff)
		pix[1] = shade(v2, s2, m>>8&0xff)
		pix[2] = shade(v2, s2, m>>16&0xff)
	}
}

// shade returns v * (1 - s/255 * k/30), rounded.
func shade(v, s, k uint32) uint8 {
	const whole = 255 * 30
	const reciprocal = (1<<40 + whole - 1) / whole // exact for products up to 255*whole
	return uint8(uint64(v*(whole-s*k)+whole/2) * reciprocal >> 40)
}
