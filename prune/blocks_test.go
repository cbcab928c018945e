package prune_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/yolo"
)

// checkAgrees is checkSame for plans that take nodes out too.
func checkAgrees(t *testing.T, g *graph.Graph, p *prune.Plan) {
	t.Helper()
	masked, err := p.Mask(g)
	if err != nil {
		t.Fatal(err)
	}
	sliced, err := p.Apply(g)
	if err != nil {
		t.Fatal(err)
	}
	x := picture(32)
	want, got := run(t, masked, x), run(t, sliced, x)
	for i, w := range want {
		scale, off := 0.0, 0.0
		for j, v := range w.Data {
			scale = max(scale, math.Abs(float64(v)))
			off = max(off, math.Abs(float64(v-got[i].Data[j])))
		}
		if !(off <= 1e-5*scale) || scale == 0 || math.IsInf(scale, 0) {
			t.Errorf("%v: output %d: masked and sliced differ by %.3g at a scale of %.3g", p.Blocks, i, off, scale)
		}
	}
	c, err := prune.CostOf(sliced, nil, 32, 32)
	if err != nil {
		t.Fatal(err)
	}
	told, err := prune.PlanCost(g, p, 32, 32)
	if err != nil || told.Params != c.Params || told.Bytes != c.Bytes || math.Abs(told.GFLOP-c.GFLOP) > 1e-9 {
		t.Errorf("%v: the plan is counted as %+v (%v), the small network as %+v", p.Blocks, told, err, c)
	}
}

// Masked equals sliced for plans drawn by chance, with blocks, on every architecture, and
// what a plan is said to cost is what the small network costs.
func TestMaskedEqualsSlicedAnyPlan(t *testing.T) {
	names := append([]string{"yolov5n", "yolov5n-v5", "yolov5n-v3"}, yolo.Light...)
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := standard(t, name)
			r := rand.New(rand.NewPCG(uint64(i), 3))
			var blocks []string
			for _, b := range prune.Blocks(g) {
				blocks = append(blocks, b.Name)
			}
			if len(blocks) == 0 && i < 4 {
				t.Error("no block found")
			}
			for range 3 {
				p := uncut(t, g)
				for k := range p.Cuts {
					if r.IntN(2) == 0 {
						p.Cuts[k].Drop = half(p.Cuts[k].From, r)
					}
				}
				for _, b := range blocks {
					if r.IntN(2) == 0 {
						p.Blocks = append(p.Blocks, b)
					}
				}
				r.Shuffle(len(p.Blocks), func(a, b int) { p.Blocks[a], p.Blocks[b] = p.Blocks[b], p.Blocks[a] })
				checkAgrees(t, g, p)
			}
			p := uncut(t, g)
			p.Blocks = blocks
			checkAgrees(t, g, p)
		})
	}
}

// FuzzPlan cuts whatever the bytes say out of small networks of every difficulty.
func FuzzPlan(f *testing.F) {
	f.Add(uint8(0), []byte{3, 1, 0, 255})
	f.Add(uint8(3), []byte{255, 0, 7})
	f.Fuzz(func(t *testing.T, which uint8, bits []byte) {
		g := parse(t, small[int(which)%len(small)].text)
		p := uncut(t, g)
		at := 0
		next := func() bool {
			at++
			return len(bits) > 0 && bits[at/8%len(bits)]>>(at%8)&1 == 1
		}
		for k, c := range p.Cuts {
			for d := range c.From {
				if next() {
					p.Cuts[k].Drop = append(p.Cuts[k].Drop, d)
				}
			}
		}
		for _, b := range prune.Blocks(g) {
			if next() {
				p.Blocks = append(p.Blocks, b.Name)
			}
		}
		_, err := p.Apply(g)
		if _, masked := p.Mask(g); (err == nil) != (masked == nil) {
			t.Fatalf("Apply says %v, Mask %v", err, masked)
		}
		if err == nil {
			masked, _ := p.Mask(g)
			sliced, _ := p.Apply(g)
			x := picture(8)
			want, got := run(t, masked, x), run(t, sliced, x)
			for i, w := range want {
				for j, v := range w.Data {
					if math.Abs(float64(v-got[i].Data[j])) > 1e-4 {
						t.Fatalf("output %d: %v masked, %v sliced", i, v, got[i].Data[j])
					}
				}
			}
		}
	})
}

func TestBlocks(t *testing.T) {
	for _, s := range []struct{ name, text, want string }{
		{"bottleneck", `a = conv x w=f32[4,3,1,1]
			m.0.cv1 = conv a w=f32[2,4,1,1]
			m.0.cv2 = conv m.0.cv1 w=f32[4,2,3,3] pad=1
			m.0.add = add a m.0.cv2
			o = conv m.0.add w=f32[2,4,1,1]
			output o`, "m.0"},
		{"two in a row, the sum the other way round", `a = conv x w=f32[4,3,1,1]
			b = conv a w=f32[4,4,1,1]
			s = add b a
			c = conv s w=f32[4,4,1,1]
			t = add s c
			o = conv t w=f32[2,4,1,1]
			output o`, "s t"},
		{"the sum is an output", `a = conv x w=f32[4,3,1,1]
			b = conv a w=f32[4,4,1,1]
			s = add a b
			output s`, "s"},
		{"the branch is seen elsewhere", `a = conv x w=f32[4,3,1,1]
			b = conv a w=f32[4,4,1,1]
			s = add a b
			o = conv b w=f32[2,4,1,1]
			p = conv s w=f32[2,4,1,1]
			output o p`, ""},
		{"the branch takes more than x", `a = conv x w=f32[4,3,1,1]
			b = conv x w=f32[4,3,1,1]
			c = conv b w=f32[4,4,1,1]
			s = add a c
			o = conv s w=f32[2,4,1,1]
			output o`, ""},
		{"a branch that cannot be zero", `a = conv x w=f32[4,3,1,1]
			b = conv a w=f32[4,4,1,1]
			c = sigmoid b
			s = add a c
			o = conv s w=f32[2,4,1,1]
			output o`, ""},
	} {
		t.Run(s.name, func(t *testing.T) {
			g := parse(t, s.text)
			var names []string
			for _, b := range prune.Blocks(g) {
				names = append(names, b.Name)
			}
			if got := strings.Join(names, " "); got != s.want {
				t.Errorf("blocks are %q, want %q", got, s.want)
			}
			p := uncut(t, g)
			p.Blocks = names
			slices.Reverse(p.Blocks)
			checkAgrees(t, g, p)
			small, _ := p.Apply(g)
			for _, n := range names {
				for _, m := range small.Nodes {
					if strings.HasPrefix(m.Name, n+".") || m.Name == n {
						t.Errorf("%s is still there", m.Name)
					}
				}
			}
			p.Blocks = []string{"z"}
			if _, err := p.Apply(g); err == nil || !strings.Contains(err.Error(), "no block z here") {
				t.Errorf("a block that is not there: %v", err)
			}
		})
	}
}
