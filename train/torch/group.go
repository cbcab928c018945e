package torch

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"ultrafast/train/peers"
)

// A groupHandle is a group of processes in the shim; 0 is none.
type groupHandle uintptr

// opTimeout is what a sum over the processes may take. It is longer than peers' patience,
// which names the one that keeps the others waiting.
const opTimeout = 15 * time.Minute

// connectTimeout is what libtorch may take to connect processes that have met already.
const connectTimeout = 2 * time.Minute

// verdict is how long after an error of libtorch's the peers may still say whose it was.
const verdict = 3 * time.Second

// A group is the processes of a training as libtorch sees them.
type group struct {
	lib    *library
	peers  *peers.Peers
	handle groupHandle
	closed chan struct{}
	watch  sync.WaitGroup
}

// connect brings the processes together in libtorch. Its calls cannot be stopped, so where
// a process is lost meanwhile they are left to themselves.
func connect(lib *library, p *peers.Peers, device int64) (*group, error) {
	g := &group{lib: lib, peers: p, closed: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- g.meet(device) }()
	var err error
	select {
	case err = <-done:
		if err != nil {
			err = g.cause(fmt.Errorf("group: %w", err))
		}
	case <-p.Lost():
		err = p.Err()
	case <-time.After(connectTimeout):
		err = fmt.Errorf("group: libtorch has not connected the %d processes within %v: do their machines reach each other at all ports?", p.Size(), connectTimeout)
	}
	if err != nil {
		return nil, err
	}
	g.giveUpWithPeers()
	return g, nil
}

// giveUpWithPeers ends the waiting in libtorch once the peers are lost.
func (g *group) giveUpWithPeers() {
	g.watch.Go(func() {
		select {
		case <-g.peers.Lost():
			g.lib.groupLose(g.handle)
		case <-g.closed:
		}
	})
}

// meet opens a store at a free port of process 0, since the port that the peers met at is
// theirs, and by that the group.
func (g *group) meet(device int64) error {
	open := func(host string, port int64) (int64, error) {
		err := g.lib.err(g.lib.groupOpen(&g.handle, host, &port, int64(g.peers.Rank()), int64(g.peers.Size()), opTimeout.Milliseconds()))
		return port, err
	}
	var port int64
	var err error
	if g.peers.Rank() == 0 {
		if port, err = open("localhost", 0); err != nil {
			return err
		}
	}
	text, err := g.peers.Broadcast([]byte(strconv.FormatInt(port, 10)))
	if err == nil && g.peers.Rank() > 0 {
		if port, err = strconv.ParseInt(string(text), 10, 64); err == nil {
			_, err = open(g.peers.Host(), port)
		}
	}
	if err == nil {
		err = g.lib.err(g.lib.groupConnect(g.handle, g.peers.IP(), device))
	}
	return err
}

// cause is what led to an error of a call on the group: where a process has gone, that. A
// broken connection is seen here and by the peers at about the same time.
func (g *group) cause(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-g.peers.Lost():
		return g.peers.Err()
	case <-time.After(verdict):
		return err
	}
}

func (g *group) close() {
	close(g.closed)
	g.watch.Wait() // or the handle could be told of a loss after it was freed
	g.lib.groupClose(g.handle)
}

// A syncHandle is a meeting in the shim of all who normalise one batch together; 0 is none.
type syncHandle uintptr

// meeting opens one for the workers of a step, where batch norm wants it.
func (n *network) meeting(members int) (syncHandle, error) {
	if !n.o.SyncBN {
		return 0, nil
	}
	var g groupHandle
	if n.group != nil {
		g = n.group.handle
	}
	var s syncHandle
	return s, n.b.lib.err(n.b.lib.syncNew(&s, g, int64(members)))
}

// shareNumbers gives tensors of every process the numbers of process 0.
func (n *network) shareNumbers(sets ...[]handle) error {
	g := n.group
	if g == nil {
		return nil
	}
	return n.onWorker(func() error {
		for _, set := range sets {
			if len(set) == 0 {
				continue
			}
			if err := g.lib.err(g.lib.groupBroadcast(g.handle, &set[0], int64(len(set)))); err != nil {
				return g.cause(fmt.Errorf("train: %w", err))
			}
		}
		return nil
	})
}

// sumGradients adds up what the replicas of all processes have accumulated: once an
// update, however many steps it has.
func (n *network) sumGradients() error {
	g := n.group
	if g == nil || len(n.trained) == 0 {
		return nil
	}
	leaves := n.leaves()
	return g.cause(g.lib.err(g.lib.groupSum(g.handle, &leaves[0], int64(len(n.trained)), int64(len(n.replicas)))))
}

// averageStatistics makes the live running statistics those of all processes, each counted
// by its pictures.
func (n *network) averageStatistics(pictures int) error {
	g, live := n.group, pick(n.live, n.statistics)
	if g == nil || n.o.SyncBN || len(live) == 0 { // with SyncBN they are the same everywhere
		return nil
	}
	return g.cause(g.lib.err(g.lib.groupMean(g.handle, &live[0], int64(len(live)), float64(pictures))))
}
