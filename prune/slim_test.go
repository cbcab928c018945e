package prune_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
)

// necks are models with the layers of their ways back, and the first of the neck.
var necks = []struct {
	model string
	back  []string
	first int
}{
	{"yolov5n", []string{"model.18.", "model.21."}, 13},
	{"thin", []string{"model.18.", "model.21."}, 13},
	{"ghost", []string{"model.18.", "model.21."}, 13},
	{"shuffle", []string{"model.16.", "model.19."}, 11},
	{"mobile", []string{"model.18.", "model.21."}, 13},
}

func below(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Without the way back down a network computes what it did with zeros on it, depthwise
// convolutions of it included.
func TestDropBack(t *testing.T) {
	x := tensor.New(1, 3, 64, 96)
	for i := range x.Data {
		x.Data[i] = float32(i%251) / 251
	}
	for _, neck := range necks {
		name := neck.model
		g := model(t, name, "a", "b")
		masked := g.Clone()
		zeroed := 0
		for _, n := range masked.Nodes {
			bn, ok := n.Op.(*graph.BatchNorm)
			if !ok || !below(n.Name, neck.back) {
				continue
			}
			clear(bn.Gamma.Data)
			clear(bn.Beta.Data)
			zeroed++
		}
		maskDepthwise(masked, neck.back)
		small, err := prune.DropBack(g)
		if err != nil || zeroed == 0 {
			t.Errorf("%s: %d masked, %v", name, zeroed, err)
			continue
		}
		if small.ParamCount() >= g.ParamCount() {
			t.Errorf("%s: nothing went", name)
		}
		want, got := rawMaps(t, masked, x), rawMaps(t, small, x)
		for l := range want {
			for i := range want[l].Data {
				if d := want[l].Data[i] - got[l].Data[i]; d > 1e-4 || d < -1e-4 {
					t.Fatalf("%s: level %d differs by %v", name, l, d)
				}
			}
		}
	}
}

// maskDepthwise zeroes what depthwise convolutions right behind a join make of the way back.
func maskDepthwise(g *graph.Graph, back []string) {
	users := g.Consumers()
	shapes, _ := g.Shapes(1, 64, 64)
	for _, cat := range g.Nodes {
		if _, ok := cat.Op.(*graph.Concat); !ok {
			continue
		}
		for _, user := range users[cat] {
			conv, ok := user.Op.(*graph.Conv)
			if !ok || conv.Groups == 1 {
				continue
			}
			bn := users[user][0].Op.(*graph.BatchNorm)
			at := 0
			for _, in := range cat.In {
				to := at + shapes[in][1]
				if below(in.Name, back) {
					clear(bn.Gamma.Data[at:to])
					clear(bn.Beta.Data[at:to])
				}
				at = to
			}
		}
	}
}

func TestSlim(t *testing.T) {
	for _, neck := range necks {
		name := neck.model
		for _, levels := range [][]int{nil, {0, 1}, {1}, {0}} {
			g := model(t, name, "a", "b")
			before := g.String()
			plain, err := prune.Trim{Levels: levels}.Apply(g)
			if err != nil {
				t.Fatal(err)
			}
			small, err := prune.Trim{Levels: levels, Slim: true}.Apply(g)
			if err != nil {
				t.Errorf("%s %v: %v", name, levels, err)
				continue
			}
			if g.String() != before {
				t.Errorf("%s: the model was changed", name)
			}
			if small.ParamCount() >= plain.ParamCount() {
				t.Errorf("%s %v: %d parameters, %d before", name, levels, small.ParamCount(), plain.ParamCount())
			}
			for _, l := range small.Layers() {
				convs := 0
				for _, n := range l.Nodes {
					if _, ok := n.Op.(*graph.Conv); ok {
						convs++
					}
				}
				number := 0
				fmt.Sscanf(l.Name, "model.%d", &number)
				if number >= neck.first && l.Kind != "Detect" && convs > 1 {
					t.Errorf("%s %v: %s is a %s of %d convolutions", name, levels, l.Name, l.Kind, convs)
				}
				if below(l.Name+".", neck.back) {
					t.Errorf("%s %v: %s is still there", name, levels, l.Name)
				}
			}
			if _, err := prune.Groups(small); err != nil {
				t.Errorf("%s %v: %v", name, levels, err)
			}
		}
	}
	if _, err := (prune.Trim{Levels: []int{2}, Slim: true}).Apply(model(t, "yolov5n", "a")); err != nil {
		t.Error(err)
	}
}
