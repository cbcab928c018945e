package engine

import (
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
)

// TestCPUs compiles for all that are listed.
func TestCPUs(t *testing.T) {
	g := &graph.Graph{}
	x := g.Add("x", &graph.Input{Shape: [4]int{1, 3, 8, 8}})
	g.Outputs = []*graph.Node{g.Add("up", &graph.Upsample{Scale: 2}, x)}
	all := CPUs()
	if i := slices.Index(all, Generic); i != len(all)-1 {
		t.Errorf("%v: %s is not the last", all, Generic)
	}
	for _, name := range append(all, "") {
		if err := CheckCPU(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		p, err := Compile(g, Options{CPU: name})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		want := name
		if name == "" {
			want = all[0]
		}
		if p.CPU() != want {
			t.Errorf("compiled for %q, want %q", p.CPU(), want)
		}
	}
	_, err := Compile(g, Options{Precision: BF16})
	if missing := BF16Missing(); (missing == nil) != (err == nil) || err != nil && err.Error() != missing.Error() {
		t.Errorf("bf16 is missing: %v, and compiling says %v", missing, err)
	}
	if _, err := Compile(g, Options{CPU: "z80"}); err == nil {
		t.Error("compiles for a z80")
	}
	if err := CheckCPU("z80"); err == nil || !strings.HasPrefix(err.Error(), "this machine runs "+all[0]) {
		t.Errorf("a z80: %v", err)
	}
}
