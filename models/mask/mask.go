// Package mask is a small detector of faces with and without masks, in the binary. README.md
// beside it says what it was trained on, how good it is, and whom it misses.
package mask

import (
	"bytes"
	_ "embed"
	"fmt"

	"ultrafast/graph"
	"ultrafast/safetensors"
)

//go:embed mask.safetensors
var weights []byte

// Graph returns the model, each time a new one.
func Graph() (*graph.Graph, error) {
	f, err := safetensors.Read(bytes.NewReader(weights), int64(len(weights)))
	if err != nil {
		return nil, fmt.Errorf("the model in this program: %w", err)
	}
	return f.Graph, nil
}
