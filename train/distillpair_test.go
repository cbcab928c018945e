package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

func TestPairs(t *testing.T) {
	for _, test := range []struct {
		student, teacher []int
		want             [][2]int
	}{
		{[]int{8, 16, 32}, []int{8, 16, 32}, [][2]int{{0, 0}, {1, 1}, {2, 2}}},
		{[]int{16}, []int{8, 16, 32}, [][2]int{{0, 1}}},
		{[]int{8, 16, 32, 64}, []int{16, 32}, [][2]int{{1, 0}, {2, 1}}},
		{[]int{4}, []int{8}, nil},
	} {
		if got := pairLevels(test.student, test.teacher); !slices.Equal(got, test.want) {
			t.Errorf("levels %v of %v: %v", test.student, test.teacher, got)
		}
	}
	for _, test := range []struct {
		student, teacher [][2]float32
		want             [][2]int
	}{
		{[][2]float32{{10, 13}, {16, 30}}, [][2]float32{{10, 13}, {16, 30}, {33, 23}}, [][2]int{{0, 0}, {1, 1}}},
		{[][2]float32{{33, 23}}, [][2]float32{{10, 13}, {16, 30}, {33.01, 23}}, [][2]int{{0, 2}}},
		{[][2]float32{{33, 24}, {13, 10}}, [][2]float32{{10, 13}, {33, 23}}, nil},
	} {
		if got := pairAnchors(test.student, test.teacher); !slices.Equal(got, test.want) {
			t.Errorf("anchors %v of %v: %v", test.student, test.teacher, got)
		}
	}
	for _, test := range []struct {
		student, teacher []string
		want             [][2]int
	}{
		{[]string{"a", "b"}, []string{"b", "c", "a"}, [][2]int{{0, 2}, {1, 0}}},
		{[]string{"a", "d"}, []string{"a"}, [][2]int{{0, 0}}},
		{[]string{"a"}, nil, nil},
	} {
		if got := pairClasses(test.student, test.teacher); !slices.Equal(got, test.want) {
			t.Errorf("classes %v of %v: %v", test.student, test.teacher, got)
		}
	}
}

// detector is an untrained network with a level for each stride, whose neck has width
// channels.
func detector(seed uint64, width int, strides []int, anchors [][][2]float32, names ...string) *graph.Graph {
	r := rand.New(rand.NewPCG(seed, 4))
	conv := func(out, in, k, stride int) *graph.Conv {
		c := &graph.Conv{Weight: tensor.New(out, in, k, k), Bias: tensor.New(out), Stride: [2]int{stride, stride}, Dilation: [2]int{1, 1}, Groups: 1}
		for i := range c.Weight.Data {
			c.Weight.Data[i] = float32(r.NormFloat64() / math.Sqrt(float64(in*k*k)))
		}
		return c
	}
	g := &graph.Graph{Names: names}
	x := g.Add("images", &graph.Input{Shape: [4]int{1, 3, 64, 64}})
	var maps []*graph.Node
	for i, s := range strides {
		n := g.Add(fmt.Sprintf("model.%d.conv", i), conv(width, 3, s, s), x)
		n = g.Add(fmt.Sprintf("model.%d.act", i), &graph.Activation{Kind: graph.SiLU}, n)
		maps = append(maps, g.Add(fmt.Sprintf("model.9.m.%d", i), conv(len(anchors[i])*(5+len(names)), width, 1, 1), n))
	}
	g.Outputs = append(g.Outputs, g.Add("model.9", &graph.Detect{Anchors: anchors, Strides: strides, Classes: len(names)}, maps...))
	return g
}

var (
	someAnchors = [][][2]float32{{{10, 13}, {16, 30}}, {{30, 61}, {62, 45}}}
	someStrides = []int{8, 16}
)

func TestPairing(t *testing.T) {
	teacher := detector(1, 6, someStrides, someAnchors, "a", "b", "c")
	terms := Terms{PKD: 1, CWD: 1, Outputs: 1}
	student := detector(2, 4, []int{16}, [][][2]float32{{{62, 45}}}, "c", "a")
	before := student.String()
	p, err := pair(student, teacher, terms, 0)
	if err != nil {
		t.Fatal(err)
	}
	if student.String() != before || modelOf(p.student).String() != before {
		t.Error("the student is not what it was")
	}
	if want := []featurePair{{1, 2, 6}}; !slices.Equal(p.features, want) {
		t.Errorf("features %+v, want %+v", p.features, want)
	}
	if len(p.outputs) != 1 || p.outputs[0].student != 0 || p.outputs[0].teacher != 1 || !slices.Equal(p.outputs[0].anchors, [][2]int{{0, 1}}) {
		t.Errorf("outputs %+v", p.outputs)
	}
	if !slices.Equal(p.classes, [][2]int{{0, 2}, {1, 0}}) || !p.strangers || p.news {
		t.Errorf("classes %v, strangers %v, news %v", p.classes, p.strangers, p.news)
	}
	maps, others := MapsOf(p.student), MapsOf(p.teacher)
	if len(maps) != 2 || maps[1].Name != "distill.16" || len(others) != 3 || others[2].Name != "model.1.act" {
		t.Errorf("student's maps %v, teacher's %v", maps, others)
	}
	again, err := pair(modelOf(p.student), teacher, terms, 0)
	if err != nil || !reflect.DeepEqual(again.student, p.student) {
		t.Errorf("a second pairing differs, %v", err)
	}
	if p, err = pair(detector(3, 6, someStrides, someAnchors, "a"), teacher, Terms{PKD: 1}, 0); err != nil || MapsOf(p.student)[3].Name != "model.1.act" {
		t.Errorf("necks of one width: %v, %v", MapsOf(p.student), err)
	}
	for name, test := range map[string]struct {
		student *graph.Graph
		terms   Terms
		want    string
	}{
		"strides": {detector(2, 4, []int{32}, someAnchors[:1], "a"), Terms{PKD: 1}, "[8 16] and the student of [32]"},
		"anchors": {detector(2, 4, []int{8}, [][][2]float32{{{9, 9}}}, "a"), terms, "none is the same"},
		"classes": {detector(2, 4, someStrides, someAnchors, "z"), terms, "none has the same name"},
	} {
		if _, err := pair(test.student, teacher, test.terms, 0); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := detector(2, 4, []int{8}, [][][2]float32{{{9, 9}}}, "z")
	if _, err := pair(other, teacher, Terms{PKD: 1, CWD: 1}, 0); err != nil {
		t.Errorf("necks of a teacher with other anchors and classes: %v", err)
	}
}
