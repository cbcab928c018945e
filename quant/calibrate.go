package quant

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A Runner makes a network ready to run. What it returns takes pictures, [N, C, H, W] in 0..1,
// and gives the values of g.Outputs in their order, which are valid until the next call.
type Runner func(g *graph.Graph) (func(x *tensor.Tensor) ([]*tensor.Tensor, error), error)

// Calibrate runs the float network g on pictures and gives the range of each value that is to
// be rounded to 8 bits, by that method; "" means MSE. A few hundred pictures as the network
// will see them are enough. All of them must have a size that run can take. g is not changed.
//
// A value that is Dead gets a range all the same. Errors are those of pictures and run, and name
// the value that is no number; that all are Dead is one too, and that all pictures are of one colour,
// as nothing was measured then.
func Calibrate(g *graph.Graph, pictures iter.Seq2[*tensor.Tensor, error], run Runner, method Method) (*Ranges, error) {
	if method == "" {
		method = MSE
	}
	if err := method.Check(); err != nil {
		return nil, err
	}
	net, err := prepare(g, nil)
	if err != nil {
		return nil, err
	}
	values := net.values()
	if len(values) == 0 {
		return nil, errors.New("quant: nothing in this network can be quantised")
	}
	r := &Ranges{Model: net.Fingerprint(), Method: method}
	all := make([]histogram, len(values))
	count := func(outs [][]*tensor.Tensor) error {
		for i, v := range outs[0] {
			if err := all[i].add(v.Data); err != nil {
				return fmt.Errorf("%s %w", values[i].Name, err)
			}
		}
		return nil
	}
	colours := false
	seen := func(yield func(*tensor.Tensor, error) bool) {
		for x, err := range pictures {
			colours = colours || err == nil && len(x.Shape) == 4 && !oneColour(x)
			if !yield(x, err) {
				return
			}
		}
	}
	if r.Pictures, err = watch(seen, run, count, withOutputs(net.Graph, values)); err != nil {
		return nil, err
	}
	dead := 0
	for i, n := range values {
		h := &all[i]
		v := Range{Name: n.Name, Min: h.min, Max: h.max}
		v.Low, v.High = method.of(h)
		if v.Dead() {
			dead++
			v.Low, v.High = min(h.min, 0), max(h.max, deadWidth)
		}
		r.Values = append(r.Values, v)
	}
	if dead == len(values) {
		return nil, fmt.Errorf("quant: %s is %g everywhere in all %d pictures, and every other value is the same everywhere too: are these black?", r.Values[0].Name, r.Values[0].Min, r.Pictures)
	}
	if !colours {
		return nil, fmt.Errorf("quant: all %d pictures are of one colour, as black ones are: ranges of these say nothing of others", r.Pictures)
	}
	return r, r.check()
}

// grey is what a letterbox puts around a picture, picture.Grey.
const grey = float32(114) / 255

// noise is by how much the shades of one colour may differ, as those of a camera in the dark do.
const noise = float32(4) / 255

// oneColour reports whether pictures, [N, C, H, W], have one value in each channel but for noise, and
// for what a letterbox puts around them.
func oneColour(x *tensor.Tensor) bool {
	plane := x.Shape[2] * x.Shape[3]
	for c := range x.Shape[0] * x.Shape[1] {
		low, high := float32(math.Inf(1)), float32(math.Inf(-1))
		for _, v := range x.Data[c*plane:][:plane] {
			if v != grey {
				low, high = min(low, v), max(high, v)
			}
		}
		if high-low > noise {
			return false
		}
	}
	return true
}

// withOutputs returns a graph of the same nodes whose outputs are these.
func withOutputs(g *graph.Graph, outputs []*graph.Node) *graph.Graph {
	c := *g
	c.Outputs = outputs
	return &c
}

// watch runs networks on pictures and shows the outputs of each. It returns how many pictures
// there were.
func watch(pictures iter.Seq2[*tensor.Tensor, error], run Runner, see func(outs [][]*tensor.Tensor) error, networks ...*graph.Graph) (int, error) {
	calls := make([]func(*tensor.Tensor) ([]*tensor.Tensor, error), len(networks))
	for i, g := range networks {
		var err error
		if calls[i], err = run(g); err != nil {
			return 0, fmt.Errorf("quant: %w", err)
		}
	}
	count := 0
	for x, err := range pictures {
		if err == nil {
			err = checkPicture(x)
		}
		outs := make([][]*tensor.Tensor, len(networks))
		for i, g := range networks {
			if err == nil {
				outs[i], err = calls[i](x)
			}
			if err == nil && len(outs[i]) != len(g.Outputs) {
				err = fmt.Errorf("the network gives %d values, want %d", len(outs[i]), len(g.Outputs))
			}
		}
		if err == nil {
			err = see(outs)
		}
		if err != nil {
			return 0, fmt.Errorf("quant: picture %d: %w", count+1, err)
		}
		count += x.Shape[0]
	}
	if count == 0 {
		return 0, errors.New("quant: there are no pictures to measure with: want some hundred, at least one")
	}
	return count, nil
}

// checkPicture refuses what is not in the range that the picture's levels cover.
func checkPicture(x *tensor.Tensor) error {
	if len(x.Shape) != 4 || x.Shape[0] < 1 {
		return fmt.Errorf("is %v, want [batch, channels, height, width]", x)
	}
	for _, v := range x.Data {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("holds %v, want 0 to 1", v)
		}
	}
	return nil
}
