package onnx

import (
	"fmt"
	"slices"
)

// axis makes a dimension's number, which may count from the end, count from the start.
func axis(a int64, rank int) (int, error) {
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d of %d dimensions", a, rank)
	}
	return int(a), nil
}

func (e *evaluator) gather(a, index *array, along int64) (*array, error) {
	d, err := axis(along, len(a.dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Concat(a.dims[:d], index.dims, a.dims[d+1:])
	out, err := e.make(dims, a.i != nil)
	if err != nil {
		return nil, err
	}
	side, inner := a.dims[d], 1
	for _, n := range a.dims[d+1:] {
		inner *= n
	}
	if out.len() == 0 {
		return out, nil
	}
	k, list := 0, index.integers()
	for base := 0; base < a.len(); base += side * inner {
		for _, i := range list {
			if i < 0 {
				i += int64(side)
			}
			if i < 0 || i >= int64(side) {
				return nil, fmt.Errorf("index %d of %d", i, side)
			}
			at := base + int(i)*inner
			if a.i != nil {
				copy(out.i[k:], a.i[at:at+inner])
			} else {
				copy(out.f[k:], a.f[at:at+inner])
			}
			k += inner
		}
	}
	return out, nil
}

// axes returns a list that became an input in opset 13 and was an attribute before.
func axes(n *node, in []*array, at int, name string) []int64 {
	if at < len(in) && in[at] != nil {
		return in[at].integers()
	}
	return n.ints(name)
}

func (e *evaluator) squeeze(n *node, in []*array) (*array, error) {
	a, list := in[0], axes(n, in, 1, "axes")
	rank := len(a.dims)
	if n.op == "Unsqueeze" {
		rank += len(list)
	}
	if rank > maxRank {
		return nil, fmt.Errorf("result has %d dimensions", rank)
	}
	chosen := make([]bool, rank)
	for _, x := range list {
		d, err := axis(x, rank)
		if err != nil {
			return nil, err
		}
		chosen[d] = true
	}
	dims := []int{}
	if n.op == "Squeeze" {
		for i, d := range a.dims {
			if !(chosen[i] || len(list) == 0 && d == 1) {
				dims = append(dims, d)
			}
		}
		return reshape(a, dims)
	}
	rest := a.dims
	for i := range rank {
		switch {
		case chosen[i]:
			dims = append(dims, 1)
		case len(rest) > 0:
			dims, rest = append(dims, rest[0]), rest[1:]
		}
	}
	return reshape(a, dims)
}

func (e *evaluator) transpose(a *array, perm []int64) (*array, error) {
	rank := len(a.dims)
	if len(perm) == 0 {
		for i := range rank {
			perm = append(perm, int64(rank-1-i))
		}
	}
	if len(perm) != rank {
		return nil, fmt.Errorf("order %v of %d dimensions", perm, rank)
	}
	from := strides(a.dims)
	dims, step, seen := make([]int, rank), make([]int, rank), make([]bool, rank)
	for i, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			return nil, fmt.Errorf("order %v of %d dimensions", perm, rank)
		}
		seen[p] = true
		dims[i], step[i] = a.dims[p], from[p]
	}
	return e.view(a, dims, step, 0)
}

// A cut is what Slice does along one axis.
type cut struct{ axis, start, end, step int64 }

// cuts reads the four lists of a Slice of an array of that many dimensions.
func cuts(rank int, starts, ends, axes, steps []int64) ([]cut, error) {
	if len(starts) != len(ends) || len(axes) != 0 && len(axes) != len(starts) || len(steps) != 0 && len(steps) != len(starts) || len(starts) > rank {
		return nil, fmt.Errorf("has %d starts, %d ends, %d axes and %d steps", len(starts), len(ends), len(axes), len(steps))
	}
	all := make([]cut, len(starts))
	for i := range all {
		all[i] = cut{int64(i), starts[i], ends[i], 1}
		if len(axes) > 0 {
			d, err := axis(axes[i], rank)
			if err != nil {
				return nil, err
			}
			all[i].axis = int64(d)
		}
		if len(steps) > 0 {
			all[i].step = steps[i]
		}
		if all[i].step < 1 {
			return nil, fmt.Errorf("step %d, want 1 or more", all[i].step)
		}
		if slices.ContainsFunc(all[:i], func(c cut) bool { return c.axis == all[i].axis }) {
			return nil, fmt.Errorf("cuts axis %d twice", all[i].axis)
		}
	}
	return all, nil
}

func (e *evaluator) slice(n *node, in []*array) (*array, error) {
	list, err := cuts(len(in[0].dims), axes(n, in, 1, "starts"), axes(n, in, 2, "ends"), axes(n, in, 3, "axes"), axes(n, in, 4, "steps"))
	if err != nil {
		return nil, err
	}
	dims, step, start := slices.Clone(in[0].dims), strides(in[0].dims), 0
	for _, c := range list {
		side := int64(in[0].dims[c.axis])
		from, to := clamp(c.start, side), clamp(c.end, side)
		dims[c.axis] = int((max(to-from, 0) + min(c.step, side+1) - 1) / min(c.step, side+1))
		start += int(from) * step[c.axis]
		step[c.axis] *= int(min(c.step, side+1))
	}
	return e.view(in[0], dims, step, start)
}

// clamp brings an index that may count from the end into 0 to side.
func clamp(i, side int64) int64 {
	if i < 0 {
		i += side
	}
	return max(0, min(i, side))
}

func (e *evaluator) split(n *node, in []*array) ([]*array, error) {
	a := in[0]
	d, err := axis(n.int("axis", 0), len(a.dims))
	if err != nil {
		return nil, err
	}
	sizes := axes(n, in, 1, "split")
	if len(sizes) == 0 && len(n.out) > 0 {
		each := (a.dims[d] + len(n.out) - 1) / len(n.out)
		for i := range n.out {
			sizes = append(sizes, int64(min(each, a.dims[d]-i*each)))
		}
	}
	step := strides(a.dims)
	var parts []*array
	from := int64(0)
	for _, s := range sizes {
		if s < 0 || s > int64(a.dims[d])-from {
			return nil, fmt.Errorf("cannot cut %d into %v", a.dims[d], sizes)
		}
		dims := slices.Clone(a.dims)
		dims[d] = int(s)
		part, err := e.view(a, dims, step, int(from)*step[d])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		from += s
	}
	return parts, nil
}

func (e *evaluator) concat(in []*array, along int64) (*array, error) {
	if len(in) == 0 || slices.Contains(in, nil) {
		return nil, fmt.Errorf("has no inputs")
	}
	d, err := axis(along, len(in[0].dims))
	if err != nil {
		return nil, err
	}
	dims := slices.Clone(in[0].dims)
	dims[d] = 0
	integers := true
	for _, a := range in {
		if len(a.dims) != len(dims) {
			return nil, fmt.Errorf("joins %v and %v", in[0].dims, a.dims)
		}
		for i := range dims {
			if i != d && a.dims[i] != dims[i] {
				return nil, fmt.Errorf("joins %v and %v", in[0].dims, a.dims)
			}
		}
		dims[d] += a.dims[d]
		integers = integers && a.i != nil
	}
	out, err := e.make(dims, integers)
	if err != nil || out.len() == 0 {
		return out, err
	}
	outer := 1
	for _, n := range dims[:d] {
		outer *= n
	}
	row := out.len() / outer
	at := 0 // in a row
	for _, a := range in {
		chunk, f := a.len()/outer, a.floats()
		for o := range outer {
			if integers {
				copy(out.i[o*row+at:], a.i[o*chunk:(o+1)*chunk])
			} else {
				copy(out.f[o*row+at:], f[o*chunk:(o+1)*chunk])
			}
		}
		at += chunk
	}
	return out, nil
}
