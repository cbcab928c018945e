package quant

import (
	"fmt"

	"ultrafast/graph"
)

// A Judge tells what a network is worth, in points of mAP50-95, 0 to 100; any measure will do of
// which more is better. It must say the same of the same network each time.
type Judge func(g *graph.Graph) (float64, error)

// A Drop is what a layer alone costs in 8 bits.
type Drop struct {
	Layer  string  // its convolution, as Options.KeepFloat takes it
	Points float64 // what the float network is worth, less what it is with this layer alone in 8 bits; below 0 where that is worth more
	MACs   int64   // multiply-adds that 8 bits speed up, at the size of g's Input
}

// Drops judges for each layer the network in which it alone is in 8 bits: its weights, what it
// takes, its sums and what its activation makes of them. Layers that o keeps in float have no
// drop. float is what the judge says of g. The layers are in order of execution; progress is
// told how many of them are judged. Errors name the layer.
func Drops(g *graph.Graph, r *Ranges, o Options, float float64, judge Judge, progress func(done, all int)) ([]Drop, error) {
	net, err := prepare(g, o.KeepFloat)
	if err != nil {
		return nil, err
	}
	macs, err := net.macs()
	if err != nil {
		return nil, fmt.Errorf("quant: %w", err)
	}
	var drops []Drop
	var layers []string // that could be in 8 bits
	for _, n := range net.Nodes {
		if _, ok := net.eight(n); ok {
			drops = append(drops, Drop{Layer: n.Name, MACs: macs[n]})
			layers = append(layers, n.Name)
		}
	}
	for i := range drops {
		alone := o
		alone.KeepFloat = without(o.KeepFloat, layers, i)
		q, err := Quantize(g, r, alone)
		if err != nil {
			return nil, err
		}
		points, err := judge(q)
		if err != nil {
			return nil, fmt.Errorf("quant: %s alone in 8 bits: %w", drops[i].Layer, err)
		}
		drops[i].Points = float - points
		progress(i+1, len(drops))
	}
	return drops, nil
}

// without returns keep and all of layers but number i.
func without(keep, layers []string, i int) []string {
	all := append([]string{}, keep...)
	all = append(all, layers[:i]...)
	return append(all, layers[i+1:]...)
}

// macs returns the multiply-adds of each node for one picture of the Input's size.
func (net *network) macs() (map[*graph.Node]int64, error) {
	in := net.Input().Op.(*graph.Input)
	shapes, err := net.Shapes(1, in.Shape[2], in.Shape[3])
	if err != nil {
		return nil, err
	}
	macs := make(map[*graph.Node]int64, len(net.Nodes))
	for _, n := range net.Nodes {
		macs[n] = n.MACs(shapes)
	}
	return macs, nil
}
