package yolo

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// refuseAliases keeps out what makes a few lines of YAML fill the memory: aliases of
// lists of aliases. No description has use for them.
func refuseAliases(text []byte) error {
	for _, t := range lexer.Tokenize(string(text)) {
		if t.Type == token.AliasType || t.Type == token.MergeKeyType {
			return fmt.Errorf("line %d: an alias or merge key: write the value out", t.Position.Line)
		}
	}
	return nil
}

// oneLine words an error of the library without the picture of the file that it draws.
func oneLine(err error) string {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return fmt.Sprintf("line %d: %s", y.GetToken().Position.Line, clip(y.GetMessage(), 120))
	}
	return clip(err.Error(), 120)
}
