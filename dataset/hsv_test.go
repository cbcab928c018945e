package dataset

import (
	"bytes"
	"math"
	"testing"

	"ultrafast/picture"
)

// plainHSV is the definition, h in 0..180 and s in 0..255, not rounded.
func plainHSV(r, g, b float64) (h, s, v float64) {
	v = max(r, g, b)
	diff := v - min(r, g, b)
	if diff == 0 {
		return 0, 0, v
	}
	switch v {
	case r:
		h = (g - b) / diff
	case g:
		h = 2 + (b-r)/diff
	default:
		h = 4 + (r-g)/diff
	}
	return math.Mod(h*30+180, 180), 255 * diff / v, v
}

// plainRGB is the way back.
func plainRGB(h, s, v float64) [3]float64 {
	sector, f := math.Modf(h / 30)
	s /= 255
	p, q, u := v*(1-s), v*(1-s*f), v*(1-s*(1-f))
	return [6][3]float64{{v, u, p}, {q, v, p}, {p, v, u}, {p, q, v}, {u, p, v}, {v, p, q}}[int(sector)]
}

// TestJitter compares with the definition. Hue and saturation are rounded to whole numbers
// on the way; where they are close to a half both are right. How close follows from
// OpenCV's tables, whose last bit is 1/4096: of 5*255 it makes 0.16 of a hue.
func TestJitter(t *testing.T) {
	var all []uint8
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 5 {
			for b := 0; b < 256; b += 17 {
				all = append(all, uint8(r), uint8(g), uint8(b))
			}
		}
	}
	for _, gains := range [][3]float64{{1, 1, 1}, {1.015, 0.3, 0.6}, {0.985, 1.7, 1.4}, {2, 1, 1}, {0, 0.5, 2}} {
		p := &picture.RGB{Pix: bytes.Clone(all), W: len(all) / 3, H: 1}
		jitter(p, gains[0], gains[1], gains[2])
		for i := 0; i < len(all); i += 3 {
			if !reachable(p.Pix[i:i+3], all[i:i+3], gains) {
				t.Fatalf("gains %v: %v became %v", gains, all[i:i+3], p.Pix[i:i+3])
			}
		}
	}
}

func reachable(got, from []uint8, gains [3]float64) bool {
	const hueSlack, satSlack, slack = 0.67, 0.54, 0.51
	h, s, v := plainHSV(float64(from[0]), float64(from[1]), float64(from[2]))
	for hue := math.Ceil(h - hueSlack); hue <= h+hueSlack; hue++ {
		for sat := math.Ceil(s - satSlack); sat <= s+satSlack; sat++ {
			h := float64(int(math.Mod(hue+180, 180)*gains[0]) % 180)
			s := float64(int(min(255, sat*gains[1])))
			v := float64(int(min(255, v*gains[2])))
			want := plainRGB(h, s, v)
			ok := true
			for c := range 3 {
				ok = ok && math.Abs(want[c]-float64(got[c])) <= slack
			}
			if ok {
				return true
			}
		}
	}
	return false
}

// TestShade checks that the division by multiplication is exact.
func TestShade(t *testing.T) {
	for v := uint32(0); v < 256; v += 5 {
		for s := uint32(0); s < 256; s++ {
			for k := uint32(0); k <= 30; k++ {
				exact := float64(v) * (1 - float64(s)/255*float64(k)/30)
				if got := shade(v, s, k); math.Abs(exact-float64(got)) > 0.5+1e-9 {
					t.Fatalf("v %d, s %d, k %d: %d, want %v", v, s, k, got, exact)
				}
			}
		}
	}
}
