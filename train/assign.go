package train

import (
	"math"

	"ultrafast/dataset"
)

// A match makes one anchor of one cell answer for one label.
type match struct {
	image, anchor, y, x, class int32
	box                        [4]float32 // centre from the cell's corner, width, height, in cells
}

// reach is how far from its border a cell still answers for a label's centre next door.
const reach = 0.5

// sides are the cells that may answer for a label, as steps from its centre: its own, and
// the neighbours to the left, above, to the right and below.
var sides = [5][2]float32{{0, 0}, {reach, 0}, {0, reach}, {-reach, 0}, {0, -reach}}

// assign appends the matches of one level to dst: a label and an anchor match where
// neither their widths nor their heights differ by a factor of limit or more, and then in
// the centre's own cell and in the two nearest neighbours (YOLOv5, build_targets). The
// grid is w×h cells, anchors are in cells. The arithmetic is float32 as there, so that
// labels on a border fall to the same side. The order, by side, anchor, label, is part of
// the contract: where matches share a cell and an anchor, the last one counts.
func assign(dst []match, targets []dataset.Target, anchors [][2]float32, w, h int, limit float32) []match {
	gw, gh := float32(w), float32(h)
	for side, step := range sides {
		for a, anchor := range anchors {
			for _, t := range targets {
				bw, bh := t.W*gw, t.H*gh
				if !(max(ratio(bw, anchor[0]), ratio(bh, anchor[1])) < limit) {
					continue
				}
				cx, cy := t.CX*gw, t.CY*gh
				if !answers(side, cx, cy, gw, gh) {
					continue
				}
				x := min(max(int(cx-step[0]), 0), w-1)
				y := min(max(int(cy-step[1]), 0), h-1)
				dst = append(dst, match{
					image: int32(t.Image), anchor: int32(a), y: int32(y), x: int32(x), class: int32(t.Class),
					box: [4]float32{cx - float32(x), cy - float32(y), bw, bh},
				})
			}
		}
	}
	return dst
}

// ratio is by how much a and b differ, 1 where they are equal.
func ratio(a, b float32) float32 {
	r := a / b
	return max(r, 1/r)
}

// answers reports whether the cell on that side of the centre takes part: the centre is
// in the half of its cell that is next to it, and the grid does not end there.
func answers(side int, cx, cy, gw, gh float32) bool {
	at := [5]float32{0, cx, cy, gw - cx, gh - cy}[side]
	return side == 0 || at > 1 && fraction(at) < reach
}

func fraction(x float32) float32 { return x - float32(math.Floor(float64(x))) }
