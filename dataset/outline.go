package dataset

import (
	"fmt"
	"image"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"ultrafast/picture"
)

// An outline is an object's polygon: of a label, in fractions of the picture, or of a
// region, in pixels.
type outline struct {
	label  Label
	box    region
	points [][2]float64
}

// needOutlines makes room for the polygons of the items, if some have any.
func (l *Loader) needOutlines() {
	if slices.ContainsFunc(l.items, func(i Item) bool { return i.polygons }) {
		l.outlines = make([]atomic.Pointer[[]outline], len(l.items))
	}
}

// readOutlines reads an item's polygons with its picture, unless they were read before or
// are not needed. All at the start would be another look at every label file before the
// first step.
func (l *Loader) readOutlines(i int) error {
	if l.outlines == nil || !l.items[i].polygons || l.outlines[i].Load() != nil {
		return nil
	}
	o, err := openOutlines(&l.items[i])
	if err == nil {
		l.outlines[i].Store(&o)
	}
	return err
}

func openOutlines(item *Item) ([]outline, error) {
	f, err := os.Open(item.LabelPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out, err := parseOutlines(f, item.Labels)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item.LabelPath, err)
	}
	return out, nil
}

// parseOutlines returns the polygons whose bounding boxes are among labels, one a label, in
// the order of the labels.
func parseOutlines(r io.Reader, labels []Label) ([]outline, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxLabelBytes))
	if err != nil {
		return nil, err
	}
	left := make(map[Label][]int) // labels without an outline, by their box alone: see Data.Single
	for i, l := range labels {
		l.Class = 0
		left[l] = append(left[l], i)
	}
	var out []outline
	for line := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		box, err := parseLabel(fields, math.MaxInt32)
		if err != nil {
			continue // no label came of it either
		}
		box.Class = 0
		if len(left[box]) == 0 {
			continue
		}
		o := outline{label: labels[left[box][0]]}
		left[box] = left[box][1:]
		for xy := range slices.Chunk(fields[1:], 2) {
			var p [2]float64
			for j := range p {
				v, err := parseFraction("polygon", xy[j])
				if err != nil {
					return nil, err
				}
				p[j] = float64(v)
			}
			o.points = append(o.points, p)
		}
		out = append(out, o)
	}
	return out, nil
}

// on returns the outline of a picture of w x h pixels that lies at (left, top) on a square
// canvas.
func (o outline) on(w, h int, left, top, side float64) outline {
	c := outline{box: regions(nil, []Label{o.label}, w, h, left, top)[0].clip(side, side)}
	for _, p := range o.points {
		c.points = append(c.points, [2]float64{
			min(max(p[0]*float64(w)+left, 0), side), min(max(p[1]*float64(h)+top, 0), side),
		})
	}
	return c
}

// mirrored is the outline in a mirror along the middle of a canvas.
func (o outline) mirrored(side float64) outline {
	m := outline{box: region{o.box.class, side - o.box.x2, o.box.y1, side - o.box.x1, o.box.y2}}
	for _, p := range o.points {
		m.points = append(m.points, [2]float64{side - p[0], p[1]})
	}
	return m
}

// samples is how many points YOLOv5 makes of a polygon before it is moved.
const samples = 1000

// moved returns the box of the outline's points that are within size after m; around is
// the box of the outline before. The points are samples of the closed polygon, as many
// between two corners whatever their distance, and a hundredth of the area is enough
// (YOLOv5 v7.0, random_perspective with segments). ok is as for region.moved.
func (o outline) moved(around region, m matrix, scale float64, size image.Point) (out region, ok bool) {
	w, h := float64(size.X), float64(size.Y)
	out = region{around.class, w, h, 0, 0}
	found := false
	for i := range samples {
		at := float64(i) * float64(len(o.points)) / (samples - 1)
		k := min(int(at), len(o.points)-1)
		a, b, share := o.points[k], o.points[(k+1)%len(o.points)], at-float64(k)
		x, y, ok := m.at(a[0]+(b[0]-a[0])*share, a[1]+(b[1]-a[1])*share)
		if !ok || x < 0 || y < 0 || x > w || y > h {
			continue
		}
		found = true
		out.x1, out.x2 = min(out.x1, x), max(out.x2, x)
		out.y1, out.y2 = min(out.y1, y), max(out.y2, y)
	}
	return out, found && around.leaves(out, scale, 0.01)
}

// copyPaste mirrors some of the outlined objects to the other side of the mosaic, where
// they cover less than 30 % of every box, and appends their boxes (YOLOv5 v7.0, copy_paste
// after Ghiasi et al., Simple Copy-Paste, CVPR 2021). Boxes without an outline stay where
// they are, and so a data set of boxes alone is left as it is.
func (s *sampler) copyPaste(rng *rand.Rand, boxes []region) []region {
	count := int(math.RoundToEven(s.l.o.Augment.CopyPaste * float64(len(s.outlines))))
	var before []uint8
	for _, k := range rng.Perm(len(s.outlines))[:count] {
		m := s.outlines[k].mirrored(float64(s.mosaic.W))
		if slices.ContainsFunc(boxes, func(b region) bool { return m.box.covers(b) >= 0.3 }) {
			continue
		}
		if before == nil {
			before = slices.Clone(s.mosaic.Pix) // what is mirrored is never a copy itself
		}
		boxes, s.outlines = append(boxes, m.box), append(s.outlines, m)
		mirrorInto(&s.mosaic, before, m.points)
	}
	return boxes
}

// covers is the share of b that lies under r.
func (r region) covers(b region) float64 {
	w, h := min(r.x2, b.x2)-max(r.x1, b.x1), min(r.y2, b.y2)-max(r.y1, b.y1)
	return max(w, 0) * max(h, 0) / ((b.x2-b.x1)*(b.y2-b.y1) + 1e-16)
}

// mirrorInto gives the pixels of p whose centres are inside a polygon the colours that
// their mirror images have in before.
func mirrorInto(p *picture.RGB, before []uint8, points [][2]float64) {
	var cuts []float64
	for y := range p.H {
		centre := float64(y) + 0.5
		cuts = cuts[:0]
		for i, b := range points {
			a := points[(i+len(points)-1)%len(points)]
			if (a[1] <= centre) != (b[1] <= centre) {
				cuts = append(cuts, a[0]+(b[0]-a[0])*(centre-a[1])/(b[1]-a[1]))
			}
		}
		slices.Sort(cuts)
		for pair := range slices.Chunk(cuts, 2) {
			for x := max(int(math.Ceil(pair[0]-0.5)), 0); x < p.W && float64(x)+0.5 < pair[1]; x++ {
				copy(p.Pix[3*(y*p.W+x):][:3], before[3*(y*p.W+p.W-1-x):])
			}
		}
	}
}
