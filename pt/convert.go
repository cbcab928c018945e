package pt

import (
	"fmt"
	"math/big"

	"ultrafast/tensor"
)

const (
	maxDepth   = 500     // nesting of values, and of modules
	maxValues  = 1 << 21 // counted after lists that the pickle shares are copied out
	maxModules = 1 << 16 // in the tree, a module that is shared counted at each place
)

// converter turns what the pickle machine built into a Checkpoint.
type converter struct {
	loader  *loader
	end     int64 // of the pickle, for errors
	values  int
	depth   int
	seen    map[any]any     // by pointer: tensors and instances keep their identity
	modules map[*Module]int // how many modules the tree below each has
}

func (c *converter) fail(format string, args ...any) {
	panic(&FormatError{Part: c.loader.part, Offset: c.end, Reason: fmt.Sprintf(format, args...)})
}

// checkpoint picks the model from the root.
func (c *converter) checkpoint(root any) *Checkpoint {
	ck := &Checkpoint{Values: map[string]any{}}
	top, ok := root.(*dict)
	if !ok {
		if ck.Model, ok = c.value(root).(*Module); !ok {
			panic(UnsupportedError("the file holds neither a model nor a dict with one: give the checkpoint that YOLOv5's train.py wrote"))
		}
		c.checkModules()
		return ck
	}
	for i, k := range top.keys {
		key, ok := k.(string)
		if !ok || key == "model" || key == "ema" {
			continue
		}
		ck.Values[key] = c.value(top.vals[i])
	}
	for _, key := range []string{"ema", "model"} {
		stored, _ := top.get(key)
		if pair, ok := stored.(tuple); ok && len(pair) > 0 { // v5.0: (ema, updates)
			stored = pair[0]
		}
		if o, ok := stored.(*object); ok && isModule(c.fields(o)) {
			ck.Model = c.value(o).(*Module)
			break
		}
	}
	if ck.Model == nil {
		panic(noModel(top))
	}
	c.checkModules()
	return ck
}

// noModel says what a dict without a model holds instead.
func noModel(top *dict) error {
	weights := holdsTensors(top)
	for _, key := range []string{"ema", "model", "state_dict", "model_state_dict"} {
		if d, ok := top.get(key); ok && holdsTensors(d) {
			weights = true
		}
	}
	if weights {
		return UnsupportedError("the file holds weights without a model (a state_dict), and so not its structure: save the whole checkpoint as YOLOv5's train.py does, torch.save({'model': model}, path)")
	}
	return UnsupportedError("the file holds no model under 'model' or 'ema': give the checkpoint that YOLOv5's train.py wrote")
}

func holdsTensors(v any) bool {
	d, ok := v.(*dict)
	if !ok {
		return false
	}
	for _, v := range d.vals {
		if _, ok := v.(*view); ok {
			return true
		}
	}
	return false
}

// value converts one value, and what it holds.
func (c *converter) value(v any) any {
	c.charge(1)
	if c.depth++; c.depth > maxDepth {
		c.fail("values nested deeper than %d", maxDepth)
	}
	defer func() { c.depth-- }()
	switch v := v.(type) {
	case nil, bool, int64, float64, string, []byte, *big.Int:
		return v
	case tuple:
		return c.list(v)
	case *list:
		if v.set {
			return Set(c.list(v.items))
		}
		return c.list(v.items)
	case *dict:
		return c.dict(v)
	}
	if done, ok := c.seen[v]; ok {
		return done
	}
	switch v := v.(type) {
	case *view:
		t := c.loader.load(v)
		c.seen[v] = t
		return t
	case *array:
		return c.array(v)
	case *object:
		return c.object(v)
	case *global:
		return &Object{Class: v.className(), Path: v.path()}
	case *storage:
		return &Object{Class: "Storage", Path: "torch.Storage"}
	case *arrayType:
		return &Object{Class: "dtype", Path: "numpy.dtype"}
	}
	panic(fmt.Sprintf("BUG: pt: value of type %T", v))
}

func (c *converter) charge(n int) {
	if c.values += n; c.values > maxValues {
		c.fail("more than %d values", maxValues)
	}
}

func (c *converter) list(items []any) []any {
	c.charge(len(items)) // before they cost memory
	out := make([]any, len(items))
	for i, v := range items {
		out[i] = c.value(v)
	}
	return out
}

func (c *converter) dict(d *dict) map[any]any {
	c.charge(len(d.keys))
	out := make(map[any]any, len(d.keys))
	for i, k := range d.keys {
		k = c.value(k)
		switch k.(type) {
		case []any, []byte, map[any]any, Set: // not comparable in Go
			k = &Object{Class: "tuple", Path: "builtins.tuple", State: k}
		}
		out[k] = c.value(d.vals[i])
	}
	return out
}

func (c *converter) array(a *array) any {
	if a.items != nil {
		return c.list(a.items)
	}
	if a.typ == nil {
		o := &Object{Class: "ndarray", Path: "numpy.ndarray", State: a.raw}
		c.seen[a] = o
		return o
	}
	if c.loader.left -= int64(len(a.raw)); c.loader.left < 0 {
		c.fail("arrays hold far more than the file does")
	}
	t := a.tensor()
	c.seen[a] = t
	return t
}

// fields is the __dict__ that BUILD gave the object: dicts, or pairs of the dict and
// one of __slots__. It is nil where a state is something else.
func (c *converter) fields(o *object) *dict {
	all := &dict{}
	add := func(v any) bool {
		d, ok := v.(*dict)
		if !ok {
			return v == nil
		}
		c.charge(len(d.keys))
		for i, k := range d.keys {
			if _, ok := k.(string); !ok {
				return false
			}
			all.set(k, d.vals[i])
		}
		return true
	}
	for _, s := range o.states {
		pair, ok := s.(tuple)
		if ok && len(pair) == 2 {
			if !add(pair[0]) || !add(pair[1]) {
				return nil
			}
		} else if !add(s) {
			return nil
		}
	}
	return all
}

// isModule reports whether these are the fields of an nn.Module.
func isModule(fields *dict) bool {
	if fields == nil {
		return false
	}
	for _, name := range []string{"_modules", "_parameters"} {
		v, _ := fields.get(name)
		if _, ok := v.(*dict); !ok {
			return false
		}
	}
	return true
}

func (c *converter) object(o *object) any {
	fields := c.fields(o)
	if isModule(fields) {
		return c.module(o, fields)
	}
	out := &Object{Class: o.class.className(), Path: o.class.path()}
	c.seen[o] = out
	out.Args = c.list(o.args)
	if fields == nil {
		out.State = c.list(o.states)
	} else {
		out.Attr = make(map[string]any, len(fields.keys))
		for i, k := range fields.keys {
			out.Attr[k.(string)] = c.value(fields.vals[i])
		}
	}
	switch {
	case o.dict != nil:
		out.Items = c.dict(o.dict)
	case o.items != nil:
		out.Items = c.list(o.items.items)
	}
	return out
}

func (c *converter) module(o *object, fields *dict) *Module {
	m := &Module{
		Class: o.class.className(), Path: o.class.path(),
		Attr: map[string]any{}, Params: map[string]*tensor.Tensor{}, Buffers: map[string]bool{},
	}
	c.seen[o] = m
	for i, k := range fields.keys {
		name, v := k.(string), fields.vals[i]
		d, isDict := v.(*dict)
		switch {
		case isDict && (name == "_parameters" || name == "_buffers"):
			c.params(m, d, name == "_buffers")
		case isDict && name == "_modules":
			c.children(m, d)
		default:
			m.Attr[name] = c.value(v)
		}
	}
	return m
}

func (c *converter) params(m *Module, d *dict, buffers bool) {
	for i, k := range d.keys {
		name, ok := k.(string)
		if d.vals[i] == nil {
			continue
		}
		t, isTensor := c.value(d.vals[i]).(*tensor.Tensor)
		if !ok || !isTensor {
			c.fail("parameter %.60v of a %s is no tensor", k, m.Class)
		}
		m.Params[name] = t
		if buffers {
			m.Buffers[name] = true
		}
	}
}

func (c *converter) children(m *Module, d *dict) {
	place := map[string]int{}
	for i, k := range d.keys {
		name, ok := k.(string)
		if d.vals[i] == nil {
			continue
		}
		child, isModule := c.value(d.vals[i]).(*Module)
		if !ok || !isModule {
			c.fail("child %.60v of a %s is no module", k, m.Class)
		}
		if at, twice := place[name]; twice {
			m.Children[at].Module = child
			continue
		}
		place[name] = len(m.Children)
		m.Children = append(m.Children, Child{name, child})
	}
}

// checkModules fails where a module contains itself, or modules that share children
// would take for ever to walk.
func (c *converter) checkModules() {
	c.modules = map[*Module]int{}
	for _, v := range c.seen {
		if m, ok := v.(*Module); ok {
			c.count(m, 0)
		}
	}
}

// count returns the modules in the tree below m, and fails where it is not finite.
func (c *converter) count(m *Module, depth int) int {
	if n, ok := c.modules[m]; ok {
		if n == 0 {
			c.fail("a %s contains itself", m.Class)
		}
		return n
	}
	if depth > maxDepth {
		c.fail("modules nested deeper than %d", maxDepth)
	}
	c.modules[m] = 0 // under way
	n := 1
	for _, child := range m.Children {
		if n += c.count(child.Module, depth+1); n > maxModules {
			c.fail("more than %d modules", maxModules)
		}
	}
	c.modules[m] = n
	return n
}
