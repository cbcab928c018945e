package engine

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"

	"ultrafast/graph"
	"ultrafast/internal/codegen"
	"ultrafast/tensor"
)

// amxOptions are those for AMX. They skip where it cannot run.
func amxOptions(t *testing.T, threads int) Options {
	t.Helper()
	target, err := codegen.ByName(codegen.AMX)
	if err != nil {
		t.Skip(errors.Join(err, noAMX))
	}
	return Options{CPU: target.String(), Precision: BF16, Threads: threads}
}

// amxNetwork has layers for all forms, with enough channels for each to be the first choice.
const amxNetwork = `x = input shape=1,3,32,320
a = conv x w=f32[16,3,6,6] bias stride=2 pad=2
b = silu a
c = conv b w=f32[32,16,3,3] bias stride=2 pad=1
d = silu c
e = conv d w=f32[16,32,1,1] bias
f = silu e
g = conv f w=f32[32,16,3,3] pad=1
h = silu g
i = add d h
j = conv i w=f32[37,32,3,3] bias stride=2 pad=1
k = hardswish j
l = conv k w=f32[64,37,3,3] bias pad=1
m = silu l
n = upsample m scale=2
o = concat n i
p = conv o w=f32[24,96,1,1] bias
q = conv p w=f32[255,24,1,1] bias
r = conv p w=f32[21,24,2,2] stride=2
output q m r
`

// TestAMXForms checks that tiles are chosen in all their forms, and what they compute.
func TestAMXForms(t *testing.T) {
	o := amxOptions(t, 2)
	g := parse(t, amxNetwork, 71)
	want := map[string]string{"a": amxRows, "c": amxHalved, "e": amxRows, "g": amxRows, "j": amxParted, "l": amxFlat, "p": amxRows, "q": amxRows, "r": amxParted}
	p, err := Compile(g, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps() {
		if form := want[s.Name]; form != "" && s.MACs > 0 {
			if delete(want, s.Name); !strings.HasPrefix(s.Kernel, form+" ") {
				t.Errorf("%s is computed by %s, want %s", s.Name, s.Kernel, form)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no steps for %v", want)
	}
	for i, s := range [][4]int{{1, 3, 32, 320}, {1, 3, 16, 296}, {16, 3, 24, 128}} {
		if testing.Short() && i > 0 {
			break // the truth takes long under the race detector
		}
		x := random(rand.New(rand.NewPCG(uint64(i), 72)), s[:]...)
		o.Batch, o.Height, o.Width, o.Threads = s[0], s[2], s[3], 1
		p, err := Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		checkBF16Program(t, g, p, x, o)
	}
}

// FuzzAMX computes the convolutions of random graphs in random ways, by tiles where it can.
func FuzzAMX(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		o := amxOptions(t, 1+int(seed%3))
		r := rand.New(rand.NewPCG(seed, 0))
		h, w := 1+r.IntN(20), 1+r.IntN(70)
		g := randomGraph(r, h, w)
		for _, n := range g.Nodes {
			if conv, ok := n.Op.(*graph.Conv); ok { // more of what tiles can do
				conv.Dilation = [2]int{1, 1}
			}
		}
		if _, err := g.Shapes(1, h, w); err != nil {
			return
		}
		fillGraph(g, r)
		shape := g.Input().Op.(*graph.Input).Shape
		shape[0] = 1 + r.IntN(2)
		o.Batch, o.KeepAll = shape[0], r.IntN(2) == 0
		p, err := compile(g, o, func(_ string, all []choice) choice {
			if tiles := slices.DeleteFunc(slices.Clone(all), func(ch choice) bool { return !ch.amx() }); len(tiles) > 0 {
				all = tiles
			}
			return all[r.IntN(len(all))]
		})
		if err != nil {
			t.Fatal(err)
		}
		checkBF16Program(t, g, p, random(r, shape[:]...), o)
	})
}

// TestAMXStress runs two programs in several sessions at once while the collector runs, the
// processor is profiled and goroutines are preempted, and move between threads. All must
// give the bits that they gave alone.
func TestAMXStress(t *testing.T) {
	const sessions, runs = 6, 8
	type network struct {
		p    *Program
		x    *tensor.Tensor
		want [][]float32
	}
	var networks []network
	for i, text := range []string{amxNetwork, "x = input shape=1,8,40,40\na = conv x w=f32[32,8,3,3] bias pad=1\nb = silu a\nc = conv b w=f32[24,32,3,3] stride=2 pad=1\noutput c b\n"} {
		g := parse(t, text, uint64(73+i))
		p, err := Compile(g, amxOptions(t, 1+i))
		if err != nil {
			t.Fatal(err)
		}
		shape := g.Input().Op.(*graph.Input).Shape
		n := network{p: p, x: random(rand.New(rand.NewPCG(1, uint64(74+i))), shape[:]...)}
		outs, err := p.NewSession().Run(n.x)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range outs {
			n.want = append(n.want, slices.Clone(out.Data))
		}
		networks = append(networks, n)
	}
	if err := pprof.StartCPUProfile(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	stop := make(chan struct{})
	var noise, all sync.WaitGroup
	noise.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC() // stops all goroutines by signals
			}
		}
	})
	for i := range sessions {
		n := networks[i%len(networks)]
		all.Go(func() {
			s := n.p.NewSession()
			for range runs {
				outs, err := s.Run(n.x)
				if err != nil {
					t.Error(err)
					return
				}
				for j, out := range outs {
					if !slices.Equal(out.Data, n.want[j]) {
						t.Errorf("session %d: output %d is not what it was alone", i, j)
						return
					}
				}
			}
		})
	}
	all.Wait()
	close(stop)
	noise.Wait()
}
