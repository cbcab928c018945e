package train

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/safetensors"
)

// eightNet is tinyNet with a convolution of 8 bits.
func eightNet(t *testing.T) *graph.Graph {
	t.Helper()
	text := strings.NewReplacer(
		"model.0.conv = conv images w=f32", "images.q = quantize images scale=0.003921569 zero=0\nmodel.0.conv = conv images.q w=i8",
		"model.0.bn = batchnorm model.0.conv c=4 eps=0.001 momentum=0.03", "model.0.conv.q = quantize model.0.conv scale=0.2 zero=100",
		"silu model.0.bn", "silu model.0.conv.q").Replace(tinyNet().String())
	g, err := graph.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	was := map[string]graph.Param{}
	for _, p := range tinyNet().Params() {
		was[p.Name] = p
	}
	for _, p := range g.Params() {
		*p.At = was[p.Name].Tensor()
	}
	if err := g.EightBits(); err != nil {
		t.Fatal(err)
	}
	return g
}

// stopped trains a quantised network, which is stopped in epoch 3.
func stopped(t *testing.T, c Config) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(p Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if _, err := Run(ctx, Drift(), eightNet(t), tinyData(t), c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// A quantised network that goes on ends as one that was not stopped, and each file but the state
// holds weights of 8 bits alone.
func TestQuantisedResume(t *testing.T) {
	data, want, dir := tinyData(t), t.TempDir(), t.TempDir()
	if _, err := Run(t.Context(), Drift(), eightNet(t), data, tinyConfig(want)); err != nil {
		t.Fatal(err)
	}
	stopped(t, tinyConfig(dir))
	state, err := safetensors.Open(weightsFile(dir, "state-2"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range state.Extra {
		if name == prefixAveraged+"model.0.conv.weight" {
			t.Error("the state holds the average of 8-bit weights twice")
		}
	}
	latent, live := state.Extra[prefixMomentum+"model.0.conv.weight"+Latent], state.Graph.Node("model.0.conv").Op.(*graph.Conv)
	off := 0.0
	for i, v := range latent.Data {
		off = max(off, math.Abs(float64(v-live.Weight.Data[i]))/float64(live.WeightScale[i/192]))
	}
	if off == 0 || off > 0.501 {
		t.Errorf("the floats are up to %.3g steps from their weights", off)
	}
	c := tinyConfig(dir)
	c.Resume = true
	if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, want)
	for _, name := range []string{"last", "best"} {
		f, err := safetensors.Open(weightsFile(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n := f.Graph.Quantized(); n == nil || len(f.Extra) > 0 || !strings.Contains(f.Graph.String(), "w=i8[4,3,8,8]") {
			t.Errorf("%s holds %d tensors beside\n%s", name, len(f.Extra), f.Graph)
		}
	}
}

// A state whose floats are missing, of another shape or no numbers is refused by name.
func TestQuantisedStateIsHostile(t *testing.T) {
	dir := t.TempDir()
	stopped(t, tinyConfig(dir))
	path := weightsFile(dir, "state-2")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const name = "model.0.conv.weight"
	for what, change := range map[string]func(f *safetensors.File){
		name + LatentAverage: func(f *safetensors.File) { delete(f.Extra, prefixMomentum+name+LatentAverage) },
		name + Latent:        func(f *safetensors.File) { f.Extra[prefixMomentum+name+Latent].Shape = []int{768} },
		"a weight of channel 0 is NaN": func(f *safetensors.File) {
			f.Extra[prefixMomentum+name+LatentAverage].Data[5] = float32(math.NaN())
		},
	} {
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		change(f)
		if err := safetensors.Save(path, f); err != nil {
			t.Fatal(err)
		}
		c := tinyConfig(dir)
		c.Resume = true
		if _, err := Run(t.Context(), Drift(), nil, tinyData(t), c); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want an error with %q", err, what)
		}
		if err := os.WriteFile(path, whole, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A quantised network is not made sparse, and is validated in whole numbers on any device.
func TestQuantisedRun(t *testing.T) {
	data, c := tinyData(t), tinyConfig(t.TempDir())
	c.Penalty = func(int, *graph.Graph) (Penalty, error) { return Penalty{}, nil }
	if _, err := Run(t.Context(), Drift(), eightNet(t), data, c); err == nil || !strings.Contains(err.Error(), "images.q is quantised: to push channels") {
		t.Errorf("a penalty: %v", err)
	}
	c = tinyConfig(t.TempDir())
	asked := errors.New("asked for")
	c.Predictor = func(g *graph.Graph) (Predict, error) { return nil, errors.Join(asked, g.Verify()) }
	if _, err := Run(t.Context(), &card{Backend: Drift(), free: 1e6, least: 1e6}, eightNet(t), data, c); !errors.Is(err, asked) {
		t.Errorf("on a device: %v", err)
	}
}
