package box

import (
	"cmp"
	"slices"
)

// NMSOptions says how NMS chooses. The zero value is what YOLOv5 detects with.
type NMSOptions struct {
	IoU      float32 // a box that overlaps a better one by more than this goes; 0 means 0.45
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
		o.IoU = 0.45
	}
	if o.Max == 0 {
		o.Max = 300
	}
	order := make([]int32, 0, len(candidates))
	for i, c := range candidates {
		if len(o.Classes) == 0 || slices.Contains(o.Classes, c.Class) {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(candidates[b].Conf, candidates[a].Conf); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	order = order[:min(len(order), maxCandidates)]

	var kept []Box
	rivals := map[int][]Box{} // the kept boxes by class; all under 0 where Agnostic
	for _, i := range order {
		if len(kept) >= o.Max {
			break
		}
		c, key := candidates[i], 0
		if !o.Agnostic {
			key = c.Class
		}
		if suppressed(c, rivals[key], o.IoU) {
			continue
		}
		kept = append(kept, c)
		rivals[key] = append(rivals[key], c)
	}
	return kept
}

// suppressed reports whether c overlaps one of the rivals by more than limit.
func suppressed(c Box, rivals []Box, limit float32) bool {
	for i := range rivals {
		r := &rivals[i]
		if overlap(c.X1, c.Y1, c.X2, c.Y2, r.X1, r.Y1, r.X2, r.Y2) > limit {
			return true
		}
	}
	return false
}
