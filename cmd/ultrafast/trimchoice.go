package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ultrafast/dataset"
	"ultrafast/detect"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/yolo"
)

// A trimmer decides what of a head stays.
type trimmer struct {
	flags *trimFlags
	head  *graph.Detect
	names []string // of the model's classes
	all   int      // training labels
	// Sizes of those of each class of the model, in the network's pixels, and without the classes that go.
	labels, sizes [][][2]float32
}

func newTrimmer(f *trimFlags, head *graph.Detect, names []string, data *dataset.Data, w, h int) *trimmer {
	t := &trimmer{flags: f, head: head, names: names, labels: make([][][2]float32, head.Classes)}
	rows := yolo.ClassRows(names, head.Classes, data.Names)
	for class, sizes := range dataset.ClassSizes(data.Train, w, h, len(rows)) {
		t.all += len(sizes)
		if c := rows[class]; c >= 0 { // else it is the training's business
			t.labels[c] = append(t.labels[c], sizes...)
		}
	}
	return t
}

// choose returns the steps, each with all those before it, and what to call them. The first
// changes nothing.
func (t *trimmer) choose() (trims []prune.Trim, whats []string, err error) {
	var trim prune.Trim
	add := func(what string) {
		trims, whats = append(trims, trim), append(whats, what)
	}
	add("as it is")
	if trim.Classes, err = t.classes(); err != nil {
		return nil, nil, err
	}
	if len(trim.Classes) < t.head.Classes || !slices.IsSorted(trim.Classes) {
		names := make([]string, len(trim.Classes))
		for i, c := range trim.Classes {
			names[i] = detect.Name(t.names, c)
		}
		what := "classes " + strings.Join(names, ",")
		if len(names) > 5 {
			what = fmt.Sprintf("%d of %d classes", len(names), t.head.Classes)
		}
		add(what)
	}
	t.sizes = slices.Clone(t.labels)
	for c := range t.sizes {
		if !slices.Contains(trim.Classes, c) {
			t.sizes[c] = nil
		}
	}
	if trim.Levels, err = t.levels(); err != nil {
		return nil, nil, err
	}
	if len(trim.Levels) < len(t.head.Strides) {
		add("levels " + levelNames(t.head.Strides, trim.Levels))
	}
	if trim.Anchors, err = t.anchors(trim.Levels); err != nil {
		return nil, nil, err
	}
	if trim.Anchors != nil {
		var counts []string
		for _, l := range trim.Levels {
			counts = append(counts, strconv.Itoa(len(trim.Anchors[l])))
		}
		add("anchors " + strings.Join(counts, ","))
	}
	switch t.flags.neck {
	case "":
	case "slim":
		trim.Slim = true
		add("neck slim, untrained")
	default:
		return nil, nil, fmt.Errorf("--neck %s: want slim, or nothing", t.flags.neck)
	}
	return trims, whats, nil
}

func (t *trimmer) levels() ([]int, error) {
	strides := t.head.Strides
	var keep []int
	if t.flags.levels == automatic {
		if keep = yolo.UsedLevels(t.sizes, t.head.Anchors, yolo.AnchorThreshold); keep == nil {
			return nil, fmt.Errorf("%s: no label of a class that stays has an anchor that matches it at --img %s: see ultrafast anchors, or name levels with --levels", t.flags.data, t.flags.img)
		}
		return keep, nil
	}
	for name := range strings.SplitSeq(t.flags.levels, ",") {
		name = strings.TrimSpace(name)
		l := slices.IndexFunc(strides, func(s int) bool { return levelName(s) == name })
		if l < 0 || slices.Contains(keep, l) {
			all := make([]int, len(strides))
			for i := range all {
				all[i] = i
			}
			return nil, fmt.Errorf("--levels %s: want different ones of %s, or auto", t.flags.levels, levelNames(strides, all))
		}
		keep = append(keep, l)
	}
	slices.Sort(keep)
	if t.flags.force {
		return keep, nil
	}
	for l, s := range t.score().Levels {
		if !slices.Contains(keep, l) && s.Matches >= yolo.IdleLevel {
			return nil, fmt.Errorf("--levels %s: level %s has %.1f %% of the matches; drop it with --force", t.flags.levels, levelName(strides[l]), 100*s.Matches)
		}
	}
	switch share, classes := yolo.LostLabels(t.sizes, t.head.Anchors, keep, yolo.AnchorThreshold); {
	case classes != nil:
		return nil, fmt.Errorf("--levels %s: all labels of %s lose their last anchor; drop them with --force", t.flags.levels, detect.Name(t.names, classes[0]))
	case share >= yolo.IdleLevel:
		return nil, fmt.Errorf("--levels %s: %.1f %% of the labels lose their last anchor; drop them with --force", t.flags.levels, 100*share)
	}
	return keep, nil
}

// found is the share of the training labels that m, a trimmed model, has a class and an anchor for; classes
// are those that trim left of the model's, nil all.
func (t *trimmer) found(m *graph.Graph, classes []int) float64 {
	anchors, n := m.Detect().Op.(*graph.Detect).Anchors, 0.0
	for c, sizes := range t.labels {
		if classes == nil || slices.Contains(classes, c) {
			n += yolo.ScoreAnchors(sizes, anchors, yolo.AnchorThreshold).BPR * float64(len(sizes))
		}
	}
	return n / float64(max(t.all, 1))
}

// score measures the model's anchors on the labels that stay.
func (t *trimmer) score() yolo.AnchorScore {
	return yolo.ScoreAnchors(slices.Concat(t.sizes...), t.head.Anchors, yolo.AnchorThreshold)
}

// matches is what the levels of the model have of all matches.
func (t *trimmer) matches() string {
	var all []string
	for l, s := range t.score().Levels {
		all = append(all, fmt.Sprintf("%s %.1f %%", levelName(t.head.Strides[l]), 100*s.Matches))
	}
	return strings.Join(all, ", ")
}

func (t *trimmer) classes() ([]int, error) {
	var keep []int
	if t.flags.classes == automatic {
		for c, labels := range t.labels {
			if len(labels) > 0 {
				keep = append(keep, c)
			}
		}
		if keep == nil {
			return nil, fmt.Errorf("%s has labels of none of the model's classes %v: train it on them first, or name those to keep with --classes, by their numbers if need be", t.flags.data, t.names)
		}
		return keep, nil
	}
	for name := range strings.SplitSeq(t.flags.classes, ",") {
		name = strings.TrimSpace(name)
		c := slices.Index(t.names, name)
		if n, err := strconv.Atoi(name); c < 0 && err == nil {
			c = n
		}
		if c < 0 || c >= t.head.Classes || slices.Contains(keep, c) {
			return nil, fmt.Errorf("--classes %s: %q is no class of the model, or there twice", t.flags.classes, name)
		}
		keep = append(keep, c)
	}
	for c, labels := range t.labels {
		if len(labels) > 0 && !slices.Contains(keep, c) && !t.flags.force {
			return nil, fmt.Errorf("--classes %s: %s has %d labels; drop it with --force", t.flags.classes, detect.Name(t.names, c), len(labels))
		}
	}
	return keep, nil
}

// anchors takes one after the other away, always the one without which the most labels keep
// a match, and of such the one with the fewest matches.
func (t *trimmer) anchors(levels []int) ([][]int, error) {
	if t.flags.anchors == "" {
		return nil, nil
	}
	most, auto := 0, t.flags.anchors == automatic
	if !auto {
		var err error
		if most, err = strconv.Atoi(t.flags.anchors); err != nil || most < 1 {
			return nil, fmt.Errorf("--anchors %s: want a number from 1, or auto", t.flags.anchors)
		}
	}
	keep := make([][]int, len(t.head.Anchors))
	for _, l := range levels {
		for a := range t.head.Anchors[l] {
			keep[l] = append(keep[l], a)
		}
	}
	start := t.scoreOf(keep)
	for {
		var next [][]int
		var best yolo.AnchorScore
		for _, l := range levels {
			if len(keep[l]) == 1 || !auto && len(keep[l]) <= most {
				continue
			}
			for i := range keep[l] {
				without := slices.Clone(keep)
				without[l] = slices.Delete(slices.Clone(keep[l]), i, i+1)
				if s := t.scoreOf(without); next == nil || s.BPR > best.BPR || s.BPR == best.BPR && s.Above > best.Above {
					next, best = without, s
				}
			}
		}
		if next == nil || auto && best.BPR < start.BPR {
			break
		}
		keep = next
	}
	if lost := start.BPR - t.scoreOf(keep).BPR; lost >= yolo.IdleLevel && !t.flags.force {
		return nil, fmt.Errorf("--anchors %s: %.1f %% of the labels lose their last anchor; drop them with --force", t.flags.anchors, 100*lost)
	}
	return keep, nil
}

// scoreOf measures the anchors of keep.
func (t *trimmer) scoreOf(keep [][]int) yolo.AnchorScore {
	levels := make([][][2]float32, len(keep))
	for l, anchors := range keep {
		for _, a := range anchors {
			levels[l] = append(levels[l], t.head.Anchors[l][a])
		}
	}
	return yolo.ScoreAnchors(slices.Concat(t.sizes...), levels, yolo.AnchorThreshold)
}
