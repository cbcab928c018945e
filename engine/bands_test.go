package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A block of YOLOv5 after a convolution, and a way up with a skip: the convolution and the two
// that read it, and the next three, are taken band by band.
const bandsText = `x = input shape=1,4,48,128
a = conv x w=f32[8,4,3,3] bias stride=2 pad=1
as = silu a
b = conv as w=f32[4,8,1,1] bias
bs = silu b
c = conv bs w=f32[4,4,1,1] bias
cs = silu c
d = conv cs w=f32[4,4,3,3] bias pad=1
ds = silu d
e = add bs ds
f = conv as w=f32[4,8,1,1] bias
fs = silu f
g = concat e fs
h = conv g w=f32[8,8,1,1] bias
hs = silu h
u = upsample hs scale=2
v = conv x w=f32[5,4,1,1] bias
k = concat u v
l = conv k w=f32[6,13,1,1]
output l
`

// TestBands checks what is taken together, that every value is right when Watch shows it, whose
// order is another then, and that Time still tells of each step.
func TestBands(t *testing.T) {
	g := parse(t, bandsText, 71)
	x := random(rand.New(rand.NewPCG(1, 72)), 1, 4, 48, 128)
	want, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range cpus() {
		for _, threads := range []int{1, 2, 16} {
			p, err := Compile(g, Options{CPU: cpu, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			if together := cpu != Generic && threads < 3; together != (len(p.groups) <= len(p.steps)/2) {
				t.Errorf("%s, %d threads: %d steps in %d groups", cpu, threads, len(p.steps), len(p.groups))
			}
			s := p.NewSession()
			s.Watch(func(n *graph.Node, v *tensor.Tensor) {
				if d := far(v, want[g.Node(n.Name)]); !(d <= 1e-5) {
					t.Errorf("%s, %d threads: %s is off by %.2g", cpu, threads, n.Name, d)
				}
			})
			told := map[int]time.Duration{}
			s.Time(func(step int, d time.Duration) { told[step] += d })
			start := time.Now()
			if _, err := s.Run(x); err != nil {
				t.Fatal(err)
			}
			whole := time.Since(start)
			var sum time.Duration
			for _, d := range told {
				sum += d
			}
			if len(told) != len(p.steps) || sum <= 0 || sum > whole {
				t.Errorf("%s, %d threads: times of %d steps of %d, together %v of %v", cpu, threads, len(told), len(p.steps), sum, whole)
			}
		}
	}
}

// TestGatherKeepsOrder gathers steps that touch values at random: each must come after those
// that write what it reads, or run with them where it reads near.
func TestGatherKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 73))
	for range 300 {
		c := &compiler{Program: &Program{threads: 1 + r.IntN(3)}}
		const values = 12
		c.lives = make([]life, values)
		type made struct{ reads, near []int }
		wants := map[string]made{}
		for v := 1; v < values; v++ {
			var m made
			for range 1 + r.IntN(2) {
				m.reads = append(m.reads, r.IntN(v))
			}
			if r.IntN(2) == 0 {
				m.near = m.reads[:1]
			}
			name := string(rune('a' + v))
			wants[name] = m
			st := c.parallel(name, nil, append(m.reads[:len(m.reads):len(m.reads)], v), 1, nil)
			if r.IntN(4) > 0 {
				st.bands = &bands{pictures: 1, rows: 24 * (1 + r.IntN(2)), multiple: 1 + r.IntN(4), near: m.near}
			}
		}
		c.gather()
		if len(c.steps) != values-1 {
			t.Fatalf("%d steps of %d are left", len(c.steps), values-1)
		}
		at := make([]int, values) // by value: the group that writes it, counted from 1
		for i, g := range c.groups {
			for _, s := range c.steps[g.first:g.end] {
				out := s.values[len(s.values)-1]
				at[out] = i + 1
				for _, v := range s.values[:len(s.values)-1] {
					near := len(wants[s.Name].near) > 0 && wants[s.Name].near[0] == v
					if v > 0 && (at[v] == 0 || at[v] == i+1 && !near) {
						t.Fatalf("%s in group %d reads value %d, which group %d writes", s.Name, i+1, v, at[v])
					}
					if l := c.lives[v]; l.from > i || l.to < i {
						t.Fatalf("value %d lives from %d to %d, and group %d reads it", v, l.from, l.to, i)
					}
				}
			}
		}
	}
}
