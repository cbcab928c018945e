package pt

import (
	"fmt"
	"io"
	"slices"

	"ultrafast/tensor"
)

const (
	maxRank  = 16      // dimensions of a tensor
	maxSlack = 1 << 20 // elements beyond twice the file's bytes that all tensors may have
)

// makeTensor stands for _rebuild_tensor_v2(storage, offset, size, stride, ...).
func makeTensor(m *machine, _ *global, args tuple) any {
	if len(args) < 4 {
		m.fail("a tensor with %d of its 4 arguments", len(args))
	}
	st, ok0 := args[0].(*storage)
	offset, ok1 := args[1].(int64)
	shape, ok2 := wholes(args[2])
	strides, ok3 := wholes(args[3])
	if !ok0 || !ok1 || !ok2 || !ok3 || len(shape) != len(strides) {
		m.fail("a tensor with arguments of wrong types")
	}
	v := &view{storage: st, offset: offset, shape: make([]int, len(shape)), strides: strides, at: int64(m.at)}
	for i, d := range shape {
		v.shape[i] = int(d)
	}
	if err := v.check(); err != nil {
		m.fail("%v", err)
	}
	return v
}

// makeParameter stands for _rebuild_parameter(tensor, requires_grad, hooks).
func makeParameter(m *machine, _ *global, args tuple) any {
	if len(args) > 0 {
		if v, ok := args[0].(*view); ok {
			return v
		}
	}
	m.fail("a parameter of what is no tensor")
	return nil
}

// makeFromType stands for _rebuild_from_type_v2(function, type, args, state), by which
// tensors with attributes of their own are stored. The attributes are dropped.
func makeFromType(m *machine, callee *global, args tuple) any {
	if len(args) == 4 {
		fn, ok1 := args[0].(*global)
		inner, ok2 := args[2].(tuple)
		if ok1 && ok2 {
			switch fn.path() {
			case "torch._utils._rebuild_tensor_v2":
				return makeTensor(m, callee, inner)
			case "torch._utils._rebuild_parameter":
				return makeParameter(m, callee, inner)
			}
		}
	}
	m.fail("a tensor of a kind that is not read")
	return nil
}

// wholes returns a tuple or list of whole numbers no longer than maxRank.
func wholes(v any) ([]int64, bool) {
	items, ok := v.(tuple)
	if l, isList := v.(*list); isList {
		items, ok = l.items, true
	}
	if !ok || len(items) > maxRank {
		return nil, false
	}
	out := make([]int64, len(items))
	for i, e := range items {
		if out[i], ok = e.(int64); !ok {
			return nil, false
		}
	}
	return out, true
}

// check reports an error where an element would lie outside the storage.
func (v *view) check() error {
	n, err := tensor.Count(v.shape)
	if err != nil {
		return err
	}
	if v.offset < 0 || v.offset > v.storage.count {
		return fmt.Errorf("a tensor begins at element %d of a storage of %d", v.offset, v.storage.count)
	}
	left := v.storage.count - v.offset // elements from the first on
	if n > 0 && left == 0 {
		return fmt.Errorf("a tensor of shape %v lies outside its storage of %d elements", v.shape, v.storage.count)
	}
	if n == 0 {
		return nil
	}
	left-- // what the strides may walk
	for i, d := range v.shape {
		steps, stride := int64(d-1), v.strides[i]
		if steps == 0 {
			continue
		}
		if stride < 0 || stride > left/steps {
			return fmt.Errorf("a tensor of shape %v, strides %v from element %d lies outside its storage of %d elements",
				v.shape, v.strides, v.offset, v.storage.count)
		}
		left -= steps * stride
	}
	return nil
}

// span is the number of elements of the storage from the view's first to its last.
func (v *view) span() int64 {
	last := int64(0)
	for i, d := range v.shape {
		if d == 0 {
			return 0
		}
		last += int64(d-1) * v.strides[i]
	}
	return last + 1
}

// contiguous reports whether the elements lie in row-major order without gaps.
func (v *view) contiguous() bool {
	next := int64(1)
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 && v.strides[i] != next {
			return false
		}
		next *= int64(v.shape[i])
	}
	return true
}

// extent is a run of bytes in the file.
type extent struct{ offset, size int64 }

// loader reads tensors from the storages of a file.
type loader struct {
	r        io.ReaderAt
	storages map[string]extent
	part     string // what view.at counts in
	left     int64  // elements that may still be read
	buf      []byte
}

// load reads a view. Elements of the span count against left even where the view skips
// them, so that neither memory nor reading can be multiplied by a small file.
func (l *loader) load(v *view) *tensor.Tensor {
	fail := func(format string, args ...any) {
		panic(&FormatError{Part: l.part, Offset: v.at, Reason: fmt.Sprintf(format, args...)})
	}
	t := &tensor.Tensor{Shape: slices.Clone(v.shape)}
	n, span := int64(t.Len()), v.span()
	if l.left -= max(n, span); l.left < 0 {
		fail("tensors hold far more than the file does")
	}
	ext, ok := l.storages[v.storage.key]
	size := int64(v.storage.typ.size)
	first := v.storage.first + v.offset
	if !ok || first > ext.size/size || span > ext.size/size-first {
		fail("storage %.20q is missing or shorter than stated", v.storage.key)
	}
	if int64(cap(l.buf)) < span*size {
		l.buf = make([]byte, span*size)
	}
	buf := l.buf[:span*size]
	readFull(l.r, buf, ext.offset+first*size)
	v.gather(t, buf)
	return t
}

// gather widens the elements of the view, whose span is in buf, into t.
func (v *view) gather(t *tensor.Tensor, buf []byte) {
	typ := v.storage.typ
	t.Data = make([]float32, t.Len())
	if v.contiguous() {
		for i := range t.Data {
			t.Data[i] = float32(typ.at(buf[i*typ.size:]))
		}
		return
	}
	index := make([]int, len(v.shape))
	at := 0
	for i := range t.Data {
		t.Data[i] = float32(typ.at(buf[at*typ.size:]))
		for d := len(index) - 1; d >= 0; d-- { // the next element, last dimension fastest
			index[d]++
			at += int(v.strides[d])
			if index[d] < v.shape[d] {
				break
			}
			at -= index[d] * int(v.strides[d])
			index[d] = 0
		}
	}
}
