package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Join waits until all processes of the group have come, and returns the group, which is
// lost when ctx ends. Errors say who is missing, as far as that can be known.
func Join(ctx context.Context, o Options) (*Peers, error) {
	o = o.withDefaults()
	if o.Size < 2 || o.Rank < 0 || o.Rank >= o.Size {
		return nil, fmt.Errorf("group: process %d of %d: want 0 to %d, of 2 at least", o.Rank, o.Size, o.Size-1)
	}
	p := &Peers{o: o, links: make([]*link, o.Size), lost: make(chan struct{}), end: make(chan struct{})}
	start, cancel := context.WithTimeout(ctx, o.Start)
	defer cancel()
	join := p.dial
	if o.Rank == 0 {
		join = p.gather
	}
	if err := join(start); err != nil {
		for _, l := range p.links {
			if l != nil {
				l.conn.Close()
			}
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("group: %w", err)
	}
	for _, l := range p.links {
		if l != nil {
			p.wait.Go(func() { p.listen(l) })
			p.wait.Go(func() { p.beats(l) })
		}
	}
	context.AfterFunc(ctx, func() { p.lose(ctx.Err()) })
	return p, nil
}

// gather waits for the others at process 0.
func (p *Peers) gather(ctx context.Context) error {
	var lc net.ListenConfig
	_, port, err := net.SplitHostPort(p.o.Address)
	if err != nil {
		return err
	}
	// On all addresses: MASTER_ADDR may be a name that only the others can resolve.
	listener, err := lc.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return fmt.Errorf("process 0 cannot listen at port %s: %w; name a free one in MASTER_PORT", port, err)
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for missing := p.missing(); len(missing) > 0; missing = p.missing() {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return fmt.Errorf("%d of %d processes have come to %s within %v, missing: %s; start them with the same MASTER_ADDR and MASTER_PORT",
				p.o.Size-len(missing), p.o.Size, p.o.Address, p.o.Start, strings.Join(missing, ", "))
		}
		if err != nil {
			return err
		}
		if err := p.greet(conn); err != nil {
			return err
		}
	}
	for _, l := range p.links[1:] {
		if err := l.send(frameReady, nil); err != nil {
			return &LostError{l.rank, p.o.Size, "has gone while the others were coming"}
		}
	}
	return nil
}

// missing lists who has not come.
func (p *Peers) missing() []string {
	var ranks []string
	for rank, l := range p.links[1:] {
		if l == nil {
			ranks = append(ranks, fmt.Sprint("process ", rank+1))
		}
	}
	return ranks
}

// greet takes a process in. A stranger is sent away; a process that cannot belong here is
// an error.
func (p *Peers) greet(conn net.Conn) error {
	l := newLink(0, conn)
	kind, hello, err := l.receive(5 * time.Second)
	if err != nil || kind != frameHello || len(hello) != len(magic)+8 || string(hello[:len(magic)]) != magic {
		conn.Close()
		return nil
	}
	rank := int(binary.LittleEndian.Uint32(hello[len(magic):]))
	size := int(binary.LittleEndian.Uint32(hello[len(magic)+4:]))
	refuse := ""
	switch {
	case size != p.o.Size:
		refuse = fmt.Sprintf("process %d has WORLD_SIZE %d and process 0 has %d", rank, size, p.o.Size)
	case rank < 1 || rank >= size:
		refuse = fmt.Sprintf("a process came with RANK %d of %d", rank, size)
	case p.links[rank] != nil:
		refuse = fmt.Sprintf("two processes have RANK %d", rank)
	}
	if refuse != "" {
		l.send(frameLost, lostText(0, "refused: "+refuse))
		conn.Close()
		p.links[0] = nil
		for _, other := range p.links[1:] {
			if other != nil {
				other.send(frameLost, lostText(0, "stopped: "+refuse))
			}
		}
		return errors.New(refuse)
	}
	l.rank = rank
	p.links[rank] = l
	return nil
}

// dial comes to process 0, which may start later.
func (p *Peers) dial(ctx context.Context) error {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}}
	var conn net.Conn
	for {
		var err error
		if conn, err = d.DialContext(ctx, "tcp", p.o.Address); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process 0 was not at MASTER_ADDR:MASTER_PORT %s within %v: start it, or correct these (the last try: %w)", p.o.Address, p.o.Start, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	l := newLink(0, conn)
	p.links[0] = l
	hello := binary.LittleEndian.AppendUint32([]byte(magic), uint32(p.o.Rank))
	if err := l.send(frameHello, binary.LittleEndian.AppendUint32(hello, uint32(p.o.Size))); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	kind, payload, err := l.receive(p.o.Start)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not all of %d processes came to %s within %v: process 0 says who is missing", p.o.Size, p.o.Address, p.o.Start)
	case err != nil:
		return &LostError{0, p.o.Size, "has gone while the others were coming"}
	case kind == frameLost:
		rank, reason := readLost(payload)
		return &LostError{rank, p.o.Size, reason}
	case kind != frameReady:
		return fmt.Errorf("what answers at %s is no process of this training: MASTER_PORT is in use", p.o.Address)
	}
	return nil
}
