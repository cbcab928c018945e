package prune_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
)

// gated are networks with every kind of gate, and the nodes behind which these are.
var gated = map[string]struct{ gates, text string }{
	"plain": {"n b", `
		a = conv x w=f32[4,3,3,3] pad=1
		n = batchnorm a c=4 eps=0.001 momentum=0.03
		s = silu n
		b = conv s w=f32[3,4,3,3] bias stride=2 pad=1
		c = conv b w=f32[2,3,1,1] bias
		output c`},
	"shortcut": {"n m", `
		a = conv x w=f32[4,3,1,1]
		n = batchnorm a c=4 eps=0.001 momentum=0.03
		s = silu n
		b = conv s w=f32[4,4,3,3] pad=1
		m = batchnorm b c=4 eps=0.001 momentum=0.03
		d = add s m
		c = conv d w=f32[2,4,1,1]
		output c`},
	"depthwise": {"m", `
		a = conv x w=f32[4,3,1,1] bias
		n = batchnorm a c=4 eps=0.001 momentum=0.03
		s = silu n
		d = conv s w=f32[4,1,3,3] bias pad=1 groups=4
		m = batchnorm d c=4 eps=0.001 momentum=0.03
		r = relu m
		p = maxpool r kernel=2 stride=2 pad=0
		c = conv p w=f32[2,4,1,1]
		output c`},
	"before a join": {"n", `
		a = conv x w=f32[2,3,1,1]
		b = conv x w=f32[3,3,1,1]
		j = concat a b
		n = batchnorm j c=5 eps=0.001 momentum=0.03
		s = leakyrelu n slope=0.1
		c = conv s w=f32[2,5,1,1]
		output c`},
	"half a norm": {"a n", `
		a = conv x w=f32[4,3,1,1] bias
		n = batchnorm a c=4 eps=0.001 momentum=0.03
		s = silu a
		j = concat n s
		c = conv j w=f32[2,8,1,1]
		output c`},
	"transposed": {"a v", `
		a = conv x w=f32[4,3,1,1] bias
		s = silu a
		u = convtranspose s w=f32[4,3,2,2] bias stride=2
		n = batchnorm u c=3 eps=0.001 momentum=0.03
		v = convtranspose n w=f32[3,2,2,2] bias stride=2 groups=3
		c = conv v w=f32[2,6,1,1]
		output c`},
}

// The slope of the loss along gates that are really there, by differences, against what
// Evidence makes of the gradients of the parameters, by differences too.
func TestEvidenceAgainstGates(t *testing.T) {
	for name, test := range gated {
		t.Run(name, func(t *testing.T) {
			g := parse(t, test.text)
			fill(g, 3)
			e, err := prune.NewEvidence(g)
			if err != nil {
				t.Fatal(err)
			}
			groups, err := prune.Groups(g)
			if err != nil {
				t.Fatal(err)
			}
			absolute, squared := zeros(groups), zeros(groups)
			const pictures = 3
			for i := range pictures {
				x := noise(uint64(i))
				if err := e.Add(slopes(t, g, x)); err != nil {
					t.Fatal(err)
				}
				for k, gr := range groups {
					for c, ch := range gr.Channels {
						slope := gateSlope(t, g, strings.Fields(test.gates), ch, x)
						absolute[k][c] += math.Abs(slope) / pictures
						squared[k][c] += slope * slope / pictures
					}
				}
			}
			for s, want := range map[prune.Score][][]float64{prune.Taylor: absolute, prune.Fisher: squared} {
				got, err := prune.Scores(groups, s, e)
				if err != nil {
					t.Fatal(err)
				}
				for k := range want {
					for c, w := range want[k] {
						if math.Abs(got[k][c]-w) > 0.01*slices.Max(want[k]) {
							t.Errorf("%s of %s, channel %d is %g, by its gates %g", s, groups[k].Name, c, got[k][c], w)
						}
					}
				}
			}
		})
	}
}

func zeros(groups []*prune.Group) [][]float64 {
	var all [][]float64
	for _, g := range groups {
		all = append(all, make([]float64, g.Width()))
	}
	return all
}

func noise(seed uint64) *tensor.Tensor {
	r := rand.New(rand.NewPCG(seed, 5))
	x := tensor.New(1, 3, 8, 8)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}

// loss is half the sum of squares of what the network gives, in float64.
func loss(t *testing.T, g *graph.Graph, x *tensor.Tensor) float64 {
	sum := 0.0
	for _, m := range run(t, g, x) {
		for _, v := range m.Data {
			sum += float64(v) * float64(v) / 2
		}
	}
	return sum
}

// slope is the derivative of the loss along a number.
func slope(t *testing.T, g *graph.Graph, x *tensor.Tensor, at *float32) float64 {
	const h = 1.0 / 128
	old := *at
	*at = old + h
	up, high := loss(t, g, x), float64(*at)
	*at = old - h
	down, low := loss(t, g, x), float64(*at)
	*at = old
	return (up - down) / (high - low)
}

// slopes are the gradients of all parameters.
func slopes(t *testing.T, g *graph.Graph, x *tensor.Tensor) map[string]*tensor.Tensor {
	all := map[string]*tensor.Tensor{}
	for _, p := range g.Params() {
		if !p.Trainable {
			continue
		}
		d := tensor.New(p.Tensor().Shape...)
		for i := range d.Data {
			d.Data[i] = float32(slope(t, g, x, &p.Tensor().Data[i]))
		}
		all[p.Name] = d
	}
	return all
}

// gateSlope is the slope along one number by which all that the gates of a channel let
// through is multiplied: convolutions behind the gates' nodes, which multiply each channel
// by one.
func gateSlope(t *testing.T, g *graph.Graph, gates []string, ch prune.Channel, x *tensor.Tensor) float64 {
	const h = 1.0 / 128
	at := func(m float32) float64 {
		c := g.Clone()
		with := &graph.Graph{}
		moved := map[*graph.Node]*graph.Node{}
		shapes, err := g.Shapes(1, 8, 8)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range c.Nodes {
			for k, in := range n.In {
				n.In[k] = moved[in]
			}
			with.Nodes = append(with.Nodes, n)
			moved[n] = n
			if !slices.Contains(gates, n.Name) {
				continue
			}
			width := shapes[g.Nodes[i]][1]
			w := tensor.New(width, 1, 1, 1)
			for k := range w.Data {
				w.Data[k] = 1
			}
			for _, member := range ch.Members {
				if member.Node != g.Nodes[i] {
					continue
				}
				switch op := n.Op.(type) {
				case *graph.BatchNorm:
					w.Data[member.Index] = m
				case *graph.Conv:
					if member.Axis == 0 {
						w.Data[member.Index] = m
					}
				case *graph.ConvTranspose: // depthwise: each input makes several outputs
					if len(member.Tensor.Shape) == 4 {
						for k := range op.Weight.Shape[1] {
							w.Data[member.Index*op.Weight.Shape[1]+k] = m
						}
					}
				}
			}
			moved[n] = with.Add(n.Name+".gate", &graph.Conv{Weight: w, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: width}, n)
		}
		for _, o := range c.Outputs {
			with.Outputs = append(with.Outputs, moved[o])
		}
		return loss(t, with, x)
	}
	return (at(1+h) - at(1-h)) / (2 * h)
}

func TestEvidenceRefuses(t *testing.T) {
	g := parse(t, gated["plain"].text)
	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	e, err := prune.NewEvidence(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []*prune.Evidence{nil, e} {
		if _, err := prune.Scores(groups, prune.Taylor, none); err == nil || !strings.Contains(err.Error(), "needs evidence") {
			t.Errorf("without evidence: %v", err)
		}
	}
	ones := func() map[string]*tensor.Tensor {
		all := map[string]*tensor.Tensor{}
		for _, p := range g.Params() {
			all[p.Name] = tensor.New(p.Tensor().Shape...)
			for i := range all[p.Name].Data {
				all[p.Name].Data[i] = 1
			}
		}
		return all
	}
	bad := ones()
	bad["n.bias"].Data[2] = float32(math.NaN())
	if err := e.Add(bad); err == nil || !strings.Contains(err.Error(), "around a, channel 2, is not finite") {
		t.Errorf("NaN: %v", err)
	}
	bad = ones()
	delete(bad, "b.weight")
	if err := e.Add(bad); err == nil || !strings.Contains(err.Error(), "b.weight") {
		t.Errorf("a gradient is missing: %v", err)
	}
	if _, err := prune.Scores(groups, prune.Fisher, e); err == nil {
		t.Error("what was refused was taken in")
	}
	if err := e.Add(ones()); err != nil {
		t.Fatal(err)
	}
	other, err := prune.Groups(parse(t, gated["shortcut"].text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prune.Scores(other, prune.Fisher, e); err == nil || !strings.Contains(err.Error(), "another network") {
		t.Errorf("another network's groups: %v", err)
	}
	if _, err := prune.New(g, prune.Target{Keep: 0.8, Score: prune.Fisher, Evidence: e, Floor: 1}); err != nil {
		t.Error(err)
	}
}
