package yolo

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
)

// Totals that YOLOv5 prints for its own models at 80 classes, x and v3.1's also fused:
// 86705005, 87730285, 8.89222e+07; 7.45958e+06.
func TestStandardTotals(t *testing.T) {
	for _, c := range []struct {
		name   string
		params int
		gflop  float64 // at 640x640, batch norms folded; 0 is not known
	}{
		{"yolov5n", 1872157, 4.5},
		{"yolov5s", 7235389, 16.4},
		{"yolov5m", 21190557, 48.9},
		{"yolov5l", 46563709, 0},
		{"yolov5x", 86749405, 0},
		{"yolov5s-v5", 7276605, 17.0},
		{"yolov5s-v3", 7468157, 0},
	} {
		cfg, err := Standard(c.name)
		if err != nil {
			t.Fatal(err)
		}
		g, err := New(cfg, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n := g.ParamCount(); n != c.params {
			t.Errorf("%s has %d parameters, want %d", c.name, n, c.params)
		}
		shapes, err := g.Shapes(1, 640, 640)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, n := range g.Nodes {
			sum += n.MACs(shapes)
		}
		if gflop := 2 * float64(sum) / 1e9; c.gflop > 0 && math.Abs(gflop-c.gflop) > 0.06 {
			t.Errorf("%s needs %.2f GFLOP, want %.1f", c.name, gflop, c.gflop)
		}
		if s := shapes[g.Detect()]; s[1] != 25200 || s[2] != 85 {
			t.Errorf("%s gives %v, want 25200 boxes of 85", c.name, s)
		}
		text := g.String()
		back, err := graph.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if again := back.String(); again != text {
			t.Errorf("%s: text form reads back differently", c.name)
		}
	}
}

func TestStandardRefuses(t *testing.T) {
	for _, name := range []string{"", "yolov5", "yolov8n", "yolov5n-v9", "../yolov5n"} {
		if _, err := Standard(name); err == nil || !strings.Contains(err.Error(), "yolov5n, yolov5s") {
			t.Errorf("Standard(%q) = %v, want an error that lists the names", name, err)
		}
	}
}

// TestExpectFew: what YOLOv5 adds to the head's biases without class frequencies is
// ln(8/(640/stride)²) for the object and ln(0.6/(classes-0.99999)) for each class, and
// nothing for the box.
func TestExpectFew(t *testing.T) {
	for _, test := range []struct {
		classes, stride int
		object, class   float64 // by hand
	}{
		{1, 8, -6.684612, 11.002100}, {2, 8, -6.684612, -0.510836}, {80, 16, -5.298317, -4.880273}, {80, 32, -3.912023, -4.880273}, {3, 64, -2.525729, -1.203978},
	} {
		bias := make([]float32, 3*(5+test.classes))
		for i := range bias {
			bias[i] = 0.25
		}
		expectFew(bias, test.classes, 640/float64(test.stride))
		for i, got := range bias {
			want := 0.25
			switch k := i % (5 + test.classes); {
			case k == 4:
				want += test.object
			case k > 4:
				want += test.class
			}
			if math.Abs(float64(got)-want) > 1e-5 {
				t.Errorf("%d classes, stride %d: bias %d is %v, want %v", test.classes, test.stride, i, got, want)
			}
		}
	}
}

func TestInitialize(t *testing.T) {
	cfg, err := Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Width = 0.125
	g, err := New(cfg, []string{"a", "b"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	same, other := g.Clone(), g.Clone()
	for _, p := range same.Params() { // as training would leave it
		for i := range p.Tensor().Data {
			p.Tensor().Data[i] = 7
		}
	}
	if err := Initialize(same, 1); err != nil {
		t.Fatal(err)
	}
	if err := Initialize(other, 2); err != nil {
		t.Fatal(err)
	}
	differ := false
	again, others := same.Params(), other.Params()
	for i, p := range g.Params() {
		if !slices.Equal(again[i].Tensor().Data, p.Tensor().Data) {
			t.Fatalf("%s: the same seed gives other weights", p.Name)
		}
		differ = differ || !slices.Equal(others[i].Tensor().Data, p.Tensor().Data)
	}
	if !differ {
		t.Error("another seed gives the same weights")
	}
	// 8 objects over 80x80 cells: the mean bias of objectness is log(8/6400), give or take
	// the random part, which is within 1/sqrt(32).
	bias := g.Node("model.24.m.0").Op.(*graph.Conv).Bias.Data
	if want := math.Log(8. / 6400); math.Abs(float64(bias[4])-want) > 0.18 {
		t.Errorf("objectness starts at %v, want about %v", bias[4], want)
	}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*graph.BatchNorm); ok {
			n.Op = &graph.Activation{Kind: graph.ReLU}
		}
	}
	if err := Initialize(g, 1); err == nil || !strings.Contains(err.Error(), "folded") {
		t.Errorf("a model without batch norms: %v", err)
	}
}
