package onnx

// What a model file holds, as far as it matters here. The reader fills these from a file,
// the writer makes them from a graph.

type model struct {
	ir        int64
	producer  string
	version   string // of the producer
	opset     int64
	name      string // of the graph
	nodes     []*node
	constants []*constant // initializers
	inputs    []value
	outputs   []value
	meta      []property
}

type node struct {
	name, op, domain string
	in, out          []string // an empty name is an input that is left out
	attrs            []attr
	at               int64 // byte in the file
}

// An attr is one attribute of a node; kind says which member counts.
type attr struct {
	name string
	kind int64
	f    float32
	i    int64
	s    string
	t    *constant
	ints []int64
}

// A constant is a tensor with its numbers: f or i once they are decoded, before that and where
// 8-bit ones are written one of raw (little endian, part of the file), typed (the same, gathered from float_data or
// double_data) and packed (varints).
type constant struct {
	name     string
	dims     []int64
	kind     int64
	raw      []byte
	typed    []byte
	packed   []byte
	f        []float32
	i        []int64
	at       int64
	external bool // its numbers are in another file
}

// A value is an input or output of the graph.
type value struct {
	name string
	kind int64
	dims []dim
}

// A dim is a number, or a name where the size is open.
type dim struct {
	size int64
	name string
}

type property struct{ key, value string }

// Field numbers of onnx.proto.
const (
	modelIR, modelProducer, modelProducerVersion, modelGraph, modelOpset, modelMeta, modelFunctions = 1, 2, 3, 7, 8, 14, 25
	graphNode, graphName, graphInit, graphInput, graphOutput, graphSparse                           = 1, 2, 5, 11, 12, 15
	nodeIn, nodeOut, nodeName, nodeOp, nodeAttr, nodeDomain                                         = 1, 2, 3, 4, 5, 7
	attrName, attrF, attrI, attrS, attrT, attrG, attrFloats, attrInts, attrGraphs, attrKind         = 1, 2, 3, 4, 5, 6, 7, 8, 11, 20
	tensorDims, tensorKind, tensorSegment, tensorFloats, tensorInt32s, tensorInt64s                 = 1, 2, 3, 4, 5, 7
	tensorName, tensorRaw, tensorDoubles, tensorExternal, tensorLocation                            = 8, 9, 10, 13, 14
	valueName, valueType, typeTensor, tensorTypeKind, tensorTypeShape                               = 1, 2, 1, 1, 2
	shapeDim, dimSize, dimName                                                                      = 1, 1, 2
	opsetDomain, opsetVersion, propertyKey, propertyValue                                           = 1, 2, 1, 2
)

// Kinds of attributes (AttributeProto.AttributeType).
const (
	kindFloat, kindInt, kindString, kindTensor, kindGraph, kindInts = 1, 2, 3, 4, 5, 7
)

// Kinds of numbers (TensorProto.DataType).
const (
	float32s, uint8s, int8s, uint16s, int16s, int32s, int64s = 1, 2, 3, 4, 5, 6, 7
	bools, float16s, float64s, bfloat16s                     = 9, 10, 11, 16
)

func (n *node) attr(name string) *attr {
	for i := range n.attrs {
		if n.attrs[i].name == name {
			return &n.attrs[i]
		}
	}
	return nil
}

func (n *node) int(name string, usual int64) int64 {
	if a := n.attr(name); a != nil {
		return a.i
	}
	return usual
}

func (n *node) float(name string, usual float32) float32 {
	if a := n.attr(name); a != nil {
		return a.f
	}
	return usual
}

func (n *node) text(name, usual string) string {
	if a := n.attr(name); a != nil {
		return a.s
	}
	return usual
}

func (n *node) ints(name string) []int64 {
	if a := n.attr(name); a != nil {
		return a.ints
	}
	return nil
}
