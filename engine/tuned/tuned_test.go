package tuned

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ultrafast/engine"
	"ultrafast/graph"
)

func network(t *testing.T) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,4,16,32\na = conv x w=f32[8,4,3,3] pad=1\noutput a\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params() {
		p.Tensor().Data = make([]float32, p.Tensor().Len())
	}
	return g
}

// TestTuneAndLoad tunes, finds the tuning again, and has nothing left to measure.
func TestTuneAndLoad(t *testing.T) {
	if engine.CPUs()[0] == engine.Generic {
		t.Skip("there is no machine code for this processor, and nothing to tune")
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	o := engine.Options{Threads: 1}
	if known, err := Load(o); known != nil || err != nil {
		t.Fatalf("an empty cache holds %v, %v", known, err)
	}
	path, err := Tune(context.Background(), network(t), o, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	known, err := Load(o)
	if err != nil || len(known) != 1 {
		t.Fatalf("%s holds %v, %v; want one convolution", path, known, err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Tune(context.Background(), network(t), o, time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Error("what was known has been measured again")
	}
	other, err := Path(engine.Options{Threads: 2})
	if err != nil || other == path {
		t.Errorf("another number of threads has the same file %s", other)
	}
}

func TestBrokenFile(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path, err := Path(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", `{"conv": 3}`, `[1]`, strings.Repeat(" ", maxFile+1)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(engine.Options{Threads: 1}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "tune again") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestDescribe takes what tells kinds apart, and not what changes from day to day.
func TestDescribe(t *testing.T) {
	intel := map[string]string{"processor": "0", "vendor_id": "GenuineIntel", "cpu family": "6", "model": "143", "model name": "Xeon", "cpu MHz": "2100.1"}
	if got := describe(intel); !strings.HasSuffix(got, "\nGenuineIntel\n6\n143\nXeon\n") {
		t.Errorf("describe = %q", got)
	}
	arm := map[string]string{"processor": "0", "BogoMIPS": "38.40", "CPU implementer": "0x41", "CPU part": "0xd07"}
	if got := describe(arm); !strings.HasSuffix(got, "\n0x41\n0xd07\n") {
		t.Errorf("describe = %q", got)
	}
}
