package prune_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/pt"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// fill gives a graph numbers that hide no mistake: every batch norm has a scale, a shift
// and statistics of its own, and signals keep their size through many layers.
func fill(g *graph.Graph, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	uniform := func(t *tensor.Tensor, low, high float32) {
		t.Data = make([]float32, t.Len())
		for i := range t.Data {
			t.Data[i] = low + (high-low)*r.Float32()
		}
	}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			w := op.Weight.Shape
			a := float32(math.Sqrt(3 / float64(w[1]*w[2]*w[3])))
			uniform(op.Weight, -a, a)
			if op.Bias != nil {
				uniform(op.Bias, -0.5, 0.5)
			}
		case *graph.ConvTranspose:
			w := op.Weight.Shape
			a := float32(math.Sqrt(3 / float64(w[0]/op.Groups*w[2]*w[3])))
			uniform(op.Weight, -a, a)
			if op.Bias != nil {
				uniform(op.Bias, -0.5, 0.5)
			}
		case *graph.BatchNorm:
			uniform(op.Gamma, 0.5, 1.5)
			uniform(op.Beta, -0.5, 0.5)
			uniform(op.Mean, -0.5, 0.5)
			uniform(op.Var, 0.5, 2)
		}
	}
}

// uncut is the plan that drops nothing.
func uncut(t *testing.T, g *graph.Graph) *prune.Plan {
	t.Helper()
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	p := &prune.Plan{}
	for _, gr := range groups {
		p.Cuts = append(p.Cuts, prune.Cut{Group: gr.Name, From: gr.Width(), Drop: []int{}})
	}
	return p
}

// The ways to cut one group of a given width. None of them takes everything.
var ways = []struct {
	name string
	drop func(width int, r *rand.Rand) []int
}{
	{"first", func(width int, _ *rand.Rand) []int { return span(0, 1) }},
	{"last", func(width int, _ *rand.Rand) []int { return span(width-1, width) }},
	{"all but one", func(width int, r *rand.Rand) []int {
		stay := r.IntN(width)
		return append(span(0, stay), span(stay+1, width)...)
	}},
	{"half", half},
}

func span(from, to int) []int {
	var s []int
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

func half(width int, r *rand.Rand) []int {
	var s []int
	stay := r.IntN(width)
	for i := range width {
		if i != stay && r.IntN(2) == 0 {
			s = append(s, i)
		}
	}
	return s
}

// run computes the raw maps, or the outputs of a graph that has no head, on one picture.
func run(t *testing.T, g *graph.Graph, x *tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	if g.Detect() != nil {
		raw, _, err := yolo.Raw(g)
		if err != nil {
			t.Fatal(err)
		}
		g = raw
	}
	prog, err := engine.Compile(g, engine.Options{Batch: 1, Height: x.Shape[2], Width: x.Shape[3], Threads: 1, KeepAll: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := prog.NewSession().Run(x)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func picture(side int) *tensor.Tensor {
	r := rand.New(rand.NewPCG(3, 5))
	x := tensor.New(1, 3, side, side)
	for i := range x.Data {
		x.Data[i] = r.Float32()
	}
	return x
}

// checkSame checks that masked and sliced compute the same to 1e-5 of an output's scale,
// and that the sliced one has what it should have.
func checkSame(t *testing.T, g *graph.Graph, p *prune.Plan, x *tensor.Tensor) {
	t.Helper()
	masked, err := p.Mask(g)
	if err != nil {
		t.Fatal(err)
	}
	sliced, err := p.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	want, got := run(t, masked, x), run(t, sliced, x)
	for i, w := range want {
		scale, off := 0.0, 0.0
		for j, v := range w.Data {
			scale = max(scale, math.Abs(float64(v)))
			off = max(off, math.Abs(float64(v-got[i].Data[j])))
		}
		if !(off <= 1e-5*scale) || scale == 0 || math.IsInf(scale, 0) {
			t.Errorf("output %d: masked and sliced differ by %.3g at a scale of %.3g", i, off, scale)
		}
	}
	for i, n := range sliced.Nodes {
		if n.Name != g.Nodes[i].Name || len(n.In) != len(g.Nodes[i].In) {
			t.Fatalf("node %d is %s, was %s", i, n.Name, g.Nodes[i].Name)
		}
	}
	if !reflect.DeepEqual(sliced.Blocks, g.Blocks) || !reflect.DeepEqual(sliced.Names, g.Names) {
		t.Errorf("names or blocks changed")
	}
	if again, err := graph.Parse(sliced.String()); err != nil || again.String() != sliced.String() {
		t.Errorf("the text form does not come back: %v", err)
	}
}

func TestMaskedEqualsSlicedSmall(t *testing.T) {
	for _, s := range small {
		t.Run(s.name, func(t *testing.T) {
			g := parse(t, s.text)
			before := g.Clone()
			checkEveryGroup(t, g, picture(8), true, 0)
			if !reflect.DeepEqual(g.Clone(), before) {
				t.Error("the graph itself changed")
			}
		})
	}
}

// checkEveryGroup cuts the groups one at a time, in every way if full, else in one way
// that turns from group to group and starts at a given one (a short test takes every fifth
// group); then all of them by half.
func checkEveryGroup(t *testing.T, g *graph.Graph, x *tensor.Tensor, full bool, start int) {
	r := rand.New(rand.NewPCG(11, 13))
	all := uncut(t, g)
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	sliced := slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		op, ok := n.Op.(*graph.Slice)
		return ok && op.Axis == 1
	})
	for i, c := range all.Cuts {
		if testing.Short() && !full && i%5 != start%5 {
			continue
		}
		narrow := slices.ContainsFunc(groups[i].Convs, func(n *graph.Node) bool {
			if op, ok := n.Op.(*graph.ConvTranspose); ok {
				return op.Outputs() < c.From
			}
			return n.Op.(*graph.Conv).Weight.Shape[0] < c.From
		})
		for j, way := range ways {
			if !full && j != (i+start)%len(ways) {
				continue
			}
			if (narrow || sliced) && way.name == "all but one" {
				continue // a convolution or a slice would be left empty, which is refused
			}
			t.Run(c.Group+"/"+way.name, func(t *testing.T) {
				p := &prune.Plan{Cuts: slices.Clone(all.Cuts)}
				p.Cuts[i].Drop = way.drop(c.From, r)
				checkSame(t, g, p, x)
			})
		}
	}
	for i, c := range all.Cuts {
		all.Cuts[i].Drop = half(c.From, r)
	}
	t.Run("all by half", func(t *testing.T) { checkSame(t, g, all, x) })
}

// standard builds a released shape with random numbers.
func standard(t *testing.T, name string) *graph.Graph {
	t.Helper()
	c, err := yolo.Standard(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(c, []string{"face", "mask"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	fill(g, 1)
	return g
}

// checkpoint reads a file that lies beside the checkout, and skips the test without it.
func checkpoint(t *testing.T, name string) *graph.Graph {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "weights", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("the checkpoint is not here: ", err)
	}
	ck, err := pt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.FromModule(ck.Model)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMaskedEqualsSlicedYOLOv5(t *testing.T) {
	for i, name := range []string{"yolov5n", "yolov5n-v5", "yolov5n-v3", "yolov5s", "yolov5s-v5", "yolov5s-v3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full := i == 0 && !testing.Short()
			if i > 0 && testing.Short() {
				t.Skip("only yolov5n in a short test")
			}
			g := standard(t, name)
			checkCover(t, g)
			checkEveryGroup(t, g, picture(32), full, i)
		})
	}
}

func TestMaskedEqualsSlicedLight(t *testing.T) {
	for i, name := range yolo.Light {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := standard(t, name)
			checkCover(t, g)
			checkEveryGroup(t, g, picture(32), false, i)
		})
	}
}

// Files keep structures that no description gives: odd widths, shortcuts that are missing.
func TestMaskedEqualsSlicedCheckpoints(t *testing.T) {
	for i, name := range []string{"yolov5n-pruned25.pt", "yolov5-v1.0-w0125-zip.pt", "yolov5-v3.1-w0125-zip.pt", "yolov5-v5.0-w0125-zip.pt"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := checkpoint(t, name)
			fill(g, 2)
			checkCover(t, g)
			checkEveryGroup(t, g, picture(32), i == 0 && !testing.Short(), i)
			p := uncut(t, g)
			for _, b := range prune.Blocks(g) {
				p.Blocks = append(p.Blocks, b.Name)
			}
			checkAgrees(t, g, p)
		})
	}
}

// Trained weights, a plan for half of them, by both scores.
func TestMaskedEqualsSlicedTrained(t *testing.T) {
	g := checkpoint(t, "yolov5n-v7-coco.pt")
	for _, score := range []prune.Score{prune.L2, prune.Gamma} {
		p, err := prune.New(g, prune.Target{Keep: 0.5, Round: 8, Score: score})
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, g, p, picture(32))
	}
}

// A mask is zero where channels are made and leaves all else alone.
func TestMaskZeroes(t *testing.T) {
	g := parse(t, small[0].text) // a, its batch norm an, b with a bias
	p := uncut(t, g)
	p.Cuts[0].Drop = []int{2}
	p.Cuts[1].Drop = []int{0, 5}
	masked, err := p.Mask(g)
	if err != nil {
		t.Fatal(err)
	}
	zero := map[string][]int{ // first index of what is cleared
		"a.weight": {2}, "an.weight": {2}, "an.bias": {2}, "b.weight": {0, 5}, "b.bias": {0, 5},
	}
	before := g.Params()
	for i, m := range masked.Params() {
		row := m.Tensor().Len() / m.Tensor().Shape[0]
		for j, v := range m.Tensor().Data {
			want := before[i].Tensor().Data[j]
			if slices.Contains(zero[m.Name], j/row) {
				want = 0
			}
			if v != want {
				t.Fatalf("%s[%d] is %v, want %v", m.Name, j, v, want)
			}
		}
	}
}

// A step over channels must meet the same ones after a cut before and behind them.
func TestApplyMovesSlices(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[9,3,3,3] pad=1
		mid = slice a axis=1 start=2 end=8 step=2
		end = slice a axis=1 start=5
		b = conv mid w=f32[4,3,1,1]
		c = conv end w=f32[4,4,1,1]
		output b c`)
	p := uncut(t, g) // channels 2 to 6 are fixed; the group is 0, 1, 7, 8
	p.Cuts[0].Drop = []int{1, 2}
	small, err := p.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]graph.Slice{
		"mid": {Axis: 1, Start: 1, End: 6, Step: 2},
		"end": {Axis: 1, Start: 4, End: 0, Step: 1},
	} {
		if got := *small.Node(name).Op.(*graph.Slice); got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
}

// A cut of a description alone gives the description of the small network.
func TestApplyWithoutData(t *testing.T) {
	full := parse(t, small[0].text)
	empty, err := graph.Parse(full.String())
	if err != nil {
		t.Fatal(err)
	}
	p := uncut(t, full)
	p.Cuts[0].Drop = []int{0, 3}
	want, err := p.Apply(full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Apply(empty)
	if err != nil || got.String() != want.String() {
		t.Errorf("%v\n%v\nwant\n%v", err, got, want)
	}
	if _, err := p.Mask(empty); err == nil || !strings.Contains(err.Error(), "a.weight has no numbers") {
		t.Errorf("Mask of a network without numbers: %v", err)
	}
}

func TestApplyRefuses(t *testing.T) {
	g := parse(t, small[8].text) // a 2, b 6, added to c 8
	for _, s := range []struct {
		name string
		edit func(p *prune.Plan)
		want string
	}{
		{"other name", func(p *prune.Plan) { p.Cuts[0].Group = "z" }, "group 1 is z in the plan and a here"},
		{"other width", func(p *prune.Plan) { p.Cuts[0].From = 9 }, "a has 9 channels in the plan and 8 here"},
		{"group too many", func(p *prune.Plan) { p.Cuts = append(p.Cuts, prune.Cut{Group: "z"}) }, "no group z"},
		{"group too few", func(p *prune.Plan) { p.Cuts = nil }, "does not have the group a"},
		{"beyond the end", func(p *prune.Plan) { p.Cuts[0].Drop = []int{8} }, "drops channel 8"},
		{"negative", func(p *prune.Plan) { p.Cuts[0].Drop = []int{-1} }, "drops channel -1"},
		{"twice", func(p *prune.Plan) { p.Cuts[0].Drop = []int{3, 3} }, "drops channel 3"},
		{"everything", func(p *prune.Plan) { p.Cuts[0].Drop = span(0, 8) }, "leaves a without channels"},
		{"all of one branch", func(p *prune.Plan) { p.Cuts[0].Drop = span(2, 8) }, "leaves b without channels"},
	} {
		t.Run(s.name, func(t *testing.T) {
			p := uncut(t, g)
			s.edit(p)
			for name, do := range map[string]func(*graph.Graph) (*graph.Graph, error){"Apply": p.Apply, "Mask": p.Mask} {
				if _, err := do(g); err == nil || !strings.Contains(err.Error(), s.want) {
					t.Errorf("%s: error is %v, want one with %q", name, err, s.want)
				}
			}
		})
	}
}
