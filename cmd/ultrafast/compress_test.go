package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ultrafast/compress"
	"ultrafast/prune"
	"ultrafast/report"
	"ultrafast/scene"
)

var kills = flag.Int("kills", 3, "how often TestCompressKilled kills")

const tinyConfig = `classes: 2
anchors: [[8, 8, 16, 16]]
layers:
  - {block: Conv, args: [16, 3, 4]}
  - {block: Conv, args: [48, 3, 2]}
  - {block: C3, args: [48]}
  - {block: Detect, from: [-1]}
`

// What a run was started with is not what it goes on with if somebody has changed the file.
func TestCompressUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.yaml")
	if err := os.WriteFile(path, []byte(tinyConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	hash, err := compress.HashFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &compressFlags{trainFlags: trainFlags{cfg: path}}
	names := []string{"face", "mask"}
	if _, err := f.first(compress.Job{Cfg: path, CfgHash: hash}, names); err != nil {
		t.Error(err)
	}
	if _, err := f.clock(nil, compress.Job{Table: path, TableHash: "other"}, nil); err == nil || !strings.Contains(err.Error(), path+" is another latency table") {
		t.Errorf("a table: %v", err)
	}
	for want, job := range map[string]compress.Job{
		"another model":       {Weights: path, WeightsHash: "other"},
		"another description": {Cfg: path, CfgHash: "other"},
	} {
		if _, err := f.first(job, names); err == nil || !strings.Contains(err.Error(), path+" is "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Milliseconds that nobody has measured or predicted are no 0.00.
func TestCompressUnknownTimes(t *testing.T) {
	model := func(measured, ms float64) *compress.Model {
		return &compress.Model{Measured: measured, Cost: prune.Cost{Params: 7, GFLOP: 5, Bytes: 28e6, Ms: ms}, Accuracy: &report.Accuracy{MAP50: 0.6, MAP5095: 0.5}}
	}
	r := &compress.Result{Parent: model(0, 12), Final: model(3, 2), BF16: model(0, 0)}
	r.State.Job.Table = "table.csv"
	var out strings.Builder
	printModels(&out, r)
	if err := printPlan(&out, compress.Job{}, &compress.Estimate{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`parent +7 +5 +28\.00 +12\.00 +0\.600`, `final training +7 +5 +28\.00 +3\.00 +0\.600`, `in bf16 +7 +5 +28\.00 +0\.600`, `ms as the latency table predicts`, `now +0 +0 +0\.00 *\n`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("it does not say %s:\n%s", want, out.String())
		}
	}
}

// A compression that is killed at random moments, by kill -9, ends with the same files as
// one that is not. make kills does it twenty times.
func TestCompressKilled(t *testing.T) {
	if !torchBuilt() {
		t.Skip("the bridge to libtorch is not built: ultrafast engine build")
	}
	if testing.Short() {
		t.Skip("compresses twice")
	}
	dir := t.TempDir()
	data, err := scene.Write(filepath.Join(dir, "data"), scene.Set{Train: 8, Val: 4, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "tiny.yaml")
	if err := os.WriteFile(cfg, []byte(tinyConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(self, append([]string{"compress", "-o", name}, args...)...)
		c.Args[0] = "ultrafast" // testscript.Main goes by it
		c.Dir = dir
		out := &bytes.Buffer{}
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill() })
		return c, out
	}
	job := []string{"--data", data, "--cfg", cfg, "--target", "params=9.5k", "--max-drop", "100", "--img", "64", "--epochs", fmt.Sprint(3 + *kills/2), "--batch", "4"}
	begun := time.Now()
	c, out := start("whole", job...)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(begun)

	rng := rand.New(rand.NewPCG(uint64(begun.UnixNano()), 0))
	args, hit := job, 0
	log := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "killed", "log.txt"))
		return string(text)
	}
	for n := 1; n <= *kills; n++ {
		before := log()
		c, out := start("killed", args...)
		if n%4 > 0 { // every fourth meets whatever comes before the run is at work
			for ended := time.Now().Add(time.Minute); log() == before && time.Now().Before(ended); {
				time.Sleep(5 * time.Millisecond)
			}
		}
		wait := time.Duration(rng.Float64() * float64(took) * 1.5 / float64(*kills))
		killed := time.AfterFunc(wait, func() { c.Process.Kill() })
		err := c.Wait()
		if !killed.Stop() {
			hit++
			lines := strings.Split(strings.TrimSpace(log()), "\n")
			_, last, _ := strings.Cut(lines[len(lines)-1], "msg=")
			t.Logf("kill %d after %v: %s", n, wait.Round(time.Millisecond), last)
		} else if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "killed", "state.json")); err == nil {
			args = nil // what was asked for is known
		}
	}
	c, out = start("killed", args...)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	compared := 0
	err = filepath.WalkDir(filepath.Join(dir, "whole"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := filepath.Ext(path); ext != ".safetensors" && ext != ".onnx" && ext != ".csv" && d.Name() != "choice.json" {
			return nil
		}
		name, err := filepath.Rel(filepath.Join(dir, "whole"), path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, "killed", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs: %v", name, err)
		}
		compared++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared < 20 {
		t.Errorf("only %d files were compared", compared)
	}
	t.Logf("killed %d times of %d; %d files are as those of the run that took %v undisturbed", hit, *kills, compared, took.Round(time.Second))
}
