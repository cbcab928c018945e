package onnx_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/ort"
	"ultrafast/pass"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

// random returns a tensor of numbers around zero.
func random(rnd *rand.Rand, scale float32, shape ...int) *tensor.Tensor {
	t := tensor.New(shape...)
	for i := range t.Data {
		t.Data[i] = (rnd.Float32()*2 - 1) * scale
	}
	return t
}

// A builder makes graphs with random weights.
type builder struct {
	g   *graph.Graph
	rnd *rand.Rand
}

func (b *builder) conv(name string, in *graph.Node, from, to, kernel, stride int, bias bool) *graph.Node {
	c := &graph.Conv{Weight: random(b.rnd, 1/float32(kernel), to, from, kernel, kernel), Stride: [2]int{stride, stride},
		Pad: [2]int{kernel / 2, kernel / 2}, Dilation: [2]int{1, 1}, Groups: 1}
	if bias {
		c.Bias = random(b.rnd, .5, to)
	}
	return b.g.Add(name, c, in)
}

func (b *builder) transposed(from, to, kernel, pad, outPad, groups int) *graph.ConvTranspose {
	return &graph.ConvTranspose{Weight: random(b.rnd, 1/float32(kernel), from, to/groups, kernel, kernel), Bias: random(b.rnd, .5, to),
		Stride: [2]int{2, 2}, Pad: [2]int{pad, pad}, OutPad: [2]int{outPad, outPad}, Dilation: [2]int{1, 1}, Groups: groups}
}

func (b *builder) act(name string, kind graph.ActKind, in *graph.Node) *graph.Node {
	a := &graph.Activation{Kind: kind}
	if kind == graph.LeakyReLU {
		a.Slope = .1
	}
	return b.g.Add(name, a, in)
}

// everyOp returns a small detector in which each op and activation occurs, some of them
// in unusual forms.
func everyOp(seed uint64) *graph.Graph {
	b := builder{&graph.Graph{Names: []string{"face", `it's "odd"`, "tab\there"}}, rand.New(rand.NewPCG(seed, 7))}
	b.g.Blocks = []graph.Block{{Name: "model.0", Kind: "Focus"}, {Name: "model.1", Kind: "C3"}}
	x := b.g.Add("images", &graph.Input{Shape: [4]int{1, 3, 32, 64}})
	var parts []*graph.Node
	for i, at := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		rows := b.g.Add(fmt.Sprintf("model.0.rows%d", i), &graph.Slice{Axis: 2, Start: at[0], Step: 2}, x)
		parts = append(parts, b.g.Add(fmt.Sprintf("model.0.cells%d", i), &graph.Slice{Axis: 3, Start: at[1], Step: 2}, rows))
	}
	x = b.g.Add("model.0", &graph.Concat{}, parts...)
	x = b.conv("model.0.conv.conv", x, 12, 8, 3, 1, false)
	bn := &graph.BatchNorm{Gamma: random(b.rnd, 1, 8), Beta: random(b.rnd, 1, 8), Mean: random(b.rnd, 1, 8), Var: random(b.rnd, 1, 8), Eps: 1e-3, Momentum: .03}
	for i := range bn.Var.Data {
		bn.Var.Data[i] = 1 + bn.Var.Data[i]*bn.Var.Data[i]
	}
	x = b.act("model.0.conv.act", graph.SiLU, b.g.Add("model.0.conv.bn", bn, x))
	var acts []*graph.Node
	for _, k := range []graph.ActKind{graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish} {
		acts = append(acts, b.act("model.1."+string(k), k, x))
	}
	sum := b.g.Add("model.1.add", &graph.Add{}, acts...)
	two := b.g.Add("model.1.two", &graph.Add{}, sum, x)
	pool := b.g.Add("model.2", &graph.MaxPool{Kernel: 5, Stride: 1, Pad: 2}, two)
	cat := b.g.Add("model.3", &graph.Concat{}, pool, two)
	deep := b.g.Add("model.4", &graph.Conv{Weight: random(b.rnd, .5, 16, 1, 3, 1), Stride: [2]int{1, 1}, Pad: [2]int{2, 0}, Dilation: [2]int{2, 1}, Groups: 16}, cat)
	some := b.g.Add("model.5", &graph.Slice{Axis: 1, Start: 2, End: 12, Step: 3}, deep)
	p3 := b.conv("model.6", some, 4, 8, 3, 2, true)
	p4 := b.act("model.7.act", graph.SiLU, b.conv("model.7.conv", p3, 8, 8, 3, 2, true))
	p5 := b.g.Add("model.8", &graph.MaxPool{Kernel: 2, Stride: 2}, p4)
	up := b.g.Add("model.9", &graph.Upsample{Scale: 2}, p5)
	up = b.g.Add("model.9.odd", &graph.ConvTranspose{Weight: random(b.rnd, .3, 8, 6, 2, 3), Stride: [2]int{1, 2}, Pad: [2]int{1, 1},
		OutPad: [2]int{0, 1}, Dilation: [2]int{2, 1}, Groups: 1}, up)
	up = b.g.Add("model.9.slice", &graph.Slice{Axis: 3, Start: 1, End: 0, Step: 2}, up)
	up = b.g.Add("model.9.groups", b.transposed(6, 8, 4, 1, 0, 2), up)
	up = b.g.Add("model.9.deconv", b.transposed(8, 8, 3, 1, 1, 1), b.g.Add("model.9.pool", &graph.MaxPool{Kernel: 2, Stride: 2}, up))
	up = b.g.Add("model.9.half", &graph.MaxPool{Kernel: 2, Stride: 2}, up)
	p4 = b.g.Add("model.10", &graph.Concat{}, up, p4)
	d := &graph.Detect{Classes: 3, Strides: []int{4, 8, 16},
		Anchors: [][][2]float32{{{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62.3, 45.1}}, {{116, 90}, {156, 198}, {373, 326}}}}
	var maps []*graph.Node
	for i, p := range []*graph.Node{p3, p4, p5} {
		maps = append(maps, b.conv(fmt.Sprintf("model.24.m.%d", i), p, []int{8, 16, 8}[i], 8*len(d.Anchors[i]), 1, 1, true))
	}
	b.g.Outputs = []*graph.Node{b.g.Add("model.24", d, maps...)}
	return b.g
}

func write(t testing.TB, g *graph.Graph, o onnx.WriteOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := onnx.Write(&b, g, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, file []byte) *graph.Graph {
	t.Helper()
	g, err := onnx.Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// reference computes decoded boxes and raw maps by the plainest loops.
func reference(t testing.TB, g *graph.Graph, x *tensor.Tensor) (boxes, maps []*tensor.Tensor) {
	t.Helper()
	all, err := engine.Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Detect().In {
		maps = append(maps, all[n])
	}
	return []*tensor.Tensor{all[g.Detect()]}, maps
}

// compare fails if numbers differ by more than tol, relative to the larger of 1 and them.
func compare(t testing.TB, what string, got, want []*tensor.Tensor, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d outputs, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !slices.Equal(got[i].Shape, want[i].Shape) {
			t.Fatalf("%s: output %d is %v, want %v", what, i, got[i], want[i])
		}
		for k, w := range want[i].Data {
			if d := math.Abs(float64(got[i].Data[k]-w)) / max(1, math.Abs(float64(w))); !(d <= tol) {
				t.Fatalf("%s: output %d[%d] = %v, want %v", what, i, k, got[i].Data[k], w)
			}
		}
	}
}

// onnxRuntime opens the library, or skips the test.
func onnxRuntime(t testing.TB) *ort.Runtime {
	t.Helper()
	path, err := ort.Find()
	if err != nil {
		t.Skip(err)
	}
	r, err := ort.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func runORT(t testing.TB, r *ort.Runtime, file []byte, xs ...*tensor.Tensor) [][]*tensor.Tensor {
	t.Helper()
	s, err := r.Load(file, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all [][]*tensor.Tensor
	for _, x := range xs {
		outs, err := s.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		var kept []*tensor.Tensor
		for _, o := range outs {
			kept = append(kept, o.Clone())
		}
		all = append(all, kept)
	}
	return all
}

// variants calls f for every way to write a graph.
func variants(t *testing.T, f func(t *testing.T, o onnx.WriteOptions)) {
	for opset := 12; opset <= 17; opset++ {
		for _, dynamic := range []bool{false, true} {
			for _, heads := range []bool{false, true} {
				o := onnx.WriteOptions{Opset: opset, Dynamic: dynamic, Heads: heads, Version: "1.2.3"}
				t.Run(fmt.Sprintf("opset%d,dynamic=%v,heads=%v", opset, dynamic, heads), func(t *testing.T) { f(t, o) })
			}
		}
	}
}

func TestWriteRunsInONNXRuntime(t *testing.T) {
	r := onnxRuntime(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	xs := []*tensor.Tensor{random(rnd, 1, 1, 3, 32, 64), random(rnd, 1, 2, 3, 32, 16), random(rnd, 1, 3, 3, 16, 16)}
	for _, fold := range []bool{false, true} {
		g := everyOp(1)
		if fold {
			if err := pass.FoldBatchNorm(g); err != nil {
				t.Fatal(err)
			}
		}
		boxes, maps := make([][]*tensor.Tensor, len(xs)), make([][]*tensor.Tensor, len(xs))
		for i, x := range xs {
			boxes[i], maps[i] = reference(t, g, x)
		}
		variants(t, func(t *testing.T, o onnx.WriteOptions) {
			can, want := xs[:1], boxes // a fixed model takes the first size only
			if o.Dynamic {
				can = xs
			}
			if o.Heads {
				want = maps
			}
			for i, got := range runORT(t, r, write(t, g, o), can...) {
				compare(t, fmt.Sprint("input ", xs[i]), got, want[i], 1e-4)
			}
		})
	}
}

func TestWriteForOtherSize(t *testing.T) {
	r := onnxRuntime(t)
	g := everyOp(2)
	x := random(rand.New(rand.NewPCG(5, 6)), 1, 2, 3, 48, 32)
	got := runORT(t, r, write(t, g, onnx.WriteOptions{Batch: 2, Height: 48, Width: 32}), x)
	want, _ := reference(t, g, x)
	compare(t, "2x48x32", got[0], want, 1e-4)
}

func TestReadGivesWhatWasWritten(t *testing.T) {
	for _, fold := range []bool{false, true} {
		g := everyOp(3)
		if fold {
			if err := pass.FoldBatchNorm(g); err != nil {
				t.Fatal(err)
			}
		}
		variants(t, func(t *testing.T, o onnx.WriteOptions) {
			file := write(t, g, o)
			back := read(t, file)
			if got, want := back.String(), g.String(); got != want {
				t.Fatalf("read\n%s\nwant\n%s", got, want)
			}
			for i, p := range g.Params() {
				if q := back.Params()[i]; !slices.Equal(q.Tensor().Data, p.Tensor().Data) {
					t.Errorf("%s has other numbers", p.Name)
				}
			}
			if !bytes.Equal(write(t, back, o), file) {
				t.Error("written again, the file differs")
			}
		})
	}
}

func TestStandardModel(t *testing.T) {
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, []string{"face", "mask"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []onnx.WriteOptions{{Height: 64, Width: 96}, {Height: 96, Width: 32, Dynamic: true}, {Dynamic: true, Heads: true}} {
		file := write(t, g, o)
		back := read(t, file)
		g.Input().Op.(*graph.Input).Shape = back.Input().Op.(*graph.Input).Shape
		if back.String() != g.String() {
			t.Fatalf("read\n%s\nwant\n%s", back, g)
		}
		if !bytes.Equal(write(t, back, o), file) {
			t.Errorf("%+v: written again, the file differs", o)
		}
	}
	x := random(rand.New(rand.NewPCG(1, 1)), 1, 1, 3, 64, 96)
	got := runORT(t, onnxRuntime(t), write(t, g, onnx.WriteOptions{Dynamic: true}), x)
	prog, err := engine.Compile(g, engine.Options{Height: 64, Width: 96, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	want, err := prog.NewSession().Run(x)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "yolov5n", got[0], want, 1e-4)
}
