package train

import (
	"math"
	"slices"
	"testing"

	"ultrafast/tensor"
)

// The 4 x 4 numbers are those of PyTorch's documentation of bilinear upsampling.
func TestResizeIsTorchs(t *testing.T) {
	src, err := tensor.From([]float32{1, 2, 3, 4}, 1, 1, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	dst := tensor.New(1, 1, 4, 4)
	resize(dst, src)
	want := []float32{1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}
	if !slices.Equal(dst.Data, want) {
		t.Errorf("got %v, want %v", dst.Data, want)
	}
	// A slope stays a slope, in every plane: at pixel i it has the value of (i+1/2)*from/to - 1/2.
	src, dst = tensor.New(2, 3, 4, 9), tensor.New(2, 3, 2, 6)
	for i := range src.Data {
		src.Data[i] = float32(i%9) + float32(10*(i/36))
	}
	resize(dst, src)
	for i, v := range dst.Data {
		if want := (float64(i%6)+0.5)*1.5 - 0.5 + float64(10*(i/12)); math.Abs(float64(v)-want) > 1e-5 {
			t.Errorf("element %d is %v, want %v", i, v, want)
		}
	}
}

// Every side from half to one and a half times the size comes, in strides, and follows
// from seed, epoch and step.
func TestScaler(t *testing.T) {
	s := &scaler{seed: 1, size: 320, stride: 32}
	sides := map[int]int{}
	for step := range 2000 {
		sides[s.side(3, step)]++
	}
	for side := 160; side <= 480; side += 32 {
		if sides[side] < 100 { // 32 of 352 numbers each: 182
			t.Errorf("side %d came %d times", side, sides[side])
		}
		delete(sides, side)
	}
	if len(sides) > 0 {
		t.Errorf("other sides came: %v", sides)
	}
	other := &scaler{seed: 2, size: 320, stride: 32}
	same := 0
	for step := range 100 {
		if s.side(1, step) == other.side(1, step) {
			same++
		}
	}
	if same > 30 {
		t.Errorf("another seed gives the same side %d times of 100", same)
	}
	if small := (&scaler{size: 32, stride: 32}); small.side(0, 0) < 32 {
		t.Error("a side below one stride")
	}
	x := tensor.New(1, 3, 192, 320)
	for step := range 50 {
		side := s.side(0, step)
		y := s.scale(x, 0, step)
		if h := int(math.Ceil(192*float64(side)/320/32)) * 32; y.Shape[3] != side || y.Shape[2] != h {
			t.Errorf("side %d: shape %v, want height %d", side, y.Shape, h)
		}
	}
}
