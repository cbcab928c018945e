package tensor

import (
	"math"
	"testing"
)

func TestHalf(t *testing.T) {
	for _, c := range []struct {
		bits uint16
		want float64
	}{
		{0x0000, 0}, {0x3c00, 1}, {0xc000, -2}, {0x7bff, 65504}, {0x0400, math.Pow(2, -14)},
		{0x0001, math.Pow(2, -24)}, {0x83ff, -1023 * math.Pow(2, -24)}, {0x3555, 0.333251953125},
		{0x7c00, math.Inf(1)}, {0xfc00, math.Inf(-1)},
	} {
		if got := FromHalf(c.bits); float64(got) != c.want {
			t.Errorf("FromHalf(%#04x) = %v, want %v", c.bits, got, c.want)
		}
	}
	if got := FromHalf(0x7e01); !math.IsNaN(float64(got)) {
		t.Errorf("FromHalf of NaN = %v", got)
	}
	if got := FromHalf(0x8000); math.Float32bits(got) != 1<<31 {
		t.Errorf("FromHalf(-0) = %v", got)
	}
	if got := FromBFloat16(0xc0a0); got != -5 {
		t.Errorf("FromBFloat16(0xc0a0) = %v, want -5", got)
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  int
		ok    bool
	}{
		{nil, 1, true}, {[]int{2, 3}, 6, true}, {[]int{0, 1 << 40}, 0, true},
		{[]int{-1}, 0, false}, {[]int{1 << 16, 1 << 16}, 0, false}, {[]int{1 << 62, 4}, 0, false},
	} {
		if n, err := Count(c.shape); n != c.want || (err == nil) != c.ok {
			t.Errorf("Count(%v) = %d, %v", c.shape, n, err)
		}
	}
	if _, err := From(make([]float32, 5), 2, 3); err == nil {
		t.Error("From takes 5 numbers for 2x3")
	}
	x := New(2, 3)
	if y := x.Clone(); &y.Data[0] == &x.Data[0] || y.String() != "f32[2,3]" {
		t.Error("Clone shares memory, or prints wrongly")
	}
}

// Every half becomes itself; between two neighbours the nearer one is taken, in the middle
// the even one.
func TestToHalf(t *testing.T) {
	for h := range uint16(0x7c00) {
		v := FromHalf(h)
		next := FromHalf(h + 1)
		if h+1 == 0x7c00 {
			next = 65536
		}
		middle := v + (next-v)/2
		even := h + h&1
		for _, c := range []struct {
			v    float32
			want uint16
		}{
			{v, h}, {middle, even}, {math.Nextafter32(middle, 0), h}, {math.Nextafter32(middle, 1e9), h + 1},
		} {
			if got := ToHalf(c.v); got != c.want {
				t.Fatalf("ToHalf(%g) = %#x, want %#x", c.v, got, c.want)
			}
			if got := ToHalf(-c.v); got != c.want|0x8000 {
				t.Fatalf("ToHalf(%g) = %#x, want %#x", -c.v, got, c.want|0x8000)
			}
		}
	}
	for v, want := range map[float32]uint16{65504: 0x7bff, 1e10: 0x7c00, float32(math.Inf(-1)): 0xfc00, 1e-30: 0} {
		if got := ToHalf(v); got != want {
			t.Errorf("ToHalf(%g) = %#x, want %#x", v, got, want)
		}
	}
	if got := ToHalf(float32(math.NaN())); got != 0x7e00 {
		t.Errorf("NaN is %#x", got)
	}
}
