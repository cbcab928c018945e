package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"ultrafast/tensor"
)

func (c *constant) decode(f field) error {
	return within(f, func(f field) error {
		switch f.num {
		case tensorDims:
			return f.repeated(&c.dims, maxRank)
		case tensorKind:
			return f.count(&c.kind)
		case tensorSegment:
			return &UnsupportedError{Reason: "has a weight in segments"}
		case tensorName:
			return f.into(&c.name)
		case tensorRaw:
			c.raw = f.bytes
			return f.want(protowire.BytesType)
		case tensorFloats, tensorDoubles:
			return c.fixed(f)
		case tensorInt32s, tensorInt64s:
			if f.kind == protowire.VarintType {
				c.packed = protowire.AppendVarint(c.packed, f.number)
				return nil
			}
			c.packed = append(c.packed, f.bytes...)
			return f.want(protowire.BytesType)
		case tensorExternal:
			c.external = true
		case tensorLocation:
			c.external = c.external || f.number != 0
		}
		return nil
	})
}

// fixed takes the numbers of float_data or double_data, packed or one by one.
func (c *constant) fixed(f field) error {
	switch f.kind {
	case protowire.BytesType:
		c.typed = append(c.typed, f.bytes...)
	case protowire.Fixed32Type:
		c.typed = binary.LittleEndian.AppendUint32(c.typed, uint32(f.number))
	case protowire.Fixed64Type:
		c.typed = binary.LittleEndian.AppendUint64(c.typed, f.number)
	default:
		return f.fail("weight %.80q has numbers of wire type %d", c.name, f.kind)
	}
	return nil
}

func (c *constant) malformed(reason string) error {
	return &FormatError{c.at, fmt.Sprintf("weight %.80q %s", c.name, reason)}
}

func (c *constant) unsupported(reason string) error {
	return &UnsupportedError{Reason: fmt.Sprintf("weight %.80q %s", c.name, reason)}
}

// shape checks the dimensions and returns them with their product.
func (c *constant) shape() ([]int, int, error) {
	dims := make([]int, len(c.dims))
	for i, d := range c.dims {
		if d < 0 || d > math.MaxInt32 {
			return nil, 0, c.malformed("has a dimension out of range")
		}
		dims[i] = int(d)
	}
	n, err := tensor.Count(dims)
	if err != nil {
		return nil, 0, c.malformed(err.Error())
	}
	return dims, n, nil
}

// numbers decodes the constant once; half precision is widened. Nothing is allocated
// before the file is seen to hold that many numbers.
func (c *constant) numbers() (*array, error) {
	dims, n, err := c.shape()
	if err != nil {
		return nil, err
	}
	a := &array{dims: dims, f: c.f, i: c.i, kind: c.kind}
	if c.f != nil || c.i != nil {
		return a, nil
	}
	if c.external {
		return nil, c.unsupported("lies in another file (external data); save the model as one file")
	}
	width := map[int64]int{float32s: 4, float64s: 8, float16s: 2, bfloat16s: 2, int64s: 8, int32s: 4,
		int16s: 2, uint16s: 2, int8s: 1, uint8s: 1, bools: 1}[c.kind]
	if width == 0 {
		return nil, c.unsupported(fmt.Sprintf("holds numbers of ONNX kind %d", c.kind))
	}
	fixed := c.raw
	if len(fixed) == 0 {
		fixed = c.typed
	}
	at := func(i int) uint64 {
		b := fixed[i*width:]
		switch width {
		case 1:
			return uint64(b[0])
		case 2:
			return uint64(binary.LittleEndian.Uint16(b))
		case 4:
			return uint64(binary.LittleEndian.Uint32(b))
		}
		return binary.LittleEndian.Uint64(b)
	}
	if len(c.packed) > 0 && len(fixed) == 0 {
		at = func(int) uint64 {
			v, k := protowire.ConsumeVarint(c.packed)
			if k < 0 {
				c.packed = nil
				return 0
			}
			c.packed = c.packed[k:]
			return v
		}
		if countVarints(c.packed) != n {
			return nil, c.malformed("does not hold as many numbers as its shape has")
		}
	} else if len(fixed)%width != 0 || len(fixed)/width != n {
		return nil, c.malformed("does not hold as many numbers as its shape has")
	}
	if c.kind == float32s || c.kind == float64s || c.kind == float16s || c.kind == bfloat16s {
		c.f = make([]float32, n)
		for i := range c.f {
			c.f[i] = widen(c.kind, at(i))
		}
	} else {
		c.i = make([]int64, n)
		for i := range c.i {
			c.i[i] = signed(c.kind, at(i))
		}
	}
	a.f, a.i = c.f, c.i
	return a, nil
}

// countVarints counts complete varints: each ends with a byte whose top bit is clear.
func countVarints(b []byte) int {
	n := 0
	for _, x := range b {
		if x < 0x80 {
			n++
		}
	}
	return n
}

func widen(kind int64, bits uint64) float32 {
	switch kind {
	case float64s:
		return float32(math.Float64frombits(bits))
	case bfloat16s:
		return tensor.FromBFloat16(uint16(bits))
	case float16s:
		return tensor.FromHalf(uint16(bits))
	}
	return math.Float32frombits(uint32(bits))
}

func signed(kind int64, bits uint64) int64 {
	switch kind {
	case int32s:
		return int64(int32(bits))
	case int16s:
		return int64(int16(bits))
	case int8s:
		return int64(int8(bits))
	}
	return int64(bits)
}
