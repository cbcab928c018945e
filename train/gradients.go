package train

import (
	"context"
	"fmt"
	"slices"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// GradientOptions says what PictureGradients takes gradients of. Size must be given.
type GradientOptions struct {
	Size     int                       // side of the network's input
	Hyp      Hyp                       // gains of the loss; the zero Hyp means DefaultHyp
	CacheDir string                    // as in dataset.LoaderOptions
	Lost     func(err error, lost int) // as in dataset.LoaderOptions; lost pictures are left out
	Progress func(done, pictures int)
}

// PictureGradients calls each with the gradients of the loss on one picture of items after
// the other, by the names of the parameters; each may keep them. The pictures are as they
// will be seen at work, letterboxed and not augmented, and so are the batch norms, which use
// their running statistics: the pictures know nothing of each other. The arithmetic is fp32.
func PictureGradients(ctx context.Context, be Backend, g *graph.Graph, items []dataset.Item, o GradientOptions, each func(map[string]*tensor.Tensor) error) error {
	n := g.Detect()
	if n == nil {
		return fmt.Errorf("train: the model has no detection head, so it has no loss")
	}
	if o.Hyp == (Hyp{}) {
		o.Hyp = DefaultHyp()
	}
	head := n.Op.(*graph.Detect)
	loader, err := dataset.NewLoader(items, dataset.LoaderOptions{Size: o.Size, Stride: slices.Max(head.Strides), Batch: 1, CacheBytes: -1, CacheDir: o.CacheDir, Lost: o.Lost})
	if err != nil {
		return fmt.Errorf("train: gradients: %w", err)
	}
	net, err := be.Load(g, LoadOptions{Precision: FP32, FrozenBN: true, Alone: true})
	if err != nil {
		return err
	}
	defer net.Close()
	loss, done := NewLoss(head, o.Hyp.Loss(head, o.Size)), 0
	for b, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return fmt.Errorf("train: gradients: %w", err)
		}
		done++
		if b.Lost[0] {
			continue
		}
		err := net.Step(b.X, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
			gradients, _, err := loss.Eval(maps, b.Targets)
			return gradients, err
		})
		if err != nil {
			return fmt.Errorf("train: gradients of %s: %w", items[b.Items[0]].Path, err)
		}
		gradients, err := net.Gradients()
		if err == nil {
			err = each(gradients)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", items[b.Items[0]].Path, err)
		}
		if o.Progress != nil {
			o.Progress(done, len(items))
		}
	}
	return nil
}
