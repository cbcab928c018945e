package dataset

import (
	"math/rand/v2"
	"slices"

	"ultrafast/picture"
)

// beta32 draws from the beta distribution with both parameters 32, the share that YOLOv5's
// mixup gives to a picture: it is that of the median of 63 uniform numbers.
func beta32(rng *rand.Rand) float64 {
	var u [63]float64
	for i := range u {
		u[i] = rng.Float64()
	}
	slices.Sort(u[:])
	return u[31]
}

// blend makes a the mean of two pictures, a's weight being share; fractions fall, as in
// YOLOv5.
func blend(a, b *picture.RGB, share float64) {
	var first, second [256]float64
	for v := range 256 {
		first[v], second[v] = share*float64(v), (1-share)*float64(v)
	}
	for i, v := range b.Pix[:len(a.Pix)] {
		a.Pix[i] = uint8(first[a.Pix[i]] + second[v])
	}
}
