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
	data  *dataset.Data
	sizes [][2]float32 // of the labels, in the network's pixels
}

// choose returns the steps, each with all those before it, and what to call them. The first
// changes nothing.
func (t *trimmer) choose() (trims []prune.Trim, whats []string, err error) {
	var trim prune.Trim
	add := func(what string) {
		trims, whats = append(trims, trim), append(whats, what)
	}
	add("as it is")
	if trim.Levels, err = t.levels(); err != nil {
		return nil, nil, err
	}
	if len(trim.Levels) < len(t.head.Strides) {
		add("levels " + levelNames(t.head.Strides, trim.Levels))
	}
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
	score := yolo.ScoreAnchors(t.sizes, t.head.Anchors, yolo.AnchorThreshold)
	var keep []int
	if t.flags.levels == automatic {
		if keep = score.Used(); keep == nil {
			return nil, fmt.Errorf("%s: no label has an anchor that matches it at --img %s: see ultrafast anchors", t.flags.data, t.flags.img)
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
	for l, s := range score.Levels {
		if !slices.Contains(keep, l) && s.Matches >= yolo.IdleLevel && !t.flags.force {
			return nil, fmt.Errorf("--levels %s: level %s has %.1f %% of the matches; drop it with --force", t.flags.levels, levelName(strides[l]), 100*s.Matches)
		}
	}
	return keep, nil
}

// labelled counts the labels of each class of the model; a class that is only in the data
// is the training's business.
func (t *trimmer) labelled() []int {
	counts := make([]int, t.head.Classes)
	rows := t.rows()
	for class, n := range t.data.Count(t.data.Train).Boxes {
		if c := rows[class]; c >= 0 {
			counts[c] += n
		}
	}
	return counts
}

// rows are the model's classes of the data's.
func (t *trimmer) rows() []int { return yolo.ClassRows(t.names, t.head.Classes, t.data.Names) }

// found is the share of the labels that m, a trimmed model, has a class and an anchor for; classes
// are those that trim left of the model's, nil all.
func (t *trimmer) found(m *graph.Graph, classes []int, w, h int) float64 {
	items, rows := slices.Clone(t.data.Train), t.rows()
	for i := range items {
		items[i].Labels = slices.DeleteFunc(slices.Clone(items[i].Labels), func(l dataset.Label) bool {
			c := rows[l.Class]
			return c < 0 || classes != nil && !slices.Contains(classes, c)
		})
	}
	sizes := dataset.Sizes(items, w, h)
	if len(sizes) == 0 {
		return 0
	}
	return yolo.ScoreAnchors(sizes, m.Detect().Op.(*graph.Detect).Anchors, yolo.AnchorThreshold).BPR * float64(len(sizes)) / float64(len(t.sizes))
}

// matches is what the levels of the model have of all matches.
func (t *trimmer) matches() string {
	var all []string
	for l, s := range yolo.ScoreAnchors(t.sizes, t.head.Anchors, yolo.AnchorThreshold).Levels {
		all = append(all, fmt.Sprintf("%s %.1f %%", levelName(t.head.Strides[l]), 100*s.Matches))
	}
	return strings.Join(all, ", ")
}

func (t *trimmer) classes() ([]int, error) {
	counts := t.labelled()
	var keep []int
	if t.flags.classes == automatic {
		for c, n := range counts {
			if n > 0 {
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
	for c, n := range counts {
		if n > 0 && !slices.Contains(keep, c) && !t.flags.force {
			return nil, fmt.Errorf("--classes %s: %s has %d labels; drop it with --force", t.flags.classes, detect.Name(t.names, c), n)
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
	start := t.score(keep)
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
				if s := t.score(without); next == nil || s.BPR > best.BPR || s.BPR == best.BPR && s.Above > best.Above {
					next, best = without, s
				}
			}
		}
		if next == nil || auto && best.BPR < start.BPR {
			break
		}
		keep = next
	}
	if lost := start.BPR - t.score(keep).BPR; lost >= yolo.IdleLevel && !t.flags.force {
		return nil, fmt.Errorf("--anchors %s: %.1f %% of the labels lose their last anchor; drop them with --force", t.flags.anchors, 100*lost)
	}
	return keep, nil
}

// score measures the anchors that stay.
func (t *trimmer) score(keep [][]int) yolo.AnchorScore {
	levels := make([][][2]float32, len(keep))
	for l, anchors := range keep {
		for _, a := range anchors {
			levels[l] = append(levels[l], t.head.Anchors[l][a])
		}
	}
	return yolo.ScoreAnchors(t.sizes, levels, yolo.AnchorThreshold)
}
