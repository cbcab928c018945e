package train

import (
	"fmt"
	"log/slog"
	"time"

	"ultrafast/box"
	"ultrafast/dataset"
	"ultrafast/graph"
)

// Config says how to train. Only Dir must be given; the rest is YOLOv5's at zero.
type Config struct {
	Dir    string // the run's folder, which is made
	Resume bool   // the run in Dir goes on, by the recipe that it was started with; see ReadConfig

	Epochs   int    // 0 means 100
	Batch    int    // pictures; 0 means 16
	Size     int    // side of the network's input, a multiple of 32; 0 means 640
	Hyp      Hyp    // the zero Hyp means DefaultHyp
	CosLR    bool   // the learning rate falls along a cosine instead of a straight line
	Patience int    // epochs without a better fitness before the run ends; 0 means 100, below 0 for ever
	Seed     uint64 // of order and augmentation
	SyncBN   bool   // see LoadOptions

	Precision Precision // empty means the backend's default
	Optimizer Optimizer // empty means SGD
	Freeze    []int     // see LoadOptions
	Distill   *Distill  // a teacher; nil is none

	ImageWeights bool // pictures are drawn by the classes in them that are rare and not yet found
	MultiScale   bool // each batch has a size of its own, Size ± half
	Rect         bool // batches of the shapes that their pictures need, and no mosaics
	NoVal        bool // only the last epoch is validated; the last weights are the best then
	SingleCls    bool // the data were made one class, by dataset.Data.Single: written down
	FitAnchors   bool // the model's anchors are stand-ins, and fitted in any case
	NoAutoAnchor bool // the model's anchors stay, however badly they fit the labels

	Weights, Cfg, Data string // where model and data came from: written down, not read

	// Penalty makes what pushes weights to zero in an epoch, counted from 0, if not nil. It
	// may look at the live weights at the epoch's start and at nothing that a resumed run has
	// not got, and every process of a group calls it.
	Penalty    func(epoch int, live *graph.Graph) (Penalty, error)
	Sparse     string  // what Penalty is made of, and
	SparseRate float64 // how strong it is: written down, not read

	Workers    int   // goroutines that load pictures; 0 is one for each core
	CacheBytes int64 // for decoded pictures, as in dataset.LoaderOptions

	// Cache is a folder for decoded pictures, as dataset.LoaderOptions.CacheDir; empty keeps
	// them in memory only, and otherwise only CacheBytes above 0 keep them there too.
	Cache string

	// Peers share the batches among processes; nil is this one alone. In a group process 0's
	// recipe counts for all, and only it needs a model, pictures for validation and, to
	// resume, the folder. Batch is over all processes.
	Peers Peers

	Log      *slog.Logger   // nil means silent
	Progress func(Progress) // is told each step, if not nil

	// Sees is told each batch before it is trained on, if not nil, both counted from 0; it
	// may not keep it. Found is as in ValOptions, for the validation of every epoch.
	Sees  func(epoch, step int, b *dataset.Batch)
	Found func(b *dataset.Batch, found [][]box.Box)

	// Predictor makes what validation runs the averaged weights in, of which it gets a copy;
	// nil is the backend itself, and so is a backend that is a Device: that is faster. A quantised
	// network has it on a Device too, so that what is measured is what whole numbers give.
	Predictor func(g *graph.Graph) (Predict, error)
}

// Progress is how far a run is, counted from 1.
type Progress struct {
	Epoch, Epochs int
	Step, Steps   int // batches, of training or of validation
	Validating    bool
	Anchors       bool          // anchors are being fitted, before the first epoch; Step and Steps are the search's
	Loss          Parts         // mean of the epoch's training so far; Total and Matches are the step's
	PerSecond     float64       // pictures, since the epoch's training began
	Left          time.Duration // until the last epoch, as this session has gone so far

	ValTime   time.Duration // since validation began
	Validated *Validation   // at the end of an epoch, when its files are in place
	Rate      [3]float64    // learning rates of the epoch's last step
	Fitness   float64       // of that epoch
	Best      bool          // that epoch is the best so far
}

// A Result is what a finished run leaves.
type Result struct {
	Last, Best string // files: the averaged weights after the last epoch and after the best
	Epochs     int    // trained in all
	BestEpoch  int    // counted from 1
	Fitness    float64
	Report     box.Report // of the best weights
}

// options is the part of a Config that makes the result, under YOLOv5's names: opt.yaml,
// and as JSON in the state that a run goes on from.
type options struct {
	Weights   string `yaml:"weights" json:"weights"`
	Cfg       string `yaml:"cfg" json:"cfg"`
	Data      string `yaml:"data" json:"data"`
	Epochs    int    `yaml:"epochs" json:"epochs"`
	BatchSize int    `yaml:"batch_size" json:"batch_size"`
	ImgSz     int    `yaml:"imgsz" json:"imgsz"`
	CosLR     bool   `yaml:"cos_lr" json:"cos_lr"`
	Patience  int    `yaml:"patience" json:"patience"`
	Seed      uint64 `yaml:"seed" json:"seed"`
	Precision string `yaml:"precision" json:"precision"`
	SyncBN    bool   `yaml:"sync_bn" json:"sync_bn"`
	Optimizer string `yaml:"optimizer" json:"optimizer"`
	Freeze    []int  `yaml:"freeze" json:"freeze"`

	ImageWeights bool   `yaml:"image_weights" json:"image_weights"`
	MultiScale   bool   `yaml:"multi_scale" json:"multi_scale"`
	Rect         bool   `yaml:"rect" json:"rect"`
	NoVal        bool   `yaml:"noval" json:"noval"`
	SingleCls    bool   `yaml:"single_cls" json:"single_cls"`
	Cache        string `yaml:"cache" json:"cache"`

	NoAutoAnchor bool `yaml:"noautoanchor" json:"noautoanchor"`

	Sparse      string  `yaml:"sparse" json:"sparse"`
	SparseRate  float64 `yaml:"sparse_rate" json:"sparse_rate"`
	Teacher     string  `yaml:"teacher" json:"teacher"`
	TeacherHash string  `yaml:"teacher_hash" json:"teacher_hash"`
	Distill     Terms   `yaml:"distill" json:"distill"`

	BF16 bool `yaml:"-" json:"bf16,omitempty"` // in states of before there was Precision
}

func (c Config) withDefaults() Config {
	fill := func(v *int, value int) {
		if *v == 0 {
			*v = value
		}
	}
	fill(&c.Epochs, 100)
	fill(&c.Batch, 16)
	fill(&c.Size, 640)
	fill(&c.Patience, 100)
	if c.Optimizer == "" {
		c.Optimizer = SGD
	}
	if c.Hyp == (Hyp{}) {
		c.Hyp = DefaultHyp()
	}
	if c.Distill != nil {
		d := *c.Distill
		if d.Terms == (Terms{}) {
			d.Terms = DefaultTerms
		}
		c.Distill = &d
	}
	if c.Peers == nil {
		c.Peers = alone{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Sees == nil {
		c.Sees = func(int, int, *dataset.Batch) {}
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Dir == "":
		return fmt.Errorf("train: no folder for the run is given")
	case c.Epochs < 1 || c.Batch < 1 || c.Size < 1:
		return fmt.Errorf("train: %d epochs of batches of %d pictures of %d pixels: want at least 1 of each", c.Epochs, c.Batch, c.Size)
	}
	if c.Rect && c.ImageWeights {
		return fmt.Errorf("train: rectangular batches need pictures in the order of their shapes, and image weights draw them: choose one")
	}
	if n := c.Peers.Size(); c.Batch%n != 0 {
		return fmt.Errorf("train: a batch of %d pictures cannot be shared evenly by %d processes: want a multiple of %d", c.Batch, n, n)
	}
	if c.FitAnchors && c.NoAutoAnchor {
		return fmt.Errorf("train: the model's anchors have no sizes of their own, so they have to be fitted to the labels")
	}
	if err := c.Optimizer.check(); err != nil {
		return err
	}
	if err := c.Precision.check(); err != nil {
		return err
	}
	if c.Distill != nil {
		if err := c.Distill.check(); err != nil {
			return err
		}
	}
	return c.Hyp.check()
}

func (c Config) options() options {
	o := options{
		Weights: c.Weights, Cfg: c.Cfg, Data: c.Data, Epochs: c.Epochs, BatchSize: c.Batch, ImgSz: c.Size,
		CosLR: c.CosLR, Patience: c.Patience, Seed: c.Seed, Precision: string(c.Precision), SyncBN: c.SyncBN, NoAutoAnchor: c.NoAutoAnchor,
		Optimizer: string(c.Optimizer), Freeze: c.Freeze, ImageWeights: c.ImageWeights, MultiScale: c.MultiScale,
		Rect: c.Rect, NoVal: c.NoVal, SingleCls: c.SingleCls, Cache: c.Cache, Sparse: c.Sparse, SparseRate: c.SparseRate,
	}
	if d := c.Distill; d != nil {
		o.Teacher, o.TeacherHash, o.Distill = d.Source, d.hash, d.Terms
	}
	return o
}

// setOptions takes over what options gave. A teacher that c has stays.
func (c *Config) setOptions(o options) {
	c.Weights, c.Cfg, c.Data, c.Epochs, c.Batch, c.Size = o.Weights, o.Cfg, o.Data, o.Epochs, o.BatchSize, o.ImgSz
	c.CosLR, c.Patience, c.Seed, c.Precision, c.NoAutoAnchor = o.CosLR, o.Patience, o.Seed, o.precision(), o.NoAutoAnchor
	c.SyncBN = o.SyncBN
	c.Optimizer, c.Freeze, c.ImageWeights, c.MultiScale = Optimizer(o.Optimizer), o.Freeze, o.ImageWeights, o.MultiScale
	c.Rect, c.NoVal, c.SingleCls, c.Cache = o.Rect, o.NoVal, o.SingleCls, o.Cache
	c.Sparse, c.SparseRate = o.Sparse, o.SparseRate
	var teacher *graph.Graph
	if c.Distill != nil {
		teacher = c.Distill.Teacher
	}
	c.Distill = nil
	if o.Distill != (Terms{}) {
		c.Distill = &Distill{Teacher: teacher, Terms: o.Distill, Source: o.Teacher, hash: o.TeacherHash}
	}
}

// precision is what the run computes in.
func (o options) precision() Precision {
	switch {
	case o.Precision != "":
		return Precision(o.Precision)
	case o.BF16:
		return BF16
	}
	return FP32
}

// load is how the network is loaded.
func (c Config) load() LoadOptions {
	return LoadOptions{Precision: c.Precision, SyncBN: c.SyncBN, Optimizer: c.Optimizer, Freeze: c.Freeze}
}
