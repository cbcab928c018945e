package engine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"ultrafast/internal/codegen"
)

// TestTransposedKernels asks which transposed convolutions are machine code, and in how many
// convolutions: info --engine shows it so.
func TestTransposedKernels(t *testing.T) {
	if len(codegen.Targets()) == 0 {
		t.Skip("there is no machine code for this processor")
	}
	for _, c := range []struct {
		op    string
		convs int // 0 is plain Go
	}{
		{"w=f32[4,6,2,2] stride=2", 1},
		{"w=f32[4,6,6,6] stride=2 pad=2", 1},
		{"w=f32[4,6,4,4] bias stride=2 pad=1", 4},
		{"w=f32[4,6,4,2] bias stride=2 pad=1,0", 2},
		{"w=f32[4,6,3,3] stride=2 pad=1 outpad=1", 4},
		{"w=f32[4,6,3,3] stride=2", 0},
		{"w=f32[4,6,4,4] stride=4", 0},
		{"w=f32[4,6,3,3] pad=1", 0},
		{"w=f32[4,1,2,2] stride=4 groups=4", 0},
		{"w=f32[4,1,2,2] stride=2 groups=4", 4},
		{"w=f32[4,3,4,4] bias stride=2 pad=1 groups=2", 4},
	} {
		g := parse(t, opInput+"a = convtranspose x "+c.op+"\ny = silu a\noutput y\n", 71)
		x := random(rand.New(rand.NewPCG(1, 72)), 2, 4, 12, 40)
		check(t, g, x, Options{}, 2e-5)
		p, err := Compile(g, Options{Batch: 2, Height: 12, Width: 40})
		if err != nil {
			t.Fatal(err)
		}
		convs, macs := 0, int64(0)
		for _, s := range p.Steps() {
			if macs += s.MACs; s.MACs > 0 && s.Kernel != PlainGo {
				convs++
			}
		}
		plain := slices.ContainsFunc(p.Steps(), func(s StepInfo) bool { return s.Name == "a" && s.Kernel == PlainGo })
		if convs != c.convs || plain != (c.convs == 0) {
			t.Errorf("%s: %d convolutions of machine code, want %d; plain Go: %v", c.op, convs, c.convs, plain)
		}
		shapes, err := g.Shapes(2, 12, 40)
		if err != nil {
			t.Fatal(err)
		}
		if want := g.Node("a").MACs(shapes); macs != want {
			t.Errorf("%s: the steps count %d multiply-adds, the graph %d", c.op, macs, want)
		}
	}
}

// TestTransposedEveryWay checks the result of every way to compute the phases.
func TestTransposedEveryWay(t *testing.T) {
	g := parse(t, opInput+`a = convtranspose x w=f32[4,13,6,6] bias stride=2 pad=2
b = silu a
c = convtranspose x w=f32[4,9,2,2] stride=2
d = convtranspose x w=f32[4,3,4,4] stride=2 pad=1 groups=4
e = concat c b d
output e
`, 73)
	for _, s := range [][4]int{{1, 4, 12, 40}, {2, 4, 9, 13}} {
		x := random(rand.New(rand.NewPCG(1, 74)), s[:]...)
		want, err := Reference(g, x)
		if err != nil {
			t.Fatal(err)
		}
		for _, cpu := range cpus() {
			for column := 0; ; column++ {
				p, more, err := compileColumn(g, Options{Batch: s[0], Height: s[2], Width: s[3], CPU: cpu, Threads: 2}, column)
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					break
				}
				outs, err := p.NewSession().Run(x)
				if err != nil {
					t.Fatal(err)
				}
				if d := far(outs[0], want[g.Outputs[0]]); !(d <= 2e-5) {
					t.Errorf("%s, way %d: off by %.2g", cpu, column, d)
				}
			}
		}
	}
}
