// Package box holds what is done with boxes alone: overlap, non-maximum suppression,
// matching with labels, and average precision as YOLOv5 v7.0 computes it.
package box

// A Box is one detection. The corners are in pixels, of the network's input or of the
// picture, as the function that returns it says; X1 <= X2 and Y1 <= Y2.
type Box struct {
	X1, Y1, X2, Y2 float32
	Conf           float32 // 0..1
	Class          int
}

// Truth is one labelled box, in pixels.
type Truth struct {
	X1, Y1, X2, Y2 float32
	Class          int
}

// IoU returns the area that a and b share over the area they cover together. It is 0
// where neither has an area.
func IoU(a, b Box) float32 {
	return overlap(a.X1, a.Y1, a.X2, a.Y2, b.X1, b.Y1, b.X2, b.Y2)
}

func overlap(ax1, ay1, ax2, ay2, bx1, by1, bx2, by2 float32) float32 {
	w := min(ax2, bx2) - max(ax1, bx1)
	h := min(ay2, by2) - max(ay1, by1)
	if !(w > 0 && h > 0) {
		return 0
	}
	inter := w * h
	return inter / ((ax2-ax1)*(ay2-ay1) + (bx2-bx1)*(by2-by1) - inter)
}
