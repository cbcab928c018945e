package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// together runs f as each of n processes, and returns their errors.
func together(ctx context.Context, n int, o Options, f func(p *Peers) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for rank := range n {
		o := o
		o.Rank, o.Size = rank, n
		wg.Go(func() {
			p, err := Join(ctx, o)
			if err == nil {
				err = f(p)
				p.Close(err)
			}
			errs[rank] = err
		})
	}
	wg.Wait()
	return errs
}

func TestExchange(t *testing.T) {
	errs := together(t.Context(), 4, Options{Address: freeAddress(t)}, func(p *Peers) error {
		for round := range 100 {
			x := []float64{1, 0.1 * float64(p.Rank()), float64(round)}
			if err := p.Sum(x); err != nil {
				return err
			}
			want := 0.0
			for rank := range 4 {
				want += 0.1 * float64(rank)
			}
			if x[0] != 4 || x[1] != want || x[2] != 4*float64(round) {
				return fmt.Errorf("sums %v", x)
			}
			all, err := p.Gather([]byte(strings.Repeat("x", p.Rank()*round)))
			if err != nil {
				return err
			}
			for rank, d := range all {
				if len(d) != rank*round {
					return fmt.Errorf("gathered %d bytes of %d", len(d), rank)
				}
			}
			b, err := p.Broadcast([]byte(fmt.Sprint(p.Rank(), " ", round)))
			if err != nil || string(b) != fmt.Sprint("0 ", round) {
				return fmt.Errorf("broadcast %q, %v", b, err)
			}
		}
		if p.IP() != "127.0.0.1" || p.Host() != "127.0.0.1" {
			return fmt.Errorf("addresses %s and %s", p.IP(), p.Host())
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantErrors checks the error of each rank.
func wantErrors(t *testing.T, errs []error, want ...string) {
	t.Helper()
	for rank, err := range errs {
		if got := fmt.Sprint(err); !strings.Contains(got, want[rank]) {
			t.Errorf("process %d: %s, want %s", rank, got, want[rank])
		}
	}
}

func TestOneLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(p *Peers) error
		want  []string
	}{
		"error":  {func(*Peers) error { return errors.New("disk full") }, []string{"process 2 of 3 stopped: disk full", "process 2 of 3 stopped: disk full", "disk full"}},
		"Ctrl-C": {func(*Peers) error { return context.Canceled }, []string{"process 2 of 3 was interrupted", "process 2 of 3 was interrupted", "canceled"}},
		"killed": {func(p *Peers) error { p.links[0].conn.Close(); return net.ErrClosed }, []string{"process 2 of 3 has gone", "process 2 of 3 has gone", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			errs := together(t.Context(), 3, Options{Address: freeAddress(t)}, func(p *Peers) error {
				if p.Rank() == 2 {
					return c.leave(p)
				}
				return p.Sum([]float64{1})
			})
			wantErrors(t, errs, c.want...)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestProcess0Leaves(t *testing.T) {
	errs := together(t.Context(), 2, Options{Address: freeAddress(t)}, func(p *Peers) error {
		if p.Rank() == 0 {
			return errors.New("no such model")
		}
		_, err := p.Broadcast(nil)
		return err
	})
	wantErrors(t, errs, "no such model", "process 0 of 2 stopped: no such model")
}

// A process that is alive and does not come, and one that gives no sign of life.
func TestHung(t *testing.T) {
	errs := together(t.Context(), 3, Options{Address: freeAddress(t), Patience: 200 * time.Millisecond}, func(p *Peers) error {
		if p.Rank() == 1 {
			<-p.Lost()
			return p.Err()
		}
		return p.Sum(nil)
	})
	for _, err := range errs {
		wantErrors(t, []error{err}, "process 1 of 3 hangs: it is alive")
	}
	errs = together(t.Context(), 2, Options{Address: freeAddress(t), Silence: 400 * time.Millisecond}, func(p *Peers) error {
		if p.Rank() == 1 {
			p.links[0].write.Lock() // no beat gets out
			defer p.links[0].write.Unlock()
			<-p.Lost()
			return nil
		}
		_, err := p.Gather(nil) // which waits as long as it takes
		return err
	})
	wantErrors(t, errs[:1], "process 1 of 2 hangs: it has given no sign of life for 400ms")
}

// Waiting for a Broadcast takes as long as it takes, and Ctrl-C ends it.
func TestWaitIsPatient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan struct{})
	errs := together(ctx, 2, Options{Address: freeAddress(t), Silence: 300 * time.Millisecond, Patience: 100 * time.Millisecond}, func(p *Peers) error {
		if p.Rank() == 0 {
			time.Sleep(time.Second)
			p.Broadcast(nil)
			cancel()
			<-left // else process 1 may see it leave before its own context ends
			return nil
		}
		defer close(left)
		if _, err := p.Broadcast(nil); err != nil {
			return err
		}
		_, err := p.Broadcast(nil)
		return err
	})
	cancel()
	wantErrors(t, errs, "", "canceled")
}

func TestStart(t *testing.T) {
	o := Options{Address: freeAddress(t), Start: 600 * time.Millisecond}
	join := func(rank, size int) error {
		o := o
		o.Rank, o.Size = rank, size
		_, err := Join(t.Context(), o)
		return err
	}
	both := func(a, b func() error) []error {
		errs := make([]error, 2)
		var wg sync.WaitGroup
		wg.Go(func() { errs[0] = a() })
		wg.Go(func() { errs[1] = b() })
		wg.Wait()
		return errs
	}
	wantErrors(t, []error{join(1, 2)}, "process 0 was not at MASTER_ADDR:MASTER_PORT "+o.Address)
	errs := both(func() error { return join(0, 3) }, func() error { return join(1, 3) })
	wantErrors(t, errs, "2 of 3 processes have come to "+o.Address+" within 600ms, missing: process 2", "")
	if errs[1] == nil {
		t.Error("process 1 of 3 found a group")
	}
	errs = both(func() error { return join(0, 2) }, func() error { return join(1, 4) })
	wantErrors(t, errs, "process 1 has WORLD_SIZE 4 and process 0 has 2", "process 1 has WORLD_SIZE 4")
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := join(0, 2); err == nil || !strings.Contains(err.Error(), "MASTER_PORT") {
		t.Errorf("a port in use: %v", err)
	}
}

// BenchmarkSum is the exchange that each step makes twice, on one machine:
//
//	go test -run - -bench Sum ./train/peers
func BenchmarkSum(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	l.Close()
	errs := together(b.Context(), 2, Options{Address: l.Addr().String()}, func(p *Peers) error {
		for range b.N {
			if err := p.Sum(make([]float64, 4)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}
