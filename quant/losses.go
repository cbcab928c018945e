package quant

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Loss says how much of a value is left in 8 bits.
type Loss struct {
	Name string  // of the float network's node
	SQNR float64 // signal to quantisation noise in dB, 10 log10(Σ float² / Σ (float - quantised)²); +Inf where nothing is lost, -Inf where something is made of nothing but 0
}

// Losses runs a float network and what Quantize has made of it on pictures, and compares the
// values that are rounded and the raw maps, in order of execution. The noise of a value is all
// that has gathered up to it. run gets both networks, the float one first; pictures are ranged
// over once, and both see each of them in turn.
func Losses(g, quantised *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], run Runner) ([]Loss, error) {
	return losses(g, quantised, pictures, run, true)
}

// Error says how far the raw maps of the quantised network are from those of the float one: the
// mean over the maps of Σ (float - quantised)² / Σ float², measured as Losses does.
func Error(g, quantised *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], run Runner) (float64, error) {
	maps, err := losses(g, quantised, pictures, run, false)
	if err != nil {
		return 0, err
	}
	if len(maps) == 0 {
		return 0, errors.New("quant: the network has no raw maps: it does not end in convolutions")
	}
	sum := 0.0
	for _, l := range maps {
		sum += math.Pow(10, -l.SQNR/10)
	}
	return sum / float64(len(maps)), nil
}

// losses compares the raw maps and, if all is set, the values that are rounded.
func losses(g, quantised *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], run Runner, all bool) ([]Loss, error) {
	net, err := prepare(g, nil)
	if err != nil {
		return nil, err
	}
	if quantised.Quantized() == nil {
		return nil, errNotQuantised
	}
	var values, rounded []*graph.Node
	for _, n := range quantised.Nodes {
		name := n.Name
		if _, ok := n.Op.(*graph.Quantize); ok && all {
			name = n.In[0].Name
		} else if !net.isRawMap(name) {
			continue
		}
		v := net.Node(name)
		if v == nil {
			return nil, fmt.Errorf("quant: %s was quantised in another network", name)
		}
		if v != net.Input() {
			values, rounded = append(values, v), append(rounded, n)
		}
	}
	signal, noise := make([]float64, len(values)), make([]float64, len(values))
	compare := func(outs [][]*tensor.Tensor) error {
		for i, want := range outs[0] {
			got := outs[1][i]
			if len(got.Data) != len(want.Data) {
				return fmt.Errorf("%s is %v and quantised %v", values[i].Name, want, got)
			}
			for k, f := range want.Data {
				d := float64(f) - float64(got.Data[k])
				signal[i] += float64(f) * float64(f)
				noise[i] += d * d
			}
		}
		return nil
	}
	if _, err := watch(pictures, run, compare, withOutputs(net.Graph, values), withOutputs(quantised, rounded)); err != nil {
		return nil, err
	}
	found := make([]Loss, len(values))
	for i, n := range values {
		found[i] = Loss{n.Name, math.Inf(1)}
		if noise[i] > 0 {
			found[i].SQNR = 10 * math.Log10(signal[i]/noise[i])
		}
	}
	return found, nil
}

var errNotQuantised = errors.New("quant: the second network is not quantised")

// isRawMap reports whether the node of that name is the head's last in float.
func (net *network) isRawMap(name string) bool {
	n := net.Node(name)
	if n == nil {
		return false
	}
	_, conv := n.Op.(*graph.Conv)
	return conv && net.isHead(n)
}
