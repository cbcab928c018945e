package train

import (
	"fmt"
	"strings"

	"ultrafast/graph"
)

// An Optimizer is a rule by which an Update moves weights, under YOLOv5's name.
type Optimizer string

// The rules, as PyTorch defines them. g is a gradient, t is Update.Step.
//
//	SGD    g += Decay*w; v = Momentum*v + g; w -= Rate * (g + Momentum*v), Nesterov's
//	Adam   g += Decay*w, then the step below
//	AdamW  w -= Rate*Decay*w, then the step below
//
// The step is Adam's (Kingma, Ba: Adam, ICLR 2015) with β₁ = Momentum:
//
//	m = β₁m + (1-β₁)g   s = β₂s + (1-β₂)g²   w -= Rate * m/(1-β₁ᵗ) / (√(s/(1-β₂ᵗ)) + ε)
const (
	SGD   Optimizer = "SGD" // the empty one is SGD too
	Adam  Optimizer = "Adam"
	AdamW Optimizer = "AdamW"
)

// Of Adam and AdamW: YOLOv5 sets the first, PyTorch the second.
const (
	Beta2   = 0.999
	Epsilon = 1e-8
)

// Squares follows a parameter's name in Network.Momentum: the mean s of its gradients'
// squares.
const Squares = "/squares"

// Adaptive reports whether the rule keeps Squares and needs Update.Step.
func (o Optimizer) Adaptive() bool { return o == Adam || o == AdamW }

func (o Optimizer) check() error {
	switch o {
	case "", SGD, Adam, AdamW:
		return nil
	}
	return fmt.Errorf("train: optimizer %q: there are %s, %s and %s", string(o), SGD, Adam, AdamW)
}

// Learns reports whether a parameter moves: it is trainable and its layer is not frozen.
func (o LoadOptions) Learns(p graph.Param) bool {
	for _, layer := range o.Freeze {
		if strings.HasPrefix(p.Name, layerPrefix(layer)) {
			return false
		}
	}
	return p.Trainable
}

// layerPrefix is how the names of a layer's nodes begin.
func layerPrefix(layer int) string { return fmt.Sprintf("model.%d.", layer) }

// checkFreeze refuses layers that are not there, and a model that has nothing left to learn.
func (o LoadOptions) checkFreeze(g *graph.Graph) error {
	for _, layer := range o.Freeze {
		found := false
		for _, n := range g.Nodes {
			found = found || strings.HasPrefix(n.Name, layerPrefix(layer)) || n.Name+"." == layerPrefix(layer)
		}
		if !found {
			return fmt.Errorf("train: freeze: the model has no layer %s", strings.TrimSuffix(layerPrefix(layer), "."))
		}
	}
	for _, p := range g.Params() {
		if o.Learns(p) {
			return nil
		}
	}
	return fmt.Errorf("train: freeze %v leaves nothing to learn", o.Freeze)
}
