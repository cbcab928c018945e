package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// tooDeep returns the first line on which brackets, or marks of block collections, are
// nested deeper than maxYAMLDepth, or 0. Brackets within quotes count as well, which no
// data.yaml minds.
func tooDeep(data []byte) int {
	depth, line := 0, 0
	for text := range bytes.Lines(data) {
		line++
		marks := 0
		for field := range bytes.FieldsSeq(text) {
			if field[0] == '#' {
				break
			}
			if strings.IndexByte("-?:!&", field[0]) >= 0 {
				marks++
			}
			for _, c := range field {
				switch c {
				case '[', '{':
					depth++
				case ']', '}':
					depth = max(depth-1, 0)
				}
			}
			if depth > maxYAMLDepth || marks > maxYAMLDepth {
				return line
			}
		}
	}
	return 0
}

// parseYAML calls the library, whose panics are errors here: the files are anybody's.
func parseYAML(data []byte) (tree *ast.File, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf(": the YAML is broken: %v", v)
		}
	}()
	tree, err = parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntax(err)
	}
	return tree, nil
}

// syntax makes one line of the YAML library's error, beginning with ":" and the line.
func syntax(err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return at(e.GetToken().Position.Line, "%s", e.GetMessage())
	}
	return fmt.Errorf(": %s", strings.Join(strings.Fields(err.Error()), " "))
}

// at makes an error that begins with ":" and a line, to follow the name of the file.
func at(line int, format string, args ...any) error {
	return fmt.Errorf(":%d: %w", line, fmt.Errorf(format, args...))
}

// mapping returns the entries of a map. The library has two types for it.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// scalar returns a value as text; a number or a bool is the text it is written as. Anchors,
// aliases and tags are not values here.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil {
		return 1
	}
	return n.GetToken().Position.Line
}
