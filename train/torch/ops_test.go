package torch

import (
	"fmt"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/train"
)

func TestOpsAgainstDefinition(t *testing.T) {
	b := open(t, 1)
	ops := map[string]string{
		"conv":        "y = conv x w=f32[8,6,3,3] pad=1",
		"conv 1x1":    "y = conv x w=f32[8,6,1,1] bias",
		"conv stem":   "y = conv x w=f32[8,6,6,6] bias stride=2 pad=2",
		"conv groups": "y = conv x w=f32[9,2,3,3] bias stride=2,1 pad=1,0 groups=3",
		"conv depth":  "y = conv x w=f32[6,1,5,5] pad=2 groups=6",
		"conv dilate": "y = conv x w=f32[4,6,3,3] pad=2,3 dilation=2,3",
		"up":          "y = convtranspose x w=f32[6,8,2,2] bias stride=2",
		"up 4x4":      "c = convtranspose x w=f32[6,5,4,4] stride=2 pad=1\nb = batchnorm c c=5 eps=0.001 momentum=0.1\ny = silu b",
		"up groups":   "y = convtranspose x w=f32[6,3,3,2] bias stride=2,3 pad=1,0 outpad=1,2 groups=3",
		"up depth":    "y = convtranspose x w=f32[6,2,4,4] stride=2 pad=1 groups=6",
		"up dilate":   "y = convtranspose x w=f32[6,4,3,3] bias pad=2,3 dilation=2,3 outpad=1,2",
		"batchnorm":   "y = batchnorm x c=6 eps=0.001 momentum=0.03",
		"fused":       "b = batchnorm x c=6 eps=0.001 momentum=0.03\ny = silu b",
		"not fused":   "b = batchnorm x c=6 eps=0.001 momentum=0.1\nz = silu b\ny = concat b z",
		"fused wide":  "c = conv x w=f32[70,6,1,1]\nb = batchnorm c c=70 eps=0.00001 momentum=0.1\ny = silu b",
		"fused one":   "c = conv x w=f32[1,6,1,1]\nb = batchnorm c c=1 eps=0.001 momentum=0.1\ny = silu b",
		"fused slice": "s = slice x axis=3 start=1 end=0 step=2\nb = batchnorm s c=6 eps=0.001 momentum=0.1\ny = silu b",
		"add":         "y = add x x x x",
		"concat":      "y = concat x x",
		"maxpool":     "y = maxpool x kernel=3 stride=2 pad=1",
		"upsample":    "y = upsample x scale=3",
		"slice":       "y = slice x axis=1 start=1 end=5 step=3",
		"quantize":    "y = quantize x scale=0.02 zero=100",
		"slice rows":  "y = slice x axis=2 start=1 end=0 step=2",
	}
	for _, kind := range []graph.ActKind{graph.SiLU, graph.Hardswish, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish} {
		ops[string(kind)] = fmt.Sprintf("y = %s x", kind)
	}
	ops["leakyrelu"] = "y = leakyrelu x slope=0.1"
	for name, lines := range ops {
		t.Run(name, func(t *testing.T) {
			g := parse(t, "x = input shape=1,6,9,12\n"+lines+"\noutput y\n")
			checkAgainstDefinition(t, b, g)
		})
	}
	t.Run("all", func(t *testing.T) { checkAgainstDefinition(t, b, parse(t, small)) })
	t.Run("further outputs", func(t *testing.T) { checkAgainstDefinition(t, b, parse(t, tapped)) })
}

func checkAgainstDefinition(t *testing.T, b *backend, g *graph.Graph) {
	n := load(t, b, g)
	shape := g.Input().Op.(*graph.Input).Shape
	x := random(3, 2, shape[1], shape[2], shape[3])
	for i := range x.Data {
		x.Data[i] = 3*x.Data[i] + 1
	}
	got, err := n.Predict(x, train.Live)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := plainRun(g, x, false)
	if err := checkMaps(got, want); err != nil {
		t.Errorf("evaluation: %v", err)
	}
	if len(n.trained) == 0 {
		return // nothing to run backward to
	}
	want, moved := plainRun(g, x, true)
	if err := checkMaps(step(t, n, x), want); err != nil {
		t.Errorf("training: %v", err)
	}
	live := weights(t, n, train.Live)
	for name, m := range moved {
		if off := worst(live[name].Data, m); off > 1e-5 {
			t.Errorf("%s is off by %.2g", name, off)
		}
	}
}

// The slope of the loss along each parameter, by differences in float64.
func TestGradientsAgainstDifferences(t *testing.T) {
	for name, text := range map[string]string{"small": small, "ups": ups, "tapped": tapped} {
		for _, o := range []train.LoadOptions{{}, {FrozenBN: true}} {
			t.Run(fmt.Sprint(name, o.FrozenBN), func(t *testing.T) { checkGradients(t, parse(t, text), o) })
		}
	}
}

func checkGradients(t *testing.T, g *graph.Graph, o train.LoadOptions) {
	n := loadWith(t, open(t, 1), g, o)
	x := random(5, 2, 3, 16, 16)
	step(t, n, x)
	got := gradients(t, n)
	loss := func() float64 {
		maps, _ := plainRun(g, x, !o.FrozenBN)
		sum := 0.0
		for i, m := range maps {
			for j, s := range random(uint64(100+i), m.shape...).Data {
				sum += float64(s) * m.data[j]
			}
		}
		return sum
	}
	for _, p := range g.Params() {
		if !p.Trainable {
			continue
		}
		data := p.Tensor().Data
		size := 0.1 // a bias before batch norm has the gradient 0
		for _, v := range got[p.Name].Data {
			size = max(size, float64(v), -float64(v))
		}
		for i := 0; i < len(data); i += 1 + len(data)/5 {
			old := data[i]
			const h = 1.0 / 4096 // exact in float32
			data[i] = old + h
			up, hi := loss(), float64(data[i])
			data[i] = old - h
			down, lo := loss(), float64(data[i])
			data[i] = old
			want := (up - down) / (hi - lo)
			if d := float64(got[p.Name].Data[i]) - want; d > 3e-3*size || d < -3e-3*size {
				t.Errorf("%s[%d]: gradient %g, by differences %g", p.Name, i, got[p.Name].Data[i], want)
			}
		}
	}
}

func TestErrorsNameTheNode(t *testing.T) {
	b := open(t, 2)
	n := load(t, b, parse(t, small))
	for _, c := range []struct {
		shape []int
		want  string
	}{
		{[]int{2, 3, 18, 18}, "k (concat"}, // 9 rows, halved and doubled 10
		{[]int{2, 4, 16, 16}, "x takes 3 channels"},
		{[]int{2, 3, 16}, "f32[2,3,16]"},
	} {
		err := n.Step(random(1, c.shape...), new(linear).loss)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("batch %v: error %v, want one with %q", c.shape, err, c.want)
		}
	}
	// What the shim itself refuses comes back as text, and the process goes on.
	s := b.lib.scope()
	defer s.close()
	x, err := s.new(n.place, random(1, 1, 3, 8, 8).Data, []int{1, 4, 6, 8})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.plan.run(s, n.live, x, norms{mode: evaluate}); err == nil || !strings.Contains(err.Error(), "c0 (conv): libtorch: ") {
		t.Errorf("error %v, want libtorch's own with the node c0", err)
	}
	if err := b.lib.err(b.lib.activation(new(handle), 0, "silu", 0)); err == nil {
		t.Error("no tensor is no error")
	}
	if x, err = s.new(n.place, make([]float32, 3), []int{1, 3, 1, 1}); err != nil { // the plan has freed the other
		t.Fatal(err)
	}
	if _, err := s.keep(0, b.lib.activation(new(handle), x, "softplus", 0)); err == nil || !strings.Contains(err.Error(), "softplus") {
		t.Errorf("unknown activation: %v", err)
	}
	step(t, n, random(1, 2, 3, 16, 16))
}

func TestOneValuePerChannel(t *testing.T) {
	n := load(t, open(t, 1), parse(t, "x = input shape=1,3,1,1\nb = batchnorm x c=3 eps=0.001 momentum=0.1\noutput b\n"))
	if err := n.Step(random(1, 1, 3, 1, 1), new(linear).loss); err == nil || !strings.Contains(err.Error(), "b (batchnorm)") {
		t.Errorf("error %v, want one that names b", err)
	}
}
