package dataset

import (
	"image"
	"math/rand/v2"

	"ultrafast/picture"
)

// many writes a mosaic of an item and others, moved, to out, and returns its boxes.
func (s *sampler) many(out *picture.RGB, rng *rand.Rand, index int) ([]region, error) {
	a, size := s.l.o.Augment, s.l.o.Size
	fill(s.mosaic.Pix)
	s.outlines = s.outlines[:0]
	lay := s.four
	if a.Mosaic9 > 0 && rng.Float64() < a.Mosaic9 {
		lay = s.nine
	}
	boxes, err := lay(rng, index)
	if err != nil {
		return nil, err
	}
	if a.CopyPaste > 0 && len(s.outlines) > 0 {
		boxes = s.copyPaste(rng, boxes)
	}
	return a.moveTo(out, &s.mosaic, rng, boxes, s.outlines, image.Pt(size, size)), nil
}

// pick draws an item for company.
func (s *sampler) pick(rng *rand.Rand) int {
	if s.pool == nil {
		return rng.IntN(len(s.l.items))
	}
	return s.pool[rng.IntN(len(s.pool))]
}

// four puts the picture and three others around a random point of a canvas of twice the
// size.
func (s *sampler) four(rng *rand.Rand, index int) ([]region, error) {
	size := s.l.o.Size
	cx, cy := size/2+rng.IntN(size), size/2+rng.IntN(size)
	four := [4]int{index, s.pick(rng), s.pick(rng), s.pick(rng)}
	rng.Shuffle(4, func(i, j int) { four[i], four[j] = four[j], four[i] })

	var boxes []region
	for i, index := range four {
		p, err := s.l.load(index)
		if err != nil {
			return nil, err
		}
		left, top := cx, cy
		if i%2 == 0 {
			left -= p.W
		}
		if i < 2 {
			top -= p.H
		}
		boxes = s.lay(boxes, p, index, left, top)
	}
	return boxes, nil
}

// nine puts the picture and eight others side by side, and cuts twice the size out at a
// random place (YOLOv5 v7.0, load_mosaic9, which v7.0 has but does not call).
func (s *sampler) nine(rng *rand.Rand, index int) ([]region, error) {
	size := s.l.o.Size
	nine := [9]int{index}
	for i := 1; i < 9; i++ {
		nine[i] = s.pick(rng)
	}
	rng.Shuffle(9, func(i, j int) { nine[i], nine[j] = nine[j], nine[i] })
	x, y := rng.IntN(size), rng.IntN(size)

	var pictures [9]*picture.RGB
	var sizes [9]image.Point
	for i, index := range nine {
		p, err := s.l.load(index)
		if err != nil {
			return nil, err
		}
		pictures[i], sizes[i] = p, image.Pt(p.W, p.H)
	}
	var boxes []region
	for i, at := range ninePlaces(sizes, size) {
		boxes = s.lay(boxes, pictures[i], nine[i], at.X-x, at.Y-y)
	}
	return boxes, nil
}

// ninePlaces returns the top left corners of nine pictures on a canvas of three times the
// side. The first has its own at (side, side); the others go round it clockwise from
// above, each beside the one before it and, in the middle of a side, in line with an edge
// of the first.
func ninePlaces(sizes [9]image.Point, side int) (at [9]image.Point) {
	first := image.Rectangle{Min: image.Pt(side, side), Max: image.Pt(side, side).Add(sizes[0])}
	for i, s := range sizes {
		before := sizes[max(i-1, 0)]
		switch i {
		case 0:
			at[i] = first.Min
		case 1: // above
			at[i] = image.Pt(side, side-s.Y)
		case 2:
			at[i] = image.Pt(side+before.X, side-s.Y)
		case 3: // right
			at[i] = image.Pt(first.Max.X, side)
		case 4:
			at[i] = image.Pt(first.Max.X, side+before.Y)
		case 5: // below
			at[i] = image.Pt(first.Max.X-s.X, first.Max.Y)
		case 6:
			at[i] = image.Pt(first.Max.X-before.X-s.X, first.Max.Y)
		case 7: // left
			at[i] = image.Pt(side-s.X, first.Max.Y-s.Y)
		case 8:
			at[i] = image.Pt(side-s.X, first.Max.Y-before.Y-s.Y)
		}
	}
	return at
}

// lay puts an item's picture on the canvas, its top left corner at (left, top), and
// appends its boxes, clipped to the canvas.
func (s *sampler) lay(boxes []region, p *picture.RGB, index, left, top int) []region {
	paste(&s.mosaic, p, left, top)
	side := float64(s.mosaic.W)
	n := len(boxes)
	labels := s.l.labels(index, p)
	boxes = regions(boxes, labels, p.W, p.H, float64(left), float64(top))
	for j := n; j < len(boxes); j++ {
		boxes[j] = boxes[j].clip(side, side)
	}
	if s.l.outlines != nil && s.l.items[index].polygons && len(labels) > 0 {
		for _, o := range *s.l.outlines[index].Load() {
			s.outlines = append(s.outlines, o.on(p.W, p.H, float64(left), float64(top), side))
		}
	}
	return boxes
}

// paste copies what fits of p to canvas, p's top left corner at (left, top).
func paste(canvas, p *picture.RGB, left, top int) {
	r := image.Rect(left, top, left+p.W, top+p.H).Intersect(canvas.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		copy(canvas.Pix[3*(y*canvas.W+r.Min.X):][:3*r.Dx()], p.Pix[3*((y-top)*p.W+r.Min.X-left):])
	}
}
