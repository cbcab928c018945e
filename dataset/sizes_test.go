package dataset

import (
	"math"
	"testing"

	"ultrafast/picture"
)

func TestSizes(t *testing.T) {
	items := []Item{
		{W: 1920, H: 1080, Labels: []Label{{W: 0.5, H: 0.25}, {W: 0.1, H: 1}}},
		{W: 300, H: 600, Labels: []Label{{W: 1, H: 1}}},
		{W: 50, H: 50},
	}
	for _, in := range [][2]int{{640, 640}, {1280, 800}, {320, 640}} {
		sizes := Sizes(items, in[0], in[1])
		if len(sizes) != 3 {
			t.Fatalf("%v: %d sizes", in, len(sizes))
		}
		for i, size := range sizes {
			item := items[i/2]
			l := item.Labels[i%2]
			// What detect does with the picture, from the other side: back to fractions.
			_, fit := picture.Letterbox(picture.New(item.W, item.H), in[0], in[1])
			w, h := size[0]/fit.Scale/float32(item.W), size[1]/fit.Scale/float32(item.H)
			if math.Abs(float64(w-l.W)) > 1e-6 || math.Abs(float64(h-l.H)) > 1e-6 {
				t.Errorf("%v: label %d is %v pixels, which is %v x %v of the picture, want %v x %v", in, i, size, w, h, l.W, l.H)
			}
		}
	}
	if s := Sizes(items, 640, 640)[0]; s != [2]float32{320, 90} {
		t.Errorf("half of 1920 pixels in 640 is %v, want 320x90", s)
	}
}
