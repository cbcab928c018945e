package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/quant"
	"ultrafast/train"
	"ultrafast/yolo"
)

// dropPictures is how many validation pictures a layer's drop is measured on: each layer takes a
// validation.
const dropPictures = 200

// autoKeep lets the drops say what stays in float.
const autoKeep = "auto"

// checkKeep refuses what --keep-float and --max-drop cannot mean.
func (f *quantizeFlags) checkKeep(maxDropGiven bool) error {
	switch {
	case slices.Contains(f.keep, autoKeep) && len(f.keep) > 1:
		return fmt.Errorf("--keep-float %s: want %s, or layers", strings.Join(f.keep, ","), autoKeep)
	case !(f.maxDrop >= 0 && f.maxDrop <= 100):
		return errors.New("--max-drop: want 0 to 100 points of mAP50-95")
	case maxDropGiven && !f.isAuto():
		return fmt.Errorf("--max-drop: is for --keep-float %s; with layers named, nothing is chosen", autoKeep)
	}
	return nil
}

// isAuto reports whether layers go back to float by what they cost.
func (f *quantizeFlags) isAuto() bool { return slices.Equal(f.keep, []string{autoKeep}) }

// named are the layers that are to stay in float whatever they cost.
func (f *quantizeFlags) named() []string {
	if f.isAuto() {
		return nil
	}
	return f.keep
}

// A pointsJudge validates networks on the same pictures, which it keeps decoded.
type pointsJudge struct {
	ctx    context.Context
	items  []dataset.Item
	loader *dataset.Loader
}

// newPointsJudge takes pictures spread over items, as squares of this side, for networks of g's
// head. A picture that is lost meanwhile is told of on out.
func newPointsJudge(ctx context.Context, items []dataset.Item, side int, g *graph.Graph, out io.Writer) (*pointsJudge, error) {
	_, head, err := yolo.Raw(g)
	if err != nil {
		return nil, err
	}
	j := &pointsJudge{ctx: ctx, items: dataset.Spread(items, dropPictures)}
	j.loader, err = dataset.NewLoader(j.items, dataset.LoaderOptions{Size: side, Stride: slices.Max(head.Strides), Batch: 32, Lost: warnLost(out, newProgress(out))})
	return j, err
}

// points is the mAP50-95 of g, 0 to 100, with val's settings.
func (j *pointsJudge) points(g *graph.Graph) (float64, error) {
	p, err := enginePredictor(g)
	if err != nil {
		return 0, err
	}
	v, err := train.Validate(j.ctx, p, g.Detect().Op.(*graph.Detect), j.items, train.ValOptions{Loader: j.loader})
	return 100 * float64(v.Report.MAP5095), err
}

// A worth is what a network in 8 bits is worth beside the float one.
type worth struct {
	float    float64 // points of mAP50-95
	drops    []quant.Drop
	choice   *quant.Choice
	pictures int
}

// weigh measures what each layer alone costs and chooses what goes back to float. The judge
// knows that many pictures.
func (f *quantizeFlags) weigh(b *quantization, judge quant.Judge, pictures int, out io.Writer) (*worth, error) {
	w := &worth{pictures: pictures}
	bar := newProgress(out)
	defer bar.clear()
	var err error
	if w.float, err = judge(b.g); err != nil {
		return nil, err
	}
	if w.float == 0 {
		bar.clear()
		fmt.Fprintf(out, "the float model finds nothing on %d validation pictures: there is no mAP to lose\n", w.pictures)
	}
	if err := b.judgeCorrection(judge); err != nil {
		return nil, err
	}
	alone := func(done, all int) { bar.set("layers alone in 8 bits", done, all) }
	if w.drops, err = quant.Drops(b.g, b.ranges, b.o, w.float, judge, alone); err != nil {
		return nil, err
	}
	bar.clear()
	if !f.isAuto() {
		points, err := judge(b.whole)
		w.choice = &quant.Choice{Network: b.whole, Points: points, Reached: w.float-points <= f.maxDrop}
		return w, err
	}
	back := func(done, all int) { bar.set("layers back in float", done, all) }
	w.choice, err = quant.Choose(w.drops, w.float, f.maxDrop, b.quantise, judge, back)
	return w, err
}

// note says what to do where more is lost than allowed.
func (f *quantizeFlags) note(out io.Writer, w *worth) {
	switch lost := w.float - w.choice.Points; {
	case w.choice.Reached:
	case !f.isAuto():
		fmt.Fprintf(out, "%.2f points of mAP50-95 are lost: let layers go back to float with --keep-float %s, or train in 8 bits next: train --qat\n", lost, autoKeep)
	default:
		fmt.Fprintf(out, "%.2f points of mAP50-95 are lost: --max-drop %g cannot be reached with up to half of the multiply-adds in float, and this is the best of what was tried; try training in 8 bits next: train --qat\n", lost, f.maxDrop)
	}
}

// print prints a line for each layer, and for each sum of layers, and one for the whole network
// of this width and height.
func (w *worth) print(out io.Writer, losses []quant.Loss, width, height int) error {
	q := w.choice.Network
	shapes, err := q.Shapes(1, height, width)
	if err != nil {
		return err
	}
	all := int64(0)
	for _, n := range q.Nodes {
		all += n.MACs(shapes)
	}
	dB, drops := map[string]string{}, map[string]string{}
	for _, l := range losses {
		dB[l.Name] = fmt.Sprintf("%.1f", l.SQNR)
	}
	for _, d := range w.drops {
		drops[d.Layer] = fmt.Sprintf("%.2f", roundTo(d.Points, 2)+0) // and not -0.00
	}
	users := q.Consumers()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "layer\tdB\tdrop alone\tmultiply-adds\tin\t")
	for _, n := range q.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			in := "float"
			if op.WeightScale != nil {
				in = "8 bits"
			}
			share := 100 * float64(n.MACs(shapes)) / float64(all)
			fmt.Fprintf(t, "%s\t%s\t%s\t%.1f %%\t%s\t\n", n.Name, dB[resultOf(n, users)], drops[n.Name], share, in)
		case *graph.Add:
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\n", n.Name, dB[n.Name])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	kept := "none"
	if len(w.choice.Layers) > 0 {
		kept = strings.Join(w.choice.Layers, ", ")
	}
	_, err = fmt.Fprintf(out, "mAP50-95 on %d validation pictures: %.2f in float, %.2f in 8 bits; layers that went back to float: %s\n", w.pictures, w.float, w.choice.Points, kept)
	return err
}

// resultOf is the name of the activation behind a convolution, else its own.
func resultOf(n *graph.Node, users map[*graph.Node][]*graph.Node) string {
	for _, u := range users[n] {
		switch u.Op.(type) {
		case *graph.Activation:
			return u.Name
		case *graph.Quantize:
			return resultOf(n, map[*graph.Node][]*graph.Node{n: users[u]})
		}
	}
	return n.Name
}
