package yolo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/box"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// cell makes the maps of a head with one cell, one anchor and the given raw numbers.
func cell(t *testing.T, raw ...float32) (*graph.Detect, []*tensor.Tensor) {
	t.Helper()
	m, err := tensor.From(raw, 1, len(raw), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &graph.Detect{Anchors: [][][2]float32{{{10, 20}}}, Strides: []int{8}, Classes: len(raw) - 5}, []*tensor.Tensor{m}
}

func TestBoxes(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name  string
		raw   []float32
		multi bool
		conf  float32
		want  int
	}{
		{"best class", []float32{0, 0, 0, 0, 9, 9, 8}, false, 0.25, 1},
		{"every class", []float32{0, 0, 0, 0, 9, 9, 8}, true, 0.25, 2},
		{"no class", []float32{0, 0, 0, 0, 9, -9, -8}, false, 0.25, 0},
		{"no object", []float32{0, 0, 0, 0, -9, 9, 9}, false, 0.25, 0},
		{"object times class", []float32{0, 0, 0, 0, 0, 0, 0}, false, 0.25, 0}, // 0.5*0.5 does not exceed it
		{"no threshold", []float32{0, 0, 0, 0, -50, 0, 0}, true, 0, 2},
		{"all infinite", []float32{inf, inf, inf, inf, inf, inf, inf}, false, 0.25, 1},
		{"all minus infinite", []float32{-inf, -inf, -inf, -inf, -inf, -inf, -inf}, false, 0, 0},
		{"place is NaN", []float32{nan, 0, 0, 0, 9, 9, 9}, false, 0.25, 0},
		{"size is NaN", []float32{0, 0, 0, nan, 9, 9, 9}, true, 0.25, 0},
		{"object is NaN", []float32{0, 0, 0, 0, nan, 9, 9}, false, 0, 0},
		{"a class is NaN", []float32{0, 0, 0, 0, 9, nan, 9}, false, 0.25, 1},
	} {
		d, maps := cell(t, c.raw...)
		found := Boxes(d, maps, BoxOptions{Conf: c.conf, MultiLabel: c.multi})[0]
		if len(found) != c.want {
			t.Errorf("%s: %v, want %d boxes", c.name, found, c.want)
		}
		for _, b := range found {
			for _, v := range []float32{b.X1, b.Y1, b.X2, b.Y2, b.Conf} {
				if v != v || math.IsInf(float64(v), 0) {
					t.Errorf("%s: box %+v", c.name, b)
				}
			}
		}
	}
	d, maps := cell(t, 0, 0, 0, 0, 9, 9)
	if b := Boxes(d, maps, BoxOptions{Conf: 0.5})[0][0]; b.X1 != -1 || b.Y1 != -6 || b.X2 != 9 || b.Y2 != 14 {
		t.Errorf("box %+v, want 10x20 around 4, 4", b)
	}
}

// head makes the raw maps of a model with three levels, for a batch of n pictures. The
// share of cells with an object in them is about that given.
func head(r *rand.Rand, n, w, h, classes int, share float64) (*graph.Detect, []*tensor.Tensor) {
	d := &graph.Detect{Classes: classes, Strides: []int{8, 16, 32}, Anchors: [][][2]float32{
		{{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62, 45}, {59, 119}}, {{116, 90}, {156, 198}, {373, 326}},
	}}
	var maps []*tensor.Tensor
	for _, s := range d.Strides {
		m := tensor.New(n, 3*(5+classes), h/s, w/s)
		area := h / s * (w / s)
		for i := range m.Data {
			m.Data[i] = 3 * float32(r.NormFloat64())
			if i/area%(5+classes) == 4 {
				m.Data[i] -= 12
				if r.Float64() < share {
					m.Data[i] += 15
				}
			}
		}
		maps = append(maps, m)
	}
	return d, maps
}

// plainBoxes computes every cell and every class.
func plainBoxes(d *graph.Detect, maps []*tensor.Tensor, o BoxOptions) [][]box.Box {
	found := make([][]box.Box, maps[0].Shape[0])
	for level, m := range maps {
		h, w := m.Shape[2], m.Shape[3]
		for i := range m.Shape[0] * len(d.Anchors[level]) * h * w {
			cell, stride := i%(h*w), float32(d.Strides[level])
			n, a := i/(h*w)/len(d.Anchors[level]), i/(h*w)%len(d.Anchors[level])
			at := func(k int) float32 {
				return sigmoid(m.Data[(i/(h*w)*(5+d.Classes)+k)*h*w+cell])
			}
			x, y := (2*at(0)-0.5+float32(cell%w))*stride, (2*at(1)-0.5+float32(cell/w))*stride
			bw, bh := 4*at(2)*at(2)*d.Anchors[level][a][0], 4*at(3)*at(3)*d.Anchors[level][a][1]
			if !(at(4) > o.Conf) || x+y+bw+bh != x+y+bw+bh {
				continue
			}
			b := box.Box{X1: x - bw/2, Y1: y - bh/2, X2: x + bw/2, Y2: y + bh/2}
			var all []box.Box
			for b.Class = range d.Classes {
				if b.Conf = at(4) * at(5+b.Class); b.Conf > o.Conf {
					all = append(all, b)
				}
			}
			if !o.MultiLabel && len(all) > 0 {
				best := all[0]
				for _, b := range all {
					if b.Conf > best.Conf {
						best = b
					}
				}
				all = []box.Box{best}
			}
			found[n] = append(found[n], all...)
		}
	}
	return found
}

func TestBoxesSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	special := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, 6.9999, 7, 7.0001, 20, 40, -79.9, -80, -88, -120, -102, -102.02}
	for i := range 60 {
		classes := []int{1, 2, 7, 80}[i%4]
		d, maps := head(r, 1+i%2, 96, 64, classes, .3)
		for _, m := range maps {
			for j := range m.Data {
				if i%5 == 4 && j/(m.Shape[2]*m.Shape[3])%(5+classes) >= 5 { // sigmoids below all normal numbers
					m.Data[j] = special[len(special)-1-r.IntN(3)]
					continue
				}
				switch r.IntN(6) {
				case 0: // as much as another one, or nearly
					m.Data[j] = m.Data[r.IntN(len(m.Data))]
					m.Data[j] += float32(r.IntN(3)-1) * 1e-6
				case 1:
					m.Data[j] = special[r.IntN(len(special))]
				case 2:
					m.Data[j] += 14
				}
			}
		}
		for _, conf := range []float32{0, 1e-44, 1e-30, 0.001, 0.25, 0.5, 0.999999, 1, 2} {
			for _, multi := range []bool{false, true} {
				o := BoxOptions{Conf: conf, MultiLabel: multi}
				got, want := Boxes(d, maps, o), plainBoxes(d, maps, o)
				for n := range want {
					if !slices.Equal(got[n], want[n]) {
						t.Fatalf("%d classes, %+v, picture %d: %d boxes, want %d", classes, o, n, len(got[n]), len(want[n]))
					}
				}
			}
		}
	}
}

func BenchmarkBoxes(b *testing.B) {
	for _, classes := range []int{1, 80} {
		d, maps := head(rand.New(rand.NewPCG(1, 2)), 1, 1280, 800, classes, .005)
		b.Run(fmt.Sprintf("classes=%d", classes), func(b *testing.B) {
			for b.Loop() {
				Boxes(d, maps, BoxOptions{Conf: 0.25})
			}
		})
	}
}
