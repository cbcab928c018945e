package dataset

import (
	"image"
	"math"
	"slices"
	"testing"
)

// The mean of beta(32, 32) is 1/2 and its variance 1/(4*65).
func TestBeta32(t *testing.T) {
	const n = 20000
	sum, squares := 0.0, 0.0
	for i := range n {
		x := beta32(random(1, 2, i))
		sum += x
		squares += (x - 0.5) * (x - 0.5)
	}
	if mean, variance := sum/n, squares/n; math.Abs(mean-0.5) > 0.002 || math.Abs(variance*260-1) > 0.05 {
		t.Errorf("mean %v, variance %v, want 0.5 and %v", mean, variance, 1.0/260)
	}
}

// With mixup every pixel is the weighted mean of two mosaics, which are those that the
// same numbers give, and the boxes are those of both.
func TestMixup(t *testing.T) {
	const size = 96
	a := Augment{Mosaic: 1, Mixup: 1, Scale: 0.3}
	l := colours(t, size, a)
	mixed, parts := newSampler(l, nil), newSampler(l, nil)
	for seed := range 20 {
		at := image.Pt(size, size)
		got, err := mixed.compose(random(3, 0, seed), seed, at)
		if err != nil {
			t.Fatal(err)
		}
		rng := random(3, 0, seed)
		rng.Float64() // mosaic
		first, err := parts.many(&parts.out, rng, seed)
		if err != nil {
			t.Fatal(err)
		}
		rng.Float64() // mixup
		second, err := parts.many(&parts.second, rng, rng.IntN(len(l.items)))
		if err != nil {
			t.Fatal(err)
		}
		share := beta32(rng)
		for i, v := range mixed.out.Pix {
			want := uint8(share*float64(parts.out.Pix[i]) + (1-share)*float64(parts.second.Pix[i]))
			if v != want {
				t.Fatalf("seed %d: byte %d is %d, want %d", seed, i, v, want)
			}
		}
		if !slices.Equal(got, append(first, second...)) {
			t.Errorf("seed %d: boxes %v, want those of both", seed, got)
		}
	}
}
