package dataset

import (
	"bytes"
	"math"
	"testing"

	"ultrafast/picture"
)

// slowWarp is warp pixel by pixel in float64, with positions rounded to 1/32 as OpenCV's.
func slowWarp(dst, src *picture.RGB, m matrix) {
	inv, ok := m.invert()
	for y := range dst.H {
		for x := range dst.W {
			fx, fy := float64(x), float64(y)
			round := func(v float64) float64 { return math.RoundToEven(v*1024) / 1024 }
			u := round(inv[0][0]*fx) + round(inv[0][1]*fy+inv[0][2])
			v := round(inv[1][0]*fx) + round(inv[1][1]*fy+inv[1][2])
			u, v = math.Floor(u*32+0.5)/32, math.Floor(v*32+0.5)/32
			x0, y0 := math.Floor(u), math.Floor(v)
			for c := range 3 {
				at := func(x, y float64) float64 {
					if !ok || x < 0 || y < 0 || x >= float64(src.W) || y >= float64(src.H) {
						return picture.Grey
					}
					return float64(src.Pix[3*(int(y)*src.W+int(x))+c])
				}
				upper := at(x0, y0)*(x0+1-u) + at(x0+1, y0)*(u-x0)
				lower := at(x0, y0+1)*(x0+1-u) + at(x0+1, y0+1)*(u-x0)
				if !ok {
					upper, lower, y0 = picture.Grey, picture.Grey, v
				}
				dst.Pix[3*(y*dst.W+x)+c] = uint8(math.Floor(upper*(y0+1-v) + lower*(v-y0) + 0.5))
			}
		}
	}
}

func TestWarp(t *testing.T) {
	matrices := map[string]matrix{
		"identity":    identity,
		"shift":       {{1, 0, 3.5}, {0, 1, -2.25}, {0, 0, 1}},
		"enlarge":     {{1.7, 0, -9}, {0, 1.7, -4}, {0, 0, 1}},
		"shrink":      {{0.4, 0, 5}, {0, 0.4, 2}, {0, 0, 1}},
		"turn":        {{0.8, 0.6, -4}, {-0.6, 0.8, 10}, {0, 0, 1}},
		"shear":       {{1, 0.3, -2.7}, {-0.2, 1, 3}, {0, 0, 1}},
		"mirror":      {{-1, 0, 20}, {0, -1, 20}, {0, 0, 1}},
		"outside":     {{1, 0, 1000}, {0, 1, 0}, {0, 0, 1}},
		"far outside": {{1e-5, 0, 1e9}, {0, 1e-5, 0}, {0, 0, 1}},
		"singular":    {{0, 0, 3}, {0, 0, 3}, {0, 0, 1}},
	}
	for name, m := range matrices {
		for _, size := range [][2]int{{1, 1}, {2, 2}, {3, 3}, {4, 5}, {31, 17}, {40, 40}} {
			src := noise(size[0], size[1])
			got, want := picture.New(33, 21), picture.New(33, 21)
			warp(got, src, m)
			slowWarp(want, src, m)
			if !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("%s of %v differs from the plain computation", name, size)
			}
		}
	}
}

// TestWarpPerspective checks the slower way against the affine one, which a perspective
// of nothing must equal, and against the grey beyond the horizon.
func TestWarpPerspective(t *testing.T) {
	src := noise(40, 30)
	m := matrix{{0.8, 0.6, -4}, {-0.6, 0.8, 10}, {0, 0, 1}}
	affine, general := picture.New(33, 21), picture.New(33, 21)
	warp(affine, src, m)
	inv, _ := m.invert()
	warpPerspective(general, src, inv)
	for i := range affine.Pix {
		// The two round positions differently, by 1/32 of a pixel at most.
		if d := int(affine.Pix[i]) - int(general.Pix[i]); d < -20 || d > 20 {
			t.Fatalf("byte %d: affine %d, perspective %d", i, affine.Pix[i], general.Pix[i])
		}
	}
	warp(general, src, matrix{{1, 0, 0}, {0, 1, 0}, {1, 0, -20}})
	if left := general.Pix[0]; left != picture.Grey {
		t.Errorf("beyond the horizon there is %d", left)
	}
}

func TestInvert(t *testing.T) {
	m := matrix{{0.8, 0.6, -4}, {-0.5, 0.7, 10}, {0.001, -0.002, 1}}
	inv, ok := m.invert()
	if !ok {
		t.Fatal("no inverse")
	}
	p := m.mul(inv)
	for i := range 3 {
		for j := range 3 {
			if math.Abs(p[i][j]-identity[i][j]) > 1e-12 {
				t.Errorf("[%d][%d] of m times its inverse is %v", i, j, p[i][j])
			}
		}
	}
}
