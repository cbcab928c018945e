package train

import (
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

func TestTerms(t *testing.T) {
	for text, want := range map[string]Terms{
		"":                    {},
		"pkd":                 {PKD: termWeights.PKD},
		"cwd,outputs":         {CWD: termWeights.CWD, Outputs: termWeights.Outputs},
		"outputs=0.5,pkd=2e1": {PKD: 20, Outputs: 0.5},
	} {
		var got Terms
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		var again Terms
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q: %q is read as %+v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"l2": `"l2"`, "pkd,": `""`, "pkd,pkd": "twice", "pkd=0": "above 0", "pkd=-1": "want 0 to", "cwd=x": "cwd=x", "outputs=NaN": "NaN", "pkd=1e9": "1e+06",
	} {
		var got Terms
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzTerms(f *testing.F) {
	f.Add("pkd=0.1,outputs")
	f.Add("cwd=1e-300,pkd=,")
	f.Fuzz(func(t *testing.T, text string) {
		var terms, again Terms
		if terms.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := terms.check(); err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalText([]byte(terms.String())); err != nil || again != terms {
			t.Fatalf("%q is %+v, and then %+v, %v", text, terms, again, err)
		}
	})
}

func TestStrength(t *testing.T) {
	for _, test := range []struct {
		epochs, steps, epoch, step int
		want                       float64
	}{
		{10, 4, 0, 0, 1}, {10, 4, 8, 3, 1}, {10, 4, 9, 0, 1}, {10, 4, 9, 1, 0.75}, {10, 4, 9, 3, 0.25},
		{1, 100, 0, 90, 1}, {1, 100, 0, 95, 0.5}, {100, 1, 95, 0, 0.5},
	} {
		s := schedule{epochs: test.epochs, steps: test.steps}
		if got := s.strength(test.epoch, test.step); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// lesson is a distiller with random maps of a student and of its teacher, which knows a
// class more and a class less than the student.
func lesson(t testing.TB, terms Terms, names, theirs []string) (*distiller, []*tensor.Tensor) {
	t.Helper()
	student := detector(1, 3, someStrides, someAnchors, names...)
	teacher := detector(2, 5, someStrides, [][][2]float32{someAnchors[0][1:], someAnchors[1]}, theirs...)
	c := tinyConfig("")
	c.Distill = &Distill{Teacher: teacher, Terms: terms}
	d, err := newDistiller(Drift(), student, c.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	d.hyp = testHyp
	r := rand.New(rand.NewPCG(5, 6))
	fill := func(g *graph.Graph) (maps []*tensor.Tensor) {
		shapes, err := g.Shapes(3, 64, 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range MapsOf(g) {
			m := tensor.New(shapes[n]...)
			for i := range m.Data {
				m.Data[i] = float32(r.NormFloat64())
			}
			maps = append(maps, m)
		}
		return maps
	}
	d.maps = fill(d.teacher)
	return d, fill(d.student)
}

// nothing is the detection loss where there is none.
func nothing(maps []*tensor.Tensor) (gradients []*tensor.Tensor) {
	for _, m := range maps[:2] {
		gradients = append(gradients, tensor.New(m.Shape...))
	}
	return gradients
}

// The gradient is the loss's, but for boxes' CIoU, whose α is a constant to it: see
// TestCIoU and TestBoxGradient. So outputs are checked without boxes.
func TestDistillGradient(t *testing.T) {
	for name, test := range map[string]struct {
		terms         Terms
		names, theirs []string
	}{
		"pkd":                 {Terms{PKD: 2}, []string{"a", "b"}, []string{"a", "b"}},
		"cwd":                 {Terms{CWD: 3}, []string{"a", "b"}, []string{"a", "b"}},
		"outputs":             {Terms{Outputs: 1}, []string{"a", "b"}, []string{"a", "b"}},
		"outputs, one class":  {Terms{Outputs: 1}, []string{"a"}, []string{"a"}},
		"outputs, some known": {Terms{Outputs: 2}, []string{"a", "b"}, []string{"c", "b", "d"}},
		"all":                 {Terms{PKD: 1, CWD: 2, Outputs: 3}, []string{"a", "b"}, []string{"b", "a", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, maps := lesson(t, test.terms, test.names, test.theirs)
			d.hyp.Box = 0
			value := func() (Parts, error) {
				p := Parts{Pictures: 3}
				_, err := d.eval(maps, nothing(maps), 0.5, &p)
				return p, err
			}
			p := Parts{Pictures: 3}
			gradients, err := d.eval(maps, nothing(maps), 0.5, &p)
			if err != nil {
				t.Fatal(err)
			}
			if p.Distill <= 0 || p.Total != 3*p.Distill {
				t.Errorf("loss %+v", p)
			}
			var all []*tensor.Tensor
			for _, g := range gradients {
				all = append(all, g.Clone())
			}
			checked := 0
			for m := range maps {
				for i := range maps[m].Data {
					if i%11 != 0 {
						continue // a sample is enough
					}
					slope, err := measure(&maps[m].Data[i], value)
					if err != nil {
						t.Fatal(err)
					}
					got := float64(all[m].Data[i])
					if math.Abs(got-slope) > 2e-6+2e-3*math.Abs(slope) {
						t.Fatalf("gradient at map %d, element %d is %v, measured %v", m, i, got, slope)
					}
					if slope != 0 {
						checked++
					}
				}
			}
			if checked < 20 {
				t.Errorf("only %d elements have a slope", checked)
			}
		})
	}
}

// Each term is nothing where the student is like the teacher, and a step against the
// gradient makes every term smaller, boxes included.
func TestDistillEnds(t *testing.T) {
	for _, terms := range []Terms{{PKD: 1}, {CWD: 1}, {Outputs: 1}} {
		d, maps := lesson(t, terms, []string{"a", "b"}, []string{"a", "b"})
		at := func() (float64, []*tensor.Tensor) {
			p := Parts{Pictures: 3}
			g, err := d.eval(maps, nothing(maps), 1, &p)
			if err != nil {
				t.Fatal(err)
			}
			return p.Distill, g
		}
		before, g := at()
		norm := 0.0
		for _, m := range g {
			for _, v := range m.Data {
				norm += float64(v) * float64(v)
			}
		}
		for i, m := range maps {
			for k := range m.Data {
				m.Data[k] -= float32(0.1/math.Sqrt(norm)) * g[i].Data[k]
			}
		}
		if after, _ := at(); after >= before {
			t.Errorf("%v: %v becomes %v along its gradient", terms, before, after)
		}
		for _, f := range d.features {
			for i, v := range d.maps[f.teacher].Data {
				maps[f.student].Data[i] = v
				if terms.PKD > 0 { // scale and shift are no matter to it
					maps[f.student].Data[i] = 3*v + 1
				}
			}
		}
		for _, o := range d.outputs {
			s, t := maps[o.student], d.maps[o.teacher]
			area := s.Shape[2] * s.Shape[3] * o.perStudent
			for n := range s.Shape[0] {
				for _, a := range o.anchors {
					copy(s.Data[n*len(s.Data)/s.Shape[0]+a[0]*area:][:area], t.Data[n*len(t.Data)/t.Shape[0]+a[1]*area:])
				}
			}
		}
		if end, g := at(); math.Abs(end) > 1e-4 {
			t.Errorf("%v: %v where student and teacher agree, gradients %v", terms, end, g)
		}
	}
}

// PKD is written out a second time as its paper has it: both maps normalised, and then
// compared.
func TestPKDIsOfNormalisedMaps(t *testing.T) {
	d, maps := lesson(t, Terms{PKD: 1}, []string{"a"}, []string{"a"})
	p := Parts{Pictures: 3}
	if _, err := d.eval(maps, nothing(maps), 1, &p); err != nil {
		t.Fatal(err)
	}
	normal := func(m *tensor.Tensor, channel int) (v []float64) {
		mean, squares, area := 0.0, 0.0, m.Shape[2]*m.Shape[3]
		for i, x := range m.Data {
			if i/area%m.Shape[1] == channel {
				v = append(v, float64(x))
				mean += float64(x)
			}
		}
		mean /= float64(len(v))
		for i := range v {
			v[i] -= mean
			squares += v[i] * v[i] / float64(len(v))
		}
		for i := range v {
			v[i] /= math.Sqrt(squares + normEps)
		}
		return v
	}
	want := 0.0
	for _, f := range d.features {
		for c := range f.channels {
			a, b := normal(maps[f.student], c), normal(d.maps[f.teacher], c)
			for i := range a {
				want += (a[i] - b[i]) * (a[i] - b[i]) / 2 / float64(len(a)*f.channels*len(d.features))
			}
		}
	}
	if math.Abs(p.Distill-want) > 1e-9 {
		t.Errorf("%v, want %v", p.Distill, want)
	}
}

func TestTemperature(t *testing.T) {
	s, u := []float32{1, -2, 0.5, 3}, []float32{0, 1, 2, -1}
	p, q := make([]float32, 4), make([]float32, 4)
	for _, T := range []float64{1, 4} {
		g := make([]float32, 4)
		value := func() float64 { return cwd(s, u, make([]float32, 4), p, q, T, 1) }
		want := cwd(s, u, g, p, q, T, 1)
		plain := 0.0
		for i := range p {
			plain += T * T * float64(q[i]) * math.Log(float64(q[i])/float64(p[i]))
		}
		if math.Abs(want-plain) > 1e-5 {
			t.Errorf("T %v: %v, want %v", T, want, plain)
		}
		for i := range s {
			slope, _ := measure(&s[i], func() (Parts, error) { return Parts{Total: value()}, nil })
			if math.Abs(slope-float64(g[i])) > 1e-4 {
				t.Errorf("T %v: gradient of %d is %v, measured %v", T, i, g[i], slope)
			}
		}
	}
}

func TestDecay(t *testing.T) {
	for x := float32(0); x > -85; x -= 0.0037 {
		if want := math.Exp(float64(x)); math.Abs(float64(decay(x))-want) > 1e-5*want {
			t.Fatalf("exp(%v) is %v, want %v", x, decay(x), want)
		}
	}
	for _, x := range []float32{-90, -1e30} {
		if got := decay(x); got != 0 {
			t.Errorf("exp(%v) is %v", x, got)
		}
	}
	if x := float32(math.NaN()); decay(x) == decay(x) {
		t.Error("NaN does not pass")
	}
}

func TestDistillIsTheSameOnAnyCores(t *testing.T) {
	terms := Terms{PKD: 1, CWD: 1, Outputs: 1}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	eval := func() (Parts, []*tensor.Tensor) {
		d, maps := lesson(t, terms, []string{"a", "b"}, []string{"c", "b"})
		p := Parts{Pictures: 3}
		g, err := d.eval(maps, nothing(maps), 1, &p)
		if err != nil {
			t.Fatal(err)
		}
		return p, g
	}
	want, gradients := eval()
	runtime.GOMAXPROCS(4)
	for range 3 {
		if p, g := eval(); p.Total != want.Total || !reflect.DeepEqual(g, gradients) {
			t.Fatalf("%+v, and on one core %+v", p, want)
		}
	}
}

// A teacher's objectness counts for a student that knows fewer classes by what it takes the
// object for.
func TestObjectOfAStrangerCountsLittle(t *testing.T) {
	p := &pairing{known: []int{1}, strangers: true}
	known, strange := []float32{0, 0, 0, 0, 2, -5, 4}, []float32{0, 0, 0, 0, 2, 4, -5}
	o, _ := sigmoid(2)
	if got := p.object(known, 1, 7); math.Abs(got-o) > 1e-9 {
		t.Errorf("a class that is known: %v, want %v", got, o)
	}
	if got := p.object(strange, 1, 7); got > o/100 {
		t.Errorf("a class that is not known: %v of %v", got, o)
	}
	p.strangers = false
	if got := p.object(strange, 1, 7); got != o {
		t.Errorf("without strangers: %v, want %v", got, o)
	}
}

func TestDistillRefuses(t *testing.T) {
	d, maps := lesson(t, Terms{PKD: 1}, []string{"a"}, []string{"a"})
	wrong := slices.Clone(maps)
	wrong[2] = tensor.New(3, 5, 7, 8)
	if _, err := d.eval(wrong, nothing(maps), 1, &Parts{Pictures: 3}); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("a map of another size: %v", err)
	}
	d.maps[1].Data[0], d.maps[2].Data[0] = float32(math.NaN()), float32(math.NaN())
	if _, err := d.eval(maps, nothing(maps), 1, &Parts{Pictures: 3}); err == nil || !strings.Contains(err.Error(), "check its weights") {
		t.Errorf("a teacher without numbers: %v", err)
	}
}

// BenchmarkDistill is a batch of 16 pictures of 416x416 with a YOLOv5s as teacher.
func BenchmarkDistill(b *testing.B) {
	for _, terms := range []Terms{{PKD: 1}, {CWD: 1}, {Outputs: 1}, {PKD: 1, Outputs: 1}} {
		b.Run(terms.String(), func(b *testing.B) {
			d, _ := lesson(b, terms, []string{"a", "b"}, []string{"a", "b"})
			r := rand.New(rand.NewPCG(1, 1))
			var maps []*tensor.Tensor
			d.maps, d.features, d.outputs, d.moments = nil, nil, nil, nil
			add := func(shape ...int) (student, teacher int) {
				for _, to := range []*[]*tensor.Tensor{&maps, &d.maps} {
					m := tensor.New(shape...)
					for i := range m.Data {
						m.Data[i] = float32(r.NormFloat64())
					}
					*to = append(*to, m)
				}
				return len(maps) - 1, len(d.maps) - 1
			}
			anchors := [][2]int{{0, 0}, {1, 1}, {2, 2}}
			for _, s := range []int{8, 16, 32} {
				i, k := add(16, 3*7, 416/s, 416/s)
				for n := 0; n < len(maps[i].Data); n++ { // few objects, as in real pictures
					if n/(416/s*416/s)%7 == 4 {
						maps[i].Data[n] -= 8
						d.maps[k].Data[n] -= 8
					}
				}
				if terms.Outputs > 0 {
					d.outputs = append(d.outputs, outputPair{i, k, anchors, [][2]float32{{1, 1}, {2, 2}, {3, 2}}, 1, 7, 7})
				}
			}
			for i, s := range []int{8, 16, 32} {
				channels := 128 << i
				n, k := add(16, channels, 416/s, 416/s)
				if terms.PKD+terms.CWD > 0 {
					d.features = append(d.features, featurePair{n, k, channels})
					d.moments = append(d.moments, make([]moments, channels))
				}
			}
			d.gradients = make([]*tensor.Tensor, len(maps))
			for b.Loop() {
				if _, err := d.eval(maps, nil, 1, &Parts{Pictures: 16}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
