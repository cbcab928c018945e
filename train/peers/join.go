package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
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
	p.forget = context.AfterFunc(ctx, func() { p.lose(ctx.Err()) })
	return p, nil
}

// gather waits for the others at process 0.
func (p *Peers) gather(ctx context.Context) error {
	_, port, err := net.SplitHostPort(p.o.Address)
	if err != nil {
		return err
	}
	// On all addresses: MASTER_ADDR may be a name that only the others can resolve.
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return fmt.Errorf("process 0 cannot listen at port %s: %w; name a free one in MASTER_PORT", port, err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	defer listener.Close()
	hearing, cancel := context.WithCancel(ctx)
	defer cancel()
	guests, failed := make(chan guest), make(chan error, 1)
	wait.Go(func() { failed <- p.receiveAll(hearing, listener, guests) })
	for missing := p.missing(); len(missing) > 0; missing = p.missing() {
		select {
		case g := <-guests:
			if err := p.greet(g); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d processes have come to %s within %v, missing: %s; start them with the same MASTER_ADDR and MASTER_PORT",
				p.o.Size-len(missing), p.o.Size, p.o.Address, p.o.Start, strings.Join(missing, ", "))
		}
	}
	for _, l := range p.links[1:] {
		l.send(frameReady, nil)
	}
	return nil
}

// A guest is a connection whose first word was that of a process of this program.
type guest struct {
	*link
	rank, size int
}

const (
	maxGuests = 256             // who may have connected and not said their first word
	firstWord = 5 * time.Second // to say it
)

// receiveAll takes in who connects until ctx ends. All are heard at once, so that a stranger
// who says nothing keeps nobody waiting.
func (p *Peers) receiveAll(ctx context.Context, listener net.Listener, guests chan<- guest) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	room := make(chan struct{}, maxGuests)
	for {
		room <- struct{}{}
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		wait.Go(func() {
			p.hear(ctx, conn, guests)
			<-room
		})
	}
}

// hear passes a guest on, and sends a stranger away.
func (p *Peers) hear(ctx context.Context, conn net.Conn, guests chan<- guest) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	l := newLink(0, conn, p.o.Silence)
	kind, hello, err := l.receive(firstWord, helloBytes)
	rank, size, ok := readHello(hello)
	if stop() && err == nil && kind == frameHello && ok {
		select {
		case guests <- guest{l, rank, size}:
			return
		case <-ctx.Done():
		}
	}
	conn.Close()
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

// greet takes a process in. One that cannot belong here is an error.
func (p *Peers) greet(g guest) error {
	rank, size := g.rank, g.size
	refuse := ""
	switch {
	case size != p.o.Size:
		refuse = fmt.Sprintf("process %d has WORLD_SIZE %d and process 0 has %d", rank, size, p.o.Size)
	case rank < 1 || rank >= size:
		refuse = fmt.Sprintf("a process came with RANK %d of %d", rank, size)
	case p.links[rank] != nil && !p.links[rank].gone():
		refuse = fmt.Sprintf("two processes have RANK %d", rank)
	}
	if refuse != "" {
		g.send(frameLost, lostText(0, "refused: "+refuse))
		g.conn.Close()
		for _, other := range p.links[1:] {
			if other != nil {
				other.send(frameLost, lostText(0, "stopped: "+refuse))
			}
		}
		return errors.New(refuse)
	}
	if before := p.links[rank]; before != nil { // it was started again
		before.conn.Close()
	}
	g.link.rank = rank
	p.links[rank] = g.link
	return nil
}

// gone reports whether a process has left that waits for the others, and so says nothing.
func (l *link) gone() bool {
	l.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := l.in.Peek(1)
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// helloBytes is the length of a hello: magic, rank, size.
const helloBytes = uint32(len(magic) + 8)

func helloText(rank, size int) []byte {
	text := binary.LittleEndian.AppendUint32([]byte(magic), uint32(rank))
	return binary.LittleEndian.AppendUint32(text, uint32(size))
}

func readHello(hello []byte) (rank, size int, ok bool) {
	numbers, ok := bytes.CutPrefix(hello, []byte(magic))
	if !ok || len(numbers) != 8 {
		return 0, 0, false
	}
	return int(binary.LittleEndian.Uint32(numbers)), int(binary.LittleEndian.Uint32(numbers[4:])), true
}

// maxWelcome bounds what the first answer of process 0 may have us allocate: it is a few
// words, or a stranger's who has the port.
const maxWelcome = 64 << 10

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
	l := newLink(0, conn, p.o.Silence)
	p.links[0] = l
	if err := l.send(frameHello, helloText(p.o.Rank, p.o.Size)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	kind, payload, err := l.receive(p.o.Start, maxWelcome)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not all of %d processes came to %s within %v: process 0 says who is missing", p.o.Size, p.o.Address, p.o.Start)
	case err != nil && !errors.Is(err, errLong):
		return &LostError{0, p.o.Size, "has gone while the others were coming"}
	case kind == frameLost:
		rank, reason := readLost(payload)
		return &LostError{rank, p.o.Size, reason}
	case err != nil || kind != frameReady:
		return fmt.Errorf("what answers at %s is no process of this training: MASTER_PORT is in use", p.o.Address)
	}
	return nil
}
