package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/scene"
	"ultrafast/yolo"
)

// A stopper stops a run once it writes a text.
type stopper struct {
	bytes.Buffer
	text string
	stop context.CancelFunc
}

func (s *stopper) Write(b []byte) (int, error) {
	defer func() {
		if strings.Contains(s.String(), s.text) {
			s.stop()
		}
	}()
	return s.Buffer.Write(b)
}

// Who stops the measuring of losses has the model; and a dead layer, which does not keep the
// others from 8 bits, is told of.
func TestQuantizeSavesFirst(t *testing.T) {
	dir := t.TempDir()
	data, err := scene.Write(filepath.Join(dir, "set"), scene.Set{Train: 2, Val: 1, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := yolo.Standard("thin")
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	bn := g.Node("model.2.cv2.bn").Op.(*graph.BatchNorm)
	clear(bn.Gamma.Data)
	clear(bn.Beta.Data)
	model, out := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "q.safetensors")
	if err := safetensors.Save(model, &safetensors.File{Graph: g}); err != nil {
		t.Fatal(err)
	}
	const note = "model.2.cv2.conv is the same everywhere in all 2 pictures (0 to 0): is the layer dead? Its 8 bits cover 0 to 0.01\n"
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stderr := &stopper{text: note, stop: stop}
	code := run(ctx, []string{"quantize", "--weights", model, "--data", data, "--img", "64", "-o", out}, &bytes.Buffer{}, stderr)
	if code != 130 || !strings.Contains(stderr.String(), note) || !strings.HasSuffix(stderr.String(), "stopped: "+out+" is written, but not what it loses: quant: picture 1\n") {
		t.Errorf("exit status %d:\n%s", code, stderr.String())
	}
	f, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if f.Graph.Quantized() == nil {
		t.Error("what is written is not quantised")
	}
}
