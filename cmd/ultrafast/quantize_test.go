package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	data := drawnSet(t, 2, 1)
	g := thin(t)
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
	if code != 130 || !strings.Contains(stderr.String(), note) || !strings.Contains(stderr.String(), "stopped: "+out+" is written, but not what it loses: ") {
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

// Layers go back to float where 8 bits cost more than is allowed; the table and the file say
// which, and what cannot be reached is said on stderr.
func TestQuantizeKeeps(t *testing.T) {
	dir := t.TempDir()
	yaml := filepath.Join(dir, "net.yaml")
	const text = `activation: nn.ReLU()
classes: 2
anchors:
  - [10, 13, 16, 30, 33, 23]
layers:
  - {block: Conv, args: [8, 6, 2, 2]}
  - {block: Conv, args: [8, 1, 1]}
  - {block: Conv, args: [16, 3, 2]}
  - {block: Conv, args: [16, 3, 2]}
  - {block: Detect, from: [3]}
`
	if err := os.WriteFile(yaml, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := description(yaml)
	if err != nil {
		t.Fatal(err)
	}
	g, err := yolo.New(cfg, scene.Names, 1)
	if err != nil {
		t.Fatal(err)
	}
	data := drawnData(t, 3, 2)
	const lost = "3.00 points of mAP50-95 are lost: let layers go back to float with --keep-float auto, or train in 8 bits next: train --qat\n"
	layers := []string{"model.0.conv", "model.1.conv", "model.2.conv", "model.3.conv"}
	for _, c := range []struct {
		keep         []string
		maxDrop      float64
		float        []string // that are in the table
		line, stderr string
	}{
		{[]string{autoKeep}, 3, nil, "40.00 in float, 37.00 in 8 bits; layers that went back to float: none\n", ""},
		{[]string{autoKeep}, 2.5, []string{"model.1.conv"}, "40.00 in float, 39.00 in 8 bits; layers that went back to float: model.1.conv\n", ""},
		{[]string{autoKeep}, 0.5, []string{"model.1.conv"}, "40.00 in float, 39.00 in 8 bits; layers that went back to float: model.1.conv\n",
			"1.00 points of mAP50-95 are lost: --max-drop 0.5 cannot be reached with up to half of the multiply-adds in float, and this is the best of what was tried; try training in 8 bits next: train --qat\n"},
		{[]string{"model.3"}, 0.5, []string{"model.3.conv"}, "40.00 in float, 37.00 in 8 bits; layers that went back to float: none\n", lost},
		{[]string{}, 0.5, nil, "40.00 in float, 37.00 in 8 bits; layers that went back to float: none\n", lost},
	} {
		f := &quantizeFlags{keep: c.keep, maxDrop: c.maxDrop, method: "mse", pictures: 3, out: filepath.Join(dir, "q.safetensors")}
		b, err := f.prepare(g, &calibration{ctx: t.Context(), w: 64, h: 64, out: io.Discard}, data.Train)
		if err != nil {
			t.Fatal(err)
		}
		costs := map[string]float64{"model.1.conv": 2, "model.0.conv": 1} // of a layer in 8 bits; model.0 has more than half of the multiply-adds
		judge := func(g *graph.Graph) (float64, error) {
			points := 40.0
			for _, name := range inBytes(g) {
				points -= costs[name]
			}
			return points, nil
		}
		if err := f.save(b.whole, 64, 64); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		if err := f.finish(b, judge, data.Val, &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stdout.String(), "mAP50-95 on 2 validation pictures: "+c.line) || stderr.String() != c.stderr {
			t.Errorf("%v, %g: says\n%s%s\nwant %q and %q", c.keep, c.maxDrop, stdout.String(), stderr.String(), c.line, c.stderr)
		}
		saved, err := safetensors.Open(f.out)
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range layers {
			want := "8 bits"
			if slices.Contains(c.float, layer) {
				want = "float"
			}
			if !regexp.MustCompile(`(?m)^ *` + layer + ` .* ` + want + `$`).MatchString(stdout.String()) {
				t.Errorf("%v, %g: %s is not in %s:\n%s", c.keep, c.maxDrop, layer, want, stdout.String())
			}
			if slices.Contains(inBytes(saved.Graph), layer) != (want == "8 bits") {
				t.Errorf("%v, %g: the file has in 8 bits %v", c.keep, c.maxDrop, inBytes(saved.Graph))
			}
		}
	}

	f := &quantizeFlags{method: "mse", pictures: 3, out: filepath.Join(dir, "q.safetensors")}
	b, err := f.prepare(g, &calibration{ctx: t.Context(), w: 64, h: 64, out: io.Discard}, data.Train)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	blind := func(*graph.Graph) (float64, error) { return 0, nil }
	const note = "the float model finds nothing on 2 validation pictures: there is no mAP to lose\n"
	if err := f.finish(b, blind, data.Val, io.Discard, &stderr); err != nil || stderr.String() != note {
		t.Errorf("a model that finds nothing: %v, %q", err, stderr.String())
	}
}

// One picture of each split that goes while quantize is at work is left out; a second one of
// four is an error.
func TestQuantizeLoses(t *testing.T) {
	data := drawnData(t, 4, 4)
	g := thin(t)
	const warning = "warning: a picture can no longer be read and is left out, 1 so far: "
	for lost := 1; lost <= 2; lost++ {
		for _, path := range []string{data.Train[lost].Path, data.Val[lost].Path} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		p := &calibration{ctx: t.Context(), w: 64, h: 64, out: &out}
		read, failed := 0, error(nil)
		for _, err := range p.pictures("pictures", data.Train, 4) {
			if failed = err; err == nil {
				read++
			}
		}
		if (failed == nil) != (lost == 1) || lost == 1 && read != 3 || strings.Count(out.String(), warning) != 1 {
			t.Errorf("%d lost: %d pictures are read, error %v, says %q", lost, read, failed, out.String())
		}
		out.Reset()
		j, err := newPointsJudge(t.Context(), data.Val, 64, g, &out)
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.points(g)
		if (err == nil) != (lost == 1) || strings.Count(out.String(), warning+"open "+data.Val[1].Path) != 1 && lost == 1 {
			t.Errorf("%d lost: error %v, says %q", lost, err, out.String())
		}
	}
}

// Corrected biases stay where they bring the raw maps nearer and cost no accuracy.
func TestJudgeCorrection(t *testing.T) {
	plain, fixed := &graph.Graph{}, &graph.Graph{}
	for _, c := range []struct {
		correct       bool
		without, with float64
		kept          bool
		line          string
	}{
		{true, 30, 30.25, true, "bias correction: applied: nearer, mAP50-95 is 30.00 without and 30.25 with it"},
		{true, 30, 30, true, "bias correction: applied: nearer, mAP50-95 is 30.00 without and 30.00 with it"},
		{true, 30, 29.75, false, "bias correction: not applied: nearer, mAP50-95 is 30.00 without and 29.75 with it"},
		{false, 30, 31, false, "bias correction: not applied: nearer"},
	} {
		b := &quantization{correct: c.correct, plain: plain, whole: plain, correction: "nearer"}
		if c.correct {
			b.whole = fixed
		}
		judge := func(g *graph.Graph) (float64, error) {
			if g == fixed {
				return c.with, nil
			}
			return c.without, nil
		}
		if err := b.judgeCorrection(judge); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		b.print(&out)
		if b.correct != c.kept || (b.whole == fixed) != c.kept || !strings.HasSuffix(out.String(), c.line+"\n") {
			t.Errorf("%+v: corrected %v, says %q", c, b.correct, out.String())
		}
	}
}

// inBytes lists the convolutions in 8 bits.
func inBytes(g *graph.Graph) []string {
	var names []string
	for _, n := range g.Nodes {
		if c, ok := n.Op.(*graph.Conv); ok && c.WeightScale != nil {
			names = append(names, n.Name)
		}
	}
	return names
}
