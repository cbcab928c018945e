package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// Read reads a checkpoint from the size bytes of r. Numbers in half precision (F16, BF16)
// are widened, and 8-bit weights (I8) multiplied by their scales, which is exact. Errors are a *FormatError, an UnsupportedError, or what r
// gave. Meta and Extra of the result are never nil.
func Read(r io.ReaderAt, size int64) (*File, error) {
	head, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	meta, entries, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	start := 8 + int64(len(head))
	if err := checkEntries(entries, start, size); err != nil {
		return nil, err
	}
	g, err := parseGraph(meta)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*entry, len(entries))
	for i := range entries {
		byName[entries[i].name] = &entries[i]
	}
	f := &File{Graph: g, Meta: meta, Extra: map[string]*tensor.Tensor{}}
	into := make(map[*entry]*tensor.Tensor, len(entries))
	var eight []scaled
	for _, p := range g.Params() {
		if strings.HasPrefix(p.Name, extraPrefix) {
			return nil, &FormatError{8, fmt.Sprintf("tensor %s of the graph begins with %q", p.Name, extraPrefix)}
		}
		e := byName[p.Name]
		if e == nil {
			return nil, &FormatError{8, fmt.Sprintf("tensor %s of the graph is missing", p.Name)}
		}
		if !slices.Equal(e.shape, p.Tensor().Shape) {
			return nil, &FormatError{e.at, fmt.Sprintf("tensor %s has the shape %v, the graph says %v", p.Name, e.shape, p.Tensor().Shape)}
		}
		into[e] = p.Tensor()
		c := eightBit(p)
		if c == nil {
			if e.dtype == "I8" {
				return nil, &FormatError{e.at, fmt.Sprintf("tensor %s is of 8-bit numbers, the graph says floats", p.Name)}
			}
			continue
		}
		s, err := scalesOf(p, c, e, byName)
		if err != nil {
			return nil, err
		}
		into[s] = &tensor.Tensor{Shape: s.shape}
		eight = append(eight, scaled{c, into[s]})
	}
	for i := range entries {
		e := &entries[i]
		if into[e] != nil {
			continue
		}
		name, ok := strings.CutPrefix(e.name, extraPrefix)
		if !ok {
			return nil, &FormatError{e.at, fmt.Sprintf("tensor %.200q belongs to no node of the graph", e.name)}
		}
		if e.dtype == "I8" {
			return nil, UnsupportedError(fmt.Sprintf("tensor %.200q holds \"I8\", which only weights of the graph may", e.name))
		}
		into[e] = &tensor.Tensor{Shape: e.shape}
		f.Extra[name] = into[e]
	}
	for i := range entries {
		e := &entries[i]
		if into[e].Data, err = readTensor(r, start, e); err != nil {
			return nil, err
		}
	}
	for _, c := range eight {
		c.scale()
	}
	if err := g.Verify(); err != nil { // which had no numbers to look at before
		return nil, &FormatError{start, err.Error()}
	}
	return f, nil
}

func readHeader(r io.ReaderAt, size int64) ([]byte, error) {
	var length [8]byte
	if size < int64(len(length)) {
		return nil, &FormatError{0, fmt.Sprintf("the file has %d bytes", size)}
	}
	if err := readAt(r, length[:], 0); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > size-8 {
		return nil, &FormatError{0, fmt.Sprintf("a header of %d bytes in a file of %d (the limit is %d)", n, size, maxHeader)}
	}
	head := make([]byte, n)
	return head, readAt(r, head, 8)
}

// checkEntries sorts the tensors by place and checks that they fill the file from start
// to its end without gaps, each with as many bytes as its shape needs.
func checkEntries(entries []entry, start, size int64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	next := int64(0)
	for _, e := range entries {
		if e.begin != next || e.end < e.begin || e.end > size-start {
			return &FormatError{e.at, fmt.Sprintf("tensor %.200q is said to lie at %d to %d, want it to begin at %d and end by %d", e.name, e.begin, e.end, next, size-start)}
		}
		next = e.end
		width := widths[e.dtype]
		if width == 0 {
			return UnsupportedError(fmt.Sprintf("tensor %.200q holds %.20q, only F32, F16, BF16 and I8 are read", e.name, e.dtype))
		}
		n, err := tensor.Count(e.shape)
		if err != nil {
			return UnsupportedError(fmt.Sprintf("tensor %.200q: %v", e.name, err))
		}
		if int64(n)*width != e.end-e.begin {
			return &FormatError{e.at, fmt.Sprintf("tensor %.200q of shape %v and type %s lies in %d bytes", e.name, e.shape, e.dtype, e.end-e.begin)}
		}
	}
	if next != size-start {
		return &FormatError{start + next, fmt.Sprintf("the tensors end at byte %d, the file at %d", start+next, size)}
	}
	return nil
}

// widths has the bytes of a number of each type that is read.
var widths = map[string]int64{"F32": 4, "F16": 2, "BF16": 2, "I8": 1}

// parseGraph takes our own entries out of the metadata.
func parseGraph(meta map[string]string) (*graph.Graph, error) {
	text, ok := meta[graphKey]
	if !ok || !strings.HasPrefix(meta[formatKey], "ultrafast checkpoint ") {
		return nil, UnsupportedError("it holds tensors and no graph, so it is not a checkpoint of this program")
	}
	if meta[formatKey] != format {
		return nil, UnsupportedError(fmt.Sprintf("it is an %.40q, this program reads %q", meta[formatKey], format))
	}
	delete(meta, formatKey)
	delete(meta, graphKey)
	g, err := graph.Parse(text)
	if err != nil {
		return nil, &FormatError{8, err.Error()}
	}
	return g, nil
}

// readTensor reads the numbers of one tensor.
func readTensor(r io.ReaderAt, start int64, e *entry) ([]float32, error) {
	width := int(widths[e.dtype])
	data := make([]float32, int(e.end-e.begin)/width)
	buf := make([]byte, min(1<<16, len(data)*width))
	at := start + e.begin
	for rest := data; len(rest) > 0; {
		n := min(len(rest), len(buf)/width)
		b := buf[:n*width]
		if err := readAt(r, b, at); err != nil {
			return nil, err
		}
		at += int64(len(b))
		for i := range n {
			switch e.dtype {
			case "I8":
				rest[i] = float32(int8(b[i]))
			case "F32":
				rest[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			case "BF16":
				rest[i] = tensor.FromBFloat16(binary.LittleEndian.Uint16(b[2*i:]))
			case "F16":
				rest[i] = tensor.FromHalf(binary.LittleEndian.Uint16(b[2*i:]))
			}
		}
		rest = rest[n:]
	}
	return data, nil
}

// readAt fills b. A file that is shorter than its size said is a FormatError.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return &FormatError{at + int64(n), "the file ends early"}
	}
	return err
}
