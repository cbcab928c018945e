package train

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/safetensors"
)

// A keeper is a Backend that remembers its last network.
type keeper struct {
	Backend
	net Network
}

func (k *keeper) Load(g *graph.Graph, o LoadOptions) (Network, error) {
	n, err := k.Backend.Load(g, o)
	k.net = n
	return n, err
}

// sameRun compares all that two runs left.
func sameRun(t *testing.T, dir, want string) {
	t.Helper()
	for _, name := range []string{"weights/last.safetensors", "weights/best.safetensors", "results.csv", "hyp.yaml", "opt.yaml"} {
		sameFile(t, filepath.Join(dir, name), filepath.Join(want, name))
	}
	for _, pattern := range []string{"weights/*", "weights/.*", ".results*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := filepath.Base(f); name != "last.safetensors" && name != "best.safetensors" {
				t.Errorf("%s is left", f)
			}
		}
	}
}

func sameFile(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("%s differs from the undisturbed run's", filepath.Base(got))
	}
}

func sameNet(t *testing.T, got, want Network) {
	t.Helper()
	for _, w := range []Weights{Live, Averaged} {
		a, err := got.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		b, err := want.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		pa := a.Params()
		for i, p := range b.Params() {
			if !reflect.DeepEqual(pa[i].Tensor(), p.Tensor()) {
				t.Errorf("weights %d: %s differs from the undisturbed run's", w, p.Name)
			}
		}
	}
	a, err := got.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.Momentum()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("momentum differs from the undisturbed run's")
	}
}

// undisturbed trains once without a stop.
func undisturbed(t *testing.T, data *dataset.Data) (dir string, net Network) {
	t.Helper()
	dir = t.TempDir()
	be := &keeper{Backend: Drift()}
	if _, err := Run(t.Context(), be, tinyNet(), data, tinyConfig(dir)); err != nil {
		t.Fatal(err)
	}
	return dir, be.net
}

func TestResume(t *testing.T) {
	data := tinyData(t)
	want, wantNet := undisturbed(t, data)
	for _, at := range []Progress{{Epoch: 2, Step: 1}, {Epoch: 4, Step: 2}, {Epoch: 3, Step: 1, Validating: true}} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		c := tinyConfig(dir)
		c.Progress = func(p Progress) {
			if p.Epoch == at.Epoch && p.Step == at.Step && p.Validating == at.Validating && p.Validated == nil {
				cancel()
			}
		}
		_, err := Run(ctx, Drift(), tinyNet(), data, c)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("stopped at %+v: %v", at, err)
		}
		if c, err = ReadConfig(dir); err != nil {
			t.Fatal(err)
		}
		if whole := tinyConfig(dir).withDefaults(); c.Epochs != whole.Epochs || c.Batch != whole.Batch || c.Size != whole.Size ||
			c.Hyp != whole.Hyp || c.Weights != whole.Weights || c.Data != whole.Data || c.Seed != whole.Seed || c.Patience != whole.Patience {
			t.Errorf("the recipe came back as %+v", c)
		}
		be := &keeper{Backend: Drift()}
		if _, err := Run(t.Context(), be, nil, data, c); err != nil {
			t.Fatal(err)
		}
		sameRun(t, dir, want)
		sameNet(t, be.net, wantNet)
	}
}

// The program may be killed between any two files that an epoch's end puts in place.
func TestResumeFromHalfAnEpochsFiles(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	run, before, after := t.TempDir(), t.TempDir(), t.TempDir()
	c := tinyConfig(run)
	c.Progress = func(p Progress) {
		if p.Validated == nil {
			return
		}
		for epoch, to := range map[int]string{2: before, 3: after} {
			if p.Epoch == epoch {
				if err := os.CopyFS(to, os.DirFS(run)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	order := []string{"weights/state-3.safetensors", "weights/best.safetensors", "results.csv", "weights/last.safetensors"}
	for n := range len(order) + 1 {
		dir := filepath.Join(t.TempDir(), "exp")
		if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		for _, name := range order[:n] {
			b, err := os.ReadFile(filepath.Join(after, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		c := tinyConfig(dir)
		c.Resume = true
		if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
			t.Fatalf("with %v of epoch 3: %v", order[:n], err)
		}
		sameRun(t, dir, want)
	}
}

// A file that cannot be written leaves the last good pair.
func TestNoRoom(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	for _, name := range []string{"weights/state-3.safetensors"} {
		dir := t.TempDir()
		c := tinyConfig(dir)
		obstacle, aside := filepath.Join(dir, name), filepath.Join(dir, "aside")
		c.Progress = func(p Progress) { // a folder stands where the file shall go
			if p.Epoch == 3 && p.Step == 1 && !p.Validating {
				if err := os.Rename(obstacle, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
				if err := os.MkdirAll(filepath.Join(obstacle, "full"), 0o777); err != nil {
					t.Error(err)
				}
			}
		}
		_, err := Run(t.Context(), Drift(), tinyNet(), data, c)
		if err == nil || !strings.Contains(err.Error(), "saving") || !strings.Contains(err.Error(), "up to epoch 2") {
			t.Fatalf("%s: got %v", name, err)
		}
		f, err := safetensors.Open(weightsFile(dir, "last"))
		if err != nil || f.Meta[keyEpochs] != "2" || f.Meta[keyState] != "state-2" {
			t.Fatalf("%s: last is %v, %v", name, f, err)
		}
		if err := os.RemoveAll(obstacle); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, obstacle); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		c = tinyConfig(dir)
		c.Resume = true
		if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
			t.Fatal(err)
		}
		sameRun(t, dir, want)
	}
}

// A report that cannot be written ends nothing, and comes later.
func TestNoRoomForResults(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	want, _ := undisturbed(t, data)
	c, csv, log := tinyConfig(dir), filepath.Join(dir, "results.csv"), &strings.Builder{}
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	c.Progress = func(p Progress) {
		var err error
		switch {
		case p.Validating || p.Step != 1:
		case p.Epoch == 3:
			err = errors.Join(os.Remove(csv), os.MkdirAll(filepath.Join(csv, "full"), 0o777))
		case p.Epoch == 4:
			err = os.RemoveAll(csv)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "results.csv could not be written"); n != 1 {
		t.Errorf("%d warnings, want 1: %s", n, log)
	}
	sameRun(t, dir, want)
}

// killable names the folder and the data of TestKilled's child.
const killable = "ULTRAFAST_TEST_RUN"

// TestKilled kills a training process again and again and lets the next one go on.
func TestKilled(t *testing.T) {
	if at := os.Getenv(killable); at != "" {
		child(t, at)
		return
	}
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	dir := filepath.Join(t.TempDir(), "exp")
	yaml := filepath.Join(filepath.Dir(data.Train[0].Path), "../../data.yaml")
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills := 0
	for n := range 40 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killable+"="+dir+"|"+yaml)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if n < 6 {
			time.AfterFunc(time.Duration(r.IntN(60*(n+1)))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		err := cmd.Wait()
		if err == nil {
			t.Logf("killed %d times", kills)
			sameRun(t, dir, want)
			return
		}
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("the child, start %d: %v\n%s", n, err, out.String())
		}
		kills++
	}
	t.Fatal("the run never ended")
}

func child(t *testing.T, at string) {
	dir, yaml, _ := strings.Cut(at, "|")
	data, err := dataset.Open(yaml, dataset.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := tinyConfig(dir)
	_, err = os.Stat(weightsFile(dir, "last"))
	c.Resume = err == nil
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Fatal(err)
	}
}

func TestStateIsMissing(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	c := tinyConfig(dir)
	c.Progress = func(p Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	}
	if _, err := Run(ctx, Drift(), tinyNet(), data, c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := os.Remove(weightsFile(dir, "state-2")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "state-2") {
		t.Errorf("got %v", err)
	}
}
