package train

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/yolo"
)

// hugeNet is tinyNet with anchors that match nothing.
func hugeNet() *graph.Graph {
	g := tinyNet()
	g.Detect().Op.(*graph.Detect).Anchors = [][][2]float32{{{900, 900}, {999, 999}}}
	return g
}

func anchorsIn(t *testing.T, path string) [][][2]float32 {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Graph.Detect().Op.(*graph.Detect).Anchors
}

func TestAnchorsAreFitted(t *testing.T) {
	data := tinyData(t)
	for name, test := range map[string]struct {
		g      *graph.Graph
		keep   bool // NoAutoAnchor
		fit    bool // FitAnchors
		fitted bool
		said   []string
	}{
		"good ones stay":     {tinyNet(), false, false, false, []string{"msg=anchors BPR=1.0000", "matches a label"}},
		"bad ones go":        {hugeNet(), false, false, true, []string{"msg=anchors BPR=0.0000", `"fitted BPR"=1.0000`, "taken="}},
		"stand-ins go":       {tinyNet(), false, true, true, []string{"msg=anchors BPR=1.0000", `"fitted BPR"=1.0000`, "taken="}},
		"or stay, if wanted": {hugeNet(), true, false, false, nil},
	} {
		var log bytes.Buffer
		c := tinyConfig(t.TempDir())
		c.NoAutoAnchor, c.FitAnchors, c.Epochs = test.keep, test.fit, 1
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		before := test.g.Clone().Detect().Op.(*graph.Detect).Anchors
		r, err := Run(t.Context(), Drift(), test.g, data, c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, path := range []string{r.Last, r.Best} {
			after := anchorsIn(t, path)
			if fitted := !reflect.DeepEqual(after, before); fitted != test.fitted {
				t.Errorf("%s: anchors %v became %v", name, before, after)
			}
			s := yolo.ScoreAnchors(dataset.Sizes(data.Train, c.Size, c.Size), after, yolo.AnchorThreshold)
			if test.fitted && s.BPR < leastBPR {
				t.Errorf("%s: anchors %v have BPR %v", name, after, s.BPR)
			}
		}
		if after := test.g.Detect().Op.(*graph.Detect).Anchors; !reflect.DeepEqual(after, before) {
			t.Errorf("%s: the caller's graph was changed", name)
		}
		if n := strings.Count(log.String(), "msg=anchors"); n != min(len(test.said), 1) {
			t.Errorf("%s: %d lines on anchors:\n%s", name, n, log.String())
		}
		for _, s := range test.said {
			if !strings.Contains(log.String(), s) {
				t.Errorf("%s: the log does not say %q:\n%s", name, s, log.String())
			}
		}
	}
}

// Labels that no anchor can match leave the old anchors.
func TestAnchorsThatAreNoBetterStay(t *testing.T) {
	data := *tinyData(t)
	data.Train = append([]dataset.Item{}, data.Train...)
	for i := range data.Train { // as wide as the picture, of no height
		data.Train[i].Labels = []dataset.Label{{CX: 0.5, CY: 0.5, W: 1}}
	}
	c := tinyConfig(t.TempDir())
	c.Epochs = 1
	r, err := Run(t.Context(), Drift(), tinyNet(), &data, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := anchorsIn(t, r.Last), tinyNet().Detect().Op.(*graph.Detect).Anchors; !reflect.DeepEqual(got, want) {
		t.Errorf("anchors %v became %v", want, got)
	}
}

// A resumed run ends as the undisturbed one, with the anchors that it began with.
func TestFittedAnchorsAreResumed(t *testing.T) {
	data, want, dir := tinyData(t), t.TempDir(), t.TempDir()
	if _, err := Run(t.Context(), Drift(), hugeNet(), data, tinyConfig(want)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := tinyConfig(dir)
	c.Progress = func(p Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if _, err := Run(ctx, Drift(), hugeNet(), data, c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c = Config{Dir: dir, Resume: true, Progress: func(p Progress) {
		if p.Anchors {
			t.Error("a resumed run fits anchors")
		}
	}}
	if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, want)
}

// A run that is stopped while anchors are fitted leaves nothing.
func TestStoppedWhileAnchorsAreFitted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := tinyConfig(t.TempDir() + "/exp")
	c.Progress = func(p Progress) {
		if !p.Anchors || p.Step > p.Steps {
			t.Errorf("progress %+v", p)
		}
		cancel()
	}
	if _, err := Run(ctx, Drift(), hugeNet(), tinyData(t), c); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "fitting anchors") {
		t.Errorf("got %v", err)
	}
}
