package prune_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/yolo"
)

// machine is a device of which all is known: a step for each node but the input.
func machine(g *graph.Graph, w, h int) (prune.Profile, error) {
	shapes, err := g.Shapes(1, h, w)
	if err != nil {
		return prune.Profile{}, err
	}
	var p prune.Profile
	for _, n := range g.Nodes {
		if s := shapes[n]; len(s) == 4 {
			ms := 0.001 + float64(n.MACs(shapes))/1e7 + float64(s[1]*s[2]*s[3])/1e6
			p.Steps = append(p.Steps, prune.StepMs{Node: n.Name, Ms: ms})
			p.Ms += 1.1 * ms
		}
	}
	return p, nil
}

func measure(t *testing.T, g *graph.Graph, w, h, networks int) *prune.Latency {
	t.Helper()
	l, err := prune.Measure(context.Background(), g, prune.Measurement{Width: w, Height: h, Networks: networks},
		func(g *graph.Graph) (prune.Profile, error) { return machine(g, w, h) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPredictEveryModel measures every architecture on the known device and predicts what it
// was not measured with.
func TestPredictEveryModel(t *testing.T) {
	names := slices.Clone(yolo.Light)
	for _, size := range "nsmlx" {
		for _, release := range []string{"", "-v5", "-v3"} {
			if !testing.Short() || size == 'n' {
				names = append(names, "yolov5"+string(size)+release)
			}
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := yolo.Standard(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Width /= 4 // and any depth
			g, err := yolo.New(cfg, []string{"face", "mask"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range g.Params() {
				p.Tensor().Data = nil // shapes are enough
			}
			const w, h = 96, 64
			l := measure(t, g, w, h, 8)
			worst := 0.0
			for seed := range uint64(5) {
				net, err := prune.Random(g, rand.New(rand.NewPCG(99, seed)))
				if err != nil {
					t.Fatal(err)
				}
				p, err := l.Predict(net, w, h)
				if err != nil {
					t.Fatal(err)
				}
				ms, err := l.Ms(net, w, h)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, y := range p.Layers {
					if !(y.Ms > 0) || math.IsInf(y.Ms, 0) {
						t.Fatalf("%s takes %v ms", y.Node, y.Ms)
					}
					sum += y.Ms
				}
				if math.Abs(sum-p.Ms) > 1e-9*sum || ms != p.Ms {
					t.Errorf("layers take %v, the network %v or %v", sum, p.Ms, ms)
				}
				truth, err := machine(net, w, h)
				if err != nil {
					t.Fatal(err)
				}
				worst = max(worst, math.Abs(p.Ms/truth.Ms-1))
			}
			if worst > 0.05 {
				t.Errorf("predictions are off by up to %.1f %%", 100*worst)
			}

			// What is left of a depthwise convolution may be a single channel.
			groups, err := prune.Groups(g)
			if err != nil {
				t.Fatal(err)
			}
			var least prune.Plan
			for _, gr := range groups {
				least.Cuts = append(least.Cuts, prune.Cut{Group: gr.Name, From: gr.Width(), Drop: []int{}})
			}
			var net *graph.Graph
			for i, gr := range groups {
				for keep := 1; keep <= gr.Width(); keep++ { // where layers share channels each has to keep one
					least.Cuts[i].Drop = span(keep, gr.Width())
					if net, err = least.Apply(g); err == nil {
						break
					}
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if p, err := l.Predict(net, w, h); err != nil || !(p.Ms > 0) {
				t.Errorf("one channel everywhere takes %v, %v", p.Ms, err)
			}
		})
	}
}

func TestLatencyFile(t *testing.T) {
	l := measure(t, standard(t, "yolov5n"), 64, 64, 2)
	l.Machine, l.Runtime, l.Precision, l.Threads = "a\nb", "r", "fp32", 2
	var first, second bytes.Buffer
	if err := l.Write(&first); err != nil {
		t.Fatal(err)
	}
	again, err := prune.ReadLatency(strings.NewReader(strings.ReplaceAll(first.String(), "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Write(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("a table comes back changed")
	}
}

// TestMeasureStops keeps what was measured until then.
func TestMeasureStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g := standard(t, "yolov5n")
	runs := 0
	l, err := prune.Measure(ctx, g, prune.Measurement{Width: 64, Height: 64}, func(g *graph.Graph) (prune.Profile, error) {
		if runs++; runs == 3 {
			cancel()
		}
		return machine(g, 64, 64)
	})
	if !errors.Is(err, context.Canceled) || l == nil || runs != 3 {
		t.Fatalf("%d runs, table %v, error %v", runs, l, err)
	}
	if _, err := l.Ms(g, 64, 64); err != nil {
		t.Error(err)
	}
	if l, err = prune.Measure(ctx, g, prune.Measurement{Width: 64, Height: 64}, nil); l != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("nothing measured: %v, %v", l, err)
	}
}

// TestMeasureNames: the steps of a device may bear names that no node has.
func TestMeasureNames(t *testing.T) {
	_, err := prune.Measure(context.Background(), standard(t, "yolov5n"), prune.Measurement{Width: 64, Height: 64},
		func(g *graph.Graph) (prune.Profile, error) {
			return prune.Profile{Ms: 1, Steps: []prune.StepMs{{Node: "gemm_7", Ms: 1}}}, nil
		})
	if err == nil || !strings.Contains(err.Error(), "none of the runtime's 1 steps bears the name of a node") {
		t.Errorf("error %v", err)
	}
}

// TestLayers: what follows a convolution is taken along, the rest stands alone.
func TestLayers(t *testing.T) {
	g := parse(t, `
		a = conv x w=f32[8,3,3,3] stride=2 pad=1
		an = batchnorm a c=8 eps=0.001 momentum=0.03
		as = silu an
		d = conv as w=f32[8,1,5,5] groups=8 pad=2
		s = add as d
		r = relu s
		c = concat s r
		p = conv c w=f32[4,16,1,1] bias
		output p`)
	l := &prune.Latency{}
	for _, row := range []string{
		"conv,3x3,2x2,1,8,8,silu,no",
		"conv,5x5,1x1,depthwise,4,4,none,yes",
		"relu,,,,4,4,none,no",
		"concat,,,,4,4,none,no",
		"conv,1x1,1x1,1,4,4,none,no",
	} {
		_, err := l.Predict(g, 8, 8)
		if err == nil || !strings.Contains(err.Error(), "measure this network, or add a row "+row+",") {
			t.Fatalf("without %s: error %v", row, err)
		}
		one, err := prune.ReadLatency(strings.NewReader("op,kernel,stride,groups,height,width,act,add,in,out,ms\n" + row + ",1,1,1\n"))
		if err != nil {
			t.Fatal(err)
		}
		l = &prune.Latency{Rows: append(slices.Clone(l.Rows), one.Rows...), Width: 8, Height: 8}
	}
	p, err := l.Predict(g, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{3 * 8, 8, 8, 16, 16 * 4} {
		if got := p.Layers[i]; math.Abs(got.Ms-want) > 1e-9*want {
			t.Errorf("%s takes %v, want %v", got.Node, got.Ms, want)
		}
	}
	if _, err := l.Ms(g, 16, 16); err == nil || !strings.Contains(err.Error(), "is for pictures of 8x8, not 16x16") {
		t.Errorf("another size: error %v", err)
	}
}

func TestReadLatencyErrors(t *testing.T) {
	const columns = "op,kernel,stride,groups,height,width,act,add,in,out,ms\n"
	const row = "conv,3x3,2x2,1,64,64,silu,no,3,16,0.5\n"
	for text, want := range map[string]string{
		"":                                      "has no rows",
		columns:                                 "has no rows",
		row:                                     "line 1: want the columns op,kernel",
		"# scale: 0\n":                          `line 1: scale "0": want a number from 0.01 to 100`,
		"# machine: x\n# threads: many\n":       `line 2: threads "many": want 1 to`,
		"# input: 640\n":                        `line 1: input's height "": want 1 to`,
		"# note\n" + columns + row + "\n" + row: "line 5: is the same layer as line 3",
		columns + "conv,3x3\n":                  "line 2: has 2 columns, want 11",
		columns + strings.Replace(row, "3x3", "3", 1):      `line 2: kernel "3": want`,
		columns + strings.Replace(row, "no", "maybe", 1):   `line 2: add "maybe": want yes or no`,
		columns + strings.Replace(row, "0.5", "-1", 1):     `line 2: ms "-1": want milliseconds`,
		columns + strings.Replace(row, "0.5", "1e-320", 1): `line 2: ms "1e-320": want milliseconds`,
		columns + strings.Replace(row, "0.5", "NaN", 1):    `line 2: ms "NaN": want milliseconds`,
		columns + strings.Replace(row, "0.5", "fast", 1):   `line 2: ms "fast": want milliseconds`,
		columns + strings.Replace(row, ",16,", ",0,", 1):   `line 2: out "0": want 1 to`,
		columns + strings.Replace(row, "silu", "", 1):      `line 2: act "": want an activation`,
		columns + strings.Replace(row, "conv", "CONV!", 1): `line 2: op "CONV!": want`,
		columns + "\"conv\n":                               "line 2",
	} {
		if _, err := prune.ReadLatency(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	cfg, _ := yolo.Standard("yolov5s")
	g, err := yolo.New(cfg, nil, 1)
	if err != nil {
		b.Fatal(err)
	}
	l, err := prune.Measure(context.Background(), g, prune.Measurement{Width: 640, Height: 640},
		func(g *graph.Graph) (prune.Profile, error) { return machine(g, 640, 640) })
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.Predict(g, 640, 640); err != nil {
			b.Fatal(err)
		}
	}
}
