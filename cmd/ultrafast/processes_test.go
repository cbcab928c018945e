package main

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ultrafast/safetensors"
	"ultrafast/scene"
)

func TestReadProcesses(t *testing.T) {
	all := map[string]string{"MASTER_ADDR": "node0", "MASTER_PORT": "29500", "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
	with := func(pairs ...string) func(string) string {
		env := map[string]string{}
		for k, v := range all {
			env[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return func(name string) string { return env[name] }
	}
	p, err := readProcesses(with())
	if err != nil || p != (processes{rank: 1, size: 4, local: 1, here: 2, address: "node0:29500"}) || p.device("cuda") != "cuda:1" || p.device("cpu") != "cpu" {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := readProcesses(with("TORCHELASTIC_USE_AGENT_STORE", "True", "MASTER_ADDR", "::1")); err != nil || p.address != "[::1]:29501" {
		t.Errorf("beside torchrun's own store: %+v, %v", p, err)
	}
	if p, err := readProcesses(func(string) string { return "" }); err != nil || p.size != 1 || p.device("cuda") != "cuda" {
		t.Errorf("alone: %+v, %v", p, err)
	}
	for _, name := range []string{"MASTER_ADDR", "MASTER_PORT", "RANK"} {
		if _, err := readProcesses(with(name, "")); err == nil || !strings.Contains(err.Error(), name+" is not set") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, pair := range [][2]string{{"RANK", "4"}, {"RANK", "-1"}, {"WORLD_SIZE", "two"}, {"MASTER_PORT", "99999"}, {"LOCAL_RANK", "x"}, {"LOCAL_WORLD_SIZE", "5"}} {
		if _, err := readProcesses(with(pair[0], pair[1])); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s is %q", pair[0], pair[1])) {
			t.Errorf("%v: %v", pair, err)
		}
	}
}

// A party is a command in several processes on this machine.
type party struct {
	t       *testing.T
	size    int
	address string
	all     []*exec.Cmd
	err     []*bytes.Buffer
	out     []*bytes.Buffer
}

// start runs ultrafast with args as each of size processes; own are further arguments by
// rank. Together they have two workers, unless GOMAXPROCS is set.
func start(t *testing.T, size int, own map[int][]string, args ...string) *party {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p := &party{t: t, size: size}
	for rank := range size {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(self, append(args, own[rank]...)...)
		c.Args[0] = "ultrafast" // testscript.Main goes by it
		c.Env = append([]string{"GOMAXPROCS=2"}, os.Environ()...)
		c.Env = append(c.Env, "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port,
			fmt.Sprint("RANK=", rank), fmt.Sprint("LOCAL_RANK=", rank), fmt.Sprint("WORLD_SIZE=", size), fmt.Sprint("LOCAL_WORLD_SIZE=", size))
		out, stderr := &bytes.Buffer{}, &bytes.Buffer{}
		c.Stdout, c.Stderr = out, stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill() })
		p.all, p.out, p.err = append(p.all, c), append(p.out, out), append(p.err, stderr)
	}
	return p
}

// wait returns the exit codes.
func (p *party) wait() []int {
	var codes []int
	for _, c := range p.all {
		done := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
		c.Wait()
		done.Stop()
		codes = append(codes, c.ProcessState.ExitCode())
	}
	return codes
}

// good waits, and wants no errors and no word of any but process 0.
func (p *party) good() {
	p.t.Helper()
	for rank, code := range p.wait() {
		if code != 0 {
			p.t.Fatalf("process %d ended with %d: %s", rank, code, p.err[rank])
		}
		if rank > 0 && p.out[rank].Len()+p.err[rank].Len() > 0 {
			p.t.Errorf("process %d said %s%s", rank, p.out[rank], p.err[rank])
		}
	}
}

// tinyTask draws data and makes a model: the arguments of a training in folder dir/name.
func tinyTask(t *testing.T) (dir string, train func(name string, epochs int, more ...string) []string) {
	t.Helper()
	if !torchBuilt() {
		t.Skip("the bridge to libtorch is not built: ultrafast engine build")
	}
	dir = t.TempDir()
	data, err := scene.Write(filepath.Join(dir, "data"), scene.Set{Train: 16, Val: 4, Width: 64, Height: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(dir, "tiny.safetensors")
	writeModel([]string{model, "0.1", "face", "mask"})
	return dir, func(name string, epochs int, more ...string) []string {
		return append([]string{"train", "--weights", model, "--data", data, "--img", "64", "--batch", "8",
			"--epochs", fmt.Sprint(epochs), "--project", dir, "--name", name}, more...)
	}
}

// near compares the weights and the results of two runs.
func near(t *testing.T, got, want string, limit float64) {
	t.Helper()
	a, err := safetensors.Open(filepath.Join(got, "weights", "last.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := safetensors.Open(filepath.Join(want, "weights", "last.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	params, off := a.Graph.Params(), 0.0
	for i, p := range b.Graph.Params() {
		for k, v := range p.Tensor().Data {
			off = max(off, math.Abs(float64(v-params[i].Tensor().Data[k])))
		}
	}
	t.Logf("weights are off by %.2g at most", off)
	if off > limit {
		t.Errorf("weights are off by %.2g", off)
	}
	if limit == 0 {
		sameText(t, filepath.Join(got, "results.csv"), filepath.Join(want, "results.csv"))
	}
}

func sameText(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s and %s differ:\n%s\n%s", got, want, a, b)
	}
}

// Two processes of one worker train as one process of two workers does, number by number:
// each sum has two terms, wherever they come from. With --sync-bn it does not matter either
// how many workers there are, but for rounding.
func TestTwoProcessesTrainAsOne(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short; train/peers and train/torch look for races")
	}
	dir, train := tinyTask(t)
	start(t, 1, nil, train("one", 3)...).good()
	start(t, 2, nil, train("two", 3)...).good()
	near(t, filepath.Join(dir, "two"), filepath.Join(dir, "one"), 0)

	teacher := filepath.Join(dir, "teacher.safetensors") // only process 0 knows of it
	writeModel([]string{teacher, "0.2", "mask", "face"})
	own := map[int][]string{0: {"--teacher", teacher, "--distill", "pkd,cwd,outputs"}}
	start(t, 1, own, train("one-taught", 3)...).good()
	start(t, 2, own, train("two-taught", 3)...).good()
	near(t, filepath.Join(dir, "two-taught"), filepath.Join(dir, "one-taught"), 1e-4)

	start(t, 1, nil, train("one-sync", 3, "--sync-bn")...).good()
	start(t, 2, nil, train("two-sync", 3, "--sync-bn")...).good()
	near(t, filepath.Join(dir, "two-sync"), filepath.Join(dir, "one-sync"), 0)
	t.Setenv("GOMAXPROCS", "1")
	start(t, 1, nil, train("single-sync", 3, "--sync-bn")...).good()
	near(t, filepath.Join(dir, "two-sync"), filepath.Join(dir, "single-sync"), 1e-4)
	text, err := os.ReadFile(filepath.Join(dir, "two-sync", "opt.yaml"))
	if err != nil || !strings.Contains(string(text), "sync_bn: true") {
		t.Errorf("opt.yaml is %s, %v", text, err)
	}
}

// untilEpoch waits for a run to have finished an epoch.
func untilEpoch(t *testing.T, dir string, epoch int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(dir, "results.csv"))
		if bytes.Count(text, []byte{'\n'}) > epoch {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("epoch %d of %s does not come", epoch, dir)
		}
	}
}

// When a process is killed, or interrupted, the others end within seconds, and say where the
// run stands; resumed, it ends in the same bytes as one that nobody disturbed. Process 1
// needs no folder for that.
func TestKilledProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("runs without -short; train/peers and train/torch look for races")
	}
	dir, train := tinyTask(t)
	const epochs = 6
	whole := filepath.Join(dir, "whole")
	start(t, 2, nil, train("whole", epochs)...).good()
	for name, c := range map[string]struct {
		signal syscall.Signal
		rank   int
		want   string
	}{
		"killed":      {syscall.SIGKILL, 1, "process 1 of 2 has gone"},
		"first":       {syscall.SIGKILL, 0, "process 0 of 2 has gone"},
		"interrupted": {syscall.SIGINT, 1, "process 1 of 2 was interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			run := filepath.Join(dir, name)
			p := start(t, 2, nil, train(name, epochs)...)
			untilEpoch(t, run, 2)
			if err := p.all[c.rank].Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			codes := p.wait()
			if d := time.Since(begun); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
			other := 1 - c.rank
			said := p.err[other].String()
			if c.signal == syscall.SIGINT && codes[c.rank] != 130 {
				t.Errorf("process %d ended with %d: %s", c.rank, codes[c.rank], p.err[c.rank])
			}
			if codes[other] != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, c.want) || !strings.Contains(said, "can be resumed") {
				t.Errorf("process %d ended with %d: %s", other, codes[other], said)
			}
			start(t, 2, map[int][]string{0: {"--resume", run}, 1: {"--resume", filepath.Join(dir, "nowhere")}}, "train").good()
			near(t, run, whole, 0)
			for _, file := range []string{"weights/last.safetensors", "weights/best.safetensors"} {
				sameText(t, filepath.Join(run, file), filepath.Join(whole, file))
			}
		})
	}
}

func TestProcessesRefuse(t *testing.T) {
	dir, train := tinyTask(t)
	other, err := scene.Write(filepath.Join(dir, "other"), scene.Set{Train: 16, Val: 4, Width: 64, Height: 64, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		own  map[int][]string
		args []string
		want [2]string
	}{
		"other data": {map[int][]string{1: {"--data", other}}, train("run", 2), [2]string{"process 1 has 16 pictures", "process 0 has 16 pictures"}},
		"no data":    {map[int][]string{1: {"--data", "nothing"}}, train("run", 2), [2]string{"process 1 of 2 stopped: --data", "--data"}},
		"batch":      {nil, train("run", 2, "--batch", "7"), [2]string{"a multiple of 2", "process 0 of 2 stopped: train: a batch of 7"}},
		"memory":     {nil, train("run", 2, "--batch", "-1"), [2]string{"--batch -1", "--batch -1"}},
		"evolve":     {nil, append([]string{"evolve"}, train("run", 2)[1:]...), [2]string{"evolve runs in one process", "evolve runs in one process"}},
	} {
		p := start(t, 2, c.own, c.args...)
		for rank, code := range p.wait() {
			if code != 1 || strings.Count(p.err[rank].String(), "\n") != 1 || !strings.Contains(p.err[rank].String(), c.want[rank]) {
				t.Errorf("%s: process %d ended with %d: %swant %s", name, rank, code, p.err[rank], c.want[rank])
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
			t.Errorf("%s: a folder is left", name)
		}
	}
}

func TestOnlyOne(t *testing.T) {
	for _, test := range []struct {
		env map[string]string
		ok  bool
	}{
		{nil, true},
		{map[string]string{"WORLD_SIZE": "1"}, true},
		{map[string]string{"LOCAL_RANK": "none"}, true}, // somebody else's, and of no use to one process
		{map[string]string{"WORLD_SIZE": "2"}, false},
		{map[string]string{"WORLD_SIZE": "many"}, false},
	} {
		err := onlyOne("evolve", func(name string) string { return test.env[name] })
		if (err == nil) != test.ok {
			t.Errorf("%v: %v", test.env, err)
		}
	}
}
