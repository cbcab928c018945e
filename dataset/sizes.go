package dataset

// Sizes returns the width and height of every label of items in pixels of a network's
// input of w x h, in which pictures are letterboxed: scaled by one factor so that they
// just fit (picture.Letterbox).
func Sizes(items []Item, w, h int) [][2]float32 {
	var sizes [][2]float32
	for _, i := range items {
		for _, l := range i.Labels {
			sizes = append(sizes, i.size(l, w, h))
		}
	}
	return sizes
}

// ClassSizes is Sizes for each class of 0 to classes-1, without the labels of others.
func ClassSizes(items []Item, w, h, classes int) [][][2]float32 {
	sizes := make([][][2]float32, classes)
	for _, i := range items {
		for _, l := range i.Labels {
			if l.Class < classes {
				sizes[l.Class] = append(sizes[l.Class], i.size(l, w, h))
			}
		}
	}
	return sizes
}

func (i Item) size(l Label, w, h int) [2]float32 {
	scale := min(float64(w)/float64(i.W), float64(h)/float64(i.H))
	return [2]float32{float32(float64(l.W) * float64(i.W) * scale), float32(float64(l.H) * float64(i.H) * scale)}
}
