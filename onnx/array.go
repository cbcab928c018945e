package onnx

import (
	"fmt"
	"slices"

	"ultrafast/tensor"
)

// An array is a value that is known while reading: floats in f or integers (and truth
// values) in i, row by row.
type array struct {
	dims []int
	f    []float32
	i    []int64
	kind int64 // what the file says its numbers are, 0 for what was computed
}

func (a *array) len() int { return len(a.f) + len(a.i) }

func shapeArray(dims []int) *array {
	a := &array{dims: []int{len(dims)}, i: make([]int64, len(dims))}
	for i, d := range dims {
		a.i[i] = int64(d)
	}
	return a
}

// floats returns the numbers as floats.
func (a *array) floats() []float32 {
	if a.i == nil {
		return a.f
	}
	f := make([]float32, len(a.i))
	for i, v := range a.i {
		f[i] = float32(v)
	}
	return f
}

// integers returns the numbers of a short array as integers.
func (a *array) integers() []int64 {
	if a.i != nil {
		return a.i
	}
	i := make([]int64, len(a.f))
	for k, v := range a.f {
		i[k] = int64(v)
	}
	return i
}

// sides returns the numbers as dimensions.
func (a *array) sides() []int {
	out := make([]int, a.len())
	for i, v := range a.integers() {
		out[i] = int(max(min(v, 1<<31), -1<<31))
	}
	return out
}

// An arena bounds what a file can make the reader compute: the sum of the sizes of all
// arrays it makes.
type arena struct{ left int }

// make returns an array of zeros of that shape, of integers if like is one of integers.
func (r *arena) make(dims []int, integers bool) (*array, error) {
	if len(dims) > maxRank {
		return nil, fmt.Errorf("result has %d dimensions, want at most %d", len(dims), maxRank)
	}
	n, err := tensor.Count(dims)
	if err != nil {
		return nil, err
	}
	if r.left -= n + 1; r.left < 0 {
		return nil, fmt.Errorf("the decoding of boxes is too large to follow; export the model for a smaller picture")
	}
	a := &array{dims: slices.Clone(dims)}
	if integers {
		a.i = make([]int64, n)
	} else {
		a.f = make([]float32, n)
	}
	return a, nil
}

// strides returns how far apart neighbours of a dense array are, per dimension.
func strides(dims []int) []int {
	s := make([]int, len(dims))
	step := 1
	for i, d := range slices.Backward(dims) {
		s[i] = step
		step *= d
	}
	return s
}

// walk calls visit with the position in each of several strided arrays, for every element
// of a dense array of that shape, in order.
func walk(dims []int, start []int, steps [][]int, visit func(at []int)) {
	if slices.Contains(dims, 0) {
		return
	}
	at := slices.Clone(start)
	count := make([]int, len(dims))
	for {
		visit(at)
		d := len(dims) - 1
		for ; d >= 0; d-- {
			count[d]++
			for k := range at {
				at[k] += steps[k][d]
			}
			if count[d] < dims[d] {
				break
			}
			for k := range at {
				at[k] -= steps[k][d] * dims[d]
			}
			count[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

// view copies elements of a: the one at start, and from there by step along each of dims.
func (r *arena) view(a *array, dims, step []int, start int) (*array, error) {
	out, err := r.make(dims, a.i != nil)
	if err != nil {
		return nil, err
	}
	k := 0
	walk(dims, []int{start}, [][]int{step}, func(at []int) {
		if a.i != nil {
			out.i[k] = a.i[at[0]]
		} else {
			out.f[k] = a.f[at[0]]
		}
		k++
	})
	return out, nil
}

// reshape gives a the shape dims, where -1 stands for what is left.
func reshape(a *array, dims []int) (*array, error) {
	dims = slices.Clone(dims)
	if open := slices.Index(dims, -1); open >= 0 {
		dims[open] = 1
		n, err := tensor.Count(dims)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			dims[open] = a.len() / n
		}
	}
	if n, err := tensor.Count(dims); err != nil || n != a.len() || len(dims) > maxRank {
		return nil, fmt.Errorf("cannot give %v the shape %v", a.dims, dims)
	}
	return &array{dims, a.f, a.i, a.kind}, nil
}

// broadcast returns the shape that numpy's rule gives two arrays, and for each its steps.
func broadcast(a, b []int) (dims, stepA, stepB []int, err error) {
	rank := max(len(a), len(b))
	pad := func(d []int) []int {
		ones := slices.Repeat([]int{1}, rank-len(d))
		return append(ones, d...)
	}
	a, b = pad(a), pad(b)
	dims, stepA, stepB = make([]int, rank), strides(a), strides(b)
	for i := range dims {
		switch {
		case a[i] == b[i]:
			dims[i] = a[i]
		case a[i] == 1:
			dims[i] = b[i]
		case b[i] == 1:
			dims[i] = a[i]
		default:
			return nil, nil, nil, fmt.Errorf("shapes %v and %v do not go together", a, b)
		}
		if a[i] == 1 {
			stepA[i] = 0
		}
		if b[i] == 1 {
			stepB[i] = 0
		}
	}
	return dims, stepA, stepB, nil
}
