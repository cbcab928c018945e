package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
)

// Mean returns the network whose numbers, statistics of batch norms included, are the weighted means of
// these networks'. They have one structure, anchors and classes included, and should come from one
// training, or from ones that went on from another: means of such are often better than each (M. Wortsman
// et al., Model soups, ICML 2022). shares are above 0, one for each network. No network is changed.
func Mean(networks []*graph.Graph, shares []float64) (*graph.Graph, error) {
	if len(networks) == 0 || len(shares) != len(networks) {
		return nil, fmt.Errorf("train: %d networks and %d shares: want one share for each, and a network", len(networks), len(shares))
	}
	sum := 0.0
	for _, s := range shares {
		if !(s > 0 && s <= math.MaxFloat32) {
			return nil, fmt.Errorf("train: a share of %v: want one above 0", s)
		}
		sum += s
	}
	mean := networks[0].Clone()
	if n := mean.Quantized(); n != nil {
		return nil, fmt.Errorf("train: %s is quantised: take the mean before that", n.Name)
	}
	all := make([][]graph.Param, len(networks))
	for i, g := range networks {
		if all[i] = g.Params(); g.String() != mean.String() || !slices.Equal(g.Names, mean.Names) {
			return nil, fmt.Errorf("train: network %d has another structure than network 1, or other classes", i+1)
		}
		for _, p := range all[i] {
			if p.Tensor().Data == nil {
				return nil, errors.New("train: a network without numbers has no mean")
			}
		}
	}
	for k, p := range mean.Params() {
		to := p.Tensor()
		data := make([]float32, len(to.Data))
		for j := range data {
			v := 0.0
			for i := range networks {
				v += shares[i] / sum * float64(all[i][k].Tensor().Data[j])
			}
			data[j] = float32(v)
		}
		to.Data = data
	}
	return mean, nil
}
