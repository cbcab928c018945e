package safetensors

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Names that this package gives a meaning.
const (
	metadataKey = "__metadata__"
	formatKey   = "format"
	graphKey    = "graph"
	format      = "ultrafast checkpoint 1"
	extraPrefix = "extra."
)

// Write writes a checkpoint. Everything that Read would refuse is refused here, with an
// error that names the node, tensor or key, before the first byte is written.
func Write(w io.Writer, f *File) error {
	tensors, err := collect(f)
	if err != nil {
		return err
	}
	head, err := header(f, tensors)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 1<<16)
	if err := binary.Write(b, binary.LittleEndian, uint64(len(head))); err != nil {
		return err
	}
	if _, err := b.Write(head); err != nil {
		return err
	}
	var four [4]byte
	for _, t := range tensors {
		for _, v := range t.Data {
			switch t.dtype {
			case "I8":
				four[0] = byte(int8(v))
			case "F16":
				binary.LittleEndian.PutUint16(four[:], tensor.ToHalf(v))
			default:
				binary.LittleEndian.PutUint32(four[:], math.Float32bits(v))
			}
			if _, err := b.Write(four[:t.width()]); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

// A named tensor is one of the file.
type named struct {
	name string
	*tensor.Tensor
	dtype string // "F32", "F16", or "I8" where the numbers are whole
}

// width is how many bytes a number takes.
func (t named) width() int { return int(widths[t.dtype]) }

// collect lists the tensors of the file by name.
func collect(f *File) ([]named, error) {
	if f.Graph == nil {
		return nil, errors.New("checkpoint without a graph")
	}
	if err := f.Graph.Verify(); err != nil {
		return nil, err
	}
	var all []named
	for _, p := range f.Graph.Params() {
		if strings.HasPrefix(p.Name, extraPrefix) {
			return nil, fmt.Errorf("tensor %s: names of nodes in a checkpoint cannot begin with %q", p.Name, extraPrefix)
		}
		if c := eightBit(p); c != nil && c.Weight.Data != nil {
			both, err := levels(p, c)
			if err != nil {
				return nil, err
			}
			all = append(all, both...)
			continue
		}
		dtype := "F32"
		if f.Half && len(p.Tensor().Shape) > 1 {
			dtype = "F16"
		}
		all = append(all, named{p.Name, p.Tensor(), dtype})
	}
	for name, t := range f.Extra {
		if t == nil {
			return nil, fmt.Errorf("extra tensor %q is nil", name)
		}
		all = append(all, named{extraPrefix + name, t, "F32"})
	}
	for _, t := range all {
		if !utf8.ValidString(t.name) {
			return nil, fmt.Errorf("tensor %q: the name is not UTF-8", t.name)
		}
		if t.dtype == "F16" && slices.ContainsFunc(t.Data, func(v float32) bool { return tensor.ToHalf(v)&0x7fff == 0x7c00 && !math.IsInf(float64(v), 0) }) {
			return nil, fmt.Errorf("tensor %s: it has numbers beyond 65504, the largest in half precision: write it in full", t.name)
		}
		if n, err := tensor.Count(t.Shape); err != nil || n != len(t.Data) || len(t.Shape) > maxRank {
			return nil, fmt.Errorf("tensor %s: %d numbers do not fill the shape %v", t.name, len(t.Data), t.Shape)
		}
	}
	slices.SortFunc(all, func(a, b named) int { // the wider ones first, so that all are aligned
		return cmp.Or(cmp.Compare(b.width(), a.width()), strings.Compare(a.name, b.name))
	})
	if len(all) >= maxKeys || len(f.Meta)+2 > maxKeys {
		return nil, fmt.Errorf("checkpoint of %d tensors and %d keys of metadata, the limit is %d", len(all), len(f.Meta), maxKeys)
	}
	return all, nil
}

// header gives the JSON, keys in order, with blanks behind it so that the tensors begin
// at a multiple of 8.
func header(f *File, tensors []named) ([]byte, error) {
	text := f.Graph.String()
	if back, err := graph.Parse(text); err != nil {
		return nil, fmt.Errorf("graph cannot be read back: %w", err)
	} else if back.String() != text {
		return nil, errors.New("graph reads back as another one")
	}
	meta := map[string]string{formatKey: format, graphKey: text}
	for k, v := range f.Meta {
		if k == formatKey || k == graphKey {
			return nil, fmt.Errorf("metadata key %q is reserved", k)
		}
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("metadata %q is not UTF-8", k)
		}
		meta[k] = v
	}
	var b bytes.Buffer
	b.WriteString("{" + quote(metadataKey) + ":{")
	for i, k := range slices.Sorted(maps.Keys(meta)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(k) + ":" + quote(meta[k]))
	}
	b.WriteByte('}')
	begin := 0
	for _, t := range tensors {
		end := begin + t.width()*len(t.Data)
		shape := strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ",")
		fmt.Fprintf(&b, `,%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, quote(t.name), t.dtype, shape, begin, end)
		begin = end
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("header of %d bytes, the limit is %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// quote gives s as JSON, with < and > as they are: the graph is there to be read.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("BUG: a string that does not encode: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
