package safetensors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/renameio/v2"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A File is what a checkpoint holds.
type File struct {
	Graph *graph.Graph              // every tensor has its numbers
	Meta  map[string]string         // any keys but "format" and "graph"
	Extra map[string]*tensor.Tensor // tensors beside the graph's, any names

	// Half writes the weights of convolutions, tensors of two axes and more, in half
	// precision, which makes the file half as large. The others, a hundredth of all, stay:
	// variances go beyond what a half holds. Read gives no sign of it.
	Half bool
}

// A FormatError says that a file is not a checkpoint, or a damaged one, and at which byte
// that became clear.
type FormatError struct {
	Offset int64
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("not a safetensors checkpoint, or a damaged one: %s (at byte %d)", e.Reason, e.Offset)
}

// An UnsupportedError is a safetensors file that is well formed and beyond this package:
// one without a graph, of a later version, or with another kind of numbers.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "unsupported safetensors file: " + string(e) }

// Open reads the checkpoint at path. Errors name the path and wrap Read's.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, at(path, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, at(path, err)
	}
	file, err := Read(f, st.Size())
	if err != nil {
		return nil, at(path, err)
	}
	return file, nil
}

// Save writes a checkpoint to path, with file mode 0644. The file is written beside its
// place, synced and renamed, so that at any moment path is the old file or the new one,
// whole; after Save it is on the disk. Errors name the path.
func Save(path string, f *File) error {
	dir := filepath.Dir(path)
	w, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return at(path, err)
	}
	defer w.Cleanup() // does nothing once the file is in place
	if err := Write(w, f); err != nil {
		return at(path, err)
	}
	if err := w.CloseAtomicallyReplace(); err != nil {
		return at(path, err)
	}
	if err := syncDir(dir); err != nil {
		return at(path, err)
	}
	return nil
}

// syncDir makes a rename in dir last. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// at puts the path in front of an error that may already carry one.
func at(path string, err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
