package torch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/train"
)

func TestBuildSaysWhatIsMissing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	fails := func(what string, err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %v, want one with %q", what, err, w)
			}
		}
	}
	_, err := Open(OpenOptions{})
	fails("nothing built", err, "ultrafast engine build")
	_, err = Open(OpenOptions{Library: "/nowhere/libultrafast-torch.so"})
	fails("no such library", err, "/nowhere/libultrafast-torch.so", "ultrafast engine build")
	for _, device := range []string{"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000", "cpu:0"} {
		_, err = Open(OpenOptions{Device: device})
		fails("device "+device, err, device, "cuda:0")
	}
	if _, e := os.Stat("/usr/bin/g++"); e == nil {
		_, err = Build(context.Background(), BuildOptions{Torch: t.TempDir()})
		fails("empty directory", err, "no libtorch", "include/torch")
	}
	t.Setenv("PATH", t.TempDir())
	_, err = Build(context.Background(), BuildOptions{})
	fails("no compiler", err, "apt-get install", "g++", "libtorch-dev")
	left, err := filepath.Glob(os.Getenv("XDG_CACHE_HOME") + "/ultrafast/engine/*")
	if err != nil || len(left) > 0 {
		t.Errorf("failed builds left %v (%v)", left, err)
	}
}

func TestFindTakesTheNewestOfThisSource(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := filepath.Join(cache, "ultrafast", "engine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var last string
	for _, name := range []string{"1.13.0-" + sourceHash(), "2.6.0-cuda-" + sourceHash(), "9.0.0-000000000000"} {
		last = filepath.Join(dir, "libultrafast-torch-"+name+".so")
		if err := os.WriteFile(last, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Find()
	if want := filepath.Join(dir, "libultrafast-torch-2.6.0-cuda-"+sourceHash()+".so"); err != nil || got != want {
		t.Errorf("Find is %s, %v, want %s", got, err, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	b := open(t, 2)
	if !strings.HasPrefix(b.String(), "libtorch ") || !strings.HasSuffix(b.String(), "2 workers") {
		t.Errorf("backend is %q", b)
	}
	g := parse(t, chain)
	g.Params()[2].Tensor().Data = nil
	before := b.lib.live()
	if _, err := b.Load(g, train.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "c1.weight") {
		t.Errorf("error %v, want one that names c1.weight", err)
	}
	if after := b.lib.live(); after != before {
		t.Errorf("a refused graph left %d tensors", after-before)
	}
	g.Outputs = nil
	if _, err := b.Load(g, train.LoadOptions{}); err == nil {
		t.Error("a graph without outputs is no error")
	}
}
