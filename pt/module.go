package pt

import "ultrafast/tensor"

// Checkpoint is what a .pt file holds.
type Checkpoint struct {
	// Model is ckpt["ema"] where it is there and not None, else ckpt["model"], as
	// YOLOv5's own loader prefers; or the pickle's root where that is a module.
	Model *Module
	// Values are the other keys at the top: epoch, date, best_fitness, opt. Their
	// values are of the kinds listed at Module.Attr. It is never nil.
	Values map[string]any
}

// Module is one stored nn.Module: inert data, in which nothing can run.
//
// Children form a finite tree of bounded size; one module may stand in it at several
// places. Attr may point back to a module further up.
type Module struct {
	Class string // last part of the stored class name: "Conv", "C3", "Detect"
	Path  string // full stored name: "models.common.C3"

	// Attr is the rest of its __dict__. Values are nil, bool, int64, *big.Int (only
	// beyond 64 bits), float64, string, []byte, []any (list, tuple), map[any]any (dict,
	// OrderedDict), Set, *tensor.Tensor (also for numpy arrays), *Module and *Object.
	Attr map[string]any

	// Params are parameters and buffers, widened to float32 (num_batches_tracked and
	// other integers too). Entries that are None, such as bias=None, are left out.
	Params  map[string]*tensor.Tensor
	Buffers map[string]bool // names in Params that are buffers: stored, not trained

	Children []Child // in stored order; entries that are None are left out
}

// Child is a module under the name its parent knows it by.
type Child struct {
	Name   string
	Module *Module
}

// Set holds the elements of a Python set or frozenset, as stored.
type Set []any

// Object is an instance of a class that means nothing to this package, or a bare
// reference to a class or function (then only Class and Path are set). It is inert.
type Object struct {
	Class string // last part of the stored name
	Path  string // full stored name, "argparse.Namespace"

	Args  []any          // what its constructor was to be given
	Attr  map[string]any // its __dict__
	State any            // its state where that is no __dict__
	Items any            // what it holds as a subclass of list ([]any) or dict (map[any]any)
}

// Child returns the child of that name, nil where there is none.
func (m *Module) Child(name string) *Module {
	for _, c := range m.Children {
		if c.Name == name {
			return c.Module
		}
	}
	return nil
}

// Int returns the attribute, or def where it is missing or no whole number. A list
// whose elements are all the same number counts as that number: kernel_size=(3, 3) is 3.
func (m *Module) Int(name string, def int) int {
	v := m.Attr[name]
	if n, ok := asInt(v); ok {
		return n
	}
	ints, ok := asInts(v)
	if !ok || len(ints) == 0 {
		return def
	}
	for _, n := range ints {
		if n != ints[0] {
			return def
		}
	}
	return ints[0]
}

// Float returns the attribute, or def where it is missing or no number.
func (m *Module) Float(name string, def float64) float64 {
	if f, ok := asFloat(m.Attr[name]); ok {
		return f
	}
	return def
}

// Bool returns the attribute, or def where it is missing or no bool.
func (m *Module) Bool(name string, def bool) bool {
	if b, ok := m.Attr[name].(bool); ok {
		return b
	}
	return def
}

// Text returns the attribute, or def where it is missing or no string.
func (m *Module) Text(name, def string) string {
	if s, ok := m.Attr[name].(string); ok {
		return s
	}
	return def
}

// Ints returns the attribute as a list of whole numbers; a single number is a list of
// one. It is nil where the attribute is missing or something else.
func (m *Module) Ints(name string) []int {
	ints, _ := asInts(m.Attr[name])
	return ints
}

// Floats returns the attribute as a list of numbers; a tensor gives its elements in
// order, a single number a list of one. It is nil where the attribute is something else.
func (m *Module) Floats(name string) []float64 {
	switch v := m.Attr[name].(type) {
	case *tensor.Tensor:
		out := make([]float64, len(v.Data))
		for i, f := range v.Data {
			out[i] = float64(f)
		}
		return out
	case []any:
		out := make([]float64, len(v))
		for i, e := range v {
			f, ok := asFloat(e)
			if !ok {
				return nil
			}
			out[i] = f
		}
		return out
	default:
		if f, ok := asFloat(v); ok {
			return []float64{f}
		}
		return nil
	}
}

// Strings returns the attribute as a list of strings: a list as it stands, or a dict
// whose keys are 0 to n-1, as class names are stored from v6.2 on. It is nil where the
// attribute is something else.
func (m *Module) Strings(name string) []string {
	switch v := m.Attr[name].(type) {
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			out[i] = s
		}
		return out
	case map[any]any:
		out := make([]string, len(v))
		for i := range out {
			s, ok := v[int64(i)].(string)
			if !ok {
				return nil
			}
			out[i] = s
		}
		return out
	}
	return nil
}

func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), true
	case float64:
		n := int(v)
		return n, float64(n) == v
	case *tensor.Tensor:
		if len(v.Data) != 1 {
			return 0, false
		}
		return asInt(float64(v.Data[0]))
	}
	return 0, false
}

func asInts(v any) ([]int, bool) {
	if n, ok := asInt(v); ok {
		return []int{n}, true
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]int, len(list))
	for i, e := range list {
		n, ok := asInt(e)
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case *tensor.Tensor:
		if len(v.Data) == 1 {
			return float64(v.Data[0]), true
		}
	}
	return 0, false
}
