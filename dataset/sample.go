package dataset

import (
	"image"
	"math/rand/v2"

	"ultrafast/picture"
)

// A sampler makes samples for one worker, in memory of its own.
type sampler struct {
	l      *Loader
	mosaic picture.RGB // 2*Size square
	out    picture.RGB // Size square
}

func newSampler(l *Loader) *sampler {
	s := &sampler{l: l}
	if l.o.Train {
		s.out = *picture.New(l.o.Size, l.o.Size)
		if l.o.Augment.Mosaic > 0 {
			s.mosaic = *picture.New(2*l.o.Size, 2*l.o.Size)
		}
	}
	return s
}

// random returns the source of one sample's random numbers. They follow from seed, epoch
// and index alone, so that neither workers nor timing change a training run.
func random(seed uint64, epoch, index int) *rand.Rand {
	a := scramble(seed ^ scramble(uint64(epoch)))
	return rand.New(rand.NewPCG(a, scramble(a^uint64(index))))
}

// scramble is the output function of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014): inputs that are close give outputs that are not.
func scramble(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// train writes the augmented sample of an item to dst [3, Size, Size].
func (s *sampler) train(dst []float32, epoch, index int) ([]Target, error) {
	a, size := s.l.o.Augment, s.l.o.Size
	rng := random(s.l.o.Seed, epoch, index)
	var canvas *picture.RGB
	var boxes []region
	var err error
	if rng.Float64() < a.Mosaic {
		canvas, boxes, err = s.four(rng, index)
	} else {
		canvas, boxes, err = s.one(index)
	}
	if err != nil {
		return nil, err
	}

	m, scale := a.move(rng, canvas.W, size)
	if m == identity {
		copy(s.out.Pix, canvas.Pix)
	} else {
		warp(&s.out, canvas, m)
	}
	hue, sat, val := 1+spread(rng, a.HSVh), 1+spread(rng, a.HSVs), 1+spread(rng, a.HSVv)
	if hue != 1 || sat != 1 || val != 1 {
		jitter(&s.out, hue, sat, val)
	}
	flipUD, flipLR := rng.Float64() < a.FlipUD, rng.Float64() < a.FlipLR
	planes(dst, &s.out, flipLR, flipUD)

	var targets []Target
	for _, r := range boxes {
		r, ok := r.moved(m, scale, size)
		if !ok {
			continue
		}
		t := r.target(size, size)
		if flipUD {
			t.CY = 1 - t.CY
		}
		if flipLR {
			t.CX = 1 - t.CX
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// one letterboxes a picture.
func (s *sampler) one(index int) (*picture.RGB, []region, error) {
	p, err := s.l.load(index)
	if err != nil {
		return nil, nil, err
	}
	canvas, fit := picture.Pad(p, s.l.o.Size, s.l.o.Size)
	labels := s.l.items[index].Labels
	return canvas, regions(nil, labels, p.W, p.H, float64(fit.PadX), float64(fit.PadY)), nil
}

// four puts the picture and three others around a random point of a canvas of twice the
// size.
func (s *sampler) four(rng *rand.Rand, index int) (*picture.RGB, []region, error) {
	size := s.l.o.Size
	fill(s.mosaic.Pix)
	cx, cy := size/2+rng.IntN(size), size/2+rng.IntN(size)
	four := [4]int{index, rng.IntN(len(s.l.items)), rng.IntN(len(s.l.items)), rng.IntN(len(s.l.items))}
	rng.Shuffle(4, func(i, j int) { four[i], four[j] = four[j], four[i] })

	var boxes []region
	for i, index := range four {
		p, err := s.l.load(index)
		if err != nil {
			return nil, nil, err
		}
		left, top := cx, cy
		if i%2 == 0 {
			left -= p.W
		}
		if i < 2 {
			top -= p.H
		}
		paste(&s.mosaic, p, left, top)
		n := len(boxes)
		boxes = regions(boxes, s.l.items[index].Labels, p.W, p.H, float64(left), float64(top))
		for j := n; j < len(boxes); j++ {
			boxes[j] = boxes[j].clip(float64(2*size), float64(2*size))
		}
	}
	return &s.mosaic, boxes, nil
}

// paste copies what fits of p to canvas, p's top left corner at (left, top).
func paste(canvas, p *picture.RGB, left, top int) {
	r := image.Rect(left, top, left+p.W, top+p.H).Intersect(canvas.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		copy(canvas.Pix[3*(y*canvas.W+r.Min.X):][:3*r.Dx()], p.Pix[3*((y-top)*p.W+r.Min.X-left):])
	}
}

// val writes an item, letterboxed to w x h, to dst [3, h, w].
func (s *sampler) val(dst []float32, index, w, h int) ([]Target, picture.Fit, error) {
	p, err := s.l.load(index)
	if err != nil {
		return nil, picture.Fit{}, err
	}
	canvas, fit := picture.Pad(p, w, h)
	canvas.CHW(dst)
	item := s.l.items[index]
	// YOLOv5's gain: of the height, along both axes.
	fit.Scale, fit.W, fit.H = float32(float64(p.H)/float64(item.H)), item.W, item.H
	var targets []Target
	for _, r := range regions(nil, item.Labels, p.W, p.H, float64(fit.PadX), float64(fit.PadY)) {
		targets = append(targets, r.target(w, h))
	}
	return targets, fit, nil
}
