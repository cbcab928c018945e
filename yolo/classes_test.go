package yolo

import (
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
)

// small is an untrained model, its head's numbers made telling: row r of level l is
// 1000*l + r throughout.
func small(t *testing.T, names ...string) *graph.Graph {
	t.Helper()
	cfg, err := Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Width = 0.05
	g, err := New(cfg, names, 1)
	if err != nil {
		t.Fatal(err)
	}
	for l, m := range g.Detect().In {
		c := m.Op.(*graph.Conv)
		size := c.Weight.Len() / c.Weight.Shape[0]
		for i := range c.Weight.Data {
			c.Weight.Data[i] = float32(1000*l + i/size)
		}
		for i := range c.Bias.Data {
			c.Bias.Data[i] = float32(1000*l + i)
		}
	}
	return g
}

func TestSetClasses(t *testing.T) {
	for _, test := range []struct {
		name      string
		have, set []string
		kept      []int
	}{
		{"the same", []string{"face", "mask"}, []string{"face", "mask"}, []int{0, 1}},
		{"another order", []string{"face", "mask"}, []string{"mask", "face"}, []int{1, 0}},
		{"more", []string{"face", "mask"}, []string{"hat", "mask", "face", "shoe"}, []int{-1, 1, 0, -1}},
		{"fewer", []string{"a", "b", "c"}, []string{"c"}, []int{2}},
		{"others", []string{"a", "b"}, []string{"c", "d"}, []int{-1, -1}},
		{"the data has no names", []string{"a", "b"}, []string{"class0", "class1"}, []int{0, 1}},
		{"the model has none", []string{"0", "1"}, []string{"a", "b"}, []int{0, 1}},
		{"none, and more of them", []string{"0", "1"}, []string{"a", "b", "c"}, []int{-1, -1, -1}},
	} {
		g := small(t, test.have...)
		out, kept, err := SetClasses(g, test.set, 7)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !slices.Equal(kept, test.kept) || !slices.Equal(out.Names, test.set) {
			t.Errorf("%s: kept %v with names %v, want %v", test.name, kept, out.Names, test.kept)
		}
		if err := out.Verify(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		before := 5 + len(test.have)
		for l, m := range out.Detect().In {
			c, rows := m.Op.(*graph.Conv), 5+len(test.set)
			size := c.Weight.Len() / c.Weight.Shape[0]
			for i, b := range c.Bias.Data {
				a, r := i/rows, i%rows
				if r >= 5 {
					if test.kept[r-5] < 0 {
						if b > 0 || c.Weight.Data[i*size] > 1 || c.Weight.Data[i*size] == c.Weight.Data[i*size+1] {
							t.Errorf("%s: level %d row %d is not new: bias %v", test.name, l, i, b)
						}
						continue
					}
					r = 5 + test.kept[r-5]
				}
				if want := float32(1000*l + a*before + r); b != want || c.Weight.Data[i*size] != want || c.Weight.Data[(i+1)*size-1] != want {
					t.Errorf("%s: level %d row %d has bias %v, want %v", test.name, l, i, b, want)
				}
			}
		}
		if d := g.Detect().Op.(*graph.Detect); d.Classes != len(test.have) || !slices.Equal(g.Names, test.have) {
			t.Errorf("%s: the model itself was changed", test.name)
		}
	}
}

func TestTake(t *testing.T) {
	g, from := small(t, "a", "b"), small(t, "a", "b", "c")
	fresh := g.Clone()
	for _, p := range from.Params() {
		for i := range p.Tensor().Data {
			p.Tensor().Data[i] = 42
		}
	}
	from.Node("model.0.conv").Name = "stem"
	got := Take(g, from)
	if got.Of != len(g.Params()) || got.Taken != got.Of-7 || len(got.Left) != 7 {
		t.Fatalf("%+v", got)
	}
	text := got.String()
	for _, want := range []string{" tensors taken; not: model.0.conv.weight, which is not there, model.24.m.0.weight [24,16,1,1] against [21,16,1,1], ", "and 1 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	for i, p := range g.Params() {
		left := p.Name == "model.0.conv.weight" || strings.HasPrefix(p.Name, "model.24.m.")
		switch v := p.Tensor().Data; {
		case left && !slices.Equal(v, fresh.Params()[i].Tensor().Data):
			t.Errorf("%s was changed", p.Name)
		case !left && slices.ContainsFunc(v, func(x float32) bool { return x != 42 }):
			t.Errorf("%s was not taken", p.Name)
		}
	}
}
