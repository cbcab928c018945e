package dataset

import (
	"math"
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
