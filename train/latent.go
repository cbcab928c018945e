package train

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Latent and LatentAverage follow the name of a weight of 8 bits in Network.Momentum: the
// floats that it is rounded from, live and averaged.
const (
	Latent        = "/latent"
	LatentAverage = "/latent_average"
)

// latents puts the floats of that suffix into the weights of g that are of 8 bits.
func latents(g *graph.Graph, state map[string]*tensor.Tensor, suffix string) error {
	for _, p := range g.Params() {
		if !p.EightBit() {
			continue
		}
		t := state[p.Name+suffix]
		if t == nil || !slices.Equal(t.Shape, p.Tensor().Shape) || len(t.Data) != t.Len() {
			return fmt.Errorf("the state has no %s, the floats of 8-bit weights", p.Name+suffix)
		}
		*p.At = t.Clone()
	}
	return nil
}
