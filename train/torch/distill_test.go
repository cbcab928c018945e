package torch

import (
	"math"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/tensor"
	"ultrafast/train"
)

// A student that learns from a teacher comes nearer to its maps than one that does not, by
// each term.
func TestStudentNearsTeacher(t *testing.T) {
	b := open(t, 1) // or skip
	yaml, err := scene.Write(t.TempDir(), scene.Set{Train: 8, Val: 1, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const text = `names ["face","mask"]
images = input shape=1,3,64,64
model.0.conv = conv images w=f32[8,3,6,6] stride=4 pad=1
model.0.bn = batchnorm model.0.conv c=8 eps=0.001 momentum=0.03
model.0.act = silu model.0.bn
model.1.conv = conv model.0.act w=f32[8,8,3,3] stride=2 pad=1
model.1.bn = batchnorm model.1.conv c=8 eps=0.001 momentum=0.03
model.1.act = silu model.1.bn
model.2.m.0 = conv model.1.act w=f32[14,8,1,1] bias
model.2 = detect model.2.m.0 classes=2 strides=8 anchors=12,16,24,32
output model.2
output model.1.act
`
	teacher, student := parse(t, text), parse(t, text)
	for i, p := range student.Params() {
		if p.Trainable {
			copy(p.Tensor().Data, random(uint64(i+50), p.Tensor().Shape...).Data)
		}
	}
	loader, err := dataset.NewLoader(data.Train, dataset.LoaderOptions{Size: 64, Stride: 32, Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	var x *tensor.Tensor
	for batch, err := range loader.Epoch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		x = batch.X.Clone()
	}
	see := func(g *graph.Graph) []*tensor.Tensor {
		g = g.Clone()
		g.Outputs = []*graph.Node{g.Detect(), g.Node("model.1.act")}
		maps, err := load(t, b, g).Predict(x, train.Live)
		if err != nil {
			t.Fatal(err)
		}
		return maps
	}
	want := see(teacher)
	learned := func(terms train.Terms) (neck, object float64) {
		c := train.Config{Dir: t.TempDir(), Epochs: 40, Batch: 8, Size: 64, NoVal: true, NoAutoAnchor: true, Hyp: train.DefaultHyp()}
		c.Hyp.NBS, c.Hyp.Mosaic, c.Hyp.LR0 = 8, 0, 0.1
		if terms != (train.Terms{}) {
			c.Distill = &train.Distill{Teacher: teacher, Terms: terms}
		}
		r, err := train.Run(t.Context(), b, student, data, c)
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Open(r.Last)
		if err != nil {
			t.Fatal(err)
		}
		got := see(f.Graph)
		return unlike(got[1], want[1]), off(got[0], want[0])
	}
	neck, object := learned(train.Terms{})
	for name, terms := range map[string]train.Terms{"pkd": {PKD: 1}, "cwd": {CWD: 20}, "outputs": {Outputs: 3}} {
		n, o := learned(terms)
		t.Logf("%s: necks 1 - correlation %.3f, without %.3f; objectness off by %.3f, without %.3f", name, n, neck, o, object)
		if name == "outputs" && o > 0.7*object || name != "outputs" && n > 0.8*neck {
			t.Errorf("%s: the student is hardly nearer to its teacher", name)
		}
	}
}

// unlike is 1 - Pearson's correlation of two maps' channels, in the mean.
func unlike(a, b *tensor.Tensor) float64 {
	area, channels := a.Shape[2]*a.Shape[3], a.Shape[1]
	total := 0.0
	for c := range channels {
		var n, x, y, xx, yy, xy float64
		for i := range a.Data {
			if i/area%channels != c {
				continue
			}
			p, q := float64(a.Data[i]), float64(b.Data[i])
			n, x, y, xx, yy, xy = n+1, x+p, y+q, xx+p*p, yy+q*q, xy+p*q
		}
		total += 1 - (xy-x*y/n)/math.Sqrt((xx-x*x/n)*(yy-y*y/n))
	}
	return total / float64(channels)
}

// off is by how much the objectness of two raw maps of two anchors and two classes differs,
// in the mean.
func off(a, b *tensor.Tensor) float64 {
	area, sum, n := a.Shape[2]*a.Shape[3], 0.0, 0.0
	for i := range a.Data {
		if i/area%7 == 4 {
			sigmoid := func(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }
			sum += math.Abs(sigmoid(a.Data[i]) - sigmoid(b.Data[i]))
			n++
		}
	}
	return sum / n
}
