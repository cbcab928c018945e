package train

import (
	"iter"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Backend runs networks forward and backward on some library or device. train/torch
// implements it on libtorch; Drift is an honest fake. One suite checks every Backend.
type Backend interface {
	// String names library, version and device: "libtorch 1.13.1, CPU AVX2, 2 workers".
	String() string
	// Precision returns what a network computes in that is loaded with p: p itself, or the
	// default of the machine where p is empty. The error says why it cannot be.
	Precision(p Precision) (Precision, error)
	// Load copies the graph's tensors to the device. g itself is not kept or changed.
	// Every op of the graph must be known; the error names the first node that is not.
	Load(g *graph.Graph, o LoadOptions) (Network, error)
	Close() error
}

// LoadOptions says how a network computes. The zero value is right.
type LoadOptions struct {
	Precision Precision // empty means the backend's default
	SyncBN    bool      // batch norm normalises over the whole batch, wherever its pictures are
	Alone     bool      // other processes have no part in it, where the Backend shares its work with some
	Optimizer Optimizer
	Freeze    []int // layers, the N of model.N, whose parameters do not learn; their running statistics move
	FrozenBN  bool  // batch norms use their running statistics in Step too, which do not move; scale and shift learn
}

// Weights selects one of the two sets that a Network holds.
type Weights int

const (
	Live     Weights = iota // what the optimizer moves
	Averaged                // their exponential moving average, which is what gets saved
)

// MapsOf returns the nodes whose values a Network gives: the inputs of the Detect node,
// which are raw maps, then every further output of the graph, in order. One node may be
// among them twice.
func MapsOf(g *graph.Graph) []*graph.Node {
	d := g.Detect()
	if d == nil {
		return g.Outputs
	}
	maps := slices.Clone(d.In)
	for _, o := range g.Outputs {
		if o != d {
			maps = append(maps, o)
		}
	}
	return maps
}

// A Loss takes the maps of the whole batch, in the order of MapsOf: one raw map per
// detection level, each [N, anchors*(5+classes), h, w], and then those of further outputs,
// [N,C,h,w]. It returns the gradient of the loss with respect to each, of the same shapes.
type Loss func(maps []*tensor.Tensor) (gradients []*tensor.Tensor, err error)

// A Network is a graph's weights, their average, gradients and optimizer state on a
// device. Its methods are called from one goroutine at a time.
//
// A quantised graph learns as one: Step and Predict round values as its Quantize nodes say and
// weights as graph.Conv.EightBits does, in float, and gradients pass as if nothing were rounded,
// but not where a value was held to its grid's ends. The floats that weights are rounded from
// are what learns; see Latent. Grids stay as they are.
//
// Where the Backend shares its work with other processes, each calls Load, Step with its own
// part of the batch, Update, Gradients and SetState as the others do. Load and SetState give all of them
// the numbers of process 0, Step averages running statistics by pictures over all, and Update
// moves by the sum of all gradients, so that the networks stay the same.
type Network interface {
	// Step runs x [N,3,H,W] forward in training mode (batch statistics, running
	// statistics updated; not so with FrozenBN), calls loss once, runs its gradients backward and adds the
	// result to the accumulated gradients.
	Step(x *tensor.Tensor, loss Loss) error
	// Update moves the live weights by the accumulated gradients, clears these, and
	// moves the average.
	Update(u Update) error
	// Gradients returns the gradients accumulated since the last Update, by the names of the
	// parameters that learn, and clears them. Those of a group are the sum over its
	// processes; the factor of scaled losses is taken out again.
	Gradients() (map[string]*tensor.Tensor, error)
	// Penalize makes every Update from now on add p, instead of what it added before. What p
	// holds for parameters that do not learn is left aside. The error names one that the
	// graph has not got, or has in another shape.
	Penalize(p Penalty) error
	// Predict runs x forward in evaluation mode and returns the maps that a Loss gets.
	// Other processes have no part in it.
	Predict(x *tensor.Tensor, w Weights) ([]*tensor.Tensor, error)
	// Recalibrate replaces the running statistics of every batch norm, live and averaged,
	// by the mean over the batches, each weighted with its pictures, the live weights being as they are. A batch is valid
	// until the next one is asked for.
	Recalibrate(batches iter.Seq2[*tensor.Tensor, error]) error
	// Graph returns the loaded graph with the selected weights, those of 8 bits rounded.
	Graph(w Weights) (*graph.Graph, error)
	// Momentum returns the optimizer's state by the names of the parameters that learn, and
	// where it is Adaptive by these names with Squares too, and LossScale where losses are
	// scaled; and by the names of weights of 8 bits with Latent and LatentAverage what these are
	// rounded from. SetState puts live weights, average and momentum back as they were.
	Momentum() (map[string]*tensor.Tensor, error)
	SetState(live, averaged *graph.Graph, momentum map[string]*tensor.Tensor) error
	Close() error
}

// An Update is one step of the network's Optimizer.
type Update struct {
	Rate     [3]float64 // per Group
	Decay    float64    // of the group Weight only
	Momentum float64
	Step     int     // updates so far with this one, where the Optimizer is Adaptive
	MaxNorm  float64 // gradients are scaled down to this total L2 norm; 0 is no limit
	Average  float64 // decay of the moving average: avg = Average*avg + (1-Average)*live
}

// A Group is a set of parameters that share a learning rate: YOLOv5 decays the weights of
// convolutions only and warms biases up from a higher rate.
type Group int

const (
	Bias   Group = iota // every bias, batch norm's shift included
	Gamma               // batch norm's scale
	Weight              // weights of convolutions, the only ones with decay
)

// GroupOf returns the group of a trainable parameter.
func GroupOf(p graph.Param) Group {
	switch op := p.Node.Op.(type) {
	case *graph.Conv:
		if p.At == &op.Weight {
			return Weight
		}
	case *graph.ConvTranspose:
		if p.At == &op.Weight {
			return Weight
		}
	case *graph.BatchNorm:
		if p.At == &op.Gamma {
			return Gamma
		}
	}
	return Bias
}
