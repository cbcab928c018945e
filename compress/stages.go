package compress

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
	"ultrafast/yolo"
)

// way is all stages, in order.
func (r *run) way() []stage {
	var first []stage
	if r.limits.Has(prune.Milliseconds) {
		first = []stage{{"latency", nil, "latency.csv", r.latency}} // what layers take: cuts for milliseconds go by it
	}
	return append(first, []stage{
		{"estimate", nil, "estimate.json", r.estimate},                                               // first: what the rest will take
		{"baseline", nil, "parent.safetensors", r.baseline},                                          // a model that knows the data's classes
		{"parent", []string{"parent.safetensors"}, "parent.json", r.parent},                          // what it is worth: the drop is counted from here
		{"anchors", []string{"parent.safetensors", "parent.json"}, "anchors.safetensors", r.anchors}, // before trim, which counts their matches
		{"trim", []string{"anchors.safetensors"}, "trim.safetensors", r.trim},                        // before cutting: it costs nothing
		{"rounds", []string{"trim.safetensors", "parent.json"}, "rounds.json", r.rounds},             // a little at a time
		{finalName, []string{"rounds.json"}, "final.json", r.final},                                  // the whole recipe once more
		{"control: from scratch", []string{"final.json"}, "scratch.json", r.scratch},                 // what the kept weights were worth
		{"control: thin YOLOv5", []string{"final.json"}, "thin.json", r.thin},                        // what the kept shape was worth
		{"choice", []string{"final.json", "scratch.json", "thin.json"}, "choice.json", r.choose},     // the best is handed out
		{"child", []string{"choice.json"}, "child.safetensors", r.child},
		{bf16Name, []string{"child.safetensors"}, "bf16.json", r.bf16},                     // the child as it is, in half the bits
		{int8Name, []string{"child.safetensors"}, "int8.json", r.int8},                     // last of all: what is quantised is not cut
		{int8Training, []string{"int8.json"}, "int8-trained.json", r.trainInt8},            // where 8 bits cost too much
		{int8Choice, []string{"int8.json", "int8-trained.json"}, int8Chosen, r.chooseInt8}, // the better of the two
		{"export", []string{"child.safetensors", int8Chosen}, "child.onnx", r.export},      // both of them
		{"commands", []string{"choice.json", int8Chosen}, "commands.txt", r.commands},
		{"report", []string{"child.onnx", "choice.json", "commands.txt"}, "report.json", r.report},
	}...)
}

// baseline puts the parent in place: the given model, trained on where it lacks a class of
// the data's, or one trained from scratch.
func (r *run) baseline(ctx context.Context) error {
	g, known, err := r.start()
	if err != nil {
		return err
	}
	if !known {
		what := r.job.Cfg + " from random weights"
		if r.job.Weights != "" {
			what = r.job.Weights + ", which does not know all classes of the data"
		}
		r.log("no parent for these data: one is trained", "of", what, "epochs", r.job.Epochs)
		c := train.Config{Epochs: r.job.Epochs, Hyp: r.hyp, FitAnchors: r.o.Unsized}
		if g, err = r.train(ctx, "baseline", "baseline", g, c); err != nil {
			return err
		}
	}
	return r.save("parent.safetensors", g)
}

// start returns the model that the run begins with, made for the data's classes, and
// whether it is a parent as it is: one that knows all of them.
func (r *run) start() (g *graph.Graph, known bool, err error) {
	if g, err = r.o.Model(); err != nil {
		return nil, false, err
	}
	g, kept, err := yolo.SetClasses(g, r.data.Names, r.job.Seed)
	if err != nil {
		return nil, false, err
	}
	known = r.job.Weights != ""
	labels := r.data.Count(slices.Concat(r.data.Train, r.data.Val)).Boxes
	for class, k := range kept { // one that nobody labelled is not missed
		known = known && (k >= 0 || labels[class] == 0)
	}
	return g, known, nil
}

func (r *run) parent(ctx context.Context) error {
	g, err := r.open("parent.safetensors")
	if err != nil {
		return err
	}
	m, err := r.measure(ctx, "parent", "parent.safetensors", g)
	if err != nil {
		return err
	}
	if idle := m.Idle(); idle != "" {
		r.log(idle)
	}
	if r.done("baseline") {
		m.Epochs = r.job.Epochs
	}
	return r.writeJSON("parent.json", m)
}

// anchors fits them where fewer than 98 % of the labels have one. The trainings to come get used
// to a little that this costs; where it costs the parent more than the budget, its own stay: it is
// the teacher, too.
func (r *run) anchors(ctx context.Context) error {
	g, err := r.open("parent.safetensors")
	if err != nil {
		return err
	}
	own := g.Clone()
	d, err := detectOf(g)
	if err != nil {
		return err
	}
	w, h := r.labelSize()
	said, err := train.FitAnchors(ctx, d, dataset.Sizes(r.data.Train, w, h), false, yolo.AnchorSearch{Threshold: r.hyp.AnchorT, Seed: r.job.Seed,
		Progress: func(done, steps int) { r.tell(Progress{Doing: "anchors", Done: done, Of: steps}) }})
	if err != nil {
		return err
	}
	r.log("anchors", said...)
	if before, _ := detectOf(own); !reflect.DeepEqual(d.Anchors, before.Anchors) {
		parent, err := r.readModel("parent.json")
		if err != nil {
			return err
		}
		found, err := r.validate(ctx, "anchors", g)
		if err != nil {
			return err
		}
		if lost := parent.points() - 100*found.MAP5095; lost > r.job.MaxDrop {
			r.log("the parent's own anchors stay, as others cost it too much", "points lost", round4(lost), "allowed", r.job.MaxDrop)
			g = own
		}
	}
	return r.save("anchors.safetensors", g)
}

// labelSize is the input that labels are measured on: that of the device, or of training where that is of
// another size on purpose: the network finds what it saw there.
func (r *run) labelSize() (w, h int) {
	if r.job.Size != max(r.job.Width, r.job.Height) {
		return r.job.Size, r.job.Size
	}
	return r.job.Width, r.job.Height
}

// trim takes away the levels that the labels do not need (yolo.UsedLevels).
func (r *run) trim(context.Context) error {
	g, err := r.open("anchors.safetensors")
	if err != nil {
		return err
	}
	small, err := r.trimmed(g)
	if err != nil {
		return err
	}
	return r.save("trim.safetensors", small)
}

// errUnmatched is wrapped where no label has an anchor that matches.
var errUnmatched = errors.New("no label has an anchor that matches it: see ultrafast anchors")

func (r *run) trimmed(g *graph.Graph) (*graph.Graph, error) {
	d, err := detectOf(g)
	if err != nil {
		return nil, err
	}
	w, h := r.labelSize()
	levels := yolo.UsedLevels(dataset.ClassSizes(r.data.Train, w, h, d.Classes), d.Anchors, r.hyp.AnchorT)
	if levels == nil {
		return nil, fmt.Errorf("%s at %dx%d: %w", r.job.Data, r.job.Width, r.job.Height, errUnmatched)
	}
	small, err := prune.Trim{Levels: levels}.Apply(g)
	if err != nil {
		return nil, err
	}
	if len(levels) < len(d.Strides) {
		r.log("levels without labels are left out", "kept", len(levels), "of", len(d.Strides), "parameters", small.ParamCount(), "before", g.ParamCount())
	}
	return small, nil
}
