package prune_test

import (
	"math"
	"strings"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

func model(t *testing.T, name string, names ...string) *graph.Graph {
	t.Helper()
	config, err := yolo.Standard(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(config, names, 1)
	if err != nil {
		t.Fatal(err)
	}
	fill(g, 1)
	return g
}

func rawMaps(t *testing.T, g *graph.Graph, x *tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	raw, _, err := yolo.Raw(g)
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.Compile(raw, engine.Options{Batch: 1, Height: x.Shape[2], Width: x.Shape[3], CPU: "generic"})
	if err != nil {
		t.Fatal(err)
	}
	maps, err := p.NewSession().Run(x)
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

// What is left of a trimmed head gives the numbers that it gave before.
func TestTrim(t *testing.T) {
	x := tensor.New(1, 3, 64, 96)
	for i := range x.Data {
		x.Data[i] = float32(i%251) / 251
	}
	for _, c := range []struct {
		model string
		trim  prune.Trim
		gone  []string // nodes whose names begin so must have gone
	}{
		{"yolov5n", prune.Trim{}, nil},
		{"yolov5n", prune.Trim{Levels: []int{0, 1}}, []string{"model.21.", "model.23.", "model.24.m.2"}},
		{"yolov5n", prune.Trim{Levels: []int{0}}, []string{"model.18.", "model.20.", "model.21.", "model.23."}},
		{"yolov5n", prune.Trim{Levels: []int{2}}, []string{"model.24.m.0", "model.24.m.1"}},
		{"yolov5n", prune.Trim{Classes: []int{2, 0}}, nil},
		{"yolov5n", prune.Trim{Classes: []int{2, 0, 1}}, nil},
		{"yolov5n", prune.Trim{Anchors: [][]int{{0}, {1, 2}, nil}}, nil},
		{"yolov5n", prune.Trim{Levels: []int{1, 2}, Anchors: [][]int{{2}, {0}, {0, 2}}, Classes: []int{1}}, []string{"model.24.m.0"}},
		{"thin", prune.Trim{Levels: []int{0, 1}, Classes: []int{1, 2}}, []string{"model.23."}},
		{"shuffle", prune.Trim{Levels: []int{1}, Anchors: [][]int{nil, {2}, nil}}, nil},
	} {
		g := model(t, c.model, "a", "b", "c")
		before := g.String()
		small, err := c.trim.Apply(g)
		if err != nil {
			t.Errorf("%s %+v: %v", c.model, c.trim, err)
			continue
		}
		if g.String() != before {
			t.Errorf("%s %+v: the model was changed", c.model, c.trim)
		}
		for _, n := range small.Nodes {
			for _, prefix := range c.gone {
				if strings.HasPrefix(n.Name, prefix) {
					t.Errorf("%s %+v: %s is still there", c.model, c.trim, n.Name)
				}
			}
		}
		checkSlices(t, c.trim, rawMaps(t, g, x), rawMaps(t, small, x), small)
	}
}

// checkSlices compares the maps of a model of three levels, anchors and classes with those
// of the trimmed one.
func checkSlices(t *testing.T, trim prune.Trim, full, got []*tensor.Tensor, small *graph.Graph) {
	t.Helper()
	all := []int{0, 1, 2}
	or := func(choice []int) []int {
		if choice == nil {
			return all
		}
		return choice
	}
	levels, classes := or(trim.Levels), or(trim.Classes)
	if len(got) != len(levels) {
		t.Fatalf("%+v: %d maps", trim, len(got))
	}
	for i, c := range classes {
		if small.Names[i] != string(rune('a'+c)) {
			t.Errorf("%+v: names %v", trim, small.Names)
		}
	}
	for i, l := range levels {
		anchors := all
		if trim.Anchors != nil {
			anchors = or(trim.Anchors[l])
		}
		area := full[l].Shape[2] * full[l].Shape[3]
		at := 0
		for _, a := range anchors {
			rows := []int{0, 1, 2, 3, 4}
			for _, c := range classes {
				rows = append(rows, 5+c)
			}
			for _, r := range rows {
				from := (a*8 + r) * area
				for k := range area {
					if math.Float32bits(got[i].Data[at+k]) != math.Float32bits(full[l].Data[from+k]) {
						t.Fatalf("%+v: level %d anchor %d row %d differs", trim, l, a, r)
					}
				}
				at += area
			}
		}
		if at != got[i].Len() {
			t.Errorf("%+v: level %d has %d numbers, want %d", trim, l, got[i].Len(), at)
		}
	}
}

func TestTrimRefuses(t *testing.T) {
	g := model(t, "yolov5n", "a", "b", "c")
	for want, trim := range map[string]prune.Trim{
		"levels [3]":               {Levels: []int{3}},
		"levels [1 0] are not":     {Levels: []int{1, 0}},
		"levels: none":             {Levels: []int{}},
		"classes [0 0]":            {Classes: []int{0, 0}},
		"classes [-1]":             {Classes: []int{-1}},
		"anchors for 2 levels":     {Anchors: [][]int{nil, nil}},
		"anchors of level 1 [0 3]": {Anchors: [][]int{nil, {0, 3}, nil}},
		"anchors of level 2: none": {Anchors: [][]int{nil, nil, {}}},
	} {
		if _, err := trim.Apply(g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", trim, err, want)
		}
	}
	headless, _, err := yolo.Raw(g)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (prune.Trim{}).Apply(headless); err == nil {
		t.Error("a model without a head was trimmed")
	}
}
