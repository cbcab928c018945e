package torch

import (
	"errors"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/train/backendtest"
)

func TestSuite(t *testing.T) {
	open(t, 1)
	for _, p := range train.Precisions {
		t.Run(string(p), func(t *testing.T) {
			if _, err := open(t, 2).Precision(p); err == nil {
				backendtest.Suite(t, func() train.Backend { return open(t, 2) }, p)
				return
			}
			skipWithout(t, p)
			backendtest.Suite(t, func() train.Backend { return willing{open(t, 2)} }, p)
		})
	}
}

// A willing backend computes in what is meant for other devices, slowly.
type willing struct{ *backend }

func (willing) Precision(p train.Precision) (train.Precision, error) { return p, nil }

func (w willing) Load(g *graph.Graph, o train.LoadOptions) (train.Network, error) {
	return newNetwork(w.backend, g.Clone(), o)
}

// skipWithout skips a test where libtorch has no p on the CPU, as 1.13 has no fp16.
func skipWithout(t *testing.T, p train.Precision) {
	t.Helper()
	n, err := newNetwork(open(t, 1), parse(t, small), train.LoadOptions{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if _, err := n.Predict(random(1, 1, 3, 16, 16), train.Live); err != nil && strings.Contains(err.Error(), "not implemented for") {
		t.Skip(err)
	}
}

func TestWorkersAgree(t *testing.T) {
	one, three := load(t, open(t, 1), parse(t, chain)), load(t, open(t, 3), parse(t, chain))
	for batch := range 5 { // fewer pictures than workers, and more
		x := random(uint64(batch), batch+1, 3, 8, 8)
		a, b := step(t, one, x), step(t, three, x)
		if off := worst(b[0].Data, wide(a[0].Data)); off > 1e-6 {
			t.Errorf("%d pictures: maps are off by %.2g", batch+1, off)
		}
		p, err := three.Predict(x, train.Live)
		if err != nil {
			t.Fatal(err)
		}
		if off := worst(p[0].Data, wide(a[0].Data)); off > 1e-6 {
			t.Errorf("%d pictures: prediction is off by %.2g", batch+1, off)
		}
	}
	want, got := gradients(t, one), gradients(t, three) // of all five steps together
	for name, w := range want {
		if off := worst(got[name].Data, wide(w.Data)); off > 1e-6 {
			t.Errorf("gradient of %s is off by %.2g", name, off)
		}
	}
}

// The running statistics after a step are the mean of the workers', by pictures.
func TestStatisticsOfWorkers(t *testing.T) {
	text := "x = input shape=1,3,8,8\nb = batchnorm x c=3 eps=0.001 momentum=0.1\ny = silu b\noutput y\n"
	g := parse(t, text)
	n := load(t, open(t, 2), g)
	x := random(1, 9, 3, 8, 8)
	step(t, n, x)
	live := weights(t, n, train.Live)
	parts := split(9, 2)
	want := map[string][]float64{}
	for _, p := range parts {
		data, shape := p.of(x)
		_, moved := plainRun(g, &tensor.Tensor{Shape: shape, Data: data}, true)
		for name, m := range moved {
			if want[name] == nil {
				want[name] = make([]float64, len(m))
			}
			for i, v := range m {
				want[name][i] += v * float64(p.to-p.from) / 9
			}
		}
	}
	for name, w := range want {
		if off := worst(live[name].Data, w); off > 1e-6 {
			t.Errorf("%s is off by %.2g", name, off)
		}
		for i, r := range n.replicas {
			got := make([]float32, 3)
			for _, k := range n.statistics {
				if n.params[k].Name == name {
					if err := n.b.lib.readTo(got, r[k]); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !slices.Equal(got, live[name].Data) {
				t.Errorf("%s of replica %d is %v, live %v", name, i, got, live[name].Data)
			}
		}
	}
}

func TestRecalibrate(t *testing.T) {
	g := parse(t, small)
	n := load(t, open(t, 2), g)
	batches := []*tensor.Tensor{random(1, 2, 3, 16, 16), random(2, 3, 3, 16, 16), random(3, 1, 3, 16, 16)}
	sequence := func(fail error) iter.Seq2[*tensor.Tensor, error] {
		return func(yield func(*tensor.Tensor, error) bool) {
			for _, x := range batches {
				if !yield(x, nil) {
					return
				}
			}
			if fail != nil {
				yield(nil, fail)
			}
		}
	}
	before := weights(t, n, train.Live)
	broken := errors.New("a broken picture")
	if err := n.Recalibrate(sequence(broken)); !errors.Is(err, broken) {
		t.Fatalf("error %v, want the reader's", err)
	}
	for name, w := range weights(t, n, train.Live) {
		if !slices.Equal(w.Data, before[name].Data) {
			t.Fatalf("%s changed although the reader failed", name)
		}
	}
	if err := n.Recalibrate(sequence(nil)); err != nil {
		t.Fatal(err)
	}
	want := map[string][]float64{}
	for _, p := range g.Params() { // momentum 1 gives the statistics of the batch
		if !p.Trainable {
			want[p.Name] = make([]float64, p.Tensor().Len())
		}
	}
	for _, x := range batches {
		_, moved := plainRun(parse(t, strings.ReplaceAll(small, "momentum=0.03", "momentum=1")), x, true)
		for name, m := range moved {
			for i, v := range m {
				want[name][i] += v * float64(x.Shape[0]) / 6 // pictures
			}
		}
	}
	for _, set := range []train.Weights{train.Live, train.Averaged} {
		got := weights(t, n, set)
		for name, w := range want {
			if off := worst(got[name].Data, w); off > 1e-5 {
				t.Errorf("%s of set %d is off by %.2g", name, set, off)
			}
		}
		if !slices.Equal(got["c0.weight"].Data, before["c0.weight"].Data) {
			t.Error("recalibration moved a weight")
		}
	}
	if len(gradients(t, n)) > 0 && worst(gradients(t, n)["c0.weight"].Data, make([]float64, 108)) > 0 {
		t.Error("recalibration left gradients")
	}
	if err := n.Recalibrate(func(func(*tensor.Tensor, error) bool) {}); err == nil {
		t.Error("no batches are no error")
	}
}

// A failed loss leaves no gradients, no statistics and no tensors behind.
func TestFailedStep(t *testing.T) {
	b := open(t, 2)
	n := load(t, b, parse(t, small))
	x := random(1, 4, 3, 16, 16)
	before, count := weights(t, n, train.Live), b.lib.live()
	bad := errors.New("no targets")
	if err := n.Step(x, func([]*tensor.Tensor) ([]*tensor.Tensor, error) { return nil, bad }); !errors.Is(err, bad) {
		t.Errorf("error %v, want the loss's", err)
	}
	for _, gradients := range [][]*tensor.Tensor{nil, {nil, nil}, {tensor.New(1), tensor.New(1)}} {
		if err := n.Step(x, func([]*tensor.Tensor) ([]*tensor.Tensor, error) { return gradients, nil }); err == nil {
			t.Errorf("gradients %v are no error", gradients)
		}
	}
	if now := b.lib.live(); now != count {
		t.Errorf("%d tensors are alive, %d were before", now, count)
	}
	step(t, n, x)
	fresh := load(t, open(t, 2), parse(t, small))
	step(t, fresh, x)
	want := gradients(t, fresh)
	for name, g := range gradients(t, n) {
		if !slices.Equal(g.Data, want[name].Data) {
			t.Errorf("gradient of %s differs from that of a fresh network", name)
		}
	}
	after := weights(t, n, train.Live)
	for name, w := range weights(t, fresh, train.Live) {
		if !slices.Equal(w.Data, after[name].Data) {
			t.Errorf("%s differs from that of a fresh network (was %v)", name, before[name].Shape)
		}
	}
}

func TestMemoryIsConstant(t *testing.T) {
	b := open(t, 2)
	n := load(t, b, parse(t, strings.ReplaceAll(small, "16,16\n", "64,64\n")))
	x := random(1, 8, 3, 64, 64)
	var count int64
	var early int
	for i := range 40 {
		step(t, n, x)
		update(t, n, train.Update{Rate: [3]float64{1e-6, 1e-6, 1e-6}, Momentum: 0.9, MaxNorm: 1, Average: 0.9})
		if i == 0 {
			count = b.lib.live()
		}
		if now := b.lib.live(); now != count {
			t.Fatalf("step %d: %d tensors are alive, after the first %d", i, now, count)
		}
		if i == 19 {
			early = residentMB(t)
		}
	}
	if late := residentMB(t); late > early+32 { // a step's maps are 20 MB
		t.Errorf("the process has %d MB after 40 steps, %d after 20", late, early)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if now := b.lib.live(); now != 0 {
		t.Errorf("%d tensors are alive after Close", now)
	}
}

func residentMB(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("the size of the process is read from /proc")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB / 1024
}
