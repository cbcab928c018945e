package onnx

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxModel is protobuf's limit for a message, and so for a model without external data.
const maxModel = 1<<31 - 1

// encode writes the model. Weights are streamed: only their headers are held in memory.
func (m *model) encode(w io.Writer) error {
	var front, head, tail, back []byte
	for _, n := range m.nodes {
		head = appendMessage(head, graphNode, n.encode())
	}
	head = appendString(head, graphName, m.name)
	size := len(head)
	headers := make([][]byte, len(m.constants))
	for i, c := range m.constants {
		body := c.header()
		b := protowire.AppendTag(nil, graphInit, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(len(body)+c.bytes()))
		headers[i] = append(b, body...)
		size += len(headers[i]) + c.bytes()
	}
	for _, v := range m.inputs {
		tail = appendMessage(tail, graphInput, v.encode())
	}
	for _, v := range m.outputs {
		tail = appendMessage(tail, graphOutput, v.encode())
	}
	size += len(tail)
	if size > maxModel-1<<20 {
		return errors.New("write ONNX: the weights are above 2 GB, the limit of the format")
	}
	front = appendInt(front, modelIR, m.ir)
	front = appendString(front, modelProducer, m.producer)
	front = appendString(front, modelProducerVersion, m.version)
	front = protowire.AppendTag(front, modelGraph, protowire.BytesType)
	front = protowire.AppendVarint(front, uint64(size))
	back = appendMessage(back, modelOpset, appendInt(nil, opsetVersion, m.opset))
	for _, p := range m.meta {
		back = appendMessage(back, modelMeta, appendString(appendString(nil, propertyKey, p.key), propertyValue, p.value))
	}
	out := bufio.NewWriterSize(w, 1<<16) // keeps the first error until Flush
	out.Write(front)
	out.Write(head)
	for i, c := range m.constants {
		out.Write(headers[i])
		c.stream(out)
	}
	out.Write(tail)
	out.Write(back)
	return out.Flush()
}

func (n *node) encode() []byte {
	var b []byte
	for _, in := range n.in { // empty ones too: they hold a place
		b = protowire.AppendTag(b, nodeIn, protowire.BytesType)
		b = protowire.AppendString(b, in)
	}
	for _, out := range n.out {
		b = appendString(b, nodeOut, out)
	}
	b = appendString(b, nodeName, n.name)
	b = appendString(b, nodeOp, n.op)
	for _, a := range n.attrs {
		b = appendMessage(b, nodeAttr, a.encode())
	}
	return b
}

func (a *attr) encode() []byte {
	b := appendString(nil, attrName, a.name)
	switch a.kind {
	case kindFloat:
		b = protowire.AppendTag(b, attrF, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(a.f))
	case kindInt:
		b = appendInt(b, attrI, a.i)
	case kindString:
		b = appendString(b, attrS, a.s)
	case kindInts:
		for _, i := range a.ints {
			b = appendInt(b, attrInts, i)
		}
	}
	return appendInt(b, attrKind, a.kind)
}

// header is the tensor's message up to its numbers.
func (c *constant) header() []byte {
	var b []byte
	for _, d := range c.dims {
		b = appendInt(b, tensorDims, d)
	}
	b = appendInt(b, tensorKind, c.kind)
	b = appendString(b, tensorName, c.name)
	b = protowire.AppendTag(b, tensorRaw, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(c.bytes()))
}

func (c *constant) bytes() int { return 4*len(c.f) + 8*len(c.i) + len(c.raw) }

func (c *constant) stream(w *bufio.Writer) {
	var block []byte
	for part := range slices.Chunk(c.f, 1<<12) {
		block = block[:0]
		for _, v := range part {
			block = binary.LittleEndian.AppendUint32(block, math.Float32bits(v))
		}
		w.Write(block)
	}
	for _, v := range c.i {
		w.Write(binary.LittleEndian.AppendUint64(block[:0], uint64(v)))
	}
	w.Write(c.raw)
}

func (v *value) encode() []byte {
	var shape []byte
	for _, d := range v.dims {
		if d.name != "" {
			shape = appendMessage(shape, shapeDim, appendString(nil, dimName, d.name))
		} else {
			shape = appendMessage(shape, shapeDim, appendInt(nil, dimSize, d.size))
		}
	}
	t := appendMessage(appendInt(nil, tensorTypeKind, v.kind), tensorTypeShape, shape)
	return appendMessage(appendString(nil, valueName, v.name), valueType, appendMessage(nil, typeTensor, t))
}

func appendInt(b []byte, num protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), m)
}
