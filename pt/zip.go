package pt

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

func openZip(r io.ReaderAt, size int64) *file {
	z, err := zip.NewReader(r, size)
	if err != nil {
		if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			panic(&FormatError{Part: "file", Offset: size, Reason: "a zip archive without a valid directory at its end, as after a broken download"})
		}
		panic(readError{err})
	}
	entries := zipEntries(z, size)
	top := ""
	for name := range entries {
		dir, base, _ := strings.Cut(name, "/")
		if base == "data.pkl" {
			if top != "" {
				panic(&FormatError{Part: "file", Reason: "a zip archive with two data.pkl"})
			}
			top = dir + "/"
		}
	}
	if top == "" {
		panic(UnsupportedError("this is a zip archive, but not one of torch.save (it has no data.pkl)"))
	}
	for name := range entries {
		if name == top+"constants.pkl" || strings.HasPrefix(name, top+"code/") {
			panic(UnsupportedError("this is a TorchScript archive: its network is code. Give the checkpoint it was exported from (best.pt as train.py wrote it), or an ONNX export"))
		}
	}
	if e, ok := entries[top+"byteorder"]; ok && string(readAt(r, e.offset, min(e.size, 16))) == "big" {
		panic(UnsupportedError("the checkpoint was saved on a big-endian machine: save it again on another"))
	}
	f := &file{part: "pickle", storages: map[string]extent{}}
	for name, e := range entries {
		if key, ok := strings.CutPrefix(name, top+"data/"); ok {
			f.storages[key] = e
		}
	}
	pickle := entries[top+"data.pkl"]
	if pickle.size > maxPickle {
		panic(UnsupportedError(fmt.Sprintf("its data.pkl has %d bytes, more than the %d that are read", pickle.size, maxPickle)))
	}
	m := &machine{src: readAt(r, pickle.offset, pickle.size), part: f.part}
	m.persistent = func(m *machine, id tuple) any {
		st := m.storage(id, size)
		if ext, ok := f.storages[st.key]; !ok || st.count > ext.size/int64(st.typ.size) {
			m.fail("storage %.20q of %d elements is missing or shorter in the archive", st.key, st.count)
		}
		return st
	}
	f.root = m.run()
	f.end = int64(m.pos)
	return f
}

// zipEntries returns where the entries lie, after checking that each is stored as it
// is, lies inside the file, and shares no byte with another.
func zipEntries(z *zip.Reader, size int64) map[string]extent {
	entries := make(map[string]extent, len(z.File))
	order := make([]extent, 0, len(z.File))
	for _, f := range z.File {
		fail := func(offset int64, reason string) {
			panic(&FormatError{Part: "file", Offset: offset, Reason: fmt.Sprintf("zip entry %.60q %s", f.Name, reason)})
		}
		offset, err := f.DataOffset()
		if err != nil {
			fail(size, "has no header where the directory says")
		}
		if f.Method != zip.Store || f.Flags&1 != 0 {
			fail(offset, "is compressed or encrypted, which torch.save never does")
		}
		if f.CompressedSize64 != f.UncompressedSize64 || f.UncompressedSize64 > uint64(size) || offset < 0 || offset > size-int64(f.UncompressedSize64) {
			fail(offset, "does not lie inside the file")
		}
		if _, twice := entries[f.Name]; twice {
			fail(offset, "is there twice")
		}
		e := extent{offset, int64(f.UncompressedSize64)}
		entries[f.Name] = e
		if e.size > 0 {
			order = append(order, e)
		}
	}
	slices.SortFunc(order, func(a, b extent) int { return cmp.Compare(a.offset, b.offset) })
	for i := 1; i < len(order); i++ {
		if order[i-1].offset+order[i-1].size > order[i].offset {
			panic(&FormatError{Part: "file", Offset: order[i].offset, Reason: "zip entries overlap"})
		}
	}
	return entries
}
