package engine

import (
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"ultrafast/graph"
)

// TestEightSessions runs two programs in eight sessions at once.
func TestEightSessions(t *testing.T) {
	var all sync.WaitGroup
	for i, threads := range []int{2, 3} {
		g := parse(t, small, uint64(40+i))
		p, err := Compile(g, Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(4) {
			all.Go(func() {
				x := random(rand.New(rand.NewPCG(seed, 41)), 2, 3, 20, 28)
				want, err := Reference(g, x)
				if err != nil {
					t.Error(err)
					return
				}
				s := p.NewSession()
				for range 50 {
					outs, err := s.Run(x)
					if err != nil {
						t.Error(err)
						return
					}
					if d := far(outs[0], want[g.Outputs[0]]); !(d <= 1e-4) {
						t.Errorf("session %d is off by %.2g", seed, d)
					}
				}
			})
		}
	}
	all.Wait()
}

// TestManyFrames checks that memory does not grow with the frames.
func TestManyFrames(t *testing.T) {
	frames := 100_000
	if testing.Short() {
		frames = 2000
	}
	g := parse(t, "x = input shape=1,3,8,8\na = conv x w=f32[8,3,6,6] bias stride=2 pad=2\nb = silu a\nc = conv b w=f32[6,8,3,3] pad=1\noutput c\n", 42)
	p, err := Compile(g, Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	s := p.NewSession()
	x, pixels := random(rand.New(rand.NewPCG(1, 43)), 1, 3, 8, 8), make([]uint8, 3*8*8)
	memory := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	for i := range frames {
		if _, err := s.RunRGB(pixels); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			s.Run(x)
		}
	}
	if after := memory(); after > before+64<<10 {
		t.Errorf("%d frames took %d bytes that stay", frames, after-before)
	}
	runtime.KeepAlive(s)
}

// TestNotNumbers feeds infinities and NaN: nothing may hang or crash, and the next
// picture must not feel them.
func TestNotNumbers(t *testing.T) {
	for _, cpu := range cpus() {
		for _, kind := range []graph.ActKind{graph.SiLU, graph.Hardswish, graph.LeakyReLU, graph.ReLU, graph.ReLU6, graph.Sigmoid, graph.Mish} {
			g := parse(t, small, 44)
			for _, n := range g.Nodes {
				if a, ok := n.Op.(*graph.Activation); ok {
					a.Kind, a.Slope = kind, 0.1
				}
			}
			p, err := Compile(g, Options{Threads: 2, CPU: cpu})
			if err != nil {
				t.Fatal(err)
			}
			s := p.NewSession()
			x := random(rand.New(rand.NewPCG(1, 45)), 2, 3, 20, 28)
			good := append([]float32{}, x.Data...)
			run := func() []float32 {
				outs, err := s.Run(x)
				if err != nil {
					t.Fatal(err)
				}
				return outs[0].Data
			}
			want := append([]float32{}, run()...)
			for _, v := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, 1e-45} {
				for i := range x.Data {
					if i%7 == 0 {
						x.Data[i] = float32(v)
					}
				}
				run()
			}
			copy(x.Data, good)
			for i, v := range run() {
				if v != want[i] {
					t.Fatalf("%s, %s: [%d] is %v after bad pictures, %v before", cpu, kind, i, v, want[i])
				}
			}
		}
	}
}

// TestAbsurdMemory checks that a model that asks for more memory than there is gets an
// error, not the memory.
func TestAbsurdMemory(t *testing.T) {
	g := parse(t, "x = input shape=1,1,8,8\na = conv x w=f32[64,1,3,3] pad=1\nb = conv a w=f32[64,64,3,3] pad=1\noutput b\n", 46)
	for _, size := range [][2]int{{1 << 12, 1 << 13}, {1 << 24, 2}, {2, 1 << 24}} {
		_, err := Compile(g, Options{Height: size[0], Width: size[1], Batch: 1 << 3})
		if err == nil || !strings.Contains(err.Error(), "memory") && !strings.Contains(err.Error(), "numbers") {
			t.Errorf("%v: %v", size, err)
		}
	}
}
