package yolo

import (
	"cmp"
	"slices"
)

// IdleLevel is the share of all matches below which a level is not worth its time, and the
// share of the labels that may lose their last anchor with it.
const IdleLevel = 0.02

// UsedLevels returns the levels that the labels need, ascending: those with IdleLevel of all
// matches, and of the others, those with the most matches first, what it takes for less
// than IdleLevel of the labels, and in no class all, to lose their last anchor. Small labels match
// more anchors than large ones, so a level of few matches may be all that some labels have.
// sizes are those of the labels of each class. Where no label has a match, there is none.
func UsedLevels(sizes, anchors [][][2]float32, threshold float64) []int {
	levels := ScoreAnchors(slices.Concat(sizes...), anchors, threshold).Levels
	var used, idle []int
	for l, level := range levels {
		switch {
		case level.Matches >= IdleLevel:
			used = append(used, l)
		case level.Matches > 0:
			idle = append(idle, l)
		}
	}
	slices.SortStableFunc(idle, func(a, b int) int { return cmp.Compare(levels[b].Matches, levels[a].Matches) })
	enough := func(levels []int) bool {
		share, classes := LostLabels(sizes, anchors, levels, threshold)
		return share < IdleLevel && classes == nil
	}
	taken := 0
	for ; taken < len(idle) && !enough(used); taken++ {
		used = append(used, idle[taken])
	}
	for _, l := range slices.Backward(idle[:taken]) { // one that was taken before may not be needed beside the others
		if without := slices.DeleteFunc(slices.Clone(used), func(k int) bool { return k == l }); enough(without) {
			used = without
		}
	}
	slices.Sort(used)
	return used
}

// LostLabels returns the share of the labels that lose their last anchor where only the levels
// of keep stay, and the classes in which all do that had one.
func LostLabels(sizes, anchors [][][2]float32, keep []int, threshold float64) (share float64, classes []int) {
	var kept [][][2]float32
	for _, l := range keep {
		kept = append(kept, anchors[l])
	}
	lost, all := 0.0, 0
	for c, labels := range sizes {
		before, after := ScoreAnchors(labels, anchors, threshold).BPR, ScoreAnchors(labels, kept, threshold).BPR
		lost += (before - after) * float64(len(labels))
		all += len(labels)
		if before > 0 && after == 0 {
			classes = append(classes, c)
		}
	}
	return lost / float64(max(all, 1)), classes
}
