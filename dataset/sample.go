package dataset

import (
	"image"
	"math/rand/v2"

	"ultrafast/picture"
)

// A sampler makes samples for one worker, in memory of its own.
type sampler struct {
	l        *Loader
	pool     []int       // what company is drawn from; nil is all items
	mosaic   picture.RGB // 2*Size square
	outlines []outline   // in the mosaic
	out      picture.RGB // the sample
	second   picture.RGB // what is mixed with it
}

func newSampler(l *Loader, pool []int) *sampler {
	s := &sampler{l: l, pool: pool}
	if l.o.Train && l.o.Augment.Mosaic > 0 && !l.o.Rect {
		s.mosaic = *picture.New(2*l.o.Size, 2*l.o.Size)
	}
	return s
}

// random returns the source of one sample's random numbers. They follow from seed, epoch
// and key, an item or a place in the epoch, alone, so that neither workers nor timing change a training run.
func random(seed uint64, epoch, key int) *rand.Rand {
	a := scramble(seed ^ scramble(uint64(epoch)))
	return rand.New(rand.NewPCG(a, scramble(a^uint64(key))))
}

// scramble is the output function of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014): inputs that are close give outputs that are not.
func scramble(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// train writes the augmented sample of an item to dst [3, size.Y, size.X].
func (s *sampler) train(dst []float32, rng *rand.Rand, index int, size image.Point) ([]Target, error) {
	a := s.l.o.Augment
	boxes, err := s.compose(rng, index, size)
	if err != nil {
		return nil, err
	}
	hue, sat, val := 1+spread(rng, a.HSVh), 1+spread(rng, a.HSVs), 1+spread(rng, a.HSVv)
	if hue != 1 || sat != 1 || val != 1 {
		jitter(&s.out, hue, sat, val)
	}
	flipUD, flipLR := rng.Float64() < a.FlipUD, rng.Float64() < a.FlipLR
	planes(dst, &s.out, flipLR, flipUD)

	var targets []Target
	for _, r := range boxes {
		t := r.target(size.X, size.Y)
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

// compose writes to s.out what is to be coloured and mirrored: a mosaic, or two, or the
// picture alone. Nothing is drawn for what is off.
func (s *sampler) compose(rng *rand.Rand, index int, size image.Point) ([]region, error) {
	a := s.l.o.Augment
	if s.l.o.Rect || rng.Float64() >= a.Mosaic {
		canvas, boxes, err := s.one(index, size)
		if err != nil {
			return nil, err
		}
		return a.moveTo(&s.out, canvas, rng, boxes, nil, size), nil
	}
	boxes, err := s.many(&s.out, rng, index)
	if err != nil || a.Mixup == 0 || rng.Float64() >= a.Mixup {
		return boxes, err
	}
	more, err := s.many(&s.second, rng, s.pick(rng))
	if err != nil {
		return nil, err
	}
	blend(&s.out, &s.second, beta32(rng))
	return append(boxes, more...), nil
}

// one letterboxes a picture.
func (s *sampler) one(index int, size image.Point) (*picture.RGB, []region, error) {
	p, err := s.l.load(index)
	if err != nil {
		return nil, nil, err
	}
	canvas, fit := picture.Pad(p, size.X, size.Y)
	labels := s.l.labels(index, p)
	return canvas, regions(nil, labels, p.W, p.H, float64(fit.PadX), float64(fit.PadY)), nil
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
	for _, r := range regions(nil, s.l.labels(index, p), p.W, p.H, float64(fit.PadX), float64(fit.PadY)) {
		targets = append(targets, r.target(w, h))
	}
	return targets, fit, nil
}
