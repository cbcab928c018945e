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

// fitAnchors does to the head of g, before the first epoch of a new run, what YOLOv5's
// AutoAnchor does: anchors that run against the strides are turned round, and where fewer
// than 98 % of the training labels are matched by an anchor, as many are fitted anew and
// taken if they match more, or if the old ones are stand-ins. Labels count at the size of the input; YOLOv5 scales each
// picture by 0.9 to 1.1 at random first.
func (r *run) fitAnchors(ctx context.Context, g *graph.Graph) error {
	d := g.Detect().Op.(*graph.Detect)
	turned := yolo.OrderAnchors(d)
	sizes := dataset.Sizes(r.data.Train, r.c.Size, r.c.Size)
	threshold := r.c.Hyp.AnchorT
	before := yolo.ScoreAnchors(sizes, d.Anchors, threshold)
	said := []any{"BPR", round4(before.BPR), "matches a label", round4(before.Above)}
	if turned {
		said = append(said, "order", "turned round to follow the strides")
	}
	if before.BPR < leastBPR || r.c.FitAnchors {
		counts := make([]int, len(d.Anchors))
		for l, level := range d.Anchors {
			counts[l] = len(level)
		}
		search := yolo.AnchorSearch{Threshold: threshold, Seed: r.c.Seed, Progress: func(done, steps int) {
			r.c.Progress(Progress{Epochs: r.c.Epochs, Anchors: true, Step: done, Steps: steps})
		}}
		fitted, err := search.KMeans(ctx, sizes, d.Strides, counts)
		if err != nil {
			return fmt.Errorf("train: %w", err)
		}
		after := yolo.ScoreAnchors(sizes, fitted, threshold)
		said = append(said, "fitted BPR", round4(after.BPR))
		if after.BPR > before.BPR || r.c.FitAnchors {
			d.Anchors = fitted
			said = append(said, "taken", fmt.Sprintf("%.1f", fitted))
		} else {
			said = append(said, "taken", "the old ones, which are no worse")
		}
	}
	r.c.Log.Info("anchors", said...)
	r.setHead(d)
	return nil
}

func round4(v float64) string { return fmt.Sprintf("%.4f", v) }
