package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits on what a file may hold; the largest YOLOv5 export has about 1500 nodes.
const (
	maxNodes   = 100_000
	maxPerNode = 4096    // inputs, outputs, attributes, numbers in an attribute
	maxRank    = 8       // dimensions of a tensor
	maxSide    = 1 << 16 // of a dimension of the input
)

// A field is one field of a message, at its byte in the file. For varints and fixed
// numbers, number is the value; for the rest, bytes.
type field struct {
	num    protowire.Number
	kind   protowire.Type
	number uint64
	bytes  []byte
	at     int64
}

func (f *field) fail(format string, args ...any) error {
	return &FormatError{f.at, fmt.Sprintf(format, args...)}
}

// fields calls visit for each field of a message that begins at byte at of the file.
func fields(message []byte, at int64, visit func(f field) error) error {
	for pos := 0; pos < len(message); {
		f := field{at: at + int64(pos)}
		var n int
		f.num, f.kind, n = protowire.ConsumeTag(message[pos:])
		if n < 0 {
			return f.fail("there is no field here")
		}
		pos += n
		rest := message[pos:]
		switch f.kind {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(rest)
			f.number = uint64(v)
		case protowire.Fixed64Type:
			f.number, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(rest)
		default:
			return f.fail("field %d is a group, which ONNX does not have", f.num)
		}
		if n < 0 {
			return f.fail("field %d ends beyond its message", f.num)
		}
		pos += n
		if f.kind == protowire.BytesType {
			f.at = at + int64(pos-len(f.bytes))
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// want checks the wire type of a field.
func (f *field) want(kind protowire.Type) error {
	if f.kind != kind {
		return f.fail("field %d has wire type %d, want %d", f.num, f.kind, kind)
	}
	return nil
}

func (f *field) into(s *string) error {
	*s = string(f.bytes)
	return f.want(protowire.BytesType)
}

func (f *field) count(n *int64) error {
	*n = int64(f.number)
	return f.want(protowire.VarintType)
}

// repeated takes a number of a repeated field, or all of them where they are packed.
func (f *field) repeated(to *[]int64, limit int) error {
	if f.kind != protowire.BytesType {
		*to = append(*to, int64(f.number))
		if len(*to) > limit {
			return f.fail("more than %d numbers", limit)
		}
		return f.want(protowire.VarintType)
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return f.fail("a packed number does not end")
		}
		if len(*to) >= limit {
			return f.fail("more than %d numbers", limit)
		}
		*to = append(*to, int64(v))
		b = b[n:]
	}
	return nil
}

func decode(file []byte) (*model, error) {
	m := &model{}
	graphs := 0
	err := fields(file, 0, func(f field) error {
		switch f.num {
		case modelIR:
			return f.count(&m.ir)
		case modelProducer:
			return f.into(&m.producer)
		case modelProducerVersion:
			return f.into(&m.version)
		case modelGraph:
			if graphs++; graphs > 1 {
				return f.fail("there is a second graph")
			}
			return m.decodeGraph(f)
		case modelOpset:
			return m.decodeOpset(f)
		case modelMeta:
			m.meta = append(m.meta, property{})
			return m.meta[len(m.meta)-1].decode(f)
		case modelFunctions:
			return &UnsupportedError{Reason: "has functions of its own; export it without"}
		}
		return nil
	})
	if err == nil && graphs == 0 {
		err = &FormatError{0, "there is no graph"}
	}
	return m, err
}

func (m *model) decodeOpset(f field) error {
	var domain string
	var version int64
	err := within(f, func(f field) error {
		switch f.num {
		case opsetDomain:
			return f.into(&domain)
		case opsetVersion:
			return f.count(&version)
		}
		return nil
	})
	if domain == "" || domain == "ai.onnx" {
		m.opset = version
	}
	return err
}

func (p *property) decode(f field) error {
	return within(f, func(f field) error {
		switch f.num {
		case propertyKey:
			return f.into(&p.key)
		case propertyValue:
			return f.into(&p.value)
		}
		return nil
	})
}

func (m *model) decodeGraph(f field) error {
	return within(f, func(f field) error {
		if len(m.nodes) > maxNodes || len(m.constants) > maxNodes || len(m.inputs) > maxNodes || len(m.outputs) > maxPerNode {
			return f.fail("more than %d nodes or weights, or %d outputs", maxNodes, maxPerNode)
		}
		var err error
		switch f.num {
		case graphNode:
			n := &node{at: f.at}
			m.nodes = append(m.nodes, n)
			return n.decode(f)
		case graphName:
			return f.into(&m.name)
		case graphInit:
			c := &constant{at: f.at}
			m.constants = append(m.constants, c)
			return c.decode(f)
		case graphInput:
			var v value
			v, err = decodeValue(f)
			m.inputs = append(m.inputs, v)
		case graphOutput:
			var v value
			v, err = decodeValue(f)
			m.outputs = append(m.outputs, v)
		case graphSparse:
			return &UnsupportedError{Reason: "has sparse weights"}
		}
		return err
	})
}

func (n *node) decode(f field) error {
	return within(f, func(f field) error {
		if len(n.in) >= maxPerNode || len(n.out) >= maxPerNode || len(n.attrs) >= maxPerNode {
			return f.fail("a node has more than %d inputs, outputs or attributes", maxPerNode)
		}
		var s string
		switch f.num {
		case nodeIn:
			err := f.into(&s)
			n.in = append(n.in, s)
			return err
		case nodeOut:
			err := f.into(&s)
			n.out = append(n.out, s)
			return err
		case nodeName:
			return f.into(&n.name)
		case nodeOp:
			return f.into(&n.op)
		case nodeDomain:
			return f.into(&n.domain)
		case nodeAttr:
			n.attrs = append(n.attrs, attr{})
			return n.attrs[len(n.attrs)-1].decode(f)
		}
		return nil
	})
}

// decode leaves out graphs and lists of floats and strings: no operator that is known here
// has them.
func (a *attr) decode(f field) error {
	return within(f, func(f field) error {
		switch f.num {
		case attrName:
			return f.into(&a.name)
		case attrF:
			a.f = math.Float32frombits(uint32(f.number))
			return f.want(protowire.Fixed32Type)
		case attrI:
			return f.count(&a.i)
		case attrS:
			return f.into(&a.s)
		case attrT:
			a.t = &constant{at: f.at}
			return a.t.decode(f)
		case attrInts:
			return f.repeated(&a.ints, maxPerNode)
		case attrKind:
			return f.count(&a.kind)
		}
		return nil
	})
}

func decodeValue(f field) (value, error) {
	v := value{}
	err := within(f, func(f field) error {
		if f.num == valueName {
			return f.into(&v.name)
		}
		if f.num != valueType {
			return nil
		}
		return within(f, func(f field) error {
			if f.num != typeTensor {
				return nil
			}
			return within(f, func(f field) error {
				switch f.num {
				case tensorTypeKind:
					return f.count(&v.kind)
				case tensorTypeShape:
					return within(f, v.decodeDim)
				}
				return nil
			})
		})
	})
	return v, err
}

func (v *value) decodeDim(f field) error {
	if f.num != shapeDim {
		return nil
	}
	if len(v.dims) >= maxRank {
		return f.fail("%.80q has more than %d dimensions", v.name, maxRank)
	}
	v.dims = append(v.dims, dim{})
	d := &v.dims[len(v.dims)-1]
	return within(f, func(f field) error {
		switch f.num {
		case dimSize:
			return f.count(&d.size)
		case dimName:
			return f.into(&d.name)
		}
		return nil
	})
}

// within visits the fields of a message that is a field.
func within(f field, visit func(field) error) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	return fields(f.bytes, f.at, visit)
}
