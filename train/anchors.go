package train

import (
	"context"
	"fmt"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/yolo"
)

// leastBPR is the best possible recall below which YOLOv5 fits new anchors.
const leastBPR = 0.98

// fitAnchors fits the anchors of g's head before the first epoch of a new run.
func (r *run) fitAnchors(ctx context.Context, g *graph.Graph) error {
	d := g.Detect().Op.(*graph.Detect)
	said, err := FitAnchors(ctx, d, dataset.Sizes(r.data.Train, r.c.Size, r.c.Size), r.c.FitAnchors, yolo.AnchorSearch{
		Threshold: r.c.Hyp.AnchorT, Seed: r.c.Seed, Progress: func(done, steps int) {
			r.c.Progress(Progress{Epochs: r.c.Epochs, Anchors: true, Step: done, Steps: steps})
		}})
	if err != nil {
		return err
	}
	r.c.Log.Info("anchors", said...)
	r.setHead(d)
	return nil
}

// FitAnchors does to a head what YOLOv5's AutoAnchor does: anchors that run against the
// strides are turned round, and where fewer than 98 % of the labels are matched by an
// anchor, as many are fitted anew and taken if they match more, or, with always, in any
// case. Sizes are those of the training labels in the network's input, as dataset.Sizes
// gives them; YOLOv5 scales each picture by 0.9 to 1.1 at random first. What it returns is
// for a log.
func FitAnchors(ctx context.Context, d *graph.Detect, sizes [][2]float32, always bool, search yolo.AnchorSearch) (said []any, err error) {
	turned := yolo.OrderAnchors(d)
	before := yolo.ScoreAnchors(sizes, d.Anchors, search.Threshold)
	said = []any{"BPR", round4(before.BPR), "matches a label", round4(before.Above)}
	if turned {
		said = append(said, "order", "turned round to follow the strides")
	}
	if before.BPR >= leastBPR && !always {
		return said, nil
	}
	counts := make([]int, len(d.Anchors))
	for l, level := range d.Anchors {
		counts[l] = len(level)
	}
	fitted, err := search.KMeans(ctx, sizes, d.Strides, counts)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	after := yolo.ScoreAnchors(sizes, fitted, search.Threshold)
	said = append(said, "fitted BPR", round4(after.BPR))
	if after.BPR > before.BPR || always {
		d.Anchors = fitted
		return append(said, "taken", fmt.Sprintf("%.1f", fitted)), nil
	}
	return append(said, "taken", "the old ones, which are no worse"), nil
}

func round4(v float64) string { return fmt.Sprintf("%.4f", v) }
