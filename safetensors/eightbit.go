package safetensors

import (
	"fmt"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// scaleSuffix is what the scales of a convolution's 8-bit weights are called behind its name.
const scaleSuffix = ".weight_scale"

// eightBit returns the convolution whose weights p is, if they are of 8 bits.
func eightBit(p graph.Param) *graph.Conv {
	if c, ok := p.Node.Op.(*graph.Conv); ok && c.WeightScale != nil && p.At == &c.Weight {
		return c
	}
	return nil
}

// levels returns the weights of a convolution as whole numbers, and their scales.
func levels(p graph.Param, c *graph.Conv) ([]named, error) {
	k, err := c.Levels()
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
	}
	w := &tensor.Tensor{Shape: c.Weight.Shape}
	for _, v := range k {
		w.Data = append(w.Data, float32(v))
	}
	return []named{{p.Name, w, "I8"}, {p.Node.Name + scaleSuffix, &tensor.Tensor{Shape: []int{len(c.WeightScale)}, Data: c.WeightScale}, "F32"}}, nil
}

// A scaled convolution is one whose weights are read as whole numbers, with what its scales
// are read into.
type scaled struct {
	*graph.Conv
	scales *tensor.Tensor
}

// scalesOf finds the scales of a convolution, whose weights e holds.
func scalesOf(p graph.Param, c *graph.Conv, e *entry, byName map[string]*entry) (*entry, error) {
	if e.dtype != "I8" {
		return nil, &FormatError{e.at, fmt.Sprintf("tensor %s is of type %s, the graph says I8", p.Name, e.dtype)}
	}
	name := p.Node.Name + scaleSuffix
	s := byName[name]
	if s == nil {
		return nil, &FormatError{e.at, fmt.Sprintf("tensor %s is missing, the scales of 8-bit weights", name)}
	}
	if want := c.Weight.Shape[:1]; s.dtype != "F32" || !slices.Equal(s.shape, want) {
		return nil, &FormatError{s.at, fmt.Sprintf("tensor %s is %s%v, want F32%v", name, s.dtype, s.shape, want)}
	}
	return s, nil
}

// scale multiplies the whole numbers out.
func (c scaled) scale() {
	c.WeightScale = c.scales.Data
	row := len(c.Weight.Data) / len(c.WeightScale)
	for i := range c.Weight.Data {
		c.Weight.Data[i] *= c.WeightScale[i/row]
	}
}
