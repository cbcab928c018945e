package torch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/tensor"
	"ultrafast/train"
)

// eight returns g in 8 bits, its ranges measured on random pictures.
func eight(t testing.TB, g *graph.Graph, size int) *graph.Graph {
	t.Helper()
	r, err := quant.Calibrate(g, func(yield func(*tensor.Tensor, error) bool) {
		for i := range uint64(4) {
			if !yield(picture(i, 1, size), nil) {
				return
			}
		}
	}, func(g *graph.Graph) (func(*tensor.Tensor) ([]*tensor.Tensor, error), error) {
		p, err := engine.Compile(g, engine.Options{Batch: 1, Height: size, Width: size})
		if err != nil {
			return nil, err
		}
		return p.NewSession().Run, nil
	}, quant.MSE)
	if err != nil {
		t.Fatal(err)
	}
	q, err := quant.Quantize(g, r, quant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// picture is noise of 0 to 1 in 256 levels.
func picture(seed uint64, n, size int) *tensor.Tensor {
	x := tensor.New(n, 3, size, size)
	r := rand.New(rand.NewPCG(seed, 11))
	for i := range x.Data {
		x.Data[i] = float32(r.IntN(256)) / 255
	}
	return x
}

// What rounds in libtorch gives the values of the graph's grid, bit for bit: at halves, beyond
// the ends, where there is no number, and on either side of anything.
func TestQuantizeAgainstDefinition(t *testing.T) {
	b := open(t, 1)
	r := rand.New(rand.NewPCG(3, 4))
	for _, op := range []graph.Quantize{{Scale: 0.5, Zero: 10}, {Scale: 0.5, Zero: 11}, {Scale: 1. / 255}, {Scale: 0.0123, Zero: 128}, {Scale: 3e-5, Zero: 255}, {Scale: 1e-30, Zero: 7}, {Scale: 1e30, Zero: 7}} {
		x := tensor.New(3, 7, 33, 32)
		for i := range x.Data {
			v := (r.Float32()*1.2 - 0.1) * 255
			switch r.IntN(3) {
			case 0:
				v = float32(math.Round(float64(v))) + 0.5
			case 1:
				v = math.Nextafter32(float32(math.Round(float64(v)))+0.5, 1000*float32(r.IntN(2)))
			}
			x.Data[i] = (v - float32(op.Zero)) * op.Scale
		}
		copy(x.Data, []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, 1e-45, 0})
		for _, last := range []bool{false, true} {
			s := b.lib.scope()
			defer s.close()
			in, err := s.new(place{device: -1, channelsLast: last}, x.Data, x.Shape)
			if err != nil {
				t.Fatal(err)
			}
			var out handle
			m := b.lib.quantize(&out, in, float64(op.Scale), int64(op.Zero))
			if out, err = s.keep(out, m); err != nil {
				t.Fatal(err)
			}
			got := make([]float32, len(x.Data))
			if err := b.lib.readTo(got, out); err != nil {
				t.Fatal(err)
			}
			for i, v := range x.Data {
				if want := op.Value(op.Level(v)); got[i] != want {
					t.Fatalf("%+v: %g becomes %g, want %g", op, v, got[i], want)
				}
			}
		}
	}
}

// Weights are rounded to the numbers that quantising gives, bit for bit.
func TestRoundWeightsAgainstDefinition(t *testing.T) {
	b := open(t, 1)
	w := random(8, 301, 5, 3, 3)
	clear(w.Data[:45])
	for i, k := range []float32{1e-25, 1e-31, 1e-40, 1e20} { // channels from large to as good as nothing
		for j := range 45 {
			w.Data[45*(1+i)+j] *= k
		}
	}
	want, err := (&graph.Conv{Weight: w}).EightBits()
	if err != nil {
		t.Fatal(err)
	}
	s := b.lib.scope()
	defer s.close()
	in, err := s.new(place{device: -1, channelsLast: true}, w.Data, w.Shape)
	if err != nil {
		t.Fatal(err)
	}
	var out handle
	m := b.lib.roundWeights(&out, in)
	if out, err = s.keep(out, m); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(w.Data))
	if err := b.lib.readTo(got, out); err != nil {
		t.Fatal(err)
	}
	for i, v := range want.Weight.Data {
		if got[i] != v {
			t.Fatalf("weight %g of channel %d becomes %g, want %g", w.Data[i], i/45, got[i], v)
		}
	}
}

// A quantised network computes in training what the reference computes in whole numbers. Sums
// in float may fall on the other side of a half, and then a value is one level off.
func TestQuantisedAgainstReference(t *testing.T) {
	b := open(t, 2)
	for name, text := range map[string]string{"small": small, "tapped": tapped} {
		t.Run(name, func(t *testing.T) {
			g := eight(t, parse(t, text), 16)
			x := picture(9, 3, 16)
			want, err := engine.Reference(g, x)
			if err != nil {
				t.Fatal(err)
			}
			n := load(t, b, g)
			evaluated, err := n.Predict(x, train.Live)
			if err != nil {
				t.Fatal(err)
			}
			for what, maps := range map[string][]*tensor.Tensor{"evaluation": evaluated, "training": step(t, n, x)} {
				for i, m := range train.MapsOf(g) {
					size := 0.0
					for _, v := range want[m].Data {
						size = max(size, math.Abs(float64(v)))
					}
					off := 0
					for k, v := range want[m].Data {
						if d := math.Abs(float64(maps[i].Data[k] - v)); d > 1e-5*size {
							off++
							if d > 0.02*size {
								t.Fatalf("%s: %s[%d] is %g, want %g", what, m.Name, k, maps[i].Data[k], v)
							}
						}
					}
					if 100*off > len(want[m].Data) {
						t.Errorf("%s: %d of %d values of %s are off", what, off, len(want[m].Data), m.Name)
					}
				}
			}
		})
	}
}

// Gradients pass a Quantize where it only rounds, and stop where it holds a value to an end.
func TestGradientOfQuantize(t *testing.T) {
	g := parse(t, `x = input shape=1,3,8,8
c = conv x w=f32[4,3,1,1] bias
q = quantize c scale=0.01 zero=100
output q
`)
	op := g.Node("q").Op.(*graph.Quantize)
	x := random(5, 4, 3, 8, 8)
	values, err := engine.Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	n := load(t, open(t, 1), g)
	step(t, n, x)
	got := gradients(t, n)
	slopes := random(100, 4, 4, 8, 8)
	want, inside := make([]float64, 4), 0
	for i, v := range values[g.Node("c")].Data {
		if q := math.RoundToEven(float64(v/op.Scale)) + float64(op.Zero); q >= 0 && q <= 255 {
			want[i/64%4] += float64(slopes.Data[i])
			inside++
		}
	}
	if n := len(slopes.Data); inside < n/10 || inside > n*9/10 {
		t.Fatalf("%d of %d values are inside: the test shows nothing", inside, n)
	}
	if off := worst(got["c.bias"].Data, want); off > 1e-5 {
		t.Errorf("the gradient of c.bias is off by %.2g", off)
	}
}

// The gradient of the floats that weights are rounded from is that of a float network which has
// the rounded ones, in every precision.
func TestGradientOfRoundedWeights(t *testing.T) {
	for _, p := range []train.Precision{train.FP32, train.BF16} {
		t.Run(string(p), func(t *testing.T) {
			b := open(t, 2)
			g := parse(t, `x = input shape=1,3,8,8
q = quantize x scale=0.02 zero=128
c = conv q w=i8[6,3,3,3] bias pad=1
d = conv c w=i8[6,2,3,3] bias stride=2 groups=3
output c
output d
`)
			latent := g.Clone()
			if err := g.EightBits(); err != nil {
				t.Fatal(err)
			}
			state := map[string]*tensor.Tensor{}
			for _, p := range latent.Params() {
				state[p.Name] = tensor.New(p.Tensor().Shape...)
				if p.EightBit() {
					state[p.Name+train.Latent], state[p.Name+train.LatentAverage] = p.Tensor(), p.Tensor()
				}
			}
			n, err := newNetwork(b, g.Clone(), train.LoadOptions{Precision: p})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if err := n.SetState(g, g, state); err != nil {
				t.Fatal(err)
			}
			plain := g.Clone()
			for _, node := range plain.Nodes {
				if c, ok := node.Op.(*graph.Conv); ok {
					c.WeightScale = nil
				}
			}
			float := load(t, b, plain)
			x := random(2, 8, 3, 8, 8)
			maps, want := step(t, n, x), step(t, float, x)
			for i, m := range maps {
				if !slices.Equal(m.Data, want[i].Data) {
					t.Errorf("map %d is another", i)
				}
			}
			truth := gradients(t, float)
			for name, v := range gradients(t, n) {
				if w := truth[name]; w != nil && !slices.Equal(v.Data, w.Data) {
					t.Errorf("the gradient of %s is another", name)
				}
			}
		})
	}
}

// Two processes learn of a quantised network what one does.
func TestProcessesLearnQuantised(t *testing.T) {
	g := eight(t, parse(t, small), 16)
	u := train.Update{Rate: [3]float64{0.01, 0.01, 0.01}, Momentum: 0.9, Decay: 0.01, Average: 0.5, MaxNorm: 1, Step: 1}
	one := load(t, open(t, 2), g.Clone())
	backends := openGroup(t, 2, 1)
	nets := make([]*network, 2)
	allOf(t, 2, func(rank int) error {
		mine := g.Clone()
		if rank > 0 { // what a process starts from does not count
			for _, p := range mine.Params() {
				clear(p.Tensor().Data)
			}
			if err := mine.EightBits(); err != nil {
				return err
			}
		}
		n, err := backends[rank].Load(mine, train.LoadOptions{})
		if err == nil {
			nets[rank] = n.(*network)
		}
		return err
	})
	for round := range uint64(3) {
		x := picture(round, 8, 16)
		step(t, one, x)
		update(t, one, u)
		blocks, parts := halves(x), split(8, 2)
		allOf(t, 2, func(rank int) error {
			if err := nets[rank].Step(blocks[rank], blockLoss(8, parts[rank])); err != nil {
				return err
			}
			return nets[rank].Update(u)
		})
	}
	want := stateOf(t, one)
	for rank, n := range nets {
		for name, v := range stateOf(t, n) {
			if off := worst(v, wide(want[name])); off > 1e-3 {
				t.Errorf("process %d: %s is off by %.2g", rank, name, off)
			}
		}
	}
	first, second := stateOf(t, nets[0]), stateOf(t, nets[1])
	for name, v := range first {
		if !slices.Equal(second[name], v) {
			t.Errorf("%s is not the same in both processes", name)
		}
	}
	allOf(t, 2, func(rank int) error { return nets[rank].Close() })
}

// stateOf lists weights and floats of a network.
func stateOf(t testing.TB, n *network) map[string][]float32 {
	t.Helper()
	m, err := n.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for name, v := range m {
		all["momentum of "+name] = v.Data
	}
	for _, p := range []train.Weights{train.Live, train.Averaged} {
		for name, v := range weights(t, n, p) {
			if m[name+train.Latent] == nil { // the floats tell more than what is rounded
				all[fmt.Sprint(name, " ", p)] = v.Data
			}
		}
	}
	return all
}
