package onnx

import "fmt"

// A FormatError says that a file is not a valid ONNX model, and at which byte that became
// clear.
type FormatError struct {
	Offset int64
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("not a valid ONNX model: %s (at byte %d)", e.Reason, e.Offset)
}

// An UnsupportedError is a valid ONNX model with something that this package cannot
// represent: an operator, an attribute, a kind of number.
type UnsupportedError struct {
	Node   string // as the file names it; may be empty
	Op     string // "Einsum"; may be empty
	Reason string
}

func (e *UnsupportedError) Error() string {
	switch {
	case e.Op == "":
		return "ONNX model: " + e.Reason
	case e.Node == "":
		return fmt.Sprintf("ONNX model: an unnamed %s: %s", e.Op, e.Reason)
	}
	return fmt.Sprintf("ONNX model: %s %.80q: %s", e.Op, e.Node, e.Reason)
}

func unsupported(n *node, format string, args ...any) error {
	return &UnsupportedError{Node: n.name, Op: n.op, Reason: fmt.Sprintf(format, args...)}
}

func malformed(n *node, format string, args ...any) error {
	return &FormatError{n.at, fmt.Sprintf("%s %.80q: %s", n.op, n.name, fmt.Sprintf(format, args...))}
}
