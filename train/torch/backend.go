package torch

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/train"
	"ultrafast/train/peers"
)

// OpenOptions says which libtorch computes where. The zero value is right on a CPU.
type OpenOptions struct {
	Workers int    // threads that share a batch on the CPU; 0 is one a core
	Device  string // "cpu" or empty, "cuda", "cuda:1"
	Library string // a shim that Build made; empty is what Find finds

	// Peers are the processes that train together, each with a backend on a device of the
	// same kind; nil is this one alone. All call Open at the same time.
	Peers *peers.Peers
}

type backend struct {
	lib     *library
	name    string
	device  int64 // -1 the CPU, else CUDA's index
	workers []*worker
	group   *group // nil where the process is alone

	capability int64 // of the CUDA device: 80 for an A100; 0 is unknown
}

// A gpu is a backend on a CUDA device.
type gpu struct{ *backend }

// Open loads libtorch and starts the workers. The error says what to install or build if
// something is missing.
func Open(o OpenOptions) (train.Backend, error) {
	device, err := parseDevice(o.Device)
	if err != nil {
		return nil, err
	}
	path := o.Library
	if path == "" {
		if path, err = Find(); err != nil {
			return nil, err
		}
	}
	lib, err := loadLibrary(path)
	if err != nil {
		return nil, err
	}
	count := o.Workers
	if count <= 0 {
		count = runtime.GOMAXPROCS(0)
	}
	threads := 1
	if device >= 0 {
		threads, count = min(4, runtime.GOMAXPROCS(0)), 1
	}
	b := &backend{lib: lib, device: device}
	for range count {
		w, err := startWorker(lib, threads)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.workers = append(b.workers, w)
	}
	if err := b.probe(o.Device); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if o.Peers != nil {
		if b.group, err = connect(lib, o.Peers, device); err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.name += fmt.Sprintf(", %d processes", o.Peers.Size())
	}
	if device >= 0 {
		return gpu{b}, nil
	}
	return b, nil
}

// FreeMemory is that of train.Device.
func (g gpu) FreeMemory() (int64, error) {
	var bytes int64
	err := each(g.workers, 1, func(int) error { return g.lib.err(g.lib.freeMemory(g.device, &bytes)) })
	if err != nil {
		return 0, fmt.Errorf("memory of cuda:%d: %w", g.device, err)
	}
	return bytes, nil
}

func parseDevice(name string) (int64, error) {
	if name == "" || name == "cpu" {
		return -1, nil
	}
	kind, index, has := strings.Cut(name, ":")
	n := 0
	var err error
	if has {
		n, err = strconv.Atoi(index)
	}
	if kind != "cuda" || err != nil || n < 0 || n > 127 {
		return 0, fmt.Errorf("device %q: want cpu, cuda or cuda:0", name)
	}
	return int64(n), nil
}

// probe puts a number on the device, which fails if there is none, and makes the name.
func (b *backend) probe(device string) error {
	return each(b.workers, 1, func(int) error {
		if b.device >= 0 {
			if err := b.lib.err(b.lib.openCUDA(b.device, &b.capability)); err != nil {
				return fmt.Errorf("device %s: %w", device, err)
			}
		}
		s := b.lib.scope()
		defer s.close()
		if _, err := s.new(place{device: b.device}, []float32{1}, []int{1}); err != nil {
			return fmt.Errorf("device %s: %w", device, err)
		}
		var text message
		if err := b.lib.err(b.lib.describe(&text)); err != nil {
			return err
		}
		b.name = b.lib.take(text)
		if b.device >= 0 {
			version, _, _ := strings.Cut(b.name, ",")
			b.name = fmt.Sprintf("%s, cuda:%d", version, b.device)
			if b.capability > 0 {
				b.name += fmt.Sprintf(" of compute capability %d.%d", b.capability/10, b.capability%10)
			}
			return nil
		}
		b.name += fmt.Sprintf(", %d workers", len(b.workers))
		return nil
	})
}

func (b *backend) String() string { return b.name }

// Load makes one replica of the network per worker: its weights are views of the one set,
// with gradients and batch statistics of its own.
func (b *backend) Load(g *graph.Graph, o train.LoadOptions) (train.Network, error) {
	var err error
	if o.Precision, err = b.Precision(o.Precision); err != nil {
		return nil, err
	}
	if err := g.Verify(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return newNetwork(b, g.Clone(), o)
}

func (b *backend) Close() error {
	if b.group != nil {
		b.group.close()
		b.group = nil
	}
	for _, w := range b.workers {
		w.stop()
	}
	b.workers = nil
	return nil
}
