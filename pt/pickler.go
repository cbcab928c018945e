package pt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"ultrafast/tensor"
)

// pickler writes opcodes. Its first error stays.
type pickler struct {
	bytes.Buffer
	storages []*tensor.Tensor // the key is the index
	memo     map[any]uint32   // tensors and modules by pointer
	err      error
}

func (p *pickler) value(v any) {
	switch v := v.(type) {
	case nil:
		p.WriteByte('N')
	case bool:
		p.WriteByte(map[bool]byte{true: 0x88, false: 0x89}[v])
	case int:
		p.value(int64(v))
	case int64:
		p.WriteString("\x8a\x08") // LONG1 of 8 bytes
		p.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
	case float64:
		p.WriteByte('G')
		p.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	case string:
		p.text(v)
	case []any:
		p.list(v)
	case Set:
		p.WriteString("c__builtin__\nset\n")
		p.list(v)
		p.WriteString("\x85R")
	case map[any]any:
		p.dict(v)
	case *tensor.Tensor:
		p.tensor(v)
	case *Module:
		p.module(v)
	case *Object:
		if v == nil || v.Args != nil || v.Attr != nil || v.State != nil || v.Items != nil {
			p.fail("pt.Write: an Object other than a bare reference cannot be written")
			return
		}
		p.global(v.Path)
	default:
		p.fail("pt.Write: a %T cannot be written", v)
	}
}

func (p *pickler) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *pickler) text(s string) {
	p.WriteByte('X')
	p.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	p.WriteString(s)
}

func (p *pickler) list(items []any) {
	p.WriteString("](")
	for _, v := range items {
		p.value(v)
	}
	p.WriteByte('e')
}

func (p *pickler) dict(d map[any]any) {
	keys := slices.Collect(maps.Keys(d))
	slices.SortFunc(keys, func(a, b any) int {
		x, isInt := a.(int64)
		if y, ok := b.(int64); ok && isInt {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	p.WriteString("}(")
	for _, k := range keys {
		p.value(k)
		p.value(d[k])
	}
	p.WriteByte('u')
}

// again pushes what was written before under this pointer, and reports whether it was.
func (p *pickler) again(ptr any) bool {
	i, ok := p.memo[ptr]
	if ok {
		p.WriteByte('j')
		p.Write(binary.LittleEndian.AppendUint32(nil, i))
	}
	return ok
}

func (p *pickler) remember(ptr any) {
	i := uint32(len(p.memo))
	p.memo[ptr] = i
	p.WriteByte('r')
	p.Write(binary.LittleEndian.AppendUint32(nil, i))
}

func (p *pickler) tensor(t *tensor.Tensor) {
	if p.again(t) {
		return
	}
	if t == nil || len(t.Data) != t.Len() {
		p.fail("pt.Write: a tensor without data")
		return
	}
	shape, strides := make([]any, len(t.Shape)), make([]any, len(t.Shape))
	next := 1
	for i := len(shape) - 1; i >= 0; i-- {
		shape[i], strides[i] = t.Shape[i], next
		next *= max(1, t.Shape[i])
	}
	p.WriteString("ctorch._utils\n_rebuild_tensor_v2\n((") // arguments; persistent id
	p.text("storage")
	p.WriteString("ctorch\nFloatStorage\n")
	p.text(strconv.Itoa(len(p.storages)))
	p.text("cpu")
	p.value(len(t.Data))
	p.WriteString("tQ") // BINPERSID
	p.value(0)
	p.tuple(shape)
	p.tuple(strides)
	p.WriteString("\x89ccollections\nOrderedDict\n)RtR") // requires_grad, hooks
	p.remember(t)
	p.storages = append(p.storages, t)
}

func (p *pickler) tuple(items []any) {
	p.WriteByte('(')
	for _, v := range items {
		p.value(v)
	}
	p.WriteByte('t')
}

// global names a class.
func (p *pickler) global(path string) {
	dot := strings.LastIndexByte(path, '.')
	if dot < 1 || strings.ContainsRune(path, '\n') {
		p.fail("pt.Write: the path %q names no class in a Python module", path)
		return
	}
	p.WriteString("c" + path[:dot] + "\n" + path[dot+1:] + "\n")
}

func (p *pickler) module(m *Module) {
	if p.again(m) {
		return
	}
	if m == nil {
		p.fail("pt.Write: no module")
		return
	}
	p.global(m.Path)
	p.WriteString(")\x81") // NEWOBJ
	p.remember(m)
	p.WriteString("}(")
	for _, name := range slices.Sorted(maps.Keys(m.Attr)) {
		p.text(name)
		p.value(m.Attr[name])
	}
	for _, buffers := range []bool{false, true} {
		p.text(map[bool]string{false: "_parameters", true: "_buffers"}[buffers])
		p.WriteString("}(")
		for _, name := range slices.Sorted(maps.Keys(m.Params)) {
			switch {
			case m.Buffers[name] != buffers:
			case buffers:
				p.text(name)
				p.tensor(m.Params[name])
			default:
				p.text(name)
				p.WriteString("ctorch._utils\n_rebuild_parameter\n")
				p.tensor(m.Params[name])
				p.WriteString("\x88ccollections\nOrderedDict\n)R\x87R") // requires_grad, hooks
			}
		}
		p.WriteByte('u')
	}
	p.text("_modules")
	p.WriteString("}(")
	for _, c := range m.Children {
		p.text(c.Name)
		p.value(c.Module)
	}
	p.WriteString("uub") // SETITEMS, SETITEMS, BUILD
}
