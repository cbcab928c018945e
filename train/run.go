package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

// A run is one training.
type run struct {
	c    Config
	be   Backend
	data *dataset.Data
	head *graph.Detect
	net  Network

	teacher *distiller // nil where there is none

	train, val    *dataset.Loader
	loss, valLoss *Criterion
	plan          schedule
	results       *results
	scaler        *scaler // nil without MultiScale
	at            position

	started time.Time
	first   int  // epochs done when this session began
	begun   bool // training
}

// ErrDiverged is wrapped where the loss is no number any more.
var ErrDiverged = errors.New("training has diverged")

// Run trains g on data as YOLOv5 v7.0 does, and leaves opt.yaml, hyp.yaml, results.csv and
// the weights in c.Dir. g is not changed; it may be nil where c.Resume is set. After every
// epoch the folder holds all that a later Run with Resume needs to end as this one would
// have. When ctx ends Run stops after the current step; the error says where the run
// stands, and wraps the context's.
func Run(ctx context.Context, be Backend, g *graph.Graph, data *dataset.Data, c Config) (*Result, error) {
	r := &run{c: c.withDefaults(), be: be, data: data}
	inner, cancel := watched(ctx, r.c.Peers)
	defer cancel()
	result, err := r.run(inner, g)
	if lost := r.c.Peers.Err(); err != nil && lost != nil && ctx.Err() == nil {
		err = r.stopped(lost)
	}
	return result, err
}

// run is Run; an error after the group is lost is its consequence, whatever it says.
func (r *run) run(ctx context.Context, g *graph.Graph) (*Result, error) {
	c, data := r.c, r.data
	var s *snapshot
	var err error
	if c.Resume && c.leads() {
		if s, err = openRun(c.Dir); err != nil {
			return nil, err
		}
		if r.c, err = s.config(r.c); err != nil {
			return nil, err
		}
		if s.pictures != len(data.Train) || !slices.Equal(s.live.Names, data.Names) {
			return nil, fmt.Errorf("train: the run in %s was started on %d pictures with the classes %v, and now there are %d with %v: start a new one from %s",
				c.Dir, s.pictures, s.live.Names, len(data.Train), data.Names, weightsFile(c.Dir, "last"))
		}
		g, r.at = modelOf(s.live), s.position
	}
	if _, device := r.be.(Device); device && (g == nil || g.Quantized() == nil) {
		r.c.Predictor = nil
	}
	if r.c.Precision, err = r.be.Precision(r.c.Precision); err != nil { // resolved, so that a run goes on with it
		return nil, err
	}
	if c.leads() {
		if err := r.prepare(g); err != nil {
			return nil, err
		}
		g = modelOf(g)
		g.Names = slices.Clone(data.Names)
		if s == nil && !r.c.NoAutoAnchor {
			if err := r.fitAnchors(ctx, g); err != nil {
				return nil, err
			}
		}
	}
	if g, err = r.share(g); err != nil {
		return nil, err
	}
	trained := g
	if r.c.Distill != nil {
		if r.teacher, err = newDistiller(r.be, g, r.c); err != nil {
			return nil, err
		}
		defer r.teacher.close()
		trained = r.teacher.student
	}
	if r.net, err = r.be.Load(trained, r.c.load()); err != nil {
		return nil, err
	}
	defer r.net.Close()
	if err := r.restore(s, trained); err != nil {
		return nil, err
	}
	if r.c.leads() {
		if s == nil {
			if err := r.start(); err != nil {
				return nil, err
			}
		}
		if err := sweep(c.Dir); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
	}
	r.c.Log.Info("training", "backend", r.be.String(), "precision", r.c.Precision, "parameters", g.ParamCount(), "pictures", len(data.Train),
		"validation", len(data.Val), "from", r.at.epochs, "epochs", r.c.Epochs, "folder", c.Dir)
	return r.epochs(ctx)
}

// prepare checks that model, data and recipe fit, and makes what the epochs need.
func (r *run) prepare(g *graph.Graph) error {
	if err := r.c.check(); err != nil {
		return err
	}
	last := weightsFile(r.c.Dir, "last")
	if _, err := os.Stat(last); err == nil && !r.c.Resume && r.c.leads() {
		return fmt.Errorf("train: %s is there already: resume that run, or choose another folder", last)
	}
	n := g.Detect()
	if n == nil {
		return fmt.Errorf("train: the model has no detection head")
	}
	r.head = n.Op.(*graph.Detect)
	if r.head.Classes != len(r.data.Names) {
		return fmt.Errorf("train: the model has %d classes %v and the data %d %v", r.head.Classes, g.Names, len(r.data.Names), r.data.Names)
	}
	if err := r.c.load().checkFreeze(g); err != nil {
		return err
	}
	if n := g.Quantized(); n != nil && r.c.Penalty != nil {
		return fmt.Errorf("train: %s is quantised: to push channels to nothing prepares a cut, and only a float network is cut: do that first, and quantise what is left", n.Name)
	}
	own := slices.Max(r.head.Strides)
	stride := own
	if d := r.c.Distill; d != nil {
		if r.c.leads() {
			if err := d.identify(); err != nil {
				return err
			}
		}
		if n := d.Teacher.Detect(); n != nil {
			stride = max(stride, slices.Max(n.Op.(*graph.Detect).Strides))
		}
	}
	if r.c.Size%stride != 0 {
		return fmt.Errorf("train: picture size %d is not a multiple of the stride %d of the model or its teacher", r.c.Size, stride)
	}
	cache := r.c.CacheBytes
	switch {
	case cache == 0 && r.c.Cache != "":
		cache = -4 // none for either loader
	case cache == 0:
		cache = dataset.DefaultCache()
	}
	valCache := cache / 4 // one cache for both: each loader alone would take all of it
	cache -= valCache
	var err error
	r.train, err = dataset.NewLoader(r.data.Train, dataset.LoaderOptions{
		Size: r.c.Size, Stride: stride, Batch: r.c.Batch, Train: true, Rect: r.c.Rect, Augment: r.c.Hyp.Augment(), Seed: r.c.Seed,
		Workers: r.c.Workers, CacheBytes: cache, CacheDir: r.c.Cache, Lost: r.lost("training"),
		Part: r.c.Peers.Rank(), Parts: r.c.Peers.Size(),
	})
	if err != nil {
		return fmt.Errorf("train: training data: %w", err)
	}
	if r.c.MultiScale {
		r.scaler = &scaler{seed: r.c.Seed, size: r.c.Size, stride: max(stride, dataset.Stride)}
	}
	r.setHead(r.head)
	r.plan = schedule{hyp: r.c.Hyp, epochs: r.c.Epochs, batch: r.c.Batch, steps: r.train.Batches(), cosine: r.c.CosLR, fixed: r.c.Optimizer.Adaptive()}
	if !r.c.leads() {
		return nil
	}
	r.val, err = dataset.NewLoader(r.data.Val, dataset.LoaderOptions{
		Size: r.c.Size, Stride: own, Batch: 2 * r.c.Batch, Rect: true, Workers: r.c.Workers, CacheBytes: valCache, CacheDir: r.c.Cache, Lost: r.lost("validation"),
	})
	if err != nil {
		return fmt.Errorf("train: validation data: %w", err)
	}
	r.results, err = openResults(filepath.Join(r.c.Dir, "results.csv"), r.at.epochs)
	return err
}

// lost warns of pictures that went bad after the data set was opened.
func (r *run) lost(what string) func(err error, lost int) {
	return func(err error, lost int) {
		r.c.Log.Warn("a picture can no longer be read and is left out from now on", "of", what, "so far", lost, "error", err)
	}
}

// setHead makes the losses of a head.
func (r *run) setHead(d *graph.Detect) {
	h := r.c.Hyp.Loss(d, r.c.Size)
	r.head, r.loss, r.valLoss = d, NewLoss(d, h), NewLoss(d, h)
	r.loss.peers = r.c.Peers
}

// start makes the folder of a new run.
func (r *run) start() error {
	if err := os.MkdirAll(filepath.Join(r.c.Dir, "weights"), 0o777); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	options, err := yaml.Marshal(r.c.options())
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	err = errors.Join(
		replace(filepath.Join(r.c.Dir, "opt.yaml"), options),
		replace(filepath.Join(r.c.Dir, "hyp.yaml"), []byte(r.c.Hyp.String())))
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// epochs trains until the last epoch, or until patience ends.
func (r *run) epochs(ctx context.Context) (*Result, error) {
	r.started, r.first, r.begun = time.Now(), r.at.epochs, true
	var report Validation
	for r.at.epochs < r.c.Epochs {
		if r.c.Patience > 0 && r.at.epochs-r.at.bestEpoch >= r.c.Patience {
			r.c.Log.Info("stopping early", "epochs without a better one", r.c.Patience, "best", r.at.bestEpoch)
			break
		}
		done := r.at
		v, err := r.epoch(ctx)
		if err != nil {
			r.at = done
			return nil, r.stopped(err)
		}
		report = v
	}
	if !r.c.leads() {
		_, err := r.c.Peers.Broadcast(nil) // process 0 has finished
		return &Result{Epochs: r.at.epochs, BestEpoch: r.at.bestEpoch, Fitness: r.at.fitness}, err
	}
	if report.Report.Pictures == 0 || r.at.bestEpoch != r.at.epochs { // not of the best weights
		var err error
		if report, err = r.validateBest(ctx); err != nil {
			return nil, fmt.Errorf("train: %w", err)
		}
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if _, err := r.c.Peers.Broadcast(nil); err != nil {
		r.c.Log.Warn("the run is finished, and another process does not know", "error", err)
	}
	return &Result{
		Last: weightsFile(r.c.Dir, "last"), Best: weightsFile(r.c.Dir, "best"),
		Epochs: r.at.epochs, BestEpoch: r.at.bestEpoch, Fitness: r.at.fitness, Report: report.Report,
	}, nil
}

// stopped says where the run stands after an error in an epoch.
func (r *run) stopped(err error) error {
	dir := r.c.Dir
	if !r.c.leads() {
		dir += " of process 0"
	}
	switch {
	case !r.begun:
		return fmt.Errorf("train: %w", err)
	case r.at.epochs == 0:
		return fmt.Errorf("train: stopped in epoch 1 of %d, before anything was saved: %w", r.c.Epochs, err)
	}
	return fmt.Errorf("train: stopped in epoch %d of %d; %s holds the run up to epoch %d and can be resumed: %w", r.at.epochs+1, r.c.Epochs, dir, r.at.epochs, err)
}

// epoch trains one epoch, validates and saves. In a group the others wait while process 0
// does the latter.
func (r *run) epoch(ctx context.Context) (v Validation, err error) {
	number := r.at.epochs
	p := Progress{Epoch: number + 1, Epochs: r.c.Epochs, Steps: r.plan.steps}
	if err := r.penalize(); err != nil {
		return v, err
	}
	rate, err := r.steps(ctx, &p)
	if err != nil {
		return v, err
	}
	if r.c.leads() {
		if v, err = r.evaluate(ctx, p, rate); err != nil {
			return v, err
		}
	}
	return v, r.sharePosition()
}

// evaluate ends an epoch: it validates and saves.
func (r *run) evaluate(ctx context.Context, p Progress, rate [3]float64) (v Validation, err error) {
	number := r.at.epochs
	if !r.c.NoVal || number+1 == r.c.Epochs {
		if v, err = r.validate(ctx, &p); err != nil {
			return v, err
		}
	}
	r.at.epochs++
	p.Validated, p.Rate, p.Fitness = &v, rate, fitness(v.Report)
	if p.Best = r.at.bestEpoch == 0 || p.Fitness >= r.at.fitness; p.Best { // of equals the later one, as YOLOv5
		r.at.bestEpoch, r.at.fitness = r.at.epochs, p.Fitness
	}
	err = r.save(p.Fitness, p.Best, func() {
		// The line is kept, and comes with the next epoch's.
		if err := r.results.add(number, p.Results()); err != nil {
			r.c.Log.Warn("results.csv could not be written, training goes on", "error", err)
		}
	})
	if err != nil {
		return v, fmt.Errorf("saving: %w", err)
	}
	r.c.Progress(p)
	return v, nil
}

// validate measures the averaged weights at an epoch's end.
func (r *run) validate(ctx context.Context, p *Progress) (Validation, error) {
	predict := func(x *tensor.Tensor) ([]*tensor.Tensor, error) {
		maps, err := r.net.Predict(x, Averaged)
		return r.raw(maps), err
	}
	if r.c.Predictor != nil {
		g, err := r.net.Graph(Averaged)
		if err != nil {
			return Validation{}, err
		}
		if predict, err = r.c.Predictor(modelOf(g)); err != nil {
			return Validation{}, err
		}
	}
	v, err := r.measure(ctx, predict, r.valLoss, p)
	if err == nil {
		r.at.ap = classAP(v.Report, r.head.Classes)
	}
	return v, err
}

// raw are the maps of the head among all that the network gives.
func (r *run) raw(maps []*tensor.Tensor) []*tensor.Tensor {
	return maps[:min(len(maps), len(r.head.Anchors))]
}

// validateBest measures the best weights as they were saved, as YOLOv5 does when all epochs
// are done: they are what a run is for.
func (r *run) validateBest(ctx context.Context) (Validation, error) {
	f, err := safetensors.Open(weightsFile(r.c.Dir, "best"))
	if err != nil {
		return Validation{}, fmt.Errorf("the best weights: %w", err)
	}
	p := Progress{Epoch: r.at.epochs, Epochs: r.c.Epochs}
	if r.c.Predictor != nil {
		predict, err := r.c.Predictor(f.Graph)
		if err != nil {
			return Validation{}, err
		}
		return r.measure(ctx, predict, nil, &p)
	}
	o := r.c.load()
	o.Alone = true // the other processes only wait
	net, err := r.be.Load(f.Graph, o)
	if err != nil {
		return Validation{}, err
	}
	defer net.Close()
	return r.measure(ctx, func(x *tensor.Tensor) ([]*tensor.Tensor, error) { return net.Predict(x, Averaged) }, nil, &p)
}

// measure validates whatever predict runs, and the loss too if it is not nil.
func (r *run) measure(ctx context.Context, predict Predict, loss *Criterion, p *Progress) (Validation, error) {
	p.Validating = true
	begun := time.Now()
	return Validate(ctx, predict, r.head, r.data.Val, ValOptions{Loader: r.val, Loss: loss, Found: r.c.Found, Progress: func(done, batches int) {
		p.Step, p.Steps, p.ValTime = done, batches, time.Since(begun)
		r.c.Progress(*p)
	}})
}

// steps trains on every batch of an epoch, and returns the last learning rates. p is kept
// up to date.
//
// YOLOv5 lets gradients that have not reached their number of batches at an epoch's end
// fall; here the last batch of an epoch always ends in an update, so that no picture is
// wasted and an epoch's end is all the state there is.
func (r *run) steps(ctx context.Context, p *Progress) (rate [3]float64, err error) {
	epoch, pictures := r.at.epochs, 0
	var pending [][]int // items of the batches that no update was made of
	begun := time.Now()
	for b, err := range r.loader().Epoch(ctx, epoch) {
		if err != nil {
			return rate, err
		}
		x := b.X
		if r.scaler != nil {
			x = r.scaler.scale(x, epoch, p.Step)
		}
		r.c.Sees(epoch, p.Step, b)
		if r.c.SyncBN {
			// Who loads slowly is waited for here, where it can be named; in the middle of a
			// network it could not.
			if err := r.c.Peers.Sum(nil); err != nil {
				return rate, err
			}
		}
		if r.teacher != nil {
			if err := r.teacher.see(x); err != nil {
				return rate, fmt.Errorf("step %d: %w", p.Step+1, err)
			}
		}
		var parts Parts
		err := r.net.Step(x, func(maps []*tensor.Tensor) (gradients []*tensor.Tensor, err error) {
			gradients, parts, err = r.loss.Eval(r.raw(maps), b.Targets)
			if err == nil && r.teacher != nil {
				gradients, err = r.teacher.eval(maps, gradients, r.plan.strength(epoch, p.Step), &parts)
			}
			return gradients, err
		})
		if err != nil {
			return rate, fmt.Errorf("step %d: %w", p.Step+1, err)
		}
		if math.IsNaN(parts.Total) || math.IsInf(parts.Total, 0) {
			return rate, fmt.Errorf("step %d: the loss is %v: %w, try a smaller lr0; %s", p.Step+1, parts.Total, ErrDiverged, r.seen(b.Items))
		}
		update, accumulate := r.plan.at(epoch, p.Step)
		rate = update.Rate
		p.Step++
		if pending = append(pending, b.Items); len(pending) >= accumulate || p.Step == p.Steps {
			r.at.updates++
			update.Average, update.Step = averageDecay(r.at.updates), r.at.updates
			if err := r.net.Update(update); err != nil {
				return rate, fmt.Errorf("step %d: %w; %s", p.Step, err, r.seen(slices.Concat(pending...)))
			}
			pending = nil
		}
		n := float64(p.Step)
		p.Loss.Box += (parts.Box - p.Loss.Box) / n
		p.Loss.Obj += (parts.Obj - p.Loss.Obj) / n
		p.Loss.Cls += (parts.Cls - p.Loss.Cls) / n
		p.Loss.Distill += (parts.Distill - p.Loss.Distill) / n
		p.Loss.Total, p.Loss.Matches = parts.Total, parts.Matches
		pictures += parts.Pictures
		p.PerSecond = float64(pictures) / time.Since(begun).Seconds()
		p.Left = r.left(epoch, p.Step)
		r.c.Progress(*p)
	}
	return rate, nil
}

// left estimates the time to the end from this session's pace.
func (r *run) left(epoch, step int) time.Duration {
	done := float64(epoch-r.first) + float64(step)/float64(r.plan.steps)
	all := float64(r.c.Epochs - r.first)
	return time.Duration(float64(time.Since(r.started)) * (all - done) / done)
}
