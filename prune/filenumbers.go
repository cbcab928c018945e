package prune

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// wholeNumbers is an error where an integer of a plan that a person edits is not written in
// decimal digits: the library takes 7.5 for 7 and 010 for 8. What is no YAML is left to it.
func wholeNumbers(text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil
	}
	v := &numberVisitor{}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(v, doc.Body)
		}
	}
	return v.err
}

type numberVisitor struct{ err error }

// Visit implements ast.Visitor.
func (v *numberVisitor) Visit(n ast.Node) ast.Visitor {
	if v.err != nil {
		return nil
	}
	m, ok := n.(*ast.MappingValueNode)
	if !ok || m.Value == nil {
		return v
	}
	key, value := m.Key.GetToken(), m.Value.GetToken()
	if key == nil || value == nil || !slices.Contains([]string{"from", "to", "width", "height"}, key.Value) {
		return v
	}
	if d, err := strconv.Atoi(value.Value); err != nil || strconv.Itoa(d) != value.Value {
		v.err = fmt.Errorf("plan line %d: %s: %.20q: want a whole number", value.Position.Line, key.Value, value.Value)
	}
	return v
}
