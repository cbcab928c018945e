package dataset

import (
	"bytes"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/picture"
)

// plainly runs f without the vector unit.
func plainly(f func()) {
	had := haveAVX2
	haveAVX2 = false
	defer func() { haveAVX2 = had }()
	f()
}

func TestFastWarp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	all := Augment{Scale: 0.9, Translate: 0.9, Degrees: 180, Shear: 40}
	for i := range 400 {
		src := noise(1+rng.IntN(90), 1+rng.IntN(90))
		got, want := picture.New(1+rng.IntN(80), 1+rng.IntN(80)), new(picture.RGB)
		*want = *picture.New(got.W, got.H)
		a := all
		if i%2 == 0 {
			a = Augment{Scale: 0.5, Translate: 0.1}
		}
		m, _ := a.move(rng, image.Pt(src.W, src.H), image.Pt(got.W, got.H))
		warp(got, src, m)
		plainly(func() { warp(want, src, m) })
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Fatalf("%d: %dx%d to %dx%d by %v differs", i, src.W, src.H, got.W, got.H, m)
		}
	}
}

func TestFastPlanes(t *testing.T) {
	for w := 1; w < 40; w++ {
		p := noise(w, 3)
		for _, flip := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			got, want := make([]float32, 9*w), make([]float32, 9*w)
			planes(got, p, flip[0], flip[1])
			plainly(func() { planes(want, p, flip[0], flip[1]) })
			if !slices.Equal(got, want) {
				t.Fatalf("width %d, mirrored %v differs", w, flip)
			}
		}
	}
}

// Every colour there is.
func TestFastJitter(t *testing.T) {
	const side = 4096
	all := picture.New(side, side)
	for i := range side * side {
		all.Pix[3*i], all.Pix[3*i+1], all.Pix[3*i+2] = uint8(i), uint8(i>>8), uint8(i>>16)
	}
	for _, gain := range [][3]float64{{1, 1, 1}, {1.013, 0.61, 1.37}, {0.988, 1.64, 0.72}} {
		got, want := picture.New(side, side), picture.New(side, side)
		copy(got.Pix, all.Pix)
		copy(want.Pix, all.Pix)
		jitter(got, gain[0], gain[1], gain[2])
		plainly(func() { jitter(want, gain[0], gain[1], gain[2]) })
		for i := range got.Pix {
			if got.Pix[i] != want.Pix[i] {
				t.Fatalf("gains %v: colour %06x has channel %d %d, want %d", gain, i/3, i%3, got.Pix[i], want.Pix[i])
			}
		}
	}
}
