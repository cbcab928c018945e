package dataset

import (
	"fmt"
	"image"
	"math/rand/v2"
	"runtime"
	"testing"

	"ultrafast/picture"
)

// hyp is YOLOv5's augmentation for training from scratch, mosaic included.
var hyp = Augment{Mosaic: 1, FlipLR: 0.5, HSVh: 0.015, HSVs: 0.7, HSVv: 0.4, Scale: 0.5, Translate: 0.1}

func noise(w, h int) *picture.RGB {
	p := picture.New(w, h)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range p.Pix {
		p.Pix[i] = uint8(rng.Uint32())
	}
	return p
}

// BenchmarkMosaic makes training samples on one core from decoded pictures.
func BenchmarkMosaic(b *testing.B) {
	for _, size := range []int{320, 640} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			items := make([]Item, 16)
			l, err := NewLoader(items, LoaderOptions{Size: size, Train: true, Augment: hyp})
			if err != nil {
				b.Fatal(err)
			}
			for i := range items {
				items[i].Labels = []Label{{0, 0.5, 0.5, 0.4, 0.4}, {1, 0.3, 0.3, 0.2, 0.1}}
				l.cache.put(i, noise(size, size*3/4))
			}
			s := newSampler(l, nil)
			dst := make([]float32, 3*size*size)
			i := 0
			for b.Loop() {
				if _, err := s.train(dst, random(0, 0, i%16), i%16, image.Pt(size, size)); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}

// BenchmarkEpoch makes whole batches on all cores from decoded pictures, as training asks
// for them.
func BenchmarkEpoch(b *testing.B) {
	for _, size := range []int{320, 640} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			items := make([]Item, 64)
			l, err := NewLoader(items, LoaderOptions{Size: size, Train: true, Augment: hyp})
			if err != nil {
				b.Fatal(err)
			}
			for i := range items {
				items[i].Labels = []Label{{0, 0.5, 0.5, 0.4, 0.4}}
				l.cache.put(i, noise(size, size*3/4))
			}
			epoch := 0
			for b.Loop() {
				for _, err := range l.Epoch(b.Context(), epoch) {
					if err != nil {
						b.Fatal(err)
					}
				}
				epoch++
			}
			pictures := float64(len(items)*b.N) / b.Elapsed().Seconds()
			b.ReportMetric(pictures, "pictures/s")
			b.ReportMetric(pictures/float64(runtime.GOMAXPROCS(0)), "pictures/s/core")
		})
	}
}

func BenchmarkWarp(b *testing.B) {
	src, dst := noise(640, 640), picture.New(320, 320)
	m, _ := hyp.move(random(0, 0, 0), image.Pt(640, 640), image.Pt(320, 320))
	for b.Loop() {
		warp(dst, src, m)
	}
}

func BenchmarkJitter(b *testing.B) {
	p := noise(320, 320)
	for b.Loop() {
		jitter(p, 1.01, 0.7, 1.2)
	}
}
