package dataset

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
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
