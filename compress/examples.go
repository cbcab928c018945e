package compress

import (
	"context"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/train"
)

// examplePictures is of how many pictures the page shows what was found.
const examplePictures = 12

// examples are pictures of the validation with what parent and child find in them.
func (r *run) examples(ctx context.Context) ([]report.Example, error) {
	items := dataset.Spread(r.data.Val, examplePictures)
	all := make([]report.Example, len(items))
	for i, item := range items {
		var labels []box.Box
		for _, l := range dataset.TruthOf(item) {
			labels = append(labels, box.Box{X1: l.X1, Y1: l.Y1, X2: l.X2, Y2: l.Y2, Class: l.Class})
		}
		all[i] = report.Example{File: item.Path, Labels: report.ExampleBoxes(labels)}
	}
	for file, into := range map[string]func(*report.Example) *[]report.ExampleBox{
		"parent.safetensors": func(e *report.Example) *[]report.ExampleBox { return &e.Parent },
		"child.safetensors":  func(e *report.Example) *[]report.ExampleBox { return &e.Child },
	} {
		g, err := r.open(file)
		if err != nil {
			return nil, err
		}
		d, err := detectOf(g)
		if err != nil {
			return nil, err
		}
		predict, err := r.o.Predictor(g)
		if err != nil {
			return nil, err
		}
		_, err = train.Validate(ctx, predict, d, items, train.ValOptions{Size: r.job.Size, Conf: box.ConfusionConf, IoU: box.DefaultIoU, Lost: r.lost("validation"),
			Found: func(b *dataset.Batch, found [][]box.Box) {
				for i, boxes := range found {
					*into(&all[b.Items[i]]) = report.ExampleBoxes(boxes)
				}
			}})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// layers are the times of the steps of the parent and of what is handed out.
func (r *run) layers(found *Result) (report.LayerTimes, error) {
	l := report.LayerTimes{Runtime: r.o.Runtime.Runtime, Threads: r.o.Runtime.Threads, Precision: r.o.Runtime.Precision}
	profile := r.o.Profile
	if profile == nil && r.o.Latency != nil {
		profile = r.predicted
	}
	if profile == nil {
		return l, nil
	}
	rows := map[string]int{} // by name
	for i, file := range []string{"parent.safetensors", found.Choice.File} {
		g, err := r.open(file)
		if err != nil {
			return l, err
		}
		p, err := profile(g)
		if err != nil && r.o.Profile == nil { // a table of the parent need not have the layers of a control
			l.Rows = nil
			return l, nil
		}
		if err != nil {
			return l, err
		}
		for _, s := range p.Steps {
			at, known := rows[s.Node]
			if !known {
				at, rows[s.Node] = len(l.Rows), len(l.Rows)
				l.Rows = append(l.Rows, report.LayerTime{Name: s.Node, Parent: report.Unknown(), Child: report.Unknown()})
			}
			to, kernel := &l.Rows[at].Parent, &l.Rows[at].ParentKernel
			if i == 1 {
				to, kernel = &l.Rows[at].Child, &l.Rows[at].ChildKernel
			}
			if !to.Known() {
				*to, *kernel = 0, s.Kernel
			}
			*to += report.Number(s.Ms)
		}
	}
	return l, nil
}

// predicted are the times of layers as the latency table has them.
func (r *run) predicted(g *graph.Graph) (prune.Profile, error) {
	all, err := r.o.Latency.Predict(g, r.job.Width, r.job.Height)
	if err != nil {
		return prune.Profile{}, err
	}
	p := prune.Profile{Ms: all.Ms}
	for _, y := range all.Layers {
		p.Steps = append(p.Steps, prune.StepMs{Node: y.Node, Ms: y.Ms})
	}
	return p, nil
}
