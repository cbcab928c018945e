package dataset

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"

	"ultrafast/picture"
)

// Augment says how training pictures are varied, in the words and units of YOLOv5's
// hyperparameters. The zero value varies nothing.
type Augment struct {
	Mosaic           float64 // probability that a sample is made of four pictures
	Mosaic9          float64 // probability that they are nine, where it is; YOLOv5's is 0
	Mixup            float64 // probability that a second mosaic shines through
	CopyPaste        float64 // share of the objects with polygons that are mirrored to the other side
	FlipLR, FlipUD   float64 // probability of mirroring, left-right and upside down
	HSVh, HSVs, HSVv float64 // each is multiplied by 1 ± this, 0..1
	Scale            float64 // size is multiplied by 1 ± this, 0..1
	Translate        float64 // moved by ± this fraction of the size, 0..1
	Degrees          float64 // turned by ± this, 0..180
	Shear            float64 // sheared by ± this many degrees, below 90
	Perspective      float64 // ± this, 0..0.001
}

func (a Augment) check() error {
	for _, f := range []struct {
		name  string
		v     float64
		limit float64
	}{
		{"mosaic", a.Mosaic, 1}, {"mosaic9", a.Mosaic9, 1}, {"mixup", a.Mixup, 1}, {"copy_paste", a.CopyPaste, 1},
		{"fliplr", a.FlipLR, 1}, {"flipud", a.FlipUD, 1},
		{"hsv_h", a.HSVh, 1}, {"hsv_s", a.HSVs, 1}, {"hsv_v", a.HSVv, 1},
		{"scale", a.Scale, 1}, {"translate", a.Translate, 1}, {"degrees", a.Degrees, 180},
		{"shear", a.Shear, 89}, {"perspective", a.Perspective, 0.001},
	} {
		if !(f.v >= 0 && f.v <= f.limit) {
			return fmt.Errorf("%s %v is outside 0..%v", f.name, f.v, f.limit)
		}
	}
	return nil
}

// move draws the random affine (or perspective) that takes a picture of size from to one
// of size to, and its scale.
func (a Augment) move(rng *rand.Rand, from, to image.Point) (m matrix, scale float64) {
	centre := identity
	centre[0][2], centre[1][2] = -float64(from.X)/2, -float64(from.Y)/2

	perspective := identity
	perspective[2][0], perspective[2][1] = spread(rng, a.Perspective), spread(rng, a.Perspective)

	angle := spread(rng, a.Degrees) * math.Pi / 180
	scale = 1 + spread(rng, a.Scale)
	sin, cos := math.Sincos(angle)
	turn := matrix{{scale * cos, scale * sin, 0}, {-scale * sin, scale * cos, 0}, {0, 0, 1}}

	shear := identity
	shear[0][1] = math.Tan(spread(rng, a.Shear) * math.Pi / 180)
	shear[1][0] = math.Tan(spread(rng, a.Shear) * math.Pi / 180)

	shift := identity
	shift[0][2] = (0.5 + spread(rng, a.Translate)) * float64(to.X)
	shift[1][2] = (0.5 + spread(rng, a.Translate)) * float64(to.Y)

	return shift.mul(shear).mul(turn).mul(perspective).mul(centre), scale
}

// moveTo writes canvas to out, which becomes of that size, as move has it, and returns
// the boxes that remain.
func (a Augment) moveTo(out, canvas *picture.RGB, rng *rand.Rand, boxes []region, outlines []outline, size image.Point) []region {
	if out.W != size.X || out.H != size.Y {
		*out = *picture.New(size.X, size.Y)
	}
	m, scale := a.move(rng, image.Pt(canvas.W, canvas.H), size)
	if m == identity {
		copy(out.Pix, canvas.Pix)
	} else {
		warp(out, canvas, m)
	}
	return remaining(boxes, outlines, m, scale, size)
}

// remaining returns what is left of boxes after m. Where each has an outline, in the same
// order, boxes are made of these: of all or of none, as in YOLOv5.
func remaining(boxes []region, outlines []outline, m matrix, scale float64, size image.Point) (left []region) {
	for i, r := range boxes {
		var ok bool
		if len(outlines) == len(boxes) {
			r, ok = outlines[i].moved(r, m, scale, size)
		} else {
			r, ok = r.moved(m, scale, size)
		}
		if ok {
			left = append(left, r)
		}
	}
	return left
}

// spread draws from -width..width. It always draws, so that one setting does not change
// what the others do.
func spread(rng *rand.Rand, width float64) float64 { return (2*rng.Float64() - 1) * width }

// A region is a labelled box in pixels.
type region struct {
	class          int
	x1, y1, x2, y2 float64
}

// regions places an item's boxes on a canvas where its picture is w x h pixels with the
// top left corner at (left, top).
func regions(to []region, labels []Label, w, h int, left, top float64) []region {
	for _, l := range labels {
		cx, cy := float64(l.CX)*float64(w)+left, float64(l.CY)*float64(h)+top
		rx, ry := float64(l.W)*float64(w)/2, float64(l.H)*float64(h)/2
		to = append(to, region{l.Class, cx - rx, cy - ry, cx + rx, cy + ry})
	}
	return to
}

func (r region) clip(w, h float64) region {
	r.x1, r.x2 = min(max(r.x1, 0), w), min(max(r.x2, 0), w)
	r.y1, r.y2 = min(max(r.y1, 0), h), min(max(r.y2, 0), h)
	return r
}

// moved returns the box around the four corners after m, clipped to size. ok is false if
// too little is left to learn from.
func (r region) moved(m matrix, scale float64, size image.Point) (out region, ok bool) {
	out = region{r.class, math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	for _, corner := range [4][2]float64{{r.x1, r.y1}, {r.x2, r.y1}, {r.x2, r.y2}, {r.x1, r.y2}} {
		x, y, ok := m.at(corner[0], corner[1])
		if !ok {
			return out, false
		}
		out.x1, out.x2 = min(out.x1, x), max(out.x2, x)
		out.y1, out.y2 = min(out.y1, y), max(out.y2, y)
	}
	out = out.clip(float64(size.X), float64(size.Y))
	return out, r.leaves(out, scale, 0.1)
}

// leaves reports whether enough of a box, scaled, is left to learn from: YOLOv5 wants sides
// above 2 pixels, more than a share of the area, and an aspect below 100.
func (r region) leaves(left region, scale, share float64) bool {
	const eps = 1e-16
	w0, h0 := (r.x2-r.x1)*scale, (r.y2-r.y1)*scale
	w, h := left.x2-left.x1, left.y2-left.y1
	aspect := max(w/(h+eps), h/(w+eps))
	return w > 2 && h > 2 && w*h/(w0*h0+eps) > share && aspect < 100
}

// target makes a region on a w x h canvas a target. As in YOLOv5 a box ends a thousandth
// of a pixel before the edge, so that its centre is never outside the last cell.
func (r region) target(w, h int) Target {
	const eps = 1e-3
	r = r.clip(float64(w)-eps, float64(h)-eps)
	return Target{
		Class: r.class,
		CX:    float32((r.x1 + r.x2) / 2 / float64(w)),
		CY:    float32((r.y1 + r.y2) / 2 / float64(h)),
		W:     float32((r.x2 - r.x1) / float64(w)),
		H:     float32((r.y2 - r.y1) / float64(h)),
	}
}

// planes writes p to dst as picture.RGB.CHW does, mirrored on the way.
func planes(dst []float32, p *picture.RGB, flipLR, flipUD bool) {
	size := p.W * p.H
	for y := range p.H {
		src := p.Pix[3*p.W*y:][:3*p.W]
		to := y
		if flipUD {
			to = p.H - 1 - y
		}
		r := dst[p.W*to:][:p.W]
		g := dst[size+p.W*to:][:p.W]
		b := dst[2*size+p.W*to:][:p.W]
		x, step := 0, 1
		if flipLR {
			x, step = p.W-1, -1
		}
		for ; len(src) >= 3 && uint(x) < uint(len(r)) && uint(x) < uint(len(g)) && uint(x) < uint(len(b)); x += step {
			r[x], g[x], b[x] = unit[src[0]], unit[src[1]], unit[src[2]]
			src = src[3:]
		}
	}
}

// unit[v] is v/255.
var unit = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(v) / 255
	}
	return t
}()
