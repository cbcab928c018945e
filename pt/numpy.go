package pt

import (
	"slices"

	"ultrafast/tensor"
)

// makeArrayType stands for numpy.dtype("f8", align, copy).
func makeArrayType(m *machine, _ *global, args tuple) any {
	if len(args) == 0 {
		m.fail("a numpy.dtype without a name")
	}
	name, _ := args[0].(string)
	return &arrayType{arrayTypes[name]}
}

// setArrayTypeState reads (version, byte order, ...). Big-endian types are not read.
func (m *machine) setArrayTypeState(t *arrayType, state any) {
	s, ok := state.(tuple)
	if !ok || len(s) < 2 {
		m.fail("a numpy.dtype with a state that is no tuple")
	}
	if s[1] == any(">") {
		t.typ = nil
	}
}

// makeArray stands for numpy's _reconstruct(ndarray, (0,), b"b"): empty until BUILD.
func makeArray(*machine, *global, tuple) any { return &array{} }

// setArrayState reads (version, shape, dtype, is Fortran, bytes or list of objects).
func (m *machine) setArrayState(a *array, state any) {
	s, ok := state.(tuple)
	if !ok || len(s) != 5 {
		m.fail("a numpy array with a state that is none")
	}
	shape, ok1 := wholes(s[1])
	typ, ok2 := s[2].(*arrayType)
	fortran, ok3 := s[3].(bool)
	if !ok1 || !ok2 || !ok3 {
		m.fail("a numpy array with a state of wrong types")
	}
	*a = array{shape: make([]int, len(shape)), typ: typ.typ, fortran: fortran}
	for i, d := range shape {
		a.shape[i] = int(d)
	}
	n, err := tensor.Count(a.shape)
	if err != nil {
		m.fail("a numpy array: %v", err)
	}
	switch data := s[4].(type) {
	case []byte:
		if a.typ != nil && len(data) != n*a.typ.size {
			m.fail("a numpy array of shape %v with %d bytes", a.shape, len(data))
		}
		a.raw = data
	case *list:
		a.typ, a.items = nil, data.items
	default:
		m.fail("a numpy array without data")
	}
}

// makeScalar stands for numpy's scalar(dtype, bytes), and gives the plain number.
func makeScalar(m *machine, callee *global, args tuple) any {
	if len(args) != 2 {
		m.fail("a numpy scalar with %d of its 2 arguments", len(args))
	}
	t, ok1 := args[0].(*arrayType)
	b, ok2 := args[1].([]byte)
	if !ok1 {
		m.fail("a numpy scalar without a dtype")
	}
	if t.typ == nil || !ok2 {
		return makeObject(m, callee, args)
	}
	if len(b) != t.typ.size {
		m.fail("a numpy scalar of %d bytes with %d", t.typ.size, len(b))
	}
	switch x := t.typ.at(b); t.typ.kind {
	case 'b':
		return x != 0
	case 'f':
		return x
	default:
		return int64(x)
	}
}

// tensor widens the array. Its type is known.
func (a *array) tensor() *tensor.Tensor {
	n := len(a.shape)
	v := &view{storage: &storage{typ: a.typ}, shape: a.shape, strides: make([]int64, n)}
	order := make([]int, n) // dimensions from the slowest to the fastest
	for i := range order {
		order[i] = i
	}
	if a.fortran {
		slices.Reverse(order)
	}
	next := int64(1)
	for _, d := range slices.Backward(order) {
		v.strides[d] = next
		next *= int64(a.shape[d])
	}
	t := &tensor.Tensor{Shape: slices.Clone(a.shape)}
	v.gather(t, a.raw)
	return t
}
