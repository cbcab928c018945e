package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

const text = `ultrafast graph 1
names ["a <b> & \"c\"","d é"]
block m.0 Conv
x = input shape=1,3,8,8
m.0.conv = conv x w=f32[4,3,3,3] pad=1
m.0.bn = batchnorm m.0.conv c=4 eps=0.001 momentum=0.03
m.1 = convtranspose m.0.bn w=f32[4,3,2,2] bias stride=2 outpad=1 groups=2
y = conv m.1 w=f32[2,6,1,1] bias
output y
`

// odd are the bits that a careless copy loses: NaNs with a payload, quiet and signalling,
// of both signs, -0, subnormals, infinities, the extremes.
var odd = []uint32{0x7fc00000, 0x7fc12345, 0x7f800001, 0xffffffff, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0x7f7fffff, 0x00800000}

// sample is a checkpoint with random bits for numbers, the odd ones included.
func sample(t testing.TB) *File {
	t.Helper()
	g, err := graph.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	bits := func(shape ...int) *tensor.Tensor {
		v := tensor.New(shape...)
		for i := range v.Data {
			v.Data[i] = math.Float32frombits(r.Uint32())
		}
		for i, b := range odd {
			if i < len(v.Data) {
				v.Data[i] = math.Float32frombits(b)
			}
		}
		return v
	}
	for _, p := range g.Params() {
		*p.At = bits(p.Tensor().Shape...)
	}
	return &File{
		Graph: g,
		Meta:  map[string]string{"epoch": "12", "data": "a\nb \"c\" <d> é", "": ""},
		Extra: map[string]*tensor.Tensor{"momentum.y.bias": bits(2), "step": bits(), "none": bits(0, 3), "": bits(1), "y.weight": bits(20000, 2)},
	}
}

func write(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte) (*File, error) { return Read(bytes.NewReader(b), int64(len(b))) }

// same compares two tensors bit for bit.
func same(a, b *tensor.Tensor) error {
	if fmt.Sprint(a.Shape) != fmt.Sprint(b.Shape) {
		return fmt.Errorf("shape %v, want %v", a.Shape, b.Shape)
	}
	for i := range b.Data {
		if math.Float32bits(a.Data[i]) != math.Float32bits(b.Data[i]) {
			return fmt.Errorf("[%d] has the bits %#x, want %#x", i, math.Float32bits(a.Data[i]), math.Float32bits(b.Data[i]))
		}
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	f := sample(t)
	b := write(t, f)
	if n := binary.LittleEndian.Uint64(b); n%8 != 0 || b[8] != '{' {
		t.Errorf("header of %d bytes that begins with %q", n, b[8])
	}
	back, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if back.Graph.String() != f.Graph.String() {
		t.Errorf("graph became\n%s", back.Graph)
	}
	if fmt.Sprint(back.Meta) != fmt.Sprint(f.Meta) {
		t.Errorf("metadata became %q, want %q", back.Meta, f.Meta)
	}
	want := f.Graph.Params()
	for i, p := range back.Graph.Params() {
		if err := same(p.Tensor(), want[i].Tensor()); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if len(back.Extra) != len(f.Extra) {
		t.Errorf("%d extra tensors, want %d", len(back.Extra), len(f.Extra))
	}
	for name, v := range f.Extra {
		if err := same(back.Extra[name], v); err != nil {
			t.Errorf("extra %s: %v", name, err)
		}
	}
	for range 3 { // maps come in another order each time
		if !bytes.Equal(write(t, back), b) {
			t.Fatal("written again, the file is another")
		}
	}
}

func TestBareGraph(t *testing.T) {
	f := sample(t)
	back, err := read(write(t, &File{Graph: f.Graph}))
	if err != nil || back.Meta == nil || back.Extra == nil || len(back.Meta)+len(back.Extra) != 0 {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(*File)
		want   string
	}{
		{func(f *File) { f.Graph = nil }, "without a graph"},
		{func(f *File) { f.Meta = map[string]string{"graph": ""} }, `"graph" is reserved`},
		{func(f *File) { f.Meta = map[string]string{"format": ""} }, `"format" is reserved`},
		{func(f *File) { f.Meta = map[string]string{"k": "\xff"} }, "not UTF-8"},
		{func(f *File) { f.Extra["\xff"] = tensor.New(1) }, "not UTF-8"},
		{func(f *File) { f.Extra["e"] = nil }, `"e" is nil`},
		{func(f *File) { f.Extra["e"] = &tensor.Tensor{Shape: []int{2}} }, "tensor extra.e"},
		{func(f *File) { (*f.Graph.Params()[0].At).Data = nil }, "tensor m.0.conv.weight"},
		{func(f *File) { f.Graph.Node("y").Name = "extra.y" }, "tensor extra.y.weight"},
		{func(f *File) { f.Graph.Node("m.0.bn").Op.(*graph.BatchNorm).Eps = math.NaN() }, "eps NaN"},
	} {
		f := sample(t)
		c.change(f)
		var b bytes.Buffer
		if err := Write(&b, f); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("error %v after %d bytes, want %q", err, b.Len(), c.want)
		}
	}
}

// file puts a header before a body.
func file(header, body string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), body...)
}

// tiny is the header of a graph with one tensor of two numbers; fields replaces what is
// said of the tensor, more adds to it.
func tiny(fields, more string) string {
	return `{"__metadata__":{"format":"ultrafast checkpoint 1","graph":"ultrafast graph 1\nx = input shape=1,1,1,1\ny = conv x w=f32[2,1,1,1]\noutput y\n"},"y.weight":{` + fields + `}` + more + `}`
}

// manyKeys is the inside of an object of one key more than is allowed.
func manyKeys() string {
	var b strings.Builder
	for i := range maxKeys + 1 {
		fmt.Fprintf(&b, `"%d":"",`, i)
	}
	return b.String()
}

const good = `"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,8]`

func TestReadRefuses(t *testing.T) {
	if _, err := read(file(tiny(good, ""), "12345678")); err != nil {
		t.Fatal(err)
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<63)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"header of 2^63", append(huge, "{}"...), "9223372036854775808 bytes"},
		{"header beyond the end", file(tiny(good, ""), "")[:40], "in a file of 40"},
		{"header beyond the limit", append(binary.LittleEndian.AppendUint64(nil, maxHeader+1), make([]byte, 100)...), "the limit is"},
		{"no brace", file(" {}", ""), "begin with {"},
		{"not JSON", file("{nope}", ""), "invalid character"},
		{"unfinished", file(`{"a":{"dtype"`, ""), "ends early"},
		{"two values", file(tiny(good, "")+"{}", "12345678"), "behind its last brace"},
		{"not UTF-8", file("{\"\xff\":1}", ""), "UTF-8"},
		{"deep", file(`{"a":`+strings.Repeat("[", 100000), ""), `tensor "a"`},
		{"deep in a shape", file(`{"a":{"shape":`+strings.Repeat("[", 100000), ""), `tensor "a"`},
		{"metadata of numbers", file(`{"__metadata__":{"format":1}}`, ""), `metadata "format"`},
		{"metadata without end", file(`{"__metadata__":{`+manyKeys(), ""), "more than 200000 keys"},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, ""), "comes twice"},
		{"tensor twice", file(tiny(good, `,"y.weight":{`+good+`}`), "12345678"), `"y.weight" comes twice`},
		{"twice in disguise", file(tiny(good, `,"y\u002eweight":{`+good+`}`), "12345678"), `"y.weight" comes twice`},
		{"field twice", file(tiny(good+`,"shape":[2]`, ""), "12345678"), `"shape" comes twice`},
		{"unknown field", file(tiny(good+`,"color":[2]`, ""), "12345678"), `"color"`},
		{"no shape", file(tiny(`"dtype":"F32","data_offsets":[0,8]`, ""), "12345678"), "want the fields"},
		{"negative dimension", file(tiny(`"dtype":"F32","shape":[-2],"data_offsets":[0,8]`, ""), "12345678"), "-2"},
		{"fraction", file(tiny(`"dtype":"F32","shape":[2.5],"data_offsets":[0,8]`, ""), "12345678"), "2.5"},
		{"dimension of 2^64", file(tiny(`"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]`, ""), "12345678"), "18446744073709551616"},
		{"product overflows", file(tiny(`"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]`, ""), "12345678"), "2^31-1"},
		{"too many dimensions", file(tiny(`"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]`, ""), "12345678"), "more than 16"},
		{"three offsets", file(tiny(`"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,8,8]`, ""), "12345678"), "more than 2"},
		{"one offset", file(tiny(`"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0]`, ""), "12345678"), "has 1 numbers"},
		{"backwards", file(tiny(`"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,-8]`, ""), "12345678"), "-8"},
		{"beyond the end", file(tiny(good, ""), "1234567"), "end by 7"},
		{"bytes left", file(tiny(good, ""), "123456789"), "the tensors end at"},
		{"a gap", file(tiny(`"dtype":"F32","shape":[2,1,1,1],"data_offsets":[4,12]`, ""), "123456789012"), "begin at 0"},
		{"overlap", file(tiny(good, `,"extra.a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}`), "123456789012"), `"extra.a" is said to lie at 4`},
		{"too few bytes", file(tiny(`"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,4]`, ""), "1234"), "lies in 4 bytes"},
		{"other shape", file(tiny(`"dtype":"F32","shape":[1,2,1,1],"data_offsets":[0,8]`, ""), "12345678"), "tensor y.weight has the shape [1 2 1 1], the graph says [2 1 1 1]"},
		{"missing", file(strings.Replace(tiny(good, ""), "y.weight", "extra.weight", 1), "12345678"), "tensor y.weight of the graph is missing"},
		{"too many", file(tiny(good, `,"z.weight":{"dtype":"F32","shape":[],"data_offsets":[8,12]}`), "123456789012"), `"z.weight" belongs to no node`},
		{"node in extra's place", file(strings.NewReplacer("y = ", "extra.y = ", "output y", "output extra.y", `"y.weight`, `"extra.y.weight`).Replace(tiny(good, "")), "12345678"), `begins with "extra."`},
		{"bad graph", file(strings.Replace(tiny(good, ""), "conv x", "conf x", 1), "12345678"), `unknown op "conf"`},
	} {
		_, err := read(c.data)
		var fe *FormatError
		var ue UnsupportedError
		if !errors.As(err, &fe) && !errors.As(err, &ue) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for name, data := range map[string][]byte{
		"of other programs": file(`{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"),
		"without metadata":  file(`{}`, ""),
		"of later versions": file(strings.Replace(tiny(good, ""), "checkpoint 1", "checkpoint 2", 1), "12345678"),
		"of doubles":        file(tiny(`"dtype":"F64","shape":[1,1,1,1],"data_offsets":[0,8]`, ""), "12345678"),
	} {
		var ue UnsupportedError
		if _, err := read(data); !errors.As(err, &ue) {
			t.Errorf("file %s: %v, want an UnsupportedError", name, err)
		}
	}
}

func TestHalfPrecision(t *testing.T) {
	f, err := read(file(tiny(`"dtype":"F16","shape":[2,1,1,1],"data_offsets":[0,4]`, `,"extra.b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]}`), "\x00\x3c\x00\xc0\x80\x3f\x00\xc0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*tensor.Tensor{f.Graph.Params()[0].Tensor(), f.Extra["b"]} {
		if v.Data[0] != 1 || v.Data[1] != -2 {
			t.Errorf("%v holds %v, want [1 -2]", v, v.Data)
		}
	}
}

// Weights of convolutions become the nearest halves, all else stays to the bit.
func TestWriteHalf(t *testing.T) {
	f := sample(t)
	for _, p := range f.Graph.Params() {
		for i, v := range p.Tensor().Data {
			if !(v < 60000 && v > -60000) {
				p.Tensor().Data[i] = float32(i)
			}
		}
	}
	f.Half = true
	var b bytes.Buffer
	if err := Write(&b, f); err != nil {
		t.Fatal(err)
	}
	back, err := Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	weights := 0
	was := f.Graph.Params()
	for i, p := range back.Graph.Params() {
		for k, v := range p.Tensor().Data {
			want := was[i].Tensor().Data[k]
			if len(p.Tensor().Shape) > 1 {
				want = tensor.FromHalf(tensor.ToHalf(want))
				weights++
			}
			if math.Float32bits(v) != math.Float32bits(want) {
				t.Fatalf("%s[%d] = %g, want %g", p.Name, k, v, want)
			}
		}
	}
	f.Half = false
	var full bytes.Buffer
	if err := Write(&full, f); err != nil {
		t.Fatal(err)
	}
	if saved := full.Len() - b.Len(); saved < 2*weights-8 || saved > 2*weights+8 {
		t.Errorf("%d weights, %d bytes saved", weights, saved)
	}
	f.Half, f.Graph.Params()[0].Tensor().Data[0] = true, 1e6
	if err := Write(&full, f); err == nil || !strings.Contains(err.Error(), "beyond 65504") {
		t.Errorf("a weight of a million: %v", err)
	}
}

func TestSaveOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	f := sample(t)
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, f); err != nil {
		t.Fatal(err)
	}
	back, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(write(t, back), write(t, f)) {
		t.Error("what was opened is not what was saved")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v (%v), want 0644", st.Mode(), err)
	}
	// A checkpoint that cannot be written leaves the old one, and nothing beside it.
	f.Meta["graph"] = "no"
	if err := Save(path, f); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("Save = %v, want an error that names %s", err, path)
	}
	if _, err := Open(path); err != nil {
		t.Errorf("the old file is gone: %v", err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("%d files are left (%v), want 1", len(all), err)
	}
	for _, missing := range []string{filepath.Join(path, "x"), path + ".none"} {
		if _, err := Open(missing); err == nil || strings.Count(err.Error(), missing) != 1 {
			t.Errorf("Open = %v, want an error that names %s once", err, missing)
		}
	}
	if err := Save(filepath.Join(path, "x"), sample(t)); err == nil {
		t.Error("saved into a file as if it were a folder")
	}
}

func TestShorterThanItsSize(t *testing.T) {
	b := file(tiny(good, ""), "12345678")
	for cut := range len(b) {
		var fe *FormatError
		if _, err := Read(bytes.NewReader(b[:cut]), int64(len(b))); !errors.As(err, &fe) {
			t.Fatalf("cut at %d: %v, want a FormatError", cut, err)
		}
	}
}

// FuzzRead wants no panic and no hunger for memory; and what is read can be written, and
// reads back with the same bytes.
func FuzzRead(f *testing.F) {
	f.Add(write(f, sample(f))[:3000])
	f.Add(file(tiny(good, ""), "12345678"))
	f.Add(file(tiny(`"dtype":"F16","shape":[2,1,1,1],"data_offsets":[0,4]`, `,"extra.b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]}`), "12345678"))
	f.Add(file(`{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"))
	f.Add(file(`{}`, ""))
	f.Add(write(f, &File{Graph: eightBits(f)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read(data)
		if err != nil {
			var fe *FormatError
			var ue UnsupportedError
			if !errors.As(err, &fe) && !errors.As(err, &ue) {
				t.Fatalf("neither a FormatError nor an UnsupportedError: %v", err)
			}
			return
		}
		var b bytes.Buffer
		if err := Write(&b, got); err != nil {
			t.Fatal(err)
		}
		again, err := read(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(write(t, again), b.Bytes()) {
			t.Fatal("written twice, the file is another")
		}
	})
}
