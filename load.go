// Package ultrafast finds objects in pictures with YOLOv5 models, from any file that this
// program reads.
//
//	d, err := ultrafast.Open("yolov5n.pt", ultrafast.Options{})
//	boxes, err := d.Detect(ctx, img)
//
// It needs no cgo and no library. What else the program does, such as cutting and writing
// models, is in the packages below.
package ultrafast

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"ultrafast/graph"
	"ultrafast/onnx"
	"ultrafast/pt"
	"ultrafast/safetensors"
	"ultrafast/yolo"
)

// Load reads a model: a YOLOv5 checkpoint (.pt, any release), a checkpoint of this program
// (.safetensors) or an ONNX. The content decides, not the name. Errors name the file.
func Load(path string) (*graph.Graph, error) {
	if path == "" {
		return nil, errors.New("no model is named")
	}
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("%s: %w", path, pe.Err)
		}
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: is a folder, want a model (.pt, .safetensors or .onnx)", path)
	}
	g, err := read(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func read(r io.ReaderAt, size int64) (*graph.Graph, error) {
	head := make([]byte, 16)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case n < len(head):
		return nil, fmt.Errorf("has %d bytes: not a model", size)
	case bytes.Equal(head[4:9], []byte("\x00\x00\x00\x00{")): // a header's length, below 4 GiB, and its start
		// First: the length may begin with any byte, those of a pickle or a zip included.
		file, err := safetensors.Read(r, size)
		if err != nil {
			return nil, err
		}
		return file.Graph, nil
	case bytes.HasPrefix(head, []byte("PK")), head[0] == 0x80: // zip or pickle
		ck, err := pt.Read(r, size)
		if err != nil {
			return nil, err
		}
		return yolo.FromModule(ck.Model)
	}
	// A protobuf begins with a field's number and one of two kinds of value.
	if kind := head[0] & 7; head[0] < 8 || head[0] > 0x7f || kind != 0 && kind != 2 {
		return nil, errors.New("is no model: neither .pt, .safetensors nor ONNX")
	}
	g, err := onnx.Read(r, size)
	if err != nil && isText(head) {
		return nil, errors.New("is text, and no model: neither .pt, .safetensors nor ONNX; descriptions of models are for --cfg")
	}
	return g, err
}

// isText reports whether these bytes are of letters, spaces and the like alone. A protobuf may
// begin so too, if hardly ever.
func isText(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c > '~' || c < ' ' && c != '\t' && c != '\n' && c != '\r' })
}
