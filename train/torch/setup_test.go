package torch

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
)

// built is the shim of this source, compiled on first use.
var built = sync.OnceValues(func() (string, error) {
	if path, err := Find(); err == nil {
		return path, nil
	}
	return Build(context.Background(), BuildOptions{})
})

func open(t testing.TB, workers int) *backend {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Skip(err)
	}
	b, err := Open(OpenOptions{Workers: workers, Library: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.(*backend)
}

func load(t testing.TB, b *backend, g *graph.Graph) *network {
	t.Helper()
	n, err := b.Load(g, train.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.(*network)
}

// parse fills a graph's tensors with random numbers, variances positive.
func parse(t testing.TB, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\n" + text)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range g.Params() {
		x := p.Tensor()
		x.Data = make([]float32, x.Len())
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64() * 0.5)
			if bn, ok := p.Node.Op.(*graph.BatchNorm); ok && (p.At == &bn.Var || p.At == &bn.Gamma) {
				x.Data[i] = 0.5 + r.Float32()
			}
		}
	}
	return g
}

func random(seed uint64, shape ...int) *tensor.Tensor {
	r := rand.New(rand.NewPCG(seed, 7))
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}

// linear is the loss sum(slope * map) with fixed random slopes, which depend on the place
// in the batch and nothing else. It notes the maps it saw.
type linear struct{ maps []*tensor.Tensor }

func (l *linear) loss(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
	l.maps = maps
	var slopes []*tensor.Tensor
	for i, m := range maps {
		slopes = append(slopes, random(uint64(100+i), m.Shape...))
	}
	return slopes, nil
}

func step(t testing.TB, n train.Network, x *tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	var l linear
	if err := n.Step(x, l.loss); err != nil {
		t.Fatal(err)
	}
	return l.maps
}

func update(t testing.TB, n train.Network, u train.Update) {
	t.Helper()
	if err := n.Update(u); err != nil {
		t.Fatal(err)
	}
}

// gradients reads the accumulated ones: with no momentum the velocity is the gradient.
func gradients(t testing.TB, n train.Network) map[string]*tensor.Tensor {
	t.Helper()
	update(t, n, train.Update{Average: 1})
	m, err := n.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func weights(t testing.TB, n train.Network, w train.Weights) map[string]*tensor.Tensor {
	t.Helper()
	g, err := n.Graph(w)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]*tensor.Tensor{}
	for _, p := range g.Params() {
		m[p.Name] = p.Tensor()
	}
	return m
}

func wide(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// small has every op, batch norm both with SiLU behind it and alone, and a head.
const small = `x = input shape=1,3,16,16
s1 = slice x axis=2 start=0 end=0 step=2
s = slice s1 axis=3 start=1 end=0 step=2
c0 = conv s w=f32[4,3,3,3] pad=1
b0 = batchnorm c0 c=4 eps=0.001 momentum=0.03
a0 = silu b0
c1 = conv a0 w=f32[4,2,3,3] bias pad=1 groups=2
b1 = batchnorm c1 c=4 eps=0.001 momentum=0.03
a1 = leakyrelu b1 slope=0.1
d = add a0 a1 a0
p = maxpool d kernel=5 stride=1 pad=2
c2 = conv d w=f32[3,4,3,3] stride=2 pad=1
a2 = mish c2
u = upsample a2 scale=2
t = convtranspose a2 w=f32[3,4,3,3] bias stride=2 pad=1 outpad=1
bt = batchnorm t c=4 eps=0.001 momentum=0.03
at = silu bt
k = concat p u d at
m0 = conv k w=f32[6,15,1,1] bias
m1 = conv a2 w=f32[6,3,1,1] bias
y = detect m0 m1 classes=1 strides=8,16 anchors=10,13;30,61
output y
`

// tapped is small with further outputs: values in its middle, one of them twice and one before
// a SiLU, and a convolution that nothing else needs.
const tapped = small + `e = conv d w=f32[5,4,1,1]
output e
output d
output b0
output at
output d
`

// ups has transposed convolutions in groups, dilated, and with all kinds of padding.
const ups = `x = input shape=1,3,16,16
c = conv x w=f32[6,3,3,3] bias stride=2 pad=1
a = silu c
g = convtranspose a w=f32[6,2,4,2] stride=2 pad=1,0 groups=3
d = convtranspose g w=f32[6,1,3,3] bias pad=2,1 dilation=2,1 groups=6
h = convtranspose a w=f32[6,5,3,3] bias stride=2 pad=1 outpad=1
y = concat d h
output y
`

// chain has no batch norm, so that pictures do not meet.
const chain = `x = input shape=1,3,8,8
c0 = conv x w=f32[8,3,3,3] bias pad=1
a0 = silu c0
c1 = conv a0 w=f32[6,8,1,1] bias
output c1
`
