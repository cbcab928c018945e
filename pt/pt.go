package pt

import (
	"fmt"
	"io"
	"os"
)

// A FormatError says that a file is no checkpoint, or a damaged or malicious one, and
// at which byte that became clear.
type FormatError struct {
	Part    string // what Offset counts in: "file" or "pickle"
	Offset  int64
	Reason  string
	Refused bool // the pickle asks for code to be run
}

func (e *FormatError) Error() string {
	kind := "damaged"
	if e.Refused {
		kind = "malicious"
	}
	return fmt.Sprintf("%s (%s byte %d): not a YOLOv5 checkpoint, or a %s one", e.Reason, e.Part, e.Offset, kind)
}

// An UnsupportedError is a file that is well formed and beyond this package. Its text
// says what to do.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) }

// Open reads the checkpoint at path. See Read.
func Open(path string) (*Checkpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	ck, err := Read(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ck, nil
}

// Read reads a checkpoint of size bytes, in either of torch.save's containers. Nothing
// in the file is executed. Errors are a *FormatError, an UnsupportedError, or come
// from r.
func Read(r io.ReaderAt, size int64) (ck *Checkpoint, err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *FormatError:
			err = e
		case UnsupportedError:
			err = e
		case readError:
			err = e.error
		default:
			panic(e)
		}
	}()
	f := open(r, size)
	c := &converter{
		loader: &loader{r: r, storages: f.storages, part: f.part, left: 2*size + maxSlack},
		end:    f.end,
		seen:   map[any]any{},
	}
	return c.checkpoint(f.root), nil
}
