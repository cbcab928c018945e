package pt

import (
	"archive/zip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Write stores a checkpoint as torch.save does: a zip archive with a pickle of protocol
// 2 and float32 storages, ck.Model under "model" and ck.Values beside it. A Module needs
// its Path; Class is not looked at.
//
// Read gives back what Write was given. Python sees one difference to what was read
// before: tuples have become lists, and dicts are in the order of their keys. Bytes,
// integers beyond 64 bits, and Objects other than bare references are an error.
func Write(w io.Writer, ck *Checkpoint) error {
	p := &pickler{memo: map[any]uint32{}}
	p.WriteString("\x80\x02}(") // PROTO 2, EMPTY_DICT, MARK
	p.text("model")
	p.value(ck.Model)
	for _, key := range slices.Sorted(maps.Keys(ck.Values)) {
		p.text(key)
		p.value(ck.Values[key])
	}
	p.WriteString("u.") // SETITEMS, STOP
	if p.err != nil {
		return p.err
	}
	z := zip.NewWriter(w)
	if err := store(z, "archive/data.pkl", p.Bytes()); err != nil {
		return err
	}
	if err := store(z, "archive/byteorder", []byte("little")); err != nil {
		return err
	}
	for i, t := range p.storages {
		data := make([]byte, 0, 4*len(t.Data))
		for _, f := range t.Data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
		}
		if err := store(z, "archive/data/"+strconv.Itoa(i), data); err != nil {
			return err
		}
	}
	if err := store(z, "archive/version", []byte("3\n")); err != nil {
		return err
	}
	return z.Close()
}

// store adds an entry whose header states its size, as PyTorch's own reader wants it.
func store(z *zip.Writer, name string, data []byte) error {
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
