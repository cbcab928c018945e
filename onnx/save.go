package onnx

import (
	"bufio"
	"fmt"
	"io"

	"github.com/google/renameio/v2"

	"ultrafast/graph"
	"ultrafast/pass"
)

// Save writes g to path with its batch norms folded, and returns the file's size. A file of
// that name is replaced once the new one is whole and on the disk. g is not changed. Errors
// name the path.
func Save(path string, g *graph.Graph, o WriteOptions) (int64, error) {
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	defer file.Cleanup()
	b := bufio.NewWriter(file)
	size, err := writeFolded(b, g, o)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = file.CloseAtomicallyReplace()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return size, nil
}

// Size returns how many bytes Save writes.
func Size(g *graph.Graph, o WriteOptions) (int64, error) { return writeFolded(io.Discard, g, o) }

func writeFolded(w io.Writer, g *graph.Graph, o WriteOptions) (int64, error) {
	g = g.Clone()
	if err := pass.Run(g, pass.Inference...); err != nil {
		return 0, err
	}
	c := counter{w: w}
	err := Write(&c, g, o)
	return c.n, err
}

// A counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
