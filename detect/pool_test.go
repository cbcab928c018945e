package detect

import (
	"context"
	"errors"
	"image"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// head is a model that consists of its head alone: maps of 2x2 cells for 64x64 pixels.
func head() *graph.Graph {
	g := &graph.Graph{}
	x := g.Add("x", &graph.Input{Shape: [4]int{1, 3, 64, 64}})
	conv := &graph.Conv{Weight: tensor.New(6, 3, 32, 32), Stride: [2]int{32, 32}, Dilation: [2]int{1, 1}, Groups: 1}
	d := &graph.Detect{Anchors: [][][2]float32{{{32, 32}}}, Strides: []int{32}, Classes: 1}
	g.Outputs = []*graph.Node{g.Add("head", d, g.Add("conv", conv, x))}
	return g
}

// A factory is a runtime that counts its networks, which find nothing.
type factory struct {
	compiled, made, running, most, closed atomic.Int32
	entered, leave                        chan struct{} // where not nil, RunRGB tells and waits
	fail                                  atomic.Bool
}

func (f *factory) Compile(*graph.Graph, Options) (func() (Network, error), error) {
	f.compiled.Add(1)
	return func() (Network, error) {
		if f.fail.Load() {
			return nil, errors.New("out of networks")
		}
		f.made.Add(1)
		return &idler{f: f}, nil
	}, nil
}

type idler struct {
	f    *factory
	busy atomic.Bool
}

func (n *idler) Run(*tensor.Tensor) ([]*tensor.Tensor, error) { panic("not asked for") }

func (n *idler) RunRGB(pixels []uint8) ([]*tensor.Tensor, error) {
	if len(pixels) != 64*64*3 || !n.busy.CompareAndSwap(false, true) {
		panic("wrong pixels, or two goroutines at a time")
	}
	defer n.busy.Store(false)
	now := n.f.running.Add(1)
	defer n.f.running.Add(-1)
	for most := n.f.most.Load(); now > most && !n.f.most.CompareAndSwap(most, now); most = n.f.most.Load() {
	}
	if n.f.entered != nil {
		n.f.entered <- struct{}{}
		<-n.f.leave
	}
	return []*tensor.Tensor{tensor.New(1, 6, 2, 2)}, nil
}

func (n *idler) Close() error {
	n.f.closed.Add(1)
	return errors.New("one says goodbye")
}

func TestPool(t *testing.T) {
	f := &factory{}
	const sessions, callers = 3, 8
	d, err := New(head(), Options{Width: 64, Conf: 0.9, Compile: f.Compile, Sessions: sessions})
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 9, 9))
	one := func() error {
		_, _, err := d.Detect(t.Context(), img)
		return err
	}
	for range 10 {
		if err := one(); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.made.Load(); n != 1 {
		t.Errorf("%d networks for one picture at a time", n)
	}

	f.entered, f.leave = make(chan struct{}), make(chan struct{})
	errs := make(chan error)
	for range callers {
		go func() { errs <- one() }()
	}
	for range sessions {
		<-f.entered // all of them at once
	}
	go func() {
		for range callers - sessions {
			<-f.entered
		}
	}()
	close(f.leave)
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if f.compiled.Load() != 1 || f.made.Load() != sessions || f.most.Load() != sessions {
		t.Errorf("compiled %d times, %d networks of which %d ran at once; want 1, %d, %d",
			f.compiled.Load(), f.made.Load(), f.most.Load(), sessions, sessions)
	}
	if err := d.Close(); err == nil || strings.Count(err.Error(), "goodbye") != sessions || f.closed.Load() != sessions {
		t.Errorf("%d of %d networks closed: %v", f.closed.Load(), sessions, err)
	}
}

// TestNetworkFails wants a place that stays empty to be free for the next.
func TestNetworkFails(t *testing.T) {
	f := &factory{}
	f.fail.Store(true)
	o := Options{Width: 64, Compile: f.Compile, Sessions: 2}
	if d, err := New(head(), o); err == nil || d != nil {
		t.Errorf("New without a network: %v", err)
	}
	p := newPool(o, func() (Network, error) { return nil, errors.New("out of networks") })
	for range 5 {
		if _, err := p.take(context.Background()); err == nil || err.Error() != "out of networks" {
			t.Fatal(err)
		}
	}
}

func TestThreadsAndSessions(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for _, c := range []struct{ threads, sessions, wantThreads, wantSessions int }{
		{0, 0, 8, 2},
		{1, 0, 1, 8},
		{3, 0, 3, 2},
		{16, 0, 16, 1},
		{0, 1, 8, 1},
		{0, 4, 2, 4},
		{0, 5, 1, 5},
		{0, 20, 1, 20},
		{5, 7, 5, 7},
	} {
		o := Options{Threads: c.threads, Sessions: c.sessions}
		if err := o.fill(&graph.Detect{Strides: []int{8, 32}, Classes: 1}); err != nil {
			t.Fatal(err)
		}
		if o.Threads != c.wantThreads || o.Sessions != c.wantSessions {
			t.Errorf("%d threads, %d sessions become %d and %d, want %d and %d", c.threads, c.sessions, o.Threads, o.Sessions, c.wantThreads, c.wantSessions)
		}
	}
}

// TestHostileHead has heads that no reader should let through.
func TestHostileHead(t *testing.T) {
	for _, spoil := range []func(d *graph.Detect){
		func(d *graph.Detect) { d.Strides = nil },
		func(d *graph.Detect) { d.Strides[0] = 0 },
		func(d *graph.Detect) { d.Strides[0] = 1 << 40 },
		func(d *graph.Detect) { d.Anchors = nil },
		func(d *graph.Detect) { d.Classes = 1 << 30 },
	} {
		g := head()
		spoil(g.Detect().Op.(*graph.Detect))
		if _, err := New(g, Options{Width: 64}); err == nil {
			t.Errorf("a detector from %+v", g.Detect().Op)
		}
	}
}
