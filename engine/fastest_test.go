package engine

import "testing"

// What the estimate says where it was measured: forms whose times differ by a fifth and more.
func TestFastest(t *testing.T) {
	for _, c := range []struct {
		in, out, h, w, stride int
		twice                 bool
		want                  string
	}{
		{16, 16, 160, 160, 1, false, winogradSquares},
		{16, 16, 160, 160, 1, true, winogradRows},
		{32, 32, 100, 160, 1, true, winogradRows},
		{28, 28, 50, 80, 1, true, winogradRows},
		{128, 128, 40, 40, 1, false, winogradSquares},
		{128, 128, 40, 40, 1, true, winogradSquares},
		{32, 64, 200, 320, 2, true, winogradRows},
		{64, 64, 100, 160, 2, true, winogradRows},
		{128, 128, 50, 80, 2, true, rows},
		{256, 256, 40, 40, 2, true, winogradSquares},
		{256, 256, 40, 40, 2, false, winogradSquares},
	} {
		k := &nativeConv{in: c.in, out: c.out, kernel: [2]int{3, 3}, stride: [2]int{c.stride, c.stride}, y: place{n: 1, c: c.out, layout: newLayout(c.h/c.stride, c.w/c.stride, 1, 1, 16, 0)}}
		if got := k.fastest(16, c.twice); got != c.want {
			t.Errorf("%d to %d channels of %dx%d, stride %d, twice %v: %s, want %s", c.in, c.out, c.h, c.w, c.stride, c.twice, got, c.want)
		}
	}
}
