package dataset

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Nine pictures touch as the formulas of load_mosaic9 have them, written out as edges, and
// no two overlap.
func TestNinePlaces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const s = 100
	for range 200 {
		var sizes [9]image.Point
		var r [9]image.Rectangle
		for i := range sizes { // one side is s, as the loader scales them
			sizes[i] = image.Pt(s, 1+rng.IntN(s))
			if rng.IntN(2) == 0 {
				sizes[i] = image.Pt(sizes[i].Y, s)
			}
		}
		for i, at := range ninePlaces(sizes, s) {
			r[i] = image.Rectangle{Min: at, Max: at.Add(sizes[i])}
		}
		for what, pair := range map[string][2]image.Point{
			"centre":      {r[0].Min, image.Pt(s, s)},
			"above":       {image.Pt(r[1].Min.X, r[1].Max.Y), image.Pt(s, s)},
			"above right": {image.Pt(r[2].Min.X, r[2].Max.Y), r[1].Max},
			"right":       {r[3].Min, image.Pt(r[0].Max.X, s)},
			"below right": {r[4].Min, image.Pt(r[0].Max.X, r[3].Max.Y)},
			"below":       {image.Pt(r[5].Max.X, r[5].Min.Y), r[0].Max},
			"below left":  {image.Pt(r[6].Max.X, r[6].Min.Y), image.Pt(r[5].Min.X, r[0].Max.Y)},
			"left":        {r[7].Max, image.Pt(s, r[0].Max.Y)},
			"above left":  {r[8].Max, image.Pt(s, r[7].Min.Y)},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%v: %s at %v, want %v", sizes, what, pair[0], pair[1])
			}
		}
		for i := range r {
			for j := range i {
				if r[i].Overlaps(r[j]) {
					t.Errorf("%v: %d and %d overlap", sizes, i, j)
				}
			}
		}
	}
}

// The mean of beta(32, 32) is 1/2 and its variance 1/(4*65).
func TestBeta32(t *testing.T) {
	const n = 20000
	sum, squares := 0.0, 0.0
	for i := range n {
		x := beta32(random(1, 2, i))
		sum += x
		squares += (x - 0.5) * (x - 0.5)
	}
	if mean, variance := sum/n, squares/n; math.Abs(mean-0.5) > 0.002 || math.Abs(variance*260-1) > 0.05 {
		t.Errorf("mean %v, variance %v, want 0.5 and %v", mean, variance, 1.0/260)
	}
}

// With mixup every pixel is the weighted mean of two mosaics, which are those that the
// same numbers give, and the boxes are those of both.
func TestMixup(t *testing.T) {
	const size = 96
	a := Augment{Mosaic: 1, Mixup: 1, Scale: 0.3}
	l := colours(t, size, a)
	mixed, parts := newSampler(l, nil), newSampler(l, nil)
	for seed := range 20 {
		at := image.Pt(size, size)
		got, err := mixed.compose(random(3, 0, seed), seed, at)
		if err != nil {
			t.Fatal(err)
		}
		rng := random(3, 0, seed)
		rng.Float64() // mosaic
		first, err := parts.many(&parts.out, rng, seed)
		if err != nil {
			t.Fatal(err)
		}
		rng.Float64() // mixup
		second, err := parts.many(&parts.second, rng, rng.IntN(len(l.items)))
		if err != nil {
			t.Fatal(err)
		}
		share := beta32(rng)
		for i, v := range mixed.out.Pix {
			want := uint8(share*float64(parts.out.Pix[i]) + (1-share)*float64(parts.second.Pix[i]))
			if v != want {
				t.Fatalf("seed %d: byte %d is %d, want %d", seed, i, v, want)
			}
		}
		if !slices.Equal(got, append(first, second...)) {
			t.Errorf("seed %d: boxes %v, want those of both", seed, got)
		}
	}
}

// A triangle goes to the mirrored place where it may, with its pixels and its box.
func TestCopyPaste(t *testing.T) {
	triangle, err := parseLabel(strings.Fields("1 0.1 0.3 0.4 0.3 0.1 0.7"), 2)
	if err != nil {
		t.Fatal(err)
	}
	labels := []Label{triangle, {0, 0.9, 0.1, 0.1, 0.1}}
	out, err := parseOutlines(strings.NewReader("0 0.9 0.1 0.1 0.1\n\n7 0.1 0.3 0.4 0.3 0.1 0.7\n7 0 0 1 0 1 1\n"), labels)
	if err != nil || len(out) != 1 || out[0].label != labels[0] || len(out[0].points) != 3 {
		t.Fatalf("outlines %+v, %v, want that of %v", out, err, labels[0])
	}
	const side = 40
	s := &sampler{l: &Loader{o: LoaderOptions{Augment: Augment{CopyPaste: 1}}}, mosaic: *noise(side, side)}
	before := slices.Clone(s.mosaic.Pix)
	s.outlines = []outline{out[0].on(side, side, 0, 0, side)}
	boxes := s.copyPaste(random(1, 1, 1), []region{s.outlines[0].box})
	want := region{1, side - 16, 12, side - 4, 28}
	if len(boxes) != 2 || !nearRegion(boxes[1], want) {
		t.Fatalf("boxes %v, want another one, %v", boxes, want)
	}
	for y := range side {
		for x := range side {
			// The mirrored triangle's corners are (36, 12), (24, 12) and (36, 28).
			cx, cy := float64(x)+0.5, float64(y)+0.5
			inside := cy > 12 && cx < 36 && cx > 24+(cy-12)*12/16
			from := x
			if inside {
				from = side - 1 - x
			}
			if got, want := s.mosaic.Pix[3*(y*side+x):][:3], before[3*(y*side+from):][:3]; !slices.Equal(got, want) {
				t.Fatalf("pixel (%d, %d) is %v, want %v", x, y, got, want)
			}
		}
	}
	// Beside a box of which it would cover 30 % it is not made, and of four objects half are.
	if got := s.copyPaste(random(1, 1, 1), []region{{0, 30, 12, 40, 28}}); len(got) != 1 {
		t.Errorf("over another: %v", got)
	}
	s.l.o.Augment.CopyPaste = 0.5
	s.outlines = nil
	for i := range 4 {
		o := outline{box: region{2, 1, float64(10 * i), 5, float64(10*i + 8)}}
		o.points = [][2]float64{{o.box.x1, o.box.y1}, {o.box.x2, o.box.y1}, {o.box.x1, o.box.y2}}
		s.outlines = append(s.outlines, o)
	}
	if got := s.copyPaste(random(1, 1, 1), nil); len(got) != 2 {
		t.Errorf("half of four objects are %v", got)
	}
}

func nearRegion(a, b region) bool {
	return a.class == b.class && max(math.Abs(a.x1-b.x1), math.Abs(a.y1-b.y1), math.Abs(a.x2-b.x2), math.Abs(a.y2-b.y2)) < 1e-4
}

// Rectangular training has the shapes of YOLOv5's arithmetic, ceil(side*size/32)*32, every
// picture, and targets that follow its pixels.
func TestRectTraining(t *testing.T) {
	items := small(t)
	l := newTestLoader(t, items, LoaderOptions{Size: 64, Batch: 3, Train: true, Rect: true, Augment: Augment{Mosaic: 1}})
	var seen []int
	last := 0.0
	for b, err := range l.Epoch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		low, high := items[b.Items[0]].aspect(), items[b.Items[len(b.Items)-1]].aspect()
		w, h := 64, 64
		if high < 1 {
			h = int(math.Ceil(high*2)) * 32
		} else if low > 1 {
			w = int(math.Ceil(2/low)) * 32
		}
		if low < last || b.X.Shape[2] != h || b.X.Shape[3] != w {
			t.Errorf("aspects %v to %v after %v: shape %v, want %d x %d", low, high, last, b.X.Shape, w, h)
		}
		last = high
		seen = append(seen, b.Items...)
		for _, g := range b.Targets {
			item := items[b.Items[g.Image]]
			long := float64(max(item.W, item.H))
			want := float64(item.Labels[g.Class].W) * float64(item.W) / long * 64
			if got := float64(g.W) * float64(w); math.Abs(got-want) > 1 {
				t.Errorf("item %d, class %d: %v pixels wide, want %v", b.Items[g.Image], g.Class, got, want)
			}
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(items) {
		t.Errorf("%d of %d pictures", len(seen), len(items))
	}
}

// The frequencies of pictures are their weights, within four standard deviations.
func TestWeighted(t *testing.T) {
	items := []Item{{Labels: []Label{{Class: 0}, {Class: 0}}}, {Labels: []Label{{Class: 1}}}, {}, {Labels: []Label{{Class: 0}, {Class: 1}}}}
	// Class 0 has three boxes, 1 has two and 2 none: 1/3, 1/2 and 1 in sum 11/6.
	classes := ClassWeights(items, 3)
	for c, want := range []float64{2.0 / 11, 3.0 / 11, 6.0 / 11} {
		if math.Abs(classes[c]-want) > 1e-12 {
			t.Errorf("class %d weighs %v, want %v", c, classes[c], want)
		}
	}
	weights := PictureWeights(items, classes)
	for i, want := range []float64{4.0 / 11, 3.0 / 11, 0, 5.0 / 11} {
		if math.Abs(weights[i]-want) > 1e-12 {
			t.Errorf("picture %d weighs %v, want %v", i, weights[i], want)
		}
	}
	l := newTestLoader(t, items, LoaderOptions{Size: 32, Batch: 1, Train: true}).Weighted(weights)
	counts := make([]float64, 4)
	const epochs = 5000
	for e := range epochs {
		for _, i := range l.drawn(e) {
			counts[i]++
		}
	}
	for i, w := range weights {
		p := w / (12.0 / 11)
		n := 4.0 * epochs
		if math.Abs(counts[i]-n*p) > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("picture %d came %v times of %v, want %v", i, counts[i], n, n*p)
		}
	}
	plans, pool := l.plan(3)
	for i, p := range plans {
		if p.items[0] != pool[i] || p.keys[0] != i {
			t.Errorf("batch %d is %+v of %v", i, p, pool)
		}
	}
	if got := newTestLoader(t, items, LoaderOptions{Size: 32}).Weighted(make([]float64, 4)).cumulated; !slices.Equal(got, []float64{1, 2, 3, 4}) {
		t.Errorf("without weights: %v", got)
	}
}

func TestSingle(t *testing.T) {
	d := &Data{Names: []string{"a", "b"}, Train: []Item{{Labels: []Label{{1, 0.1, 0.2, 0.3, 0.4}}}}}
	one := d.Single()
	if want := (Label{0, 0.1, 0.2, 0.3, 0.4}); fmt.Sprint(one.Names) != "[item]" || one.Train[0].Labels[0] != want || one.Val != nil {
		t.Errorf("got %+v", one)
	}
	if d.Train[0].Labels[0].Class != 1 {
		t.Error("the data itself was changed")
	}
	if cats := (&Data{Names: []string{"cat"}}); cats.Single() != cats {
		t.Error("data of one class are made anew")
	}
}

// polygons adds outlines to every label file of small's data.
func polygons(t *testing.T) []Item {
	t.Helper()
	files := map[string]string{"data.yaml": "val: images\nnames: [a, b]\n"}
	for i := range 11 {
		files[fmt.Sprintf("images/%02d.png", i)] = fmt.Sprintf("%dx%d", 40+10*(i%3), 100-9*i)
		files[fmt.Sprintf("labels/%02d.txt", i)] = "0 0.5 0.5 0.5 0.25\n1 0.1 0.1 0.3 0.1 0.2 0.4\n"
	}
	d, err := Open(tree(t, files)+"/data.yaml", OpenOptions{Splits: []string{"val"}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Val
}

// The same samples whatever the number of workers, with all that may vary them.
func TestDeterminismOfMixes(t *testing.T) {
	items := polygons(t)
	a := Augment{Mosaic: 0.8, Mosaic9: 0.5, Mixup: 0.5, CopyPaste: 0.7, FlipLR: 0.5, Scale: 0.5, Perspective: 0.0005}
	weights := make([]float64, len(items))
	for i := range weights {
		weights[i] = float64(i)
	}
	for name, o := range map[string]LoaderOptions{
		"mixes":    {Size: 64, Batch: 3, Train: true, Augment: a, Seed: 5},
		"rect":     {Size: 64, Batch: 3, Train: true, Rect: true, Augment: a, Seed: 5},
		"weighted": {Size: 64, Batch: 3, Train: true, Augment: a, Seed: 5},
	} {
		var want []string
		for _, workers := range []int{1, 2, 7} {
			o.Workers = workers
			l := newTestLoader(t, items, o)
			if name == "weighted" {
				l = l.Weighted(weights)
			}
			got := sum(t, l, 2)
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s with %d workers: %v, want %v", name, workers, got, want)
			}
		}
	}
}
