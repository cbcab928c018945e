package quant

import (
	"fmt"
	"iter"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Rounding errors of a layer's weights do not cancel: times what the layer takes, whose mean is
// not 0 behind an activation, they move the mean of an output channel. Clipping does too. The
// mean over pictures and cells of what the float network has there, less what the quantised one
// has, is added to the channel's bias (Nagel et al. 2019, arXiv 1906.04721, section 4.2, in its
// empirical form).

// CorrectBias returns what Quantize has made of g with corrected biases. It measures layer after
// layer, so that each sees what the corrections of those before have left; convolutions of which
// none comes before another are corrected together. The raw maps' are corrected too. So pictures
// are ranged over once, and once for each convolution on the longest way through the network;
// they must be the same each time. progress is told how many of these times are done. quantised
// is not changed.
func CorrectBias(g, quantised *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], run Runner, progress func(done, all int)) (*graph.Graph, error) {
	net, err := prepare(g, nil)
	if err != nil {
		return nil, err
	}
	if quantised.Quantized() == nil {
		return nil, errNotQuantised
	}
	q := quantised.Clone()
	levels := convsByDepth(q)
	var convs []*graph.Node
	for _, level := range levels {
		for _, n := range level {
			c := net.Node(n.Name)
			if c == nil {
				return nil, fmt.Errorf("quant: %s was quantised in another network", n.Name)
			}
			convs = append(convs, c)
		}
	}
	means, err := channelMeans(net.Graph, convs, pictures, run)
	if err != nil {
		return nil, err
	}
	want := map[string][]float64{}
	for i, n := range convs {
		want[n.Name] = means[i]
	}
	progress(1, len(levels)+1)
	users := q.Consumers()
	for depth, level := range levels {
		results := make([]*graph.Node, len(level))
		for i, n := range level {
			results[i] = n
			for _, u := range users[n] {
				if _, ok := u.Op.(*graph.Quantize); ok {
					results[i] = u
				}
			}
		}
		got, err := channelMeans(q, results, pictures, run)
		if err != nil {
			return nil, err
		}
		for i, n := range level {
			c := n.Op.(*graph.Conv)
			if len(want[n.Name]) != len(got[i]) {
				return nil, fmt.Errorf("quant: %s has %d channels and quantised %d", n.Name, len(want[n.Name]), len(got[i]))
			}
			if c.Bias == nil {
				c.Bias = tensor.New(c.Weight.Shape[0])
			}
			for k, m := range got[i] {
				c.Bias.Data[k] += float32(want[n.Name][k] - m)
			}
		}
		progress(depth+2, len(levels)+1)
	}
	return q, q.Verify()
}

// convsByDepth returns g's convolutions by how many come before them on the longest way from
// the picture: none, one, and so on.
func convsByDepth(g *graph.Graph) [][]*graph.Node {
	var levels [][]*graph.Node
	behind := map[*graph.Node]int{} // convolutions up to a node, itself included
	for _, n := range g.Nodes {
		for _, in := range n.In {
			behind[n] = max(behind[n], behind[in])
		}
		if _, ok := n.Op.(*graph.Conv); !ok {
			continue
		}
		depth := behind[n]
		behind[n]++
		if depth == len(levels) {
			levels = append(levels, nil)
		}
		levels[depth] = append(levels[depth], n)
	}
	return levels
}

// channelMeans returns for each of these nodes the mean of each channel over all pictures and
// cells.
func channelMeans(g *graph.Graph, nodes []*graph.Node, pictures iter.Seq2[*tensor.Tensor, error], run Runner) ([][]float64, error) {
	means := make([][]float64, len(nodes))
	add := func(outs [][]*tensor.Tensor) error {
		for i, x := range outs[0] {
			if len(x.Shape) != 4 {
				return fmt.Errorf("%s is %v, want four dimensions", nodes[i].Name, x)
			}
			channels, cells := x.Shape[1], x.Shape[2]*x.Shape[3]
			if means[i] == nil {
				means[i] = make([]float64, channels)
			}
			for k := 0; k*cells < len(x.Data); k++ {
				sum := 0.0
				for _, v := range x.Data[k*cells:][:cells] {
					sum += float64(v)
				}
				means[i][k%channels] += sum / float64(cells)
			}
		}
		return nil
	}
	count, err := watch(pictures, run, add, withOutputs(g, nodes))
	if err != nil {
		return nil, err
	}
	for _, m := range means {
		for k := range m {
			m[k] /= float64(count)
		}
	}
	return means, nil
}
