package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// TestTune tries every way to compute the convolutions of a small network, and checks that
// the tuning is followed and changes nothing but the time.
func TestTune(t *testing.T) {
	for _, cpu := range cpus() {
		g := parse(t, small, 51)
		o := Options{Threads: 2, CPU: cpu}
		last := 0.0
		tuning, err := Tune(context.Background(), g, o, time.Minute, func(done float64) { last = done })
		if err != nil {
			t.Fatal(err)
		}
		if cpu != Generic && (len(tuning) == 0 || last <= 0) {
			t.Errorf("%s: %d convolutions tuned, progress %v", cpu, len(tuning), last)
		}
		o.Tuning = tuning
		p, err := Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.steps {
			if w, ok := tuning[s.key]; s.key != "" && (!ok || s.MACs > 0 && s.Kernel != w.Kernel) {
				t.Errorf("%s: %s is computed by %s, tuned %+v", cpu, s.Name, s.Kernel, w)
			}
		}
		check(t, g, random(rand.New(rand.NewPCG(1, 52)), 2, 3, 20, 28), Options{Tuning: tuning}, 1e-4)
	}
}

// TestEveryWay checks the result of every way, one after the other.
func TestEveryWay(t *testing.T) {
	g := parse(t, `x = input shape=1,8,21,37
a = conv x w=f32[11,8,3,3] bias pad=1
b = silu a
c = conv b w=f32[13,11,3,3] bias stride=2 pad=1
d = conv c w=f32[13,13,1,1] bias
e = conv d w=f32[13,13,3,3] pad=1
f = silu e
h = add d f
output h b
`, 53)
	x := random(rand.New(rand.NewPCG(1, 54)), 1, 8, 21, 37)
	want, err := Reference(g, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range cpus() {
		for column := 0; ; column++ {
			p, more, err := compileColumn(g, Options{CPU: cpu, Threads: 2}, column)
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
			for i, n := range g.Outputs {
				if d := far(outs[i], want[n]); !(d <= 1e-4) {
					t.Errorf("%s, way %d: output %s is off by %.2g", cpu, column, n.Name, d)
				}
			}
		}
	}
}

func TestTuneStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Tune(ctx, parse(t, small, 55), Options{}, time.Minute, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Tune returns %v", err)
	}
}
