package quant_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/quant"
)

// Between layers that stay in float nothing is rounded; plain Go, machine code and the reference
// agree on what is of both kinds.
func TestFloatAmongBytes(t *testing.T) {
	g := network(t)
	r := calibrated(t, g, quant.MinMax)
	for _, c := range []struct {
		keep          []string
		rounded, free []string // nodes of the float network
	}{
		{[]string{"model.0"}, []string{"model.0.act"}, []string{"images", "model.0.conv"}},
		{[]string{"model.2.cv1", "model.2.m"}, []string{"model.2.m.0.add", "model.2.cv2.act"}, []string{"model.2.m.0.cv1.act"}},
		{[]string{"model.9.cv1"}, []string{"model.9.cv1.act"}, []string{"model.9.cv1.conv"}},
		{[]string{"model.4", "model.5"}, []string{"model.3.act", "model.5.act", "model.4.cv3.act"}, []string{"model.4.cv1.act", "model.4.cv2.act", "model.4.m.0.add"}},
	} {
		q := quantised(t, g, r, c.keep...)
		for _, name := range c.rounded {
			if q.Node(name+".q") == nil {
				t.Errorf("%v: %s is not rounded", c.keep, name)
			}
		}
		for _, name := range c.free {
			if q.Node(name+".q") != nil || q.Node(name) == nil {
				t.Errorf("%v: %s is rounded", c.keep, name)
			}
		}
		d := q.Detect()
		q.Outputs = slices.Concat([]*graph.Node{d}, d.In)
		for x := range drawn(1) {
			want, err := engine.Reference(q, x)
			if err != nil {
				t.Fatal(err)
			}
			for _, cpu := range []string{engine.Generic, ""} {
				call, err := runOn(q, cpu)
				if err != nil {
					t.Fatal(err)
				}
				outs, err := call(x)
				if err != nil {
					t.Fatal(err)
				}
				for i, n := range q.Outputs {
					signal, noise := 0.0, 0.0
					for k, w := range want[n].Data {
						signal += float64(w) * float64(w)
						noise += math.Pow(float64(outs[i].Data[k]-w), 2)
					}
					// Float sums on the border between two levels may go to either.
					if noise > 1e-3*signal {
						t.Errorf("%v on %q: %s differs by %.3g of its square", c.keep, cpu, n.Name, noise/signal)
					}
				}
			}
		}
	}
	for _, c := range []struct {
		keep []string
		want string
	}{
		{nil, ""},
		{[]string{"model.0", "model.2.cv1"}, ""},
		{[]string{"model.0", "model.2.cv"}, "there is no layer model.2.cv to keep in float"},
		{[]string{"model"}, "every layer stays in float: name fewer"},
	} {
		if err := (quant.Options{KeepFloat: c.keep}).Check(g); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: error %v, want %q", c.keep, err, c.want)
		}
	}
	if _, err := quant.Quantize(g, r, quant.Options{KeepFloat: []string{"model"}}); err == nil || !strings.Contains(err.Error(), "every layer stays in float") {
		t.Errorf("all in float: %v", err)
	}
}

// eight lists the convolutions in 8 bits.
func eight(g *graph.Graph) []string {
	var names []string
	for _, n := range g.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && c.WeightScale != nil {
			names = append(names, n.Name)
		}
	}
	return names
}

// Each layer is judged alone, and counts what it multiplies.
func TestDrops(t *testing.T) {
	g := network(t)
	r := calibrated(t, g, quant.MinMax)
	all := eight(quantised(t, g, r))
	var seen []string
	judge := func(q *graph.Graph) (float64, error) {
		if names := eight(q); len(names) != 1 {
			t.Errorf("%v are in 8 bits, want one layer", names)
		} else {
			seen = append(seen, names[0])
		}
		return 50 - float64(len(seen)), nil
	}
	told := 0
	progress := func(done, of int) {
		if told++; done != told || of != len(all) {
			t.Errorf("told %d of %d", done, of)
		}
	}
	drops, err := quant.Drops(g, r, quant.Options{}, 49, judge, progress)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, all) || told != len(all) {
		t.Errorf("judged %v, want %v", seen, all)
	}
	for i, d := range drops {
		if d.Layer != all[i] || d.Points != float64(i) || d.MACs <= 0 {
			t.Errorf("drop %d is %+v", i, d)
		}
	}
	if first := drops[0]; first.MACs != 32*32*int64(g.Node("model.0.conv").Op.(*graph.Conv).Weight.Len()) {
		t.Errorf("%s multiplies %d times", first.Layer, first.MACs)
	}

	seen, told = nil, 0
	all = all[1:]
	if drops, err = quant.Drops(g, r, quant.Options{KeepFloat: []string{"model.0"}}, 49, judge, progress); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, all) || drops[0].Layer != all[0] {
		t.Errorf("judged %v, want %v", seen, all)
	}
	broken := func(*graph.Graph) (float64, error) { return 0, errors.New("no pictures") }
	if _, err := quant.Drops(g, r, quant.Options{}, 49, broken, progress); err == nil || err.Error() != "quant: model.0.conv alone in 8 bits: no pictures" {
		t.Errorf("a judge that fails: %v", err)
	}
}

// Layers go back to float by their drop for each multiply-add, until what is left is allowed.
func TestChoose(t *testing.T) {
	drops := []quant.Drop{{"a", 0.2, 100}, {"b", 0.6, 600}, {"c", 0.1, 20}, {"d", 0.2, 100}, {"e", -0.1, 180}}
	for _, c := range []struct {
		what    string
		costs   map[string]float64 // points that a layer takes from 40 while it is in 8 bits
		most    float64
		layers  string
		points  float64
		reached bool
	}{
		{"nothing is lost", nil, 0, "", 40, true},
		{"the drop is allowed", map[string]float64{"a": 1}, 1, "", 39, true},
		{"the worst of all for its size", map[string]float64{"c": 1}, 0.5, "c", 40, true},
		{"equals in order of execution", map[string]float64{"a": 1}, 0.5, "c a", 40, true},
		{"until it is enough", map[string]float64{"a": 1, "d": 1, "b": 0.5}, 0.5, "c a d", 39.5, true},
		{"one that is too large never goes", map[string]float64{"b": 2, "c": 1, "d": 1, "e": -0.5}, 0.5, "c a d", 38.5, false},
		{"nothing helps", map[string]float64{"b": 2}, 0.5, "", 38, false},
	} {
		quantise := func(keep []string) (*graph.Graph, error) { return &graph.Graph{Names: slices.Clone(keep)}, nil }
		judge := func(g *graph.Graph) (float64, error) {
			points := 40.0
			for layer, cost := range c.costs {
				if !slices.Contains(g.Names, layer) {
					points -= cost
				}
			}
			return points, nil
		}
		told := 0
		got, err := quant.Choose(drops, 40, c.most, quantise, judge, func(done, all int) {
			if told++; done != told || all != 5 {
				t.Errorf("%s: told %d of %d", c.what, done, all)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if layers := strings.Join(got.Layers, " "); layers != c.layers || got.Points != c.points || got.Reached != c.reached || !slices.Equal(got.Network.Names, got.Layers) {
			t.Errorf("%s: %q in float, %g points, reached %v; want %q, %g, %v", c.what, layers, got.Points, got.Reached, c.layers, c.points, c.reached)
		}
	}
	if _, err := quant.Choose(nil, 40, 1, nil, nil, nil); err == nil {
		t.Error("chose among no layers")
	}
}
