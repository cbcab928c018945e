package dataset

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A triangle goes to the mirrored place where it may, with its pixels and its box.
func TestCopyPaste(t *testing.T) {
	triangle, err := parseLabel(strings.Fields("1 0.1 0.3 0.4 0.3 0.1 0.7"), 2)
	if err != nil {
		t.Fatal(err)
	}
	labels := []Label{triangle, {0, 0.9, 0.1, 0.1, 0.1}}
	out, err := parseOutlines(strings.NewReader("0 0.9 0.1 0.1 0.1\n\n7 0.1 0.3 0.4 0.3 0.1 0.7\n7 0 0 1 0 1 1\n0 0 0 1 0 1 x\n"), labels)
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
	s.outlines = s.outlines[:1]
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

// resampled is YOLOv5's formula: the polygon is closed, and a thousand points lie evenly
// along the numbers of its corners.
func resampled(points [][2]float64) (out [][2]float64) {
	closed := append(slices.Clone(points), points[0])
	for i := range 1000 {
		x := float64(i) / 999 * float64(len(closed)-1)
		k := int(math.Min(math.Floor(x), float64(len(closed)-2)))
		var p [2]float64
		for axis := range p {
			p[axis] = (1-(x-float64(k)))*closed[k][axis] + (x-float64(k))*closed[k+1][axis]
		}
		out = append(out, p)
	}
	return out
}

// TestOutlineMoved: the box of a moved polygon is that of its points that are inside, by
// the formula, for random polygons and moves.
func TestOutlineMoved(t *testing.T) {
	size := image.Pt(64, 48)
	a := Augment{Degrees: 180, Scale: 0.5, Translate: 0.4, Shear: 20, Perspective: 0.001}
	kept := 0
	for seed := range 300 {
		rng := random(3, 0, seed)
		o := outline{box: region{1, math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}}
		for range 3 + rng.IntN(40) {
			p := [2]float64{128 * rng.Float64(), 128 * rng.Float64()}
			o.points = append(o.points, p)
			o.box.x1, o.box.x2 = min(o.box.x1, p[0]), max(o.box.x2, p[0])
			o.box.y1, o.box.y2 = min(o.box.y1, p[1]), max(o.box.y2, p[1])
		}
		m, scale := a.move(rng, image.Pt(128, 128), size)
		want, inside := region{1, math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}, 0
		for _, p := range resampled(o.points) {
			w := m[2][0]*p[0] + m[2][1]*p[1] + m[2][2]
			x, y := (m[0][0]*p[0]+m[0][1]*p[1]+m[0][2])/w, (m[1][0]*p[0]+m[1][1]*p[1]+m[1][2])/w
			if w > 0 && x >= 0 && y >= 0 && x <= 64 && y <= 48 {
				want = region{1, min(want.x1, x), min(want.y1, y), max(want.x2, x), max(want.y2, y)}
				inside++
			}
		}
		got, ok := o.moved(o.box, m, scale, size)
		w, h := want.x2-want.x1, want.y2-want.y1
		enough := inside > 0 && w > 2 && h > 2 && w*h > 0.01*scale*scale*(o.box.x2-o.box.x1)*(o.box.y2-o.box.y1) && max(w/h, h/w) < 100
		if ok != enough || ok && !nearRegion(got, want) {
			t.Fatalf("seed %d: %v %v, want %v %v", seed, got, ok, want, enough)
		}
		if ok {
			kept++
		}
	}
	if kept < 100 {
		t.Errorf("only %d of 300 polygons were left", kept)
	}
}

// TestPolygonsInMosaics: a diamond that is turned by 45 degrees has a box of half the area
// of its turned box. One object without a polygon, and all go by their boxes.
func TestPolygonsInMosaics(t *testing.T) {
	diamond := "0 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n"
	for name, test := range map[string]struct {
		text string
		side float64 // of the first box, in pixels
	}{
		"polygon": {diamond, 64 / math.Sqrt2},
		"mixed":   {diamond + "1 0.1 0.1 0.1 0.1\n", 64 * math.Sqrt2},
	} {
		d, err := Open(filepath.Join(tree(t, map[string]string{"data.yaml": yamlText, "images/train/a.png": "128x128", "labels/train/a.txt": test.text}), "data.yaml"),
			OpenOptions{Splits: []string{"train"}})
		if err != nil {
			t.Fatal(err)
		}
		l := newTestLoader(t, d.Train, LoaderOptions{Size: 128, Train: true, Augment: Augment{Mosaic: 1}})
		s := newSampler(l, nil)
		p, err := l.load(0)
		if err != nil {
			t.Fatal(err)
		}
		boxes := s.lay(nil, p, 0, 64, 64)
		sin, cos := math.Sincos(math.Pi / 4)
		turn := matrix{{cos, -sin, 128}, {sin, cos, 128}, {0, 0, 1}}.mul(matrix{{1, 0, -128}, {0, 1, -128}, {0, 0, 1}})
		left := remaining(boxes, s.outlines, turn, 1, image.Pt(256, 256))
		if len(left) == 0 || math.Abs(left[0].x2-left[0].x1-test.side) > 0.1 || math.Abs(left[0].y2-left[0].y1-test.side) > 0.1 {
			t.Errorf("%s: boxes %v became %v, want a side of %.1f", name, boxes, left, test.side)
		}
		// A label file that goes is as bad as a picture that does.
		if err := os.Remove(d.Train[0].LabelPath); err != nil {
			t.Fatal(err)
		}
		if _, err := newTestLoader(t, d.Train, LoaderOptions{Size: 128, Train: true, Augment: Augment{Mosaic: 1}}).load(0); err == nil || !strings.Contains(err.Error(), "a.txt") {
			t.Errorf("%s: without its label file: %v", name, err)
		}
	}
}

func nearRegion(a, b region) bool {
	return a.class == b.class && max(math.Abs(a.x1-b.x1), math.Abs(a.y1-b.y1), math.Abs(a.x2-b.x2), math.Abs(a.y2-b.y2)) < 1e-4
}

// A byte order mark does not count, as it does not for labels.
func TestOutlineBehindByteOrderMark(t *testing.T) {
	const text = "\ufeff1 0.1 0.3 0.4 0.3 0.1 0.7\n"
	labels, _, err := parseLabels("f.txt", strings.NewReader(text), 2)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := parseOutlines(strings.NewReader(text), labels); err != nil || len(out) != 1 {
		t.Errorf("outlines %+v, %v, want that of %v", out, err, labels)
	}
}
