package safetensors

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// eightBits is a quantised network whose weights are all whole multiples.
func eightBits(t testing.TB) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(`ultrafast graph 1
x = input shape=1,3,8,8
x.q = quantize x scale=0.003921569 zero=0
a = conv x.q w=i8[40,3,3,3] bias pad=1
a.q = quantize a scale=0.0314 zero=131
y = conv a.q w=f32[2,40,1,1] bias
output y
`)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, p := range g.Params() {
		v := tensor.New(p.Tensor().Shape...)
		for i := range v.Data {
			v.Data[i] = r.Float32() - 0.5
		}
		*p.At = v
	}
	c := g.Node("a").Op.(*graph.Conv)
	for range c.Weight.Shape[0] {
		c.WeightScale = append(c.WeightScale, r.Float32()/127+1e-6)
	}
	for i := range c.Weight.Data {
		c.Weight.Data[i] = float32(r.IntN(255)-127) * c.WeightScale[i/27]
	}
	return g
}

func TestEightBitWeights(t *testing.T) {
	g := eightBits(t)
	for _, half := range []bool{false, true} {
		b := write(t, &File{Graph: g, Half: half})
		back, err := read(b)
		if err != nil {
			t.Fatal(err)
		}
		if back.Graph.String() != g.String() {
			t.Errorf("graph became\n%s", back.Graph)
		}
		want, got := g.Node("a").Op.(*graph.Conv), back.Graph.Node("a").Op.(*graph.Conv)
		if err := same(got.Weight, want.Weight); err != nil {
			t.Error(err)
		}
		for i, s := range want.WeightScale {
			if got.WeightScale[i] != s {
				t.Errorf("scale %d is %v, want %v", i, got.WeightScale[i], s)
			}
		}
		if !half && !bytes.Equal(write(t, back), b) {
			t.Error("written again, the file is another")
		}
		full := g.Clone()
		full.Node("a").Op.(*graph.Conv).WeightScale = nil
		large := write(t, &File{Graph: full})
		if saved := len(large) - len(b); !half && saved < 3*want.Weight.Len()-40*4-150 {
			t.Errorf("8-bit weights save %d bytes of %d", saved, len(large))
		}
	}
	g.Node("a").Op.(*graph.Conv).Weight.Data = nil
	if err := Write(&bytes.Buffer{}, &File{Graph: g}); err == nil || !strings.Contains(err.Error(), "tensor a.weight: 0 numbers") {
		t.Errorf("weights without numbers: %v", err)
	}
}

func TestEightBitRefuses(t *testing.T) {
	const (
		weight = `"dtype":"I8","shape":[2,1,1,1],"data_offsets":[8,10]`
		scales = `,"y.weight_scale":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	)
	header := strings.Replace(tiny(weight, scales), "w=f32", "w=i8", 1)
	body := "\x00\x00\x80\x3f\x00\x00\x00\x40\x7f\xff" // scales 1 and 2, levels 127 and -1
	f, err := read(file(header, body))
	if err != nil {
		t.Fatal(err)
	}
	if w := f.Graph.Node("y").Op.(*graph.Conv).Weight.Data; w[0] != 127 || w[1] != -2 {
		t.Errorf("weights are %v, want [127 -2]", w)
	}
	nan := string([]byte{0, 0, 0xc0, 0x7f})
	for _, c := range []struct{ name, header, body, want string }{
		{"without scales", strings.Replace(header, "y.weight_scale", "extra.scale", 1), body, "tensor y.weight_scale is missing"},
		{"with one scale", strings.Replace(strings.Replace(header, `[2],"data_offsets":[0,8]`, `[1],"data_offsets":[0,4]`, 1), "[8,10]", "[4,6]", 1), body[4:], "y.weight_scale is F32[1], want F32[2]"},
		{"with half scales", strings.Replace(strings.Replace(header, `"F32","shape":[2],"data_offsets":[0,8]`, `"F16","shape":[2],"data_offsets":[0,4]`, 1), "[8,10]", "[4,6]", 1), body[4:], "want F32[2]"},
		{"of -128", header, body[:8] + "\x7f\x80", "graph: y: weight -256 of channel 1"},
		{"with a scale of 0", header, "\x00\x00\x00\x00" + body[4:], "scale 0 of the weights of channel 0"},
		{"with no number for a scale", header, nan + body[4:], "scale NaN"},
		{"of floats", strings.Replace(tiny(good, ""), "w=f32", "w=i8", 1), "12345678", "tensor y.weight is of type F32, the graph says I8"},
		{"where floats belong", tiny(weight, scales), body, "the graph says floats"},
		{"beside the graph", tiny(good, `,"extra.a":{"dtype":"I8","shape":[2],"data_offsets":[8,10]}`), "1234567812", `"extra.a" holds "I8"`},
	} {
		_, err := read(file(c.header, c.body))
		var fe *FormatError
		var ue UnsupportedError
		if !errors.As(err, &fe) && !errors.As(err, &ue) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("8-bit weights %s: %v, want %q", c.name, err, c.want)
		}
	}
}
