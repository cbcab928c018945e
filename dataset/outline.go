package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"ultrafast/picture"
)

// An outline is an object's polygon: of a label, in fractions of the picture, or of a
// region, in pixels.
type outline struct {
	label  Label
	box    region
	points [][2]float64
}

// readOutlines returns the polygons of each item's label file, where it has some: those
// whose bounding boxes are among the item's labels.
func readOutlines(items []Item) ([][]outline, error) {
	all := make([][]outline, len(items))
	for i, item := range items {
		name := labelPath(item.Path)
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[i], err = parseOutlines(f, item.Labels)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

func parseOutlines(r io.Reader, labels []Label) ([]outline, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxLabelBytes))
	if err != nil {
		return nil, err
	}
	var out []outline
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		box, err := parseLabel(fields, math.MaxInt32)
		if err != nil {
			continue // no label came of it either
		}
		k := slices.IndexFunc(labels, func(l Label) bool { // its class may be another: see Data.Single
			box.Class = l.Class
			return l == box
		})
		if k < 0 {
			continue
		}
		o := outline{label: labels[k]}
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
		boxes = append(boxes, m.box)
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
