package quant_test

import (
	"bytes"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/models/mask"
	"ultrafast/onnx"
	"ultrafast/quant"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/yolo"
)

const side = 64

// run is a Runner.
func run(g *graph.Graph) (func(*tensor.Tensor) ([]*tensor.Tensor, error), error) {
	return runOn(g, "")
}

func runOn(g *graph.Graph, cpu string) (func(*tensor.Tensor) ([]*tensor.Tensor, error), error) {
	p, err := engine.Compile(g, engine.Options{Batch: 1, Height: side, Width: side, Threads: 1, CPU: cpu})
	if err != nil {
		return nil, err
	}
	return p.NewSession().Run, nil
}

// drawn returns n pictures of the demonstration, the same each time.
func drawn(n int) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		r := rand.New(rand.NewPCG(7, 7))
		for range n {
			p, _ := scene.Draw(r, side, side)
			x := tensor.New(1, 3, side, side)
			for i := range x.Data {
				x.Data[i] = float32(p.Pix[i%(side*side)*3+i/(side*side)]) / 255
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// network is the detector called thin.
func network(t testing.TB) *graph.Graph { return standard(t, "thin") }

// standard is a detector of ours with random weights, of a spread that keeps values around 1
// through SiLU from layer to layer.
func standard(t testing.TB, name string) *graph.Graph {
	t.Helper()
	cfg, err := yolo.Standard(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	g.Input().Op.(*graph.Input).Shape = [4]int{1, 3, side, side}
	r := rand.New(rand.NewPCG(3, 3))
	for _, n := range g.Nodes {
		if bn, ok := n.Op.(*graph.BatchNorm); ok {
			for i := range bn.Beta.Data {
				bn.Beta.Data[i] = float32(r.NormFloat64() / 5)
			}
		}
		if c, ok := n.Op.(*graph.Conv); ok {
			s := c.Weight.Shape
			for i := range c.Weight.Data {
				c.Weight.Data[i] = float32(r.NormFloat64() * 1.67 / math.Sqrt(float64(s[1]*s[2]*s[3])))
			}
		}
	}
	return g
}

func calibrated(t testing.TB, g *graph.Graph, m quant.Method) *quant.Ranges {
	t.Helper()
	r, err := quant.Calibrate(g, drawn(4), run, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func quantised(t testing.TB, g *graph.Graph, r *quant.Ranges, keep ...string) *graph.Graph {
	t.Helper()
	before := g.String()
	q, err := quant.Quantize(g, r, quant.Options{KeepFloat: keep})
	if err != nil {
		t.Fatal(err)
	}
	if g.String() != before {
		t.Error("the float network was changed")
	}
	return q
}

// A whole detector: what is where, how much is lost, and that files keep it.
func TestDetector(t *testing.T) {
	g := network(t)
	r := calibrated(t, g, "")
	q := quantised(t, g, r)
	checkStructure(t, q, graph.Quantize{Scale: 1. / 255})

	losses, err := quant.Losses(g, q, drawn(2), run)
	if err != nil {
		t.Fatal(err)
	}
	if len(losses) != len(r.Values)+3 {
		t.Errorf("%d losses, want one of %d values and 3 raw maps", len(losses), len(r.Values))
	}
	// Random layers amplify noise like signal, and where they share a scale one may be much
	// larger than the other: this is no trained network.
	for i, l := range losses {
		if i == 0 && l.SQNR < 35 || !(l.SQNR > 3) {
			t.Errorf("%s: %.1f dB are left", l.Name, l.SQNR)
		}
	}

	// Files.
	back, err := graph.Parse(q.String())
	if err != nil || back.String() != q.String() {
		t.Errorf("the text does not read back: %v", err)
	}
	var file, float bytes.Buffer
	if err := safetensors.Write(&file, &safetensors.File{Graph: q}); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(&float, &safetensors.File{Graph: g}); err != nil {
		t.Fatal(err)
	}
	if share := float64(file.Len()) / float64(float.Len()); share > 0.35 {
		t.Errorf("in 8 bits the file is %.2f of what it was", share)
	}
	read, err := safetensors.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "safetensors", read.Graph, q)
	file.Reset()
	if err := onnx.Write(&file, q, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	again, err := onnx.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "onnx", again, q)
}

// A trained detector loses little, by any method, on pictures that were not calibrated with.
func TestTrained(t *testing.T) {
	g, err := mask.Graph()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []quant.Method{quant.MSE, quant.Percentile, quant.MinMax} {
		q := quantised(t, g, calibrated(t, g, m))
		checkStructure(t, q, graph.Quantize{Scale: 1. / 255})
		losses, err := quant.Losses(g, q, func(yield func(*tensor.Tensor, error) bool) {
			i := 0
			for x, err := range drawn(6) {
				if i++; i > 4 && !yield(x, err) {
					return
				}
			}
		}, run)
		if err != nil {
			t.Fatal(err)
		}
		least := losses[0]
		for _, l := range losses {
			if l.SQNR < least.SQNR {
				least = l
			}
		}
		t.Logf("%s: %s has %.1f dB", m, least.Name, least.SQNR)
		if least.SQNR < 15 {
			t.Errorf("%s: %s has %.1f dB", m, least.Name, least.SQNR)
		}
		for _, l := range losses[len(losses)-3:] {
			t.Logf("%s: the raw map %s has %.1f dB", m, l.Name, l.SQNR)
			if l.SQNR < 20 {
				t.Errorf("%s: the raw map %s has %.1f dB", m, l.Name, l.SQNR)
			}
		}
	}
}

// With symmetric grids 0 is level 128 of all of them, and a file of ONNX says so in int8. What is
// lost is more, but not much.
func TestSymmetric(t *testing.T) {
	g, err := mask.Graph()
	if err != nil {
		t.Fatal(err)
	}
	r := calibrated(t, g, "")
	q, err := quant.Quantize(g, r, quant.Options{Symmetric: true})
	if err != nil {
		t.Fatal(err)
	}
	checkStructure(t, q, graph.Quantize{Scale: 1. / 127, Zero: 128})
	for _, n := range q.Nodes {
		op, ok := n.Op.(*graph.Quantize)
		if !ok {
			continue
		}
		i := slices.IndexFunc(r.Values, func(v quant.Range) bool { return v.Name == n.In[0].Name })
		if i < 0 { // the picture
			continue
		}
		v := r.Values[i]
		if covers := 127.0001 * float64(op.Scale); op.Zero != 128 || covers < max(-v.Low, v.High) {
			t.Errorf("%s is %+v for the range %g to %g", n.Name, *op, v.Low, v.High)
		}
	}
	if first := q.Node("model.0.conv.q").Op.(*graph.Quantize); first.Scale != float32(max(-r.Values[0].Low, r.Values[0].High)/127) {
		t.Errorf("the first grid is %+v for %+v", *first, r.Values[0])
	}
	back, err := graph.Parse(q.String())
	if err != nil || back.String() != q.String() {
		t.Errorf("the text does not read back: %v", err)
	}
	var file bytes.Buffer
	if err := onnx.Write(&file, q, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	again, err := onnx.Read(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "onnx", again, q)
	mean := map[bool]float64{}
	for symmetric, network := range map[bool]*graph.Graph{true: q, false: quantised(t, g, r)} {
		losses, err := quant.Losses(g, network, drawn(2), run)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range losses[len(losses)-3:] {
			t.Logf("symmetric %v: the raw map %s has %.1f dB", symmetric, l.Name, l.SQNR)
			mean[symmetric] += l.SQNR / 3
		}
	}
	if mean[true] < 25 || mean[true] > mean[false] {
		t.Errorf("the raw maps have %.1f dB with symmetric grids, %.1f dB with others", mean[true], mean[false])
	}
}

// same compares structure, numbers and scales.
func same(t *testing.T, what string, got, want *graph.Graph) {
	t.Helper()
	if got.String() != want.String() {
		t.Fatalf("%s gives\n%s\nwant\n%s", what, got, want)
	}
	for i, p := range want.Params() {
		if !slices.Equal(got.Params()[i].Tensor().Data, p.Tensor().Data) {
			t.Errorf("%s: %s is changed", what, p.Name)
		}
	}
	for i, n := range want.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && !slices.Equal(got.Nodes[i].Op.(*graph.Conv).WeightScale, c.WeightScale) {
			t.Errorf("%s: %s has other scales", what, n.Name)
		}
	}
}

// checkStructure checks what an engine relies on, and the picture's grid.
func checkStructure(t *testing.T, q *graph.Graph, picture graph.Quantize) {
	t.Helper()
	grids, users := q.Grids(), q.Consumers()
	if in := grids[users[q.Input()][0]]; in == nil || *in != picture {
		t.Errorf("the picture has the grid %v", in)
	}
	for _, n := range q.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			_, head := users[n][0].Op.(*graph.Detect)
			if head != (op.WeightScale == nil) {
				t.Errorf("%s: of the head: %v, has scales: %v", n.Name, head, op.WeightScale != nil)
			}
			if grids[n.In[0]] == nil {
				t.Errorf("%s takes %s, which is not on a grid", n.Name, n.In[0].Name)
			}
			if _, ok := users[n][0].Op.(*graph.Quantize); !ok && !head || len(users[n]) != 1 {
				t.Errorf("%s is read by %s as it is", n.Name, users[n][0].Name)
			}
		case *graph.Add:
			if a, b := grids[n.In[0]], grids[n.In[1]]; a == nil || b == nil || *a != *b {
				t.Errorf("%s adds values of the grids %v and %v", n.Name, a, b)
			}
		case *graph.Activation:
			if grids[n.In[0]] == nil {
				t.Errorf("%s takes what is not on a grid", n.Name)
			}
		case *graph.Concat, *graph.MaxPool, *graph.Upsample:
			if grids[n] == nil {
				t.Errorf("%s joins or passes on what is not of one grid", n.Name)
			}
		case *graph.Quantize:
			if grids[n.In[0]] != nil {
				t.Errorf("%s rounds what is rounded", n.Name)
			}
		}
	}
}

// Plain Go, machine code and the reference agree on whole detectors, up to the float head.
func TestEngineIsReference(t *testing.T) {
	for _, c := range []struct {
		name      string
		symmetric bool
	}{{"thin", false}, {"thin", true}, {"yolov5n", false}, {"ghost", false}, {"shuffle", false}, {"mobile", false}} {
		g := standard(t, c.name)
		q, err := quant.Quantize(g, calibrated(t, g, quant.MinMax), quant.Options{Symmetric: c.symmetric})
		if err != nil {
			t.Fatal(err)
		}
		d := q.Detect()
		q.Outputs = slices.Concat([]*graph.Node{d}, d.In, []*graph.Node{d.In[0].In[0], d.In[2].In[0]})
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
					largest := 0.0
					for _, w := range want[n].Data {
						largest = max(largest, math.Abs(float64(w)))
					}
					for k, w := range want[n].Data {
						v := outs[i].Data[k]
						slack := 1e-4 * max(1, math.Abs(float64(w)))
						switch { // plain Go is that near everywhere; machine code has weights of 16 bits in the head
						case cpu == engine.Generic:
						case i > 0:
							slack = 1e-4 * largest
						default: // raw maps go up to 1000 here, and a side of a box by 2 % with 0.01
							slack = 0.06 * max(1, math.Abs(float64(w)))
						}
						if i > 3 && v != w || math.Abs(float64(v-w)) > slack {
							t.Fatalf("%s, symmetric %v, on %q: %s[%d] is %v, want %v", c.name, c.symmetric, cpu, n.Name, k, v, w)
						}
					}
				}
			}
		}
	}
}

func TestKeepFloat(t *testing.T) {
	g := network(t)
	r := calibrated(t, g, quant.Percentile)
	q := quantised(t, g, r, "model.2.cv1", "model.3.conv")
	for _, name := range []string{"model.2.cv1.conv", "model.3.conv"} {
		n := q.Node(name)
		if n.Op.(*graph.Conv).WeightScale != nil || q.Node(name+".q") != nil {
			t.Errorf("%s is quantised", name)
		}
		act := q.Consumers()[n][0]
		if u := q.Consumers()[act]; len(u) != 1 || u[0].Op.Word() != "quantize" {
			t.Errorf("the result of %s is not rounded", act.Name)
		}
		if q.Grids()[n.In[0]] == nil {
			t.Errorf("%s takes what is not rounded", name)
		}
	}
	if _, err := quant.Quantize(g, r, quant.Options{KeepFloat: []string{"model.2.cv"}}); err == nil || !strings.Contains(err.Error(), "there is no layer model.2.cv ") {
		t.Errorf("a layer that is not there: %v", err)
	}
}

// Networks with slices, batch norms that stay, transposed convolutions and outputs in between.
func TestOtherNetworks(t *testing.T) {
	const header = "ultrafast graph 1\nx = input shape=1,3,64,64\n"
	for _, c := range []struct{ text, want string }{
		{ // an output in the middle, slices of the picture, an odd share
			"a = slice x axis=1 start=0 end=2 step=1\nb = slice x axis=1 start=1 end=3 step=1\nj = concat a b\nc = conv j w=f32[4,4,3,3] pad=1\nr = relu c\nm = maxpool r kernel=3 stride=1 pad=1\nh = conv m w=f32[3,4,1,1] bias\noutput h r\n",
			"c w=i8 c.q r r.q m h",
		},
		{ // the batch norm of two layers stays in float, as the head that reads it does
			"a = conv x w=f32[4,3,1,1]\nb = conv x w=f32[4,3,1,1]\nj = concat a b\nn = batchnorm j c=8 eps=0.001 momentum=0.03\nr = leakyrelu n slope=0.1\nh = conv r w=f32[3,8,1,1] bias\noutput h\n",
			"a w=i8 a.q b w=i8 b.q j n r h",
		},
		{ // a transposed convolution is a float layer, and so is the head that reads it
			"a = conv x w=f32[4,3,1,1] stride=2\nt = convtranspose a w=f32[4,4,2,2] stride=2\nj = concat t x\nh = conv j w=f32[3,7,1,1] bias\noutput h\n",
			"a w=i8 a.q t j h",
		},
	} {
		g, err := graph.Parse(header + c.text)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 9))
		for _, p := range g.Params() {
			v := tensor.New(p.Tensor().Shape...)
			for i := range v.Data {
				v.Data[i] = r.Float32() - 0.4
				if strings.HasSuffix(p.Name, "running_var") {
					v.Data[i] = 1 + r.Float32()
				}
			}
			*p.At = v
		}
		q := quantised(t, g, calibrated(t, g, ""))
		var words []string
		for _, n := range q.Nodes[2:] { // behind the picture's
			if n.Name == "x.q" || strings.HasPrefix(n.Op.Word(), "slice") || n.Name == "j" && len(words) == 0 {
				continue
			}
			words = append(words, n.Name)
			if op, ok := n.Op.(*graph.Conv); ok && op.WeightScale != nil {
				words = append(words, "w=i8")
			}
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("became %q, want %q\n%s", got, c.want, q)
		}
		for i, n := range g.Outputs {
			if q.Outputs[i].Name != n.Name {
				t.Errorf("output %s is now %s", n.Name, q.Outputs[i].Name)
			}
		}
		losses, err := quant.Losses(g, q, drawn(1), run)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range losses {
			if !(l.SQNR > 25) {
				t.Errorf("%s has %.1f dB in\n%s", l.Name, l.SQNR, q)
			}
		}
	}
}
