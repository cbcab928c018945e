package dataset

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ultrafast/picture"
)

// small opens a data set of eleven pictures of several shapes.
func small(t *testing.T) []Item {
	t.Helper()
	files := map[string]string{"data.yaml": "val: images\nnames: [a, b]\n"}
	for i := range 11 {
		files[fmt.Sprintf("images/%02d.png", i)] = fmt.Sprintf("%dx%d", 40+10*(i%3), 100-9*i)
		files[fmt.Sprintf("labels/%02d.txt", i)] = "0 0.5 0.5 0.5 0.25\n1 0.25 0.75 0.5 0.5\n"
	}
	d, err := Open(filepath.Join(tree(t, files), "data.yaml"), OpenOptions{Splits: []string{"val"}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Val
}

func newTestLoader(t *testing.T, items []Item, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(items, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sum describes every batch of an epoch.
func sum(t *testing.T, l *Loader, epoch int) []string {
	t.Helper()
	var out []string
	for b, err := range l.Epoch(context.Background(), epoch) {
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64()
		for _, v := range b.X.Data {
			bits := math.Float32bits(v)
			h.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
		fmt.Fprint(h, b.X.Shape, b.Targets, b.Items, b.Fits)
		out = append(out, fmt.Sprint(b.Items, h.Sum64()))
	}
	if len(out) != l.Batches() {
		t.Errorf("%d batches, and Batches says %d", len(out), l.Batches())
	}
	return out
}

func TestDeterminism(t *testing.T) {
	items := small(t)
	all := Augment{Mosaic: 0.7, FlipLR: 0.5, FlipUD: 0.5, HSVh: 0.1, HSVs: 0.5, HSVv: 0.5, Scale: 0.5, Translate: 0.1, Degrees: 10, Shear: 5, Perspective: 0.0005}
	o := LoaderOptions{Size: 64, Batch: 3, Train: true, Augment: all, Seed: 5, Workers: 1}
	want := sum(t, newTestLoader(t, items, o), 2)
	for _, workers := range []int{2, 7} {
		for _, cacheBytes := range []int64{-1, 30_000, 0} {
			o := o
			o.Workers, o.CacheBytes = workers, cacheBytes
			l := newTestLoader(t, items, o)
			for range 2 { // the second from the cache
				if got := sum(t, l, 2); !slices.Equal(got, want) {
					t.Errorf("%d workers, cache %d: %v, want %v", workers, cacheBytes, got, want)
				}
			}
		}
	}
	for name, change := range map[string]func(*LoaderOptions) int{
		"epoch": func(*LoaderOptions) int { return 3 },
		"seed":  func(o *LoaderOptions) int { o.Seed = 6; return 2 },
	} {
		o := o
		epoch := change(&o)
		if got := sum(t, newTestLoader(t, items, o), epoch); slices.Equal(got, want) {
			t.Errorf("another %s gives the same batches", name)
		}
	}
}

func TestBatches(t *testing.T) {
	items := small(t)
	tests := []struct {
		batch int
		train bool
		sizes []int
	}{
		{4, true, []int{4, 4}},
		{11, true, []int{11}},
		{16, true, []int{11}}, // the only batch stays
		{4, false, []int{4, 4, 3}},
		{16, false, []int{11}},
	}
	for _, test := range tests {
		l := newTestLoader(t, items, LoaderOptions{Size: 32, Batch: test.batch, Train: test.train})
		var sizes, seen []int
		for b, err := range l.Epoch(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, b.X.Shape[0])
			seen = append(seen, b.Items...)
			for _, g := range b.Targets {
				if g.Image < 0 || g.Image >= b.X.Shape[0] {
					t.Errorf("target of picture %d", g.Image)
				}
			}
		}
		if !slices.Equal(sizes, test.sizes) {
			t.Errorf("batch %d, train %v: %v, want %v", test.batch, test.train, sizes, test.sizes)
		}
		if test.train == slices.IsSorted(seen) {
			t.Errorf("batch %d, train %v: the order is %v", test.batch, test.train, seen)
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != len(seen) {
			t.Errorf("batch %d: a picture comes twice", test.batch)
		}
	}
}

// TestRectSize has shapes computed by hand: ceil(side*size/32 + 0.5)*32.
func TestRectSize(t *testing.T) {
	tests := []struct {
		low, high float64 // height by width
		size      int
		want      image.Point
	}{
		{1, 1, 640, image.Pt(672, 672)},           // 20.5 -> 21
		{0.75, 0.75, 640, image.Pt(672, 512)},     // 15.5 -> 16
		{0.5, 0.75, 640, image.Pt(672, 512)},      // the tallest decides
		{0.5, 0.5625, 640, image.Pt(672, 384)},    // 11.75 -> 12
		{0.7, 0.775, 640, image.Pt(672, 512)},     // 15.5 + 0.5 is 16 exactly
		{0.7, 0.78, 640, image.Pt(672, 544)},      // 16.1 -> 17
		{1.25, 2, 640, image.Pt(544, 672)},        // 16 + 0.5; the widest decides
		{0.8, 1.2, 640, image.Pt(672, 672)},       // both ways: square
		{0.5, 1, 320, image.Pt(352, 352)},         // 1 is not below 1
		{0.75, 0.75, 320, image.Pt(352, 256)},     // 7.5 + 0.5 is 8 exactly
		{0.001, 0.001, 320, image.Pt(352, 32)},    // at least one stride
		{1000, 1000, 320, image.Pt(32, 352)},      //
		{0.625, 0.625, 1280, image.Pt(1312, 832)}, // 25.5 -> 26
	}
	for _, test := range tests {
		if got := rectSize(test.low, test.high, test.size, Stride, rectPad); got != test.want {
			t.Errorf("%v..%v at %d: %v, want %v", test.low, test.high, test.size, got, test.want)
		}
	}
}

// TestValidation: targets, taken back by Fit, are the picture's truth, and a batch has the
// shape that its pictures need.
func TestValidation(t *testing.T) {
	items := small(t)
	for _, rect := range []bool{false, true} {
		l := newTestLoader(t, items, LoaderOptions{Size: 64, Batch: 4, Rect: rect})
		seen := 0
		var last float64
		for b, err := range l.Epoch(context.Background(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			h, w := float32(b.X.Shape[2]), float32(b.X.Shape[3])
			if !rect && (h != 64 || w != 64) || b.X.Shape[2]%Stride != 0 || b.X.Shape[3]%Stride != 0 {
				t.Errorf("shape %v", b.X.Shape)
			}
			for i, index := range b.Items {
				if rect && items[index].aspect() < last {
					t.Error("not in the order of aspects")
				}
				last = items[index].aspect()
				truth := TruthOf(items[index])
				for _, g := range b.Targets {
					if g.Image != i {
						continue
					}
					x1, y1, x2, y2 := b.Fits[i].Back((g.CX-g.W/2)*w, (g.CY-g.H/2)*h, (g.CX+g.W/2)*w, (g.CY+g.H/2)*h)
					want := truth[g.Class]
					if max(abs(x1-want.X1), abs(y1-want.Y1), abs(x2-want.X2), abs(y2-want.Y2)) > 1 {
						t.Errorf("rect %v, item %d: back at %v %v %v %v, want %v", rect, index, x1, y1, x2, y2, want)
					}
					seen++
				}
			}
		}
		if seen != 2*len(items) {
			t.Errorf("%d targets", seen)
		}
	}
}

func TestEpochErrors(t *testing.T) {
	items := slices.Clone(small(t))
	before := runtime.NumGoroutine()

	// A file that has gone, in the middle of an epoch.
	if err := os.Remove(items[6].Path); err != nil {
		t.Fatal(err)
	}
	l := newTestLoader(t, items, LoaderOptions{Size: 32, Batch: 2})
	batches := 0
	var failed error
	for b, err := range l.Epoch(context.Background(), 0) {
		if err != nil {
			failed = err
			continue // the loop ends all the same
		}
		batches += len(b.Items) / 2
	}
	if failed == nil || !strings.Contains(failed.Error(), items[6].Path) || batches != 3 {
		t.Errorf("%d batches, then %v", batches, failed)
	}

	// A picture that has changed.
	items[0].W++
	l = newTestLoader(t, items, LoaderOptions{Size: 32, Batch: 2})
	for _, err := range l.Epoch(context.Background(), 0) {
		if err == nil || !strings.HasPrefix(err.Error(), items[0].Path+": the picture was 41 x 100 pixels and is now 40 x 100") {
			t.Errorf("error %v", err)
		}
		break
	}
	items[0].W--

	// The caller cancels, has cancelled, or leaves.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	for _, err := range l.Epoch(ctx, 0) {
		n++
		if n == 2 && !errors.Is(err, context.Canceled) || n > 2 {
			t.Errorf("batch %d after cancelling: %v", n, err)
		}
		cancel()
	}
	for _, err := range l.Epoch(ctx, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	for range 20 {
		for range l.Epoch(context.Background(), 0) {
			break
		}
	}

	for range 100 { // ended goroutines may take a moment to be counted out
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestNewLoaderErrors(t *testing.T) {
	items := []Item{{}}
	for name, o := range map[string]LoaderOptions{
		"no size": {},
		"size":    {Size: 333},
		"batch":   {Size: 320, Batch: -1},
		"memory":  {Size: 32 * 1000, Batch: 16},
		"augment": {Size: 320, Train: true, Augment: Augment{Scale: 2}},
	} {
		if _, err := NewLoader(items, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewLoader(nil, LoaderOptions{Size: 320}); err == nil {
		t.Error("no items: no error")
	}
}

func TestCacheLimit(t *testing.T) {
	items := small(t)
	l := newTestLoader(t, items, LoaderOptions{Size: 32, Batch: 4, CacheBytes: 8000})
	sum(t, l, 0)
	var bytes int64
	for i := range items {
		if p := l.cache.pictures[i].Load(); p != nil {
			bytes += int64(len(p.Pix))
		}
	}
	if used := l.cache.used.Load(); used != bytes || bytes == 0 || bytes > 8000 {
		t.Errorf("%d bytes are kept, and %d counted, of 8000", bytes, used)
	}
}

// TestScale: the longer side is the size exactly, the shorter is rounded up.
func TestScale(t *testing.T) {
	for _, test := range []struct{ w, h, wantW, wantH int }{
		{500, 375, 320, 240},
		{500, 376, 320, 241}, // 240.64
		{376, 500, 241, 320},
		{500, 374, 320, 240}, // 239.36
		{49, 49, 320, 320},
		{100, 33, 320, 106}, // 105.6
		{10000, 10, 320, 1},
	} {
		l := newTestLoader(t, []Item{{}}, LoaderOptions{Size: 320})
		if p := l.scale(picture.New(test.w, test.h)); p.W != test.wantW || p.H != test.wantH {
			t.Errorf("%d x %d became %d x %d, want %d x %d", test.w, test.h, p.W, p.H, test.wantW, test.wantH)
		}
	}
}

// Loaders that share batches make together what one loader makes.
func TestParts(t *testing.T) {
	items := small(t)
	for _, o := range []LoaderOptions{
		{Size: 64, Batch: 4},
		{Size: 64, Batch: 4, Train: true, Augment: Augment{Mosaic: 1, Scale: 0.5, FlipLR: 0.5, Mixup: 0.5}, Seed: 3},
		{Size: 64, Batch: 4, Train: true, Rect: true},
	} {
		whole := newTestLoader(t, items, o)
		var parts []*Loader
		for part := range 2 {
			o.Part, o.Parts = part, 2
			parts = append(parts, newTestLoader(t, items, o))
		}
		if parts[0].Batches() != whole.Batches() {
			t.Fatalf("%d batches in parts, %d in all", parts[0].Batches(), whole.Batches())
		}
		next, stop := iter.Pull2(parts[0].Epoch(t.Context(), 1))
		defer stop()
		next2, stop2 := iter.Pull2(parts[1].Epoch(t.Context(), 1))
		defer stop2()
		for b, err := range whole.Epoch(t.Context(), 1) {
			if err != nil {
				t.Fatal(err)
			}
			one, err1, _ := next()
			two, err2, _ := next2()
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			targets := slices.Clone(one.Targets)
			for _, x := range two.Targets {
				x.Image += len(one.Items)
				targets = append(targets, x)
			}
			if !slices.Equal(slices.Concat(one.X.Data, two.X.Data), b.X.Data) || !slices.Equal(targets, b.Targets) ||
				!slices.Equal(slices.Concat(one.Items, two.Items), b.Items) {
				t.Errorf("%+v: parts with the pictures %v and %v are not the batch %v", o, one.Items, two.Items, b.Items)
			}
		}
	}
	if _, err := NewLoader(items[:2], LoaderOptions{Size: 64, Parts: 3, Train: true}); err == nil {
		t.Error("two pictures were shared by three")
	}
}
