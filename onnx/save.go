package onnx

import (
	"bufio"
	"fmt"
	"os"

	"github.com/google/renameio/v2"

	"ultrafast/graph"
	"ultrafast/pass"
)

// Save writes g to path with its batch norms folded, and returns the file's size. A file of
// that name is replaced once the new one is whole and on the disk. g is not changed. Errors
// name the path.
func Save(path string, g *graph.Graph, o WriteOptions) (int64, error) {
	g = g.Clone()
	if err := pass.Run(g, pass.Inference...); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	defer file.Cleanup()
	b := bufio.NewWriter(file)
	err = Write(b, g, o)
	if err == nil {
		err = b.Flush()
	}
	var st os.FileInfo
	if err == nil {
		st, err = file.Stat()
	}
	if err == nil {
		err = file.CloseAtomicallyReplace()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return st.Size(), nil
}
