package prune_test

import (
	"bytes"
	"context"
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
			names = append(names, "yolov5"+string(size)+release)
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
			l := measure(t, g, w, h, 12)
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
