package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/tensor"
	"ultrafast/train"
)

// An Estimate is the plan of a run before it, the contents of estimate.json.
type Estimate struct {
	Parent  prune.Cost `json:"parent"`
	Child   prune.Cost `json:"child"`  // cut to the target at once; the rounds may end elsewhere
	Groups  []Narrowed `json:"groups"` // that have fewer channels then, in network order: by the norms of their weights, which rounds know better
	Blocks  []string   `json:"blocks"` // that leave as a whole
	Steps   []Step     `json:"steps"`  // trainings, in order
	Seconds float64    `json:"seconds"`
	Pace    Pace       `json:"pace"`
}

// A Narrowed is a group of channels that loses some.
type Narrowed struct {
	Group string `json:"group"`
	From  int    `json:"from"`
	To    int    `json:"to"`
}

// A Step is one training or, of no epochs, a table between two, or ranges for 8 bits.
type Step struct {
	Name    string  `json:"name"`
	Epochs  int     `json:"epochs"`
	GFLOP   float64 `json:"gflop"`  // of its network
	Taught  bool    `json:"taught"` // with a teacher
	Seconds float64 `json:"seconds"`
}

// A Pace is how long training takes for a picture, measured.
type Pace struct {
	Parent float64 `json:"parent"` // seconds
	Child  float64 `json:"child"`
}

// Plan returns what Run would do, and writes nothing.
func Plan(ctx context.Context, job Job, data *dataset.Data, o Options) (*Estimate, error) {
	r, err := newRun("", job, data, o)
	if err != nil {
		return nil, err
	}
	if r.limits.Has(prune.Milliseconds) {
		if err := r.measureLatency(ctx); err != nil {
			return nil, err
		}
	}
	return r.estimated(ctx)
}

func (r *run) estimate(ctx context.Context) error {
	e, err := r.estimated(ctx)
	if err != nil {
		return err
	}
	r.plan = e
	r.state.Left = e.Seconds
	r.log("the plan", "now", say(e.Parent), "to be", say(e.Child), "trainings", len(e.Steps), "about", seconds(e.Seconds))
	return r.writeJSON("estimate.json", e)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}

func (r *run) estimated(ctx context.Context) (*Estimate, error) {
	g, known, err := r.start()
	if err != nil {
		return nil, err
	}
	e := &Estimate{}
	if e.Parent, err = r.cost(g); err != nil {
		return nil, err
	}
	trim := g
	if !r.o.Unsized { // else nobody knows yet which levels the labels use
		if trim, err = r.trimmed(g); errors.Is(err, errUnmatched) {
			trim, err = g, nil // anchors that fit are found first
		}
		if err != nil {
			return nil, err
		}
	}
	trimCost, err := r.cost(trim)
	if err != nil {
		return nil, err
	}
	goal := r.limits.On(e.Parent)
	small, rounds := trim, 0
	if met(trimCost, goal) {
		r.log("the model meets the target as it is: nothing is cut", "target", r.job.Target)
	}
	if e.Child = trimCost; !met(trimCost, goal) {
		rounds = roundsTo(trimCost, goal)
		var draft *prune.File
		if draft, small, e.Child, err = r.cutTo(trim, goal, prune.Target{Blocks: goal.Excess(e.Parent) > blocksBeyond}); err != nil {
			return nil, fmt.Errorf("the target %s: %w", r.job.Target, err)
		}
		e.list(draft)
	}
	if e.Parent.Ms, err = r.shown(e.Parent, g); err != nil {
		return nil, err
	}
	if e.Child.Ms, err = r.shown(e.Child, small); err != nil {
		return nil, err
	}
	if e.Pace.Parent, err = r.pace(ctx, g); err != nil {
		return nil, err
	}
	if e.Pace.Child, err = r.pace(ctx, small); err != nil {
		return nil, err
	}
	cuts, err := tableCuts(trim)
	if err != nil {
		return nil, err
	}
	e.schedule(r.job.Epochs, rounds, cuts, !known, trimCost.GFLOP, float64(len(r.data.Train))+float64(len(r.data.Val))/3)
	return e, nil
}

// list notes what a plan takes away.
func (e *Estimate) list(f *prune.File) {
	for _, g := range f.Groups {
		if g.From != g.To {
			e.Groups = append(e.Groups, Narrowed{g.Group, g.From, g.To})
		}
	}
	for _, b := range f.Blocks {
		if b.Remove {
			e.Blocks = append(e.Blocks, b.Block)
		}
	}
}

// shown are the milliseconds of a network, predicted or, without a table, measured.
func (r *run) shown(c prune.Cost, g *graph.Graph) (float64, error) {
	if c.Ms > 0 {
		return c.Ms, nil
	}
	return r.clocked(g)
}

// schedule lists the trainings, and the tables of so many cuts between them. What a picture
// takes is taken for linear in the GFLOP of its network, between the two that were measured;
// one of the validation, which only goes forward, counts a third, and so do those of the teacher
// and of tables and ranges. The training in 8 bits is in it though it may turn out not to be needed.
func (e *Estimate) schedule(epochs, rounds, cuts int, baseline bool, trim, pictures float64) {
	pace := func(gflop float64) float64 {
		share := 1.0
		if e.Parent.GFLOP > e.Child.GFLOP {
			share = (gflop - e.Child.GFLOP) / (e.Parent.GFLOP - e.Child.GFLOP)
		}
		return e.Pace.Child + share*(e.Pace.Parent-e.Pace.Child)
	}
	step := func(s Step) { e.Steps, e.Seconds = append(e.Steps, s), e.Seconds+s.Seconds }
	add := func(name string, epochs int, gflop float64, taught bool) {
		each := pace(gflop)
		if taught {
			each += e.Pace.Parent / 3
		}
		step(Step{Name: name, Epochs: epochs, GFLOP: gflop, Taught: taught, Seconds: each * float64(epochs) * pictures})
	}
	all := epochs
	if baseline {
		add("baseline", epochs, e.Parent.GFLOP, false)
		all += epochs
	}
	for n := 1; n <= rounds; n++ {
		before, after := readyEpochs(epochs), roundEpochs(epochs)
		all += before + after
		v := Round{Number: n, Attempt: 1}
		wide := trim * math.Pow(e.Child.GFLOP/trim, float64(n-1)/float64(rounds))
		add(v.Name()+preparing, before, wide, true)
		step(Step{Name: v.Name() + ", table", GFLOP: wide, Seconds: pace(wide) / 3 * float64(cuts*judgedPictures)})
		add(v.Name(), after, wide*math.Pow(e.Child.GFLOP/trim, 1/float64(rounds)), true)
	}
	add(finalName, epochs, e.Child.GFLOP, true)
	add("control: from scratch", all, e.Child.GFLOP, false)
	add("control: thin YOLOv5", all, e.Child.GFLOP, false)
	step(Step{Name: int8Name, GFLOP: e.Child.GFLOP, Seconds: e.Pace.Child / 3 * rangePictures})
	step(Step{Name: int8Training, Epochs: int8Epochs, GFLOP: e.Child.GFLOP, Taught: true, // by a child
		Seconds: e.Pace.Child * 4 / 3 * int8Epochs * pictures})
}

// left is how many seconds a run has to go, by the plan and the pace of the training at
// work: the later ones are taken to be as much slower or faster than planned, those with a
// teacher and those without each by their own.
func (r *run) left(name string, p train.Progress) float64 {
	left := p.Left.Seconds()
	if r.plan == nil {
		return left
	}
	if strings.HasPrefix(name, finalName) { // steps back have longer names
		name = finalName
	}
	planned := func(name string) int {
		return slices.IndexFunc(r.plan.Steps, func(s Step) bool { return s.Name == strings.TrimSuffix(strings.TrimSuffix(name, longer), again) })
	}
	at := planned(name)
	if at < 0 { // a round more than planned, as one was rolled back
		at = planned(finalName) - 1
	} else if s := r.plan.Steps[at]; !p.Validating && p.Validated == nil && p.Step < p.Steps {
		togo := float64(p.Epochs-p.Epoch) + 1 - float64(p.Step)/float64(p.Steps)
		r.slower[s.Taught] = min(max(left*float64(max(s.Epochs, 1))/(togo*max(s.Seconds, 1e-9)), 0.1), 20)
	}
	for _, s := range r.plan.Steps[max(at+1, 0):] {
		left += s.Seconds * cmp.Or(r.slower[s.Taught], 1)
	}
	return left
}

// paceSteps is how many steps are measured, after one that is not.
const paceSteps = 3

// pace measures what training g takes for a picture, in seconds.
func (r *run) pace(ctx context.Context, g *graph.Graph) (float64, error) {
	d, err := detectOf(g)
	if err != nil {
		return 0, err
	}
	side := r.job.Size
	items := r.data.Train[:min(len(r.data.Train), (1+paceSteps)*r.job.Batch)]
	loader, err := dataset.NewLoader(items, dataset.LoaderOptions{Size: side, Batch: r.job.Batch, Train: true, Augment: r.hyp.Augment(), CacheBytes: -1, Lost: r.lost("training")})
	if err != nil {
		return 0, err
	}
	net, err := r.o.Backend.Load(g, train.LoadOptions{Precision: train.Precision(r.job.Precision)})
	if err != nil {
		return 0, err
	}
	defer net.Close()
	loss := train.NewLoss(d, r.hyp.Loss(d, side))
	step := func(b *dataset.Batch) error {
		return net.Step(b.X, func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
			gradients, _, err := loss.Eval(maps, b.Targets)
			return gradients, err
		})
	}
	var took time.Duration
	pictures, done := 0, 0
	for b, err := range loader.Epoch(ctx, 0) {
		if err != nil {
			return 0, err
		}
		start := time.Now()
		if err := step(b); err != nil {
			return 0, err
		}
		if done++; done > 1 || loader.Batches() == 1 {
			took += time.Since(start)
			pictures += len(b.Items)
		}
		r.tell(Progress{Doing: "measuring the pace", Done: done, Of: loader.Batches()})
	}
	return took.Seconds() / float64(max(pictures, 1)), nil
}
