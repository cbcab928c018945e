package pt

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// file is a container taken apart.
type file struct {
	root     any    // of the main pickle
	part     string // what offsets in the main pickle count from
	end      int64  // byte at which the main pickle ends
	storages map[string]extent
}

// open reads the container and runs its main pickle.
func open(r io.ReaderAt, size int64) *file {
	head := readAt(r, 0, max(0, min(size, 512)))
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return openZip(r, size)
	}
	if len(head) > 0 && head[0] == 0x80 { // PROTO
		return openLegacy(r, size)
	}
	panic(mistaken(head))
}

// mistaken names a file of another kind by its first bytes.
func mistaken(head []byte) error {
	switch {
	case len(head) == 0:
		return UnsupportedError("the file is empty")
	case len(head) > 3 && head[0] == 0x08 && head[1] < 32 && (head[2] == 0x12 || head[2] == 0x3a):
		return UnsupportedError("this is an ONNX model: give it the ending .onnx")
	case len(head) > 9 && head[8] == '{' && bytes.Equal(head[5:8], []byte{0, 0, 0}):
		return UnsupportedError("this is a safetensors file: give it the ending .safetensors")
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return UnsupportedError("this is a Git LFS pointer, not the weights: run git lfs pull")
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return UnsupportedError("this is a web page, not the weights: download the file itself")
	case isText(head):
		return UnsupportedError("this is a text file, not a checkpoint: give the .pt that YOLOv5's train.py wrote")
	}
	return &FormatError{Part: "file", Reason: fmt.Sprintf("begins with % x, which no PyTorch file does", head[:min(4, len(head))])}
}

func isText(b []byte) bool {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 && len(b)-i >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		i += n
	}
	return true
}

// storage reads the persistent id ('storage', class, key, device, elements, ...) of a
// file of size bytes.
func (m *machine) storage(id tuple, size int64) *storage {
	if len(id) < 5 || id[0] != any("storage") {
		m.fail("a persistent id that is no storage")
	}
	class, ok1 := id[1].(*global)
	key, ok2 := id[2].(string)
	count, ok3 := id[4].(int64)
	if !ok1 || !ok2 || !ok3 {
		m.fail("a storage with a description of wrong types")
	}
	typ := storageTypes[class.path()]
	if typ == nil {
		panic(UnsupportedError("holds numbers of a type that is not read (" + class.path() + "): convert the model with .float() and save it again"))
	}
	if count < 0 || count > size/int64(typ.size) {
		m.fail("a storage of %d elements in a file of %d bytes", count, size)
	}
	return &storage{key: key, typ: typ, count: count}
}

// readError is an error of the ReaderAt on its way to Read.
type readError struct{ error }

// readAt returns n bytes. The caller has checked n against the file's size.
func readAt(r io.ReaderAt, offset, n int64) []byte {
	b := make([]byte, n)
	readFull(r, b, offset)
	return b
}

func readFull(r io.ReaderAt, b []byte, offset int64) {
	if n, err := r.ReadAt(b, offset); n < len(b) {
		panic(readError{fmt.Errorf("reading %d bytes at %d: %w", len(b), offset, err)})
	}
}
