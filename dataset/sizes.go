package dataset

// Sizes returns the width and height of every label of items in pixels of a network's
// input of w x h, in which pictures are letterboxed: scaled by one factor so that they
// just fit (picture.Letterbox).
func Sizes(items []Item, w, h int) [][2]float32 {
	var sizes [][2]float32
	for _, i := range items {
		scale := min(float64(w)/float64(i.W), float64(h)/float64(i.H))
		for _, l := range i.Labels {
			sizes = append(sizes, [2]float32{
				float32(float64(l.W) * float64(i.W) * scale),
				float32(float64(l.H) * float64(i.H) * scale),
			})
		}
	}
	return sizes
}
