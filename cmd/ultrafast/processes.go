package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"ultrafast/dataset"
	"ultrafast/train"
	"ultrafast/train/peers"
)

// processes is where this process stands among those of a training, by torchrun's
// variables. Size 1 is one alone.
type processes struct {
	rank, size int
	local      int    // LOCAL_RANK, its number on this machine; -1 where nobody says
	here       int    // LOCAL_WORLD_SIZE, how many there are on this machine
	address    string // of process 0
}

// readProcesses reads torchrun's variables. Errors name the variable.
func readProcesses(getenv func(string) string) (processes, error) {
	p := processes{size: 1, local: -1, here: 1}
	number := func(name string, to *int, low, high int) error {
		n, err := strconv.Atoi(getenv(name))
		if err != nil || n < low || n > high {
			return fmt.Errorf("%s is %q, want a number from %d to %d; torchrun sets it", name, getenv(name), low, high)
		}
		*to = n
		return nil
	}
	const most = 1 << 16
	if getenv("LOCAL_RANK") != "" {
		if err := number("LOCAL_RANK", &p.local, 0, most); err != nil {
			return p, err
		}
	}
	if getenv("WORLD_SIZE") == "" {
		return p, nil
	}
	if err := number("WORLD_SIZE", &p.size, 1, most); err != nil || p.size == 1 {
		return p, err
	}
	if getenv("LOCAL_WORLD_SIZE") != "" {
		if err := number("LOCAL_WORLD_SIZE", &p.here, 1, p.size); err != nil {
			return p, err
		}
	}
	port := 0
	for _, v := range []struct {
		name      string
		to        *int
		low, high int
	}{{"RANK", &p.rank, 0, p.size - 1}, {"MASTER_PORT", &port, 1, 65534}} {
		if getenv(v.name) == "" {
			return p, fmt.Errorf("WORLD_SIZE is %d and %s is not set: each process needs MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE", p.size, v.name)
		}
		if err := number(v.name, v.to, v.low, v.high); err != nil {
			return p, err
		}
	}
	host := getenv("MASTER_ADDR")
	if host == "" {
		return p, fmt.Errorf("WORLD_SIZE is %d and MASTER_ADDR is not set: name the machine of process 0", p.size)
	}
	// Where torchrun itself serves the port, ours is the next one: its store speaks another
	// protocol from version to version of PyTorch.
	if getenv("TORCHELASTIC_USE_AGENT_STORE") == "True" {
		port++
	}
	p.address = net.JoinHostPort(host, strconv.Itoa(port))
	return p, nil
}

// device is what --device means for this process.
func (p processes) device(name string) string {
	if name == "cuda" && p.local >= 0 {
		return fmt.Sprintf("cuda:%d", p.local)
	}
	return name
}

// workers is how many threads this process may use, 0 being all cores.
func (p processes) workers() int {
	if p.here == 1 {
		return 0
	}
	return max(1, runtime.GOMAXPROCS(0)/p.here)
}

// share leaves the other processes on this machine their part of it.
func (p processes) share(cfg *train.Config) {
	if p.here == 1 {
		return
	}
	cfg.Workers = p.workers()
	if cfg.Cache == "" {
		cfg.CacheBytes = dataset.DefaultCache() / int64(p.here)
	}
}

// join waits for the other processes. It returns nil for one alone. All but process 0 say
// nothing from then on but errors.
func (p processes) join(c *cobra.Command) (*peers.Peers, error) {
	if p.size == 1 {
		return nil, nil
	}
	if p.rank == 0 {
		fmt.Fprintf(c.OutOrStdout(), "process 0 of %d, the others are waited for at %s\n", p.size, p.address)
	} else {
		c.SetOut(io.Discard)
	}
	return peers.Join(c.Context(), peers.Options{Rank: p.rank, Size: p.size, Address: p.address})
}

// onlyOne refuses several processes for a command that runs in one.
func onlyOne(command string, getenv func(string) string) error {
	if size := getenv("WORLD_SIZE"); size != "" && size != "1" {
		return fmt.Errorf("%s runs in one process: start it without WORLD_SIZE", command)
	}
	return nil
}
