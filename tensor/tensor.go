// Package tensor holds numbers in a shape. It does no arithmetic: kernels live in
// engine, training in train/torch.
package tensor

import (
	"fmt"
	"math"
	"strings"
)

// A Tensor is a dense row-major block of float32. The last dimension varies fastest.
// Half-precision files are widened when read, which is exact.
type Tensor struct {
	Shape []int
	Data  []float32 // len = product of Shape; nil where only the shape is known
}

// New returns a tensor of zeros. It panics where Count reports an error, which sizes from
// a file are asked for first.
func New(shape ...int) *Tensor {
	n, err := Count(shape)
	if err != nil {
		panic("BUG: tensor.New: " + err.Error())
	}
	return &Tensor{Shape: append([]int(nil), shape...), Data: make([]float32, n)}
}

// From wraps data, which is not copied. Its length must be the product of shape.
func From(data []float32, shape ...int) (*Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return nil, err
	}
	if n != len(data) {
		return nil, fmt.Errorf("%d numbers do not fill the shape %v", len(data), shape)
	}
	return &Tensor{Shape: append([]int(nil), shape...), Data: data}, nil
}

// Count returns the product of shape. It reports an error for a negative dimension and
// for products above 2^31-1, which no detector needs and a hostile file may ask for.
func Count(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", shape)
		}
		if d != 0 && n > math.MaxInt32/d {
			return 0, fmt.Errorf("shape %v holds more than 2^31-1 numbers", shape)
		}
		n *= d
	}
	return n, nil
}

// Len returns the number of elements that the shape describes.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Clone returns a copy that shares nothing with t.
func (t *Tensor) Clone() *Tensor {
	if t == nil {
		return nil
	}
	c := &Tensor{Shape: append([]int(nil), t.Shape...)}
	if t.Data != nil {
		c.Data = append([]float32(nil), t.Data...)
	}
	return c
}

// String gives dtype and shape as the graph's text form has them, "f32[16,3,3,3]".
func (t *Tensor) String() string {
	var b strings.Builder
	b.WriteString("f32[")
	for i, d := range t.Shape {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, d)
	}
	b.WriteByte(']')
	return b.String()
}
