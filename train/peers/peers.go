// Package peers keeps the processes of one training together: they find each other at one
// address, exchange small messages, and learn within seconds when one of them is gone.
//
// Process 0 listens, the others keep a connection to it. Everyone sends a beat each second,
// so a process that is busy, with a validation say, is told from one that hangs.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options say who this process is and where process 0 listens.
type Options struct {
	Rank, Size int    // this process, 0 to Size-1
	Address    string // HOST:PORT of process 0

	Start    time.Duration // for all to come; 0 means 5 minutes
	Silence  time.Duration // without a beat, until a process counts as hung; 0 means 30 seconds
	Patience time.Duration // for a process to come to a Sum; 0 means 10 minutes
}

func (o Options) withDefaults() Options {
	fill := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	fill(&o.Start, 5*time.Minute)
	fill(&o.Silence, 30*time.Second)
	fill(&o.Patience, 10*time.Minute)
	return o
}

// Peers is a group as one of its processes sees it. Every process makes the same calls of
// Sum, Gather and Broadcast in the same order, from one goroutine at a time. Once the group
// is lost each of them fails with Err.
type Peers struct {
	o     Options
	links []*link // to the others by rank; of process 0 all but its own, of the others the first

	once sync.Once
	lost chan struct{}
	err  error // set before lost is closed
	wait sync.WaitGroup
	left sync.Once
	end  chan struct{} // closed by Close

	forget func() bool // the context
}

// A LostError says who ended a group, and why.
type LostError struct {
	Rank, Size int
	Reason     string // "has gone (its connection was closed)"
}

func (e *LostError) Error() string {
	return fmt.Sprintf("process %d of %d %s", e.Rank, e.Size, e.Reason)
}

// Rank is this process's number, from 0.
func (p *Peers) Rank() int { return p.o.Rank }

// Size is the number of processes.
func (p *Peers) Size() int { return p.o.Size }

// Lost is closed when a process has gone, stopped or hung, or the context of Join ended.
func (p *Peers) Lost() <-chan struct{} { return p.lost }

// Err says what became of the group once Lost is closed: a *LostError, or the context's.
func (p *Peers) Err() error {
	select {
	case <-p.lost:
		return p.err
	default:
		return nil
	}
}

// lose ends the group. Process 0 tells the others, who cannot see each other.
func (p *Peers) lose(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.lost)
		var lost *LostError
		if p.o.Rank == 0 && errors.As(err, &lost) {
			for _, l := range p.links {
				if l != nil { // who is lost too: it may be alive and only late
					l.send(frameLost, lostText(lost.Rank, lost.Reason))
				}
			}
		}
	})
}

// IP is the address of this machine that the others reach it by.
func (p *Peers) IP() string {
	best := ""
	for _, l := range p.links {
		if l == nil {
			continue
		}
		if a, ok := l.conn.LocalAddr().(*net.TCPAddr); ok && (best == "" || !a.IP.IsLoopback()) {
			best = a.IP.String()
		}
	}
	return best
}

// Host is where process 0 is.
func (p *Peers) Host() string {
	if p.o.Rank == 0 {
		return p.IP()
	}
	host, _, _ := net.SplitHostPort(p.links[0].conn.RemoteAddr().String())
	return host
}

// Close leaves the group. With a reason the others are told it and end with an error that
// says so; without, they go on to their own Close. Closing again does nothing.
func (p *Peers) Close(reason error) { p.left.Do(func() { p.close(reason) }) }

func (p *Peers) close(reason error) {
	p.forget()
	lost := p.Err() != nil
	p.once.Do(func() { p.err = net.ErrClosed; close(p.lost) }) // what comes now is no news
	close(p.end)
	for _, l := range p.links {
		switch {
		case l == nil:
		case reason == nil:
			l.send(frameDone, nil)
		case !lost || errors.Is(p.err, context.Canceled):
			l.send(frameLost, lostText(p.o.Rank, stopped(reason)))
		}
	}
	for _, l := range p.links {
		if l == nil {
			continue
		}
		if c, ok := l.conn.(*net.TCPConn); ok {
			c.CloseWrite()
		}
		l.linger(2 * time.Second) // a connection that is closed with words unread loses the last ones
		l.conn.Close()
	}
	p.wait.Wait()
}

// stopped words why a process leaves.
func stopped(reason error) string {
	if errors.Is(reason, context.Canceled) {
		return "was interrupted"
	}
	return "stopped: " + reason.Error()
}
