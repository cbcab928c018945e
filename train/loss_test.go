package train

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// A goldenCase is one of YOLOv5 v7.0's own losses.
type goldenCase struct {
	Classes int
	Hyp     struct {
		Box, Cls, Obj float64
		ClsPW         float64 `json:"cls_pw"`
		ObjPW         float64 `json:"obj_pw"`
		AnchorT       float64 `json:"anchor_t"`
		FocalGamma    float64 `json:"fl_gamma"`
		Smoothing     float64 `json:"label_smoothing"`
	}
	Anchors     []float32 `json:"anchors_px"`
	Strides     []float64
	Shapes      [][]int
	Targets     []float32
	Predictions [][]float32
	Gradients   [][]float32
	Total       []float64 `json:"loss_total"`
	Parts       []float64 `json:"loss_box_obj_cls"`
	Matches     []int     `json:"matches_per_level"`
}

func (c goldenCase) head() *graph.Detect {
	d := &graph.Detect{Classes: c.Classes}
	for l, s := range c.Strides {
		d.Strides = append(d.Strides, int(s))
		var anchors [][2]float32
		for a := range c.Shapes[l][1] {
			at := (l*c.Shapes[l][1] + a) * 2
			anchors = append(anchors, [2]float32{c.Anchors[at], c.Anchors[at+1]})
		}
		d.Anchors = append(d.Anchors, anchors)
	}
	return d
}

// channelsFirst turns [b,a,y,x,k] into [b,a*k,y,x].
func channelsFirst(data []float32, s []int) *tensor.Tensor {
	t := tensor.New(s[0], s[1]*s[4], s[2], s[3])
	area := s[2] * s[3]
	for ba := range s[0] * s[1] {
		for yx := range area {
			for k := range s[4] {
				t.Data[(ba*s[4]+k)*area+yx] = data[(ba*area+yx)*s[4]+k]
			}
		}
	}
	return t
}

func TestLossIsYOLOv5s(t *testing.T) {
	const file = "../../shared/golden/loss.json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("no recorded truth: %v", err)
	}
	var golden struct{ Cases []goldenCase }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		h := LossHyp{Box: c.Hyp.Box, Obj: c.Hyp.Obj, Cls: c.Hyp.Cls, ObjPW: c.Hyp.ObjPW, ClsPW: c.Hyp.ClsPW,
			AnchorT: c.Hyp.AnchorT, FocalGamma: c.Hyp.FocalGamma, LabelSmoothing: c.Hyp.Smoothing}
		var maps []*tensor.Tensor
		for l, s := range c.Shapes {
			maps = append(maps, channelsFirst(c.Predictions[l], s))
		}
		var targets []dataset.Target
		for f := range slices.Chunk(c.Targets, 6) {
			targets = append(targets, dataset.Target{Image: int(f[0]), Class: int(f[1]), CX: f[2], CY: f[3], W: f[4], H: f[5]})
		}
		loss := NewLoss(c.head(), h)
		for round := range 2 { // the second finds used buffers
			name := fmt.Sprintf("case %d round %d", i, round)
			gradients, parts, err := loss.Eval(maps, targets)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(parts.Matches, c.Matches) {
				t.Fatalf("%s: matches per level %v, want %v", name, parts.Matches, c.Matches)
			}
			near(t, name+": total", parts.Total, c.Total[0], 1e-5)
			near(t, name+": box", parts.Box, c.Parts[0], 1e-5)
			near(t, name+": objectness", parts.Obj, c.Parts[1], 1e-5)
			near(t, name+": class", parts.Cls, c.Parts[2], 1e-5)
			for l, g := range gradients {
				want := channelsFirst(c.Gradients[l], c.Shapes[l])
				if at, off := worst(g.Data, want.Data); off > 1e-4 {
					t.Errorf("%s: gradient of level %d, element %d is %v, want %v", name, l, at, g.Data[at], want.Data[at])
				}
			}
		}
	}
}

func near(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if !(math.Abs(got-want) <= relative*max(math.Abs(want), 1e-3)) {
		t.Errorf("%s is %.8g, want %.8g", what, got, want)
	}
}

// worst returns where two slices differ most, relative to the largest of want.
func worst(got, want []float32) (at int, off float64) {
	scale := 0.0
	for _, w := range want {
		scale = max(scale, math.Abs(float64(w)))
	}
	for i := range want {
		if d := math.Abs(float64(got[i])-float64(want[i])) / scale; !(d <= off) {
			at, off = i, d
		}
	}
	return at, off
}

// problem is a small random head, maps and targets; two targets share a cell.
func problem(seed uint64, classes, batch int) (*graph.Detect, []*tensor.Tensor, []dataset.Target) {
	r := rand.New(rand.NewPCG(seed, 0))
	d := &graph.Detect{
		Anchors: [][][2]float32{{{10, 13}, {30, 24}}, {{40, 60}, {90, 70}}},
		Strides: []int{8, 16}, Classes: classes,
	}
	var maps []*tensor.Tensor
	for l := range d.Strides {
		m := tensor.New(batch, 2*(5+classes), 12>>l, 16>>l)
		for i := range m.Data {
			m.Data[i] = float32(r.NormFloat64())
		}
		maps = append(maps, m)
	}
	var targets []dataset.Target
	for range 4 * batch {
		targets = append(targets, dataset.Target{
			Image: r.IntN(batch), Class: r.IntN(classes),
			CX: r.Float32(), CY: r.Float32(), W: 0.05 + 0.4*r.Float32(), H: 0.05 + 0.4*r.Float32(),
		})
	}
	twin := targets[0]
	twin.W *= 1.1
	return d, maps, append(targets, twin)
}

var testHyp = LossHyp{Box: 0.05, Obj: 1, Cls: 0.3, ObjPW: 1.3, ClsPW: 0.7, AnchorT: 4, LabelSmoothing: 0.1}

// The gradient is that of the loss, but for two terms which are constants to it: CIoU's α,
// and the objectness wanted. So box and class channels are checked without objectness,
// and α by itself in TestCIoU.
func TestGradient(t *testing.T) {
	for _, gamma := range []float64{0, 1.5} {
		for _, channel := range []string{"objectness", "class"} {
			h := testHyp
			h.FocalGamma = gamma
			d, maps, targets := problem(1, 3, 2)
			loss := NewLoss(d, h)
			gradients, _, err := loss.Eval(maps, targets)
			if err != nil {
				t.Fatal(err)
			}
			again, checked := NewLoss(d, h), 0
			for l, m := range maps {
				area := m.Shape[2] * m.Shape[3]
				for i := range m.Data {
					k := i / area % 8
					if (k == 4) != (channel == "objectness") || k < 4 {
						continue
					}
					if (k == 4 || gradients[l].Data[i] == 0) && i%7 != 0 {
						continue // a sample is enough
					}
					slope, err := measure(&m.Data[i], func() (Parts, error) { return again.Value(maps, targets) })
					if err != nil {
						t.Fatal(err)
					}
					checked++
					if got := float64(gradients[l].Data[i]); math.Abs(got-slope) > 1e-5+1e-3*math.Abs(slope) {
						t.Fatalf("gamma %v: gradient at level %d, element %d (%s) is %v, measured %v", gamma, l, i, channel, got, slope)
					}
				}
			}
			if checked < 50 {
				t.Errorf("only %d elements of %s were checked", checked, channel)
			}
		}
	}
}

// measure returns the slope of the loss along x by finite differences.
func measure(x *float32, loss func() (Parts, error)) (float64, error) {
	const step = 1.0 / 256
	old := *x
	defer func() { *x = old }()
	*x = old + step
	up, err := loss()
	if err != nil {
		return 0, err
	}
	width := float64(*x)
	*x = old - step
	width -= float64(*x)
	down, err := loss()
	return (up.Total - down.Total) / width, err
}

func TestCIoU(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	value := func(p, t [4]float64, alpha float64) float64 {
		v, _ := ciou(p, t)
		return v + (alpha0(p, t)-alpha)*shape(p, t)
	}
	for range 200 {
		p := [4]float64{r.Float64(), r.Float64(), 0.2 + r.Float64(), 0.2 + r.Float64()}
		b := [4]float64{2 * r.Float64(), r.Float64(), 0.2 + r.Float64(), 0.2 + r.Float64()}
		_, got := ciou(p, b)
		alpha := alpha0(p, b)
		for k := range p {
			const step = 1e-6
			up, down := p, p
			up[k] += step
			down[k] -= step
			want := (value(up, b, alpha) - value(down, b, alpha)) / (2 * step)
			if math.Abs(got[k]-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("d CIoU(%v, %v) / d[%d] is %v, measured %v", p, b, k, got[k], want)
			}
		}
	}
	if v, _ := ciou([4]float64{1, 2, 3, 4}, [4]float64{1, 2, 3, 4}); math.Abs(v-1) > 1e-6 {
		t.Errorf("CIoU of a box with itself is %v", v)
	}
	if v, g := ciou([4]float64{}, [4]float64{1, 2, 3, 4}); math.IsNaN(v + g[0] + g[1] + g[2] + g[3]) {
		t.Errorf("CIoU of nothing is %v, its gradient %v", v, g)
	}
}

// shape and alpha0 are v and α of CIoU, written out a second time.
func shape(p, t [4]float64) float64 {
	d := math.Atan(t[2]/t[3]) - math.Atan(p[2]/p[3])
	return 4 / (math.Pi * math.Pi) * d * d
}

func alpha0(p, t [4]float64) float64 {
	w := max(min(p[0]+p[2]/2, t[0]+t[2]/2)-max(p[0]-p[2]/2, t[0]-t[2]/2), 0)
	h := max(min(p[1]+p[3]/2, t[1]+t[3]/2)-max(p[1]-p[3]/2, t[1]-t[3]/2), 0)
	iou := w * h / (p[2]*p[3] + t[2]*t[3] - w*h + ciouEps)
	return shape(p, t) / (shape(p, t) - iou + 1 + ciouEps)
}

// Box gradients chain CIoU's through the sigmoids; where boxes nearly have the right
// proportions α vanishes, and finite differences see the rest.
func TestBoxGradient(t *testing.T) {
	d := &graph.Detect{Anchors: [][][2]float32{{{16, 16}}}, Strides: []int{8}, Classes: 1}
	m := tensor.New(1, 6, 4, 4)
	for i := range m.Data {
		m.Data[i] = float32(i%5)*0.1 - 0.2
	}
	for k := 2; k < 4; k++ { // squares: v and α are 0
		for i := range 16 {
			m.Data[k*16+i] = 0.3
		}
	}
	targets := []dataset.Target{{CX: 0.6, CY: 0.4, W: 0.45, H: 0.45}}
	loss := NewLoss(d, LossHyp{Box: 1, AnchorT: 4})
	gradients, _, err := loss.Eval([]*tensor.Tensor{m}, targets)
	if err != nil {
		t.Fatal(err)
	}
	grads := gradients[0].Clone()
	touched := 0
	for i := range m.Data[:4*16] {
		slope, err := measure(&m.Data[i], func() (Parts, error) { return loss.Value([]*tensor.Tensor{m}, targets) })
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(grads.Data[i])-slope) > 1e-4 {
			t.Errorf("gradient of element %d is %v, measured %v", i, grads.Data[i], slope)
		}
		if slope != 0 {
			touched++
		}
	}
	if touched != 3*4 { // a label has its own cell and two neighbours
		t.Errorf("%d elements have a gradient, want 12", touched)
	}
}

func TestLossIsTheSameOnAnyCores(t *testing.T) {
	d, maps, targets := problem(3, 5, 6)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want, parts, err := NewLoss(d, testHyp).Eval(maps, targets)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GOMAXPROCS(4)
	loss := NewLoss(d, testHyp)
	for range 3 {
		got, p, err := loss.Eval(maps, targets)
		if err != nil {
			t.Fatal(err)
		}
		if p.Total != parts.Total || p.Box != parts.Box || p.Obj != parts.Obj || p.Cls != parts.Cls {
			t.Fatalf("loss is %+v, and on one core %+v", p, parts)
		}
		for l := range got {
			if !slices.Equal(got[l].Data, want[l].Data) {
				t.Fatalf("gradient of level %d differs", l)
			}
		}
	}
}

func TestLossForgetsTheLastBatch(t *testing.T) {
	d, maps, targets := problem(4, 2, 3)
	used := NewLoss(d, testHyp)
	if _, _, err := used.Eval(maps, targets); err != nil {
		t.Fatal(err)
	}
	for _, some := range [][]dataset.Target{targets[:2], nil, targets[3:]} {
		want, parts, err := NewLoss(d, testHyp).Eval(maps, some)
		if err != nil {
			t.Fatal(err)
		}
		got, p, err := used.Eval(maps, some)
		if err != nil {
			t.Fatal(err)
		}
		if p.Total != parts.Total {
			t.Errorf("%d targets: loss %v, fresh %v", len(some), p.Total, parts.Total)
		}
		for l := range got {
			if !slices.Equal(got[l].Data, want[l].Data) {
				t.Errorf("%d targets: gradient of level %d differs from a fresh one", len(some), l)
			}
		}
	}
}

func TestLossRefuses(t *testing.T) {
	d, maps, targets := problem(5, 2, 2)
	loss := NewLoss(d, testHyp)
	for name, try := range map[string]func() error{
		"a map less":    func() error { _, _, err := loss.Eval(maps[:1], targets); return err },
		"wrong channel": func() error { _, err := loss.Value([]*tensor.Tensor{maps[0], tensor.New(2, 5, 4, 4)}, nil); return err },
		"class 2 of 2":  func() error { _, err := loss.Value(maps, []dataset.Target{{Class: 2}}); return err },
		"picture 2":     func() error { _, err := loss.Value(maps, []dataset.Target{{Image: 2}}); return err },
	} {
		if try() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	nan := float32(math.NaN())
	inf := float32(math.Inf(1))
	if _, err := loss.Value(maps, []dataset.Target{{CX: nan, CY: nan, W: .1, H: .1}, {CX: -inf, CY: inf, W: .1, H: .1}, {W: nan, H: -1}}); err != nil {
		t.Errorf("odd numbers in a label: %v", err)
	}
}

func BenchmarkLoss(b *testing.B) {
	for _, classes := range []int{2, 80} {
		b.Run(fmt.Sprint(classes, " classes"), func(b *testing.B) {
			d := &graph.Detect{Classes: classes, Strides: []int{8, 16, 32}, Anchors: [][][2]float32{
				{{10, 13}, {16, 30}, {33, 23}}, {{30, 61}, {62, 45}, {59, 119}}, {{116, 90}, {156, 198}, {373, 326}}}}
			r := rand.New(rand.NewPCG(1, 1))
			var maps []*tensor.Tensor
			for _, s := range d.Strides {
				m := tensor.New(16, 3*(5+classes), 320/s, 320/s)
				for i := range m.Data {
					m.Data[i] = float32(r.NormFloat64())
				}
				maps = append(maps, m)
			}
			var targets []dataset.Target
			for i := range 16 * 8 {
				targets = append(targets, dataset.Target{Image: i % 16, Class: r.IntN(classes),
					CX: r.Float32(), CY: r.Float32(), W: r.Float32() / 2, H: r.Float32() / 2})
			}
			loss := NewLoss(d, testHyp)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := loss.Eval(maps, targets); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(16*b.N)/b.Elapsed().Seconds(), "pictures/s")
		})
	}
}
