package graph

import (
	"testing"

	"ultrafast/tensor"
)

// Files hold fingerprints: they are the same for ever, and others where a number or a word is.
func TestFingerprint(t *testing.T) {
	network := func(text string, first float32) *Graph {
		g, err := Parse("ultrafast graph 1\nx = input shape=1,3,8,8\n" + text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range g.Params() {
			*p.At = tensor.New(p.Tensor().Shape...)
			for i := range p.Tensor().Data {
				p.Tensor().Data[i] = float32(i) / 4
			}
		}
		g.Params()[0].Tensor().Data[0] = first
		return g
	}
	const text = "c = conv x w=f32[2,3,1,1] bias\noutput c\n"
	if got, want := network(text, 0).Fingerprint(), "15bd240f806be2ff2b0181c9ddb74c92"; got != want {
		t.Errorf("the fingerprint is %s, files have %s", got, want)
	}
	seen := map[string]bool{}
	for _, g := range []*Graph{network(text, 0), network(text, 1e-45), network("c = conv x w=f32[2,3,1,1] bias pad=1\noutput c\n", 0), network("c = conv x w=f32[2,3,1,1]\noutput c\n", 0)} {
		seen[g.Fingerprint()] = true
	}
	if len(seen) != 4 {
		t.Errorf("4 networks have %d fingerprints", len(seen))
	}
}
