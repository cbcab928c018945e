package box

import (
	"math"
	"slices"
)

// DefaultIoU is what YOLOv5 detects with.
const DefaultIoU = 0.45

// NMSOptions says how NMS chooses. The zero value is what YOLOv5 detects with.
type NMSOptions struct {
	IoU      float32 // a box that overlaps a better one by more than this goes; 0 means DefaultIoU
	Agnostic bool    // boxes of different classes suppress each other too
	Max      int     // boxes that stay, at most; 0 means 300
	Classes  []int   // only these classes; empty means all
}

// candidates above this number are dropped, the least confident first, as in YOLOv5: a
// network gone wrong calls everything an object.
const maxCandidates = 30000

// NMS is non-maximum suppression as YOLOv5 does it: from the most confident candidate to
// the least, each one is kept unless it overlaps a kept box of its class by more than
// o.IoU. The result is in descending order of confidence; equal confidences keep the
// order of candidates, which is not changed.
func NMS(candidates []Box, o NMSOptions) []Box {
	if o.IoU == 0 {
		o.IoU = DefaultIoU
	}
	if o.Max == 0 {
		o.Max = 300
	}
	keys := make([]uint64, 0, len(candidates))
	for i, c := range candidates {
		if len(o.Classes) == 0 || slices.Contains(o.Classes, c.Class) {
			keys = append(keys, uint64(^rank(c.Conf))<<32|uint64(i))
		}
	}
	slices.Sort(keys)

	var kept []rival
	newest := map[int]int{} // the last kept box of a class, as its number from 1 on; all under 0 where Agnostic
	for _, k := range keys[:min(len(keys), maxCandidates)] {
		if len(kept) >= o.Max {
			break
		}
		c, class := candidates[uint32(k)], 0
		if !o.Agnostic {
			class = c.Class
		}
		before := newest[class]
		if suppressed(c, kept, before, o.IoU) {
			continue
		}
		kept = append(kept, rival{c, before})
		newest[class] = len(kept)
	}
	boxes := slices.Grow([]Box(nil), len(kept))
	for _, r := range kept {
		boxes = append(boxes, r.Box)
	}
	return boxes
}

// rank orders numbers as cmp.Compare does.
func rank(v float32) uint32 {
	b := math.Float32bits(v + 0) // of the two zeros, one
	switch {
	case v != v:
		return 0
	case b>>31 == 1:
		return ^b
	}
	return b | 1<<31
}

// A rival is a kept box. before is the kept box of its class before it, counted from 1; 0
// means none.
type rival struct {
	Box
	before int
}

// suppressed reports whether c overlaps by more than limit one of its rivals, of which the
// last is kept[i-1].
func suppressed(c Box, kept []rival, i int, limit float32) bool {
	for i > 0 {
		r := &kept[i-1]
		i = r.before
		if c.X1 >= r.X2 || r.X1 >= c.X2 || c.Y1 >= r.Y2 || r.Y1 >= c.Y2 {
			continue // most are far apart
		}
		if overlap(c.X1, c.Y1, c.X2, c.Y2, r.X1, r.Y1, r.X2, r.Y2) > limit {
			return true
		}
	}
	return false
}
