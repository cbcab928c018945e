package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/safetensors"
	"ultrafast/train"
)

// Who stops the comparison with a plan is told that the cut model is there.
func TestPruneSavesFirst(t *testing.T) {
	if !torchBuilt() {
		t.Skip("the bridge to libtorch is not built: ultrafast engine build")
	}
	dir := t.TempDir()
	data := drawnSet(t, 2, 1)
	g := thin(t)
	model, plan, out := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "plan.yaml"), filepath.Join(dir, "small.safetensors")
	if err := safetensors.Save(model, &safetensors.File{Graph: g}); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"plan", "--weights", model, "--img", "64", "--target", "params=50k", "-o", plan}, &bytes.Buffer{}, &stderr); code != 0 {
		t.Fatalf("exit status %d:\n%s", code, &stderr)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout := &stopper{text: "all channels", stop: stop}
	code := run(ctx, []string{"prune", "--weights", model, "--data", data, "--plan", plan, "-o", out}, stdout, &stderr)
	if code != 130 || !strings.Contains(stderr.String(), "stopped: "+out+" is written, but not what has become of it") {
		t.Errorf("exit status %d:\n%s", code, &stderr)
	}
	if _, err := safetensors.Open(out); err != nil {
		t.Error(err)
	}
}

// A training picture that goes while prune is at work is left out, with a warning.
func TestPruneLoses(t *testing.T) {
	data := drawnData(t, 4, 1)
	g := thin(t)
	if err := os.Remove(data.Train[1].Path); err != nil {
		t.Fatal(err)
	}
	warning := "warning: a picture can no longer be read and is left out, 1 so far: open " + data.Train[1].Path
	var out bytes.Buffer
	if _, err := recalibrate(t.Context(), train.Drift(), g, data, 64, 2, 4, &out); err != nil || !strings.Contains(out.String(), warning) {
		t.Errorf("statistics: error %v, says %q", err, &out)
	}
	out.Reset()
	if _, err := gather(t.Context(), train.Drift(), g, data, 64, 4, &out); err != nil || !strings.Contains(out.String(), warning) {
		t.Errorf("gradients: error %v, says %q", err, &out)
	}
}
