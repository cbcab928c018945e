package detect

import (
	"context"
	"errors"
	"io"
	"sync"

	"ultrafast/picture"
)

// A session is what one picture at a time is worked on with.
type session struct {
	net    Network
	boxer  *picture.Letterboxer
	pixels []uint8 // of the letterboxed picture
}

// A pool makes sessions as they are needed and keeps them. Of those at hand it gives the one
// that was used last, so that there are never more than pictures were worked on at once.
type pool struct {
	connect func() (*session, error)
	busy    chan struct{} // as many as are worked on
	closed  chan struct{}
	close   func() error // ends the pool, once

	mu   sync.Mutex
	idle []*session
}

// errClosed is what comes of a picture after Close.
var errClosed = errors.New("the detector is closed")

func newPool(o Options, connect func() (Network, error)) *pool {
	p := &pool{busy: make(chan struct{}, o.Sessions), closed: make(chan struct{})}
	p.connect = func() (*session, error) {
		net, err := connect()
		if err != nil {
			return nil, err
		}
		return &session{net, picture.NewLetterboxer(o.Width, o.Height, o.Threads), make([]uint8, 3*o.Width*o.Height)}, nil
	}
	p.close = sync.OnceValue(p.end)
	return p
}

// warm makes the first session, so that errors do not wait for the first picture.
func (p *pool) warm() error {
	s, err := p.take(context.Background())
	if err == nil {
		p.put(s)
	}
	return err
}

// take waits for a session until ctx is done. Each one taken is put back.
func (p *pool) take(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case p.busy <- struct{}{}:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return s, nil
	}
	s, err := p.connect()
	if err != nil {
		<-p.busy
	}
	return s, err
}

// put takes a session back. Nil stands for one that is not to be used again.
func (p *pool) put(s *session) {
	if s != nil {
		p.mu.Lock()
		p.idle = append(p.idle, s)
		p.mu.Unlock()
	}
	<-p.busy
}

// end is what close does the first time.
func (p *pool) end() error {
	close(p.closed)
	for range cap(p.busy) {
		p.busy <- struct{}{} // for ever
	}
	var errs []error
	for _, s := range p.idle {
		if c, ok := s.net.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	p.idle = nil
	return errors.Join(errs...)
}
