package compress

import (
	"context"
	"errors"
	"fmt"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/train"
	"ultrafast/yolo"
)

// scratch trains the shape that the rounds found from random weights, for as many epochs as
// the child has seen in this run. Without it nobody knows whether cutting was worth it, but a
// model whose batch norms were folded away, as an export does, has no such control.
func (r *run) scratch(ctx context.Context) error {
	rounds, parent, err := r.before()
	if err != nil {
		return err
	}
	if rounds.Cost.Params == parent.Params {
		return r.noControl("scratch", uncut)
	}
	g, err := r.open(rounds.File)
	if err != nil {
		return err
	}
	if err := yolo.Initialize(g, r.job.Seed); err != nil {
		return r.noControl("scratch", err.Error())
	}
	epochs := parent.Epochs + rounds.Epochs + r.job.Epochs
	c := train.Config{Epochs: epochs, Hyp: brief(r.recipe(rounds, parent), epochs, r.job.Batch), NoAutoAnchor: true}
	return r.control(ctx, "from scratch", "scratch", g, c)
}

// thin trains the widest YOLOv5n that costs no more than the child, as long.
func (r *run) thin(ctx context.Context) error {
	rounds, parent, err := r.before()
	if err != nil {
		return err
	}
	if rounds.Cost.Params == parent.Params {
		return r.noControl("thin", uncut)
	}
	width, err := r.thinWidth(rounds)
	if err != nil {
		return err
	}
	if width.Width == 0 {
		return r.noControl("thin", width.Why)
	}
	g, err := r.thinModel(width.Width)
	if err != nil {
		return err
	}
	r.log("control", "YOLOv5n of width", width.Width, "parameters", g.ParamCount())
	epochs := parent.Epochs + rounds.Epochs + r.job.Epochs
	return r.control(ctx, "thin YOLOv5", "thin", g, train.Config{Epochs: epochs, Hyp: brief(r.recipe(rounds, parent), epochs, r.job.Batch)})
}

// uncut is why there are no controls of a child that has the parent's shape: they would take as
// long as the parent did, and show nothing of a cut.
const uncut = "nothing was cut"

// noControl notes that there is none, and why.
func (r *run) noControl(folder, why string) error {
	r.log("there is no control", "of", folder, "why", why)
	return r.writeJSON(folder+".json", Model{Missing: why})
}

// control trains one, and notes it in a file called like its folder. One that diverges is none: the
// child does not depend on it.
func (r *run) control(ctx context.Context, name, folder string, g *graph.Graph, c train.Config) error {
	m, err := r.contestant(ctx, "control: "+name, folder, g, c, c.Epochs, nil)
	if errors.Is(err, train.ErrDiverged) {
		r.log("a control's training diverged", "error", err)
		return r.noControl(folder, "its training diverged, see log.txt")
	}
	if err != nil {
		return err
	}
	return r.writeJSON(folder+".json", m)
}

func (r *run) thinModel(width float64) (*graph.Graph, error) {
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		return nil, err
	}
	cfg.Width = width
	return yolo.New(cfg, r.data.Names, r.job.Seed)
}

// A thinWidth is the contents of thin-width.json: measured milliseconds are never the same
// twice, so it is settled once.
type thinWidth struct {
	Width float64 `json:"width"` // the multiple of channels; 0 is none
	Why   string  `json:"why"`   // there is none
}

// thinWidth finds the widest YOLOv5n that has no more than the child of what the target
// counts. Milliseconds are measured, since a latency table of the parent need not have its
// layers; where the device is not here the table has to.
func (r *run) thinWidth(rounds *Rounds) (found thinWidth, err error) {
	const file = "thin-width.json"
	if r.done(file) {
		return found, r.readJSON(file, &found)
	}
	child, err := r.readModel("final.json")
	if err != nil {
		return found, err
	}
	measured := r.limits.Has(prune.Milliseconds) && r.o.Profile != nil
	cost := func(g *graph.Graph) (prune.Cost, error) {
		if !measured {
			return r.cost(g)
		}
		c, err := prune.CostOf(g, nil, r.job.Width, r.job.Height)
		if err == nil {
			var ratio float64
			ratio, _, err = r.compared(g, r.o.Profile, child)
			c.Ms = ratio * child.Measured
		}
		return c, err
	}
	most := rounds.Cost
	if measured {
		most.Ms = child.Measured
	}
	limits := r.limits.Kept(most)
	const step = 1.0 / 128 // below which no layer changes, mostly: channels are multiples of 8
	low, high := 0, 192    // in steps: fits; too wide, or wider than anybody asks for
	for high-low > 1 {
		// Twice as wide each time until it is too wide, since wide ones take long to measure.
		mid := min(max(2*low, 1), (low+high)/2)
		g, err := r.thinModel(float64(mid) * step)
		if err != nil {
			return found, err
		}
		c, err := cost(g)
		if err != nil && r.o.Profile == nil {
			found.Why, low = err.Error(), 0
			break
		}
		if err != nil {
			return found, err
		}
		if limits.Excess(c) <= 1 {
			low = mid
		} else {
			high = mid
		}
	}
	if found.Width = float64(low) * step; low == 0 && found.Why == "" {
		found.Why = "none is as small as the child"
	}
	return found, r.writeJSON(file, found)
}

// before is what the child came from, and the parent.
func (r *run) before() (*Rounds, *Model, error) {
	rounds := &Rounds{}
	if err := r.readJSON("ended.json", rounds); err != nil {
		return nil, nil, err
	}
	parent, err := r.readModel("parent.json")
	return rounds, parent, err
}

// recipe is what all of them are trained by, but for the learning rate.
func (r *run) recipe(rounds *Rounds, parent *Model) train.Hyp {
	return lighter(r.hyp, float64(rounds.Cost.Params)/float64(parent.Params))
}

// contestant trains one of those that may be handed out, and measures it. before, unless it
// is nil, is what stays where the training made it worse.
func (r *run) contestant(ctx context.Context, name, folder string, g *graph.Graph, c train.Config, epochs int, before *Model) (*Model, error) {
	g, err := r.train(ctx, name, folder, g, c)
	if err != nil {
		return nil, err
	}
	file := folder + ".safetensors"
	if err := r.save(file, g); err != nil {
		return nil, err
	}
	m, err := r.measure(ctx, name, file, g)
	if err != nil {
		return nil, err
	}
	if before != nil && before.points() > m.points() {
		r.log("the training made it worse, so it stays as it was", "of", name, "mAP50-95", before.Accuracy.MAP5095, "after", m.Accuracy.MAP5095)
		same := *before // which is the round's
		m = &same
	}
	m.Epochs = epochs
	return m, nil
}

// A Choice is which of the three is handed out, the contents of choice.json.
type Choice struct {
	Name    string  `json:"name"` // see contestants
	File    string  `json:"file"`
	Drop    float64 `json:"drop"` // points of mAP50-95, against the parent
	Reached bool    `json:"reached"`
	Within  bool    `json:"within"` // the drop is within the budget
	Why     string  `json:"why"`
}

// contestants are those that may be handed out; of equals the first is.
var contestants = []struct{ name, numbers string }{
	{"the pruned network", "final.json"},
	{"the same shape trained from scratch", "scratch.json"},
	{"a thin YOLOv5n", "thin.json"},
}

// choose takes the one that finds the most. None costs more than the pruned one.
func (r *run) choose(context.Context) error {
	rounds, parent, err := r.before()
	if err != nil {
		return err
	}
	var best Choice
	var points float64
	said := ""
	for _, c := range contestants {
		var m Model
		if err := r.readJSON(c.numbers, &m); err != nil {
			return err
		}
		if m.Accuracy == nil { // there was none
			continue
		}
		if best.File == "" || m.points() > points {
			best, points = Choice{Name: c.name, File: m.File, Drop: parent.points() - m.points()}, m.points()
		}
		said += fmt.Sprintf(", %s %.2f", c.name, m.points())
	}
	best.Reached = rounds.Reached
	best.Within = best.Drop <= r.job.MaxDrop
	best.Why = fmt.Sprintf("points of mAP50-95: the parent %.2f%s", parent.points(), said)
	r.log("choice", "is", best.Name, "why", best.Why)
	return r.writeJSON("choice.json", best)
}

// child puts the chosen one in place.
func (r *run) child(context.Context) error {
	var c Choice
	if err := r.readJSON("choice.json", &c); err != nil {
		return err
	}
	g, err := r.open(c.File)
	if err != nil {
		return err
	}
	return r.save("child.safetensors", g)
}
