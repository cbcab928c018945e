package torch

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ultrafast/tensor"
	"ultrafast/train"
	"ultrafast/train/peers"
	"ultrafast/yolo"
)

// freeAddress is one that nobody listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// openGroup opens a backend for each of n processes, which are goroutines here.
func openGroup(t testing.TB, n, workers int) []*backend {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Skip(err)
	}
	address := freeAddress(t)
	backends := make([]*backend, n)
	allOf(t, n, func(rank int) error {
		p, err := peers.Join(t.Context(), peers.Options{Rank: rank, Size: n, Address: address})
		if err != nil {
			return err
		}
		b, err := Open(OpenOptions{Workers: workers, Library: path, Peers: p})
		if err != nil {
			p.Close(err)
			return err
		}
		backends[rank] = b.(*backend)
		return nil
	})
	t.Cleanup(func() {
		allOf(t, n, func(rank int) error {
			p := backends[rank].group.peers
			err := backends[rank].Close()
			p.Close(nil)
			return err
		})
	})
	return backends
}

// allOf runs f for every rank at once.
func allOf(t testing.TB, n int, f func(rank int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for rank := range n {
		wg.Go(func() { errs[rank] = f(rank) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		if strings.Contains(err.Error(), "need Gloo") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
}

// halves are the blocks of x that two processes load.
func halves(x *tensor.Tensor) []*tensor.Tensor {
	var blocks []*tensor.Tensor
	for _, p := range split(x.Shape[0], 2) {
		data, shape := p.of(x)
		blocks = append(blocks, &tensor.Tensor{Shape: shape, Data: data})
	}
	return blocks
}

// blockLoss is the part of linear's loss that belongs to a block of pictures.
func blockLoss(pictures int, block part) train.Loss {
	return func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) {
		var slopes []*tensor.Tensor
		for i, m := range maps {
			shape := append([]int{pictures}, m.Shape[1:]...)
			data, _ := block.of(random(uint64(100+i), shape...))
			slopes = append(slopes, &tensor.Tensor{Shape: m.Shape, Data: data})
		}
		return slopes, nil
	}
}

// Two processes, each with its block of the batch, learn what one does, whether batch norm
// is apart, as in one process with a worker for each block, or sees all; and all tensors
// that steps make are freed.
func TestProcessesLearnAsOne(t *testing.T) {
	u := train.Update{Rate: [3]float64{0.1, 0.1, 0.1}, Momentum: 0.9, Decay: 0.01, Average: 0.5, MaxNorm: 1, Step: 1}
	for name, o := range map[string]train.LoadOptions{"apart": {}, "sync": {SyncBN: true}, "Adam": {Optimizer: train.Adam}} {
		t.Run(name, func(t *testing.T) {
			workers := 2
			if o.SyncBN {
				workers = 1
			}
			n1, err := open(t, workers).Load(parse(t, small), train.LoadOptions{Optimizer: o.Optimizer})
			if err != nil {
				t.Fatal(err)
			}
			one := n1.(*network)
			defer one.Close()
			backends := openGroup(t, 2, 1)
			nets := make([]*network, 2)
			allOf(t, 2, func(rank int) error {
				g := parse(t, small)
				if rank > 0 { // what a process starts from does not count
					for _, p := range g.Params() {
						*p.At = tensor.New(p.Tensor().Shape...)
					}
				}
				n, err := backends[rank].Load(g, o)
				if err == nil {
					nets[rank] = n.(*network)
					err = n.Penalize(somePenalty(g))
				}
				return err
			})
			if err := one.Penalize(somePenalty(one.g)); err != nil {
				t.Fatal(err)
			}
			lib := one.b.lib
			var live int64
			for round := range 4 {
				for batch := range 2 { // gradients add up before they are summed
					x := random(uint64(2*round+batch), 8, 3, 16, 16)
					step(t, one, x)
					blocks, parts := halves(x), split(8, 2)
					allOf(t, 2, func(rank int) error {
						return nets[rank].Step(blocks[rank], blockLoss(8, parts[rank]))
					})
				}
				update(t, one, u)
				allOf(t, 2, func(rank int) error { return nets[rank].Update(u) })
				if round == 0 {
					live = lib.live()
				}
			}
			if now := lib.live(); now != live {
				t.Errorf("%d tensors are held, %d after the first round", now, live)
			}
			for _, w := range []train.Weights{train.Live, train.Averaged} {
				want := weights(t, one, w)
				for rank, n := range nets {
					for name, got := range weights(t, n, w) {
						if off := worst(got.Data, wide(want[name].Data)); off > 1e-4 {
							t.Errorf("process %d: %s is off by %.2g", rank, name, off)
						}
						if rank == 1 && worst(got.Data, wide(weights(t, nets[0], w)[name].Data)) != 0 {
							t.Errorf("%s is not the same in both processes", name)
						}
					}
				}
			}
			x := random(9, 8, 3, 16, 16)
			step(t, one, x)
			want, err := one.Gradients()
			if err != nil {
				t.Fatal(err)
			}
			blocks, parts := halves(x), split(8, 2)
			allOf(t, 2, func(rank int) error {
				if err := nets[rank].Step(blocks[rank], blockLoss(8, parts[rank])); err != nil {
					return err
				}
				got, err := nets[rank].Gradients()
				for name, g := range got {
					if off := worst(g.Data, wide(want[name].Data)); off > 1e-3 && name != "c1.bias" && name != "t.bias" { // zero but for rounding
						t.Errorf("process %d: gradient of %s is off by %.2g", rank, name, off)
					}
				}
				return err
			})
			allOf(t, 2, func(rank int) error { return nets[rank].Close() })
		})
	}
}

// With SyncBN the workers of one process are as one.
func TestSyncOfWorkers(t *testing.T) {
	for _, precision := range []train.Precision{train.FP32, train.BF16} {
		one, err := newNetwork(open(t, 1), parse(t, small), train.LoadOptions{Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		three, err := newNetwork(open(t, 3), parse(t, small), train.LoadOptions{Precision: precision, SyncBN: true})
		if err != nil {
			t.Fatal(err)
		}
		defer three.Close()
		limit := 1e-4
		if precision == train.BF16 {
			limit = 0.05
		}
		x := random(1, 13, 3, 16, 16)
		want := step(t, one, x)
		for i, m := range step(t, three, x) {
			if off := worst(m.Data, wide(want[i].Data)); off > limit {
				t.Errorf("%s: map %d is off by %.2g", precision, i, off)
			}
		}
		statistics := weights(t, one, train.Live)
		for name, w := range weights(t, three, train.Live) {
			if off := worst(w.Data, wide(statistics[name].Data)); off > limit {
				t.Errorf("%s: %s is off by %.2g", precision, name, off)
			}
		}
		if precision == train.BF16 {
			continue // the way back has only two digits, see TestBF16IsNearFP32
		}
		truth := gradients(t, one)
		for name, g := range gradients(t, three) {
			if name == "c1.bias" || name == "t.bias" {
				continue // before batch norms: zero but for rounding
			}
			if off := worst(g.Data, wide(truth[name].Data)); off > limit {
				t.Errorf("gradient of %s is off by %.2g", name, off)
			}
		}
	}
}

// A worker that fails does not leave the others waiting in batch norm.
func TestSyncFails(t *testing.T) {
	b := open(t, 2)
	n, err := newNetwork(b, parse(t, small), train.LoadOptions{SyncBN: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	x := random(1, 8, 3, 16, 16)
	maps, err := n.mapsFor(x)
	if err != nil {
		t.Fatal(err)
	}
	sync, err := n.meeting(2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.lib.syncFree(sync)
	broken := errors.New("a broken worker")
	err = n.together(sync, 2, func(i int) error {
		if i == 1 {
			time.Sleep(50 * time.Millisecond)
			return broken
		}
		s := b.lib.scope()
		defer s.close()
		_, err := n.forward(s, n.replicas[0], x, part{0, 4}, maps, norms{mode: learn, sync: sync})
		return err
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "another worker failed") {
		t.Errorf("got %v", err)
	}
}

// A network that is alone waits for nobody: process 0 validates its best weights so.
func TestAlone(t *testing.T) {
	b := openGroup(t, 2, 1)[0]
	n, err := b.Load(parse(t, small), train.LoadOptions{Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	step(t, n, random(1, 4, 3, 16, 16))
	update(t, n, train.Update{})
}

// A process that leaves ends the sums of the others with its reason.
func TestGroupIsLost(t *testing.T) {
	backends := openGroup(t, 2, 1)
	nets := make([]train.Network, 2)
	allOf(t, 2, func(rank int) (err error) {
		nets[rank], err = backends[rank].Load(parse(t, chain), train.LoadOptions{})
		return err
	})
	defer nets[0].Close()
	go func() {
		time.Sleep(100 * time.Millisecond) // the other one is in its sum
		nets[1].Close()
		backends[1].group.peers.Close(errors.New("no disk"))
	}()
	step(t, nets[0], random(1, 4, 3, 8, 8))
	start := time.Now()
	err := nets[0].Update(train.Update{})
	if err == nil || !strings.Contains(err.Error(), "process 1 of 2 stopped: no disk") || time.Since(start) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

// BenchmarkGroupSum is the sum of YOLOv5n's gradients over two processes on one machine:
//
//	go test -run - -bench GroupSum ./train/torch
func BenchmarkGroupSum(b *testing.B) {
	config, err := yolo.Standard("yolov5n")
	if err != nil {
		b.Fatal(err)
	}
	g, err := yolo.New(config, make([]string, 80), 1)
	if err != nil {
		b.Fatal(err)
	}
	backends := openGroup(b, 2, 1)
	nets := make([]*network, 2)
	allOf(b, 2, func(rank int) error {
		n, err := backends[rank].Load(g, train.LoadOptions{})
		if err != nil {
			return err
		}
		nets[rank] = n.(*network)
		same := func(maps []*tensor.Tensor) ([]*tensor.Tensor, error) { return maps, nil }
		if err := n.Step(tensor.New(1, 3, 64, 64), same); err != nil {
			return err
		}
		return nets[rank].onWorker(nets[rank].sumGradients)
	})
	b.ResetTimer()
	allOf(b, 2, func(rank int) error {
		return nets[rank].onWorker(func() error {
			for range b.N {
				if err := nets[rank].sumGradients(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.ReportMetric(float64(g.ParamCount()), "numbers")
}

// A group that is closed while its peers are lost is told of it before it is freed or not at
// all.
func TestCloseWhileLost(t *testing.T) {
	all := make([]*peers.Peers, 2)
	address := freeAddress(t)
	allOf(t, 2, func(rank int) (err error) {
		all[rank], err = peers.Join(t.Context(), peers.Options{Rank: rank, Size: 2, Address: address})
		return err
	})
	telling := make(chan struct{})
	var freed, late atomic.Bool
	lib := &library{
		groupLose: func(groupHandle) {
			close(telling)
			time.Sleep(50 * time.Millisecond) // what a thread may be kept from running for
			late.Store(freed.Load())
		},
		groupClose: func(groupHandle) { freed.Store(true) },
	}
	g := &group{lib: lib, peers: all[0], closed: make(chan struct{})}
	g.giveUpWithPeers()
	allOf(t, 2, func(rank int) error { all[rank].Close(nil); return nil })
	<-telling
	g.close()
	time.Sleep(100 * time.Millisecond)
	if late.Load() || !freed.Load() {
		t.Errorf("told after it was freed: %v; freed: %v", late.Load(), freed.Load())
	}
}
