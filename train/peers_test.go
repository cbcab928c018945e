package train

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/train/peers"
)

// together runs f as each of n processes.
func together(t *testing.T, n int, f func(ctx context.Context, p *peers.Peers) error) []error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for rank := range n {
		wg.Go(func() {
			p, err := peers.Join(t.Context(), peers.Options{Rank: rank, Size: n, Address: l.Addr().String()})
			if err == nil {
				err = f(t.Context(), p)
				p.Close(err)
			}
			errs[rank] = err
		})
	}
	wg.Wait()
	return errs
}

// asOneOf is tinyConfig for a process; only process 0 is told the folder and the recipe.
func asOneOf(p *peers.Peers, dir string) Config {
	if p.Rank() > 0 {
		return Config{Peers: p, Workers: 2}
	}
	c := tinyConfig(dir)
	c.Batch, c.Peers = 4, p
	return c
}

// Two processes write what one does, and only process 0 writes, validates and reports.
func TestProcesses(t *testing.T) {
	data := tinyData(t)
	want := t.TempDir()
	c := tinyConfig(want)
	c.Batch = 4
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, err := range together(t, 2, func(ctx context.Context, p *peers.Peers) error {
		c, d, g := asOneOf(p, dir), *data, tinyNet()
		if p.Rank() > 0 {
			d.Val, g = nil, nil
		}
		r, err := Run(ctx, Drift(), g, &d, c)
		if err == nil && (r.Epochs != 5 || r.BestEpoch != 5) {
			t.Errorf("process %d: %+v", p.Rank(), r)
		}
		return err
	}) {
		if err != nil {
			t.Errorf("process %d: %v", name, err)
		}
	}
	sameRun(t, dir, want)
}

func TestProcessesRefuse(t *testing.T) {
	data := tinyData(t)
	other := *data
	other.Train = append([]dataset.Item{}, data.Train...)
	other.Train[3].Labels = append([]dataset.Label{{W: 0.5, H: 0.5}}, other.Train[3].Labels...)
	zero := float32(0)
	run := func(name string, change func(c *Config, data **dataset.Data)) []error {
		return together(t, 3, func(ctx context.Context, p *peers.Peers) error {
			c, d := asOneOf(p, t.TempDir()), data
			c.Batch *= 3
			c.Batch /= 2
			change(&c, &d)
			be := Drift()
			if name == "diverged" && p.Rank() == 1 {
				be = fool{be, zero / zero}
			}
			_, err := Run(ctx, be, tinyNet(), d, c)
			return err
		})
	}
	for name, test := range map[string]struct {
		change func(c *Config, data **dataset.Data)
		want   []string
	}{
		"data": {func(c *Config, data **dataset.Data) {
			if c.Peers.Rank() == 2 {
				*data = &other
			}
		}, []string{"process 2 has 8 pictures", "training data differ", "training data differ"}},
		"batch": {func(c *Config, _ **dataset.Data) { c.Batch = 4 }, []string{
			"4 pictures cannot be shared evenly by 3", "process 0 of 3 stopped: train: a batch of 4", "process 0 of 3 stopped"}},
		"diverged": {func(*Config, **dataset.Data) {}, []string{"diverged", "diverged", "diverged"}},
	} {
		for rank, err := range run(name, test.change) {
			if err == nil || !strings.Contains(err.Error(), test.want[rank]) && !strings.Contains(err.Error(), test.want[0]) {
				t.Errorf("%s: process %d: %v, want %s", name, rank, err, test.want[rank])
			}
		}
	}
}

// Whoever is lost, the others say where the run stands, even while they wait for process 0
// to validate.
func TestProcessIsLost(t *testing.T) {
	data, dir := tinyData(t), t.TempDir()
	start := time.Now()
	errs := together(t, 2, func(ctx context.Context, p *peers.Peers) error {
		c := asOneOf(p, dir)
		if p.Rank() == 0 {
			c.Progress = func(at Progress) {
				if at.Epoch == 3 && at.Validating {
					<-p.Lost()
				}
			}
		} else {
			steps := 0
			c.Sees = func(epoch, step int, b *dataset.Batch) {
				if steps++; steps == 6 {
					go p.Close(errors.New("on fire")) // process 0 validates the third epoch then
				}
			}
		}
		_, err := Run(ctx, Drift(), tinyNet(), data, c)
		return err
	})
	want := "train: stopped in epoch 3 of 5; " + dir + " holds the run up to epoch 2 and can be resumed: process 1 of 2 stopped: on fire"
	if errs[0] == nil || errs[0].Error() != want || errs[1] == nil {
		t.Errorf("got  %v\nwant %s\nand  %v", errs[0], want, errs[1])
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	c, err := ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole := t.TempDir()
	one := tinyConfig(whole)
	one.Batch = 4
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, one); err != nil {
		t.Fatal(err)
	}
	for _, err := range together(t, 2, func(ctx context.Context, p *peers.Peers) error {
		mine := Config{Peers: p, Resume: true}
		var g *graph.Graph
		if p.Rank() == 0 {
			mine = c
			mine.Peers = p
		}
		_, err := Run(ctx, Drift(), g, data, mine)
		return err
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	sameRun(t, dir, whole)
}

// The digest goes by what lies below the data's own folder.
func TestDigest(t *testing.T) {
	data := tinyData(t)
	moved := *data
	moved.Train = append([]dataset.Item{}, data.Train...)
	root := filepath.Dir(filepath.Dir(filepath.Dir(data.Train[0].Path)))
	for i := range moved.Train {
		moved.Train[i].Path = filepath.Join(string(os.PathSeparator)+"elsewhere", strings.TrimPrefix(moved.Train[i].Path, root))
	}
	if digest(data) != digest(&moved) {
		t.Error("the digest goes by where the data lie")
	}
	moved.Names = []string{"a", "b"}
	if digest(data) == digest(&moved) {
		t.Error("the digest does not see classes")
	}
}
