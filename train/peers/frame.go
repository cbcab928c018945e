package peers

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A frame is its kind, the length of what follows in four bytes, little-endian, and that.
const (
	frameHello byte = 'h' // magic, rank, size: the first word of who connects
	frameReady byte = 'r' // all have come
	frameBeat  byte = 'b'
	frameData  byte = 'd' // what is exchanged, behind a byte that names the exchange
	frameLost  byte = 'l' // rank and reason: the group has ended
	frameDone  byte = 'e' // the sender leaves in good order
)

// magic tells strangers from processes of this program.
const magic = "ultrafast group 1"

// maxFrame bounds what a peer may have us allocate: the largest message is a network's
// structure.
const maxFrame = 64 << 20

// errLong is a frame whose length is none that a process of this program sends.
var errLong = errors.New("a message is too long")

// beat is how often a process says that it is alive.
const beat = time.Second

// A link is the connection to one process.
type link struct {
	rank  int
	conn  net.Conn
	in    *bufio.Reader
	most  time.Duration // that sending a frame may take
	write sync.Mutex
	data  chan []byte   // frames of data, in order
	done  chan struct{} // closed when nothing more comes
}

func newLink(rank int, conn net.Conn, most time.Duration) *link {
	return &link{rank: rank, conn: conn, in: bufio.NewReader(conn), most: most, data: make(chan []byte, 8), done: make(chan struct{})}
}

// send writes a frame. An error need not be looked at: the reader of a broken connection
// says what has become of it. One that takes nothing more is closed, for it would keep its
// sender, and all that this one has to tell, for ever.
func (l *link) send(kind byte, payload []byte) error {
	head := append(make([]byte, 0, 5+len(payload)), kind)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.most)); err != nil {
		return err
	}
	_, err := l.conn.Write(append(head, payload...))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.conn.Close()
	}
	return err
}

// receive reads a frame of at most so many bytes, which has to be there within a time.
func (l *link) receive(within time.Duration, most uint32) (kind byte, payload []byte, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return 0, nil, err
	}
	return readFrame(l.in, most)
}

// readFrame allocates no more than most bytes, whatever a frame says that it has.
func readFrame(r io.Reader, most uint32) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > most {
		return 0, nil, errLong
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	return head[0], payload, nil
}

// linger waits until the other end has said all it had to.
func (l *link) linger(most time.Duration) {
	select {
	case <-l.done:
	case <-time.After(most):
	}
}

// listen reads a link until it ends, and tells p what has become of the process behind it.
func (p *Peers) listen(l *link) {
	defer close(l.done)
	for {
		kind, payload, err := l.receive(p.o.Silence, maxFrame)
		if err != nil {
			reason := "has gone (its connection was closed)"
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				reason = fmt.Sprintf("hangs: it has given no sign of life for %v", p.o.Silence)
			case errors.Is(err, net.ErrClosed): // by send
				reason = fmt.Sprintf("hangs: it has taken nothing that was sent to it for %v", p.o.Silence)
			case errors.Is(err, errLong):
				reason = "sends what is no message: do all run the same version?"
			}
			p.lose(&LostError{l.rank, p.o.Size, reason})
			return
		}
		switch kind {
		case frameData:
			select {
			case l.data <- payload:
			case <-p.lost:
			}
		case frameLost:
			rank, reason := readLost(payload)
			p.lose(&LostError{rank, p.o.Size, reason})
			return
		case frameDone:
			return
		}
	}
}

// beats says each second that this process is alive.
func (p *Peers) beats(l *link) {
	tick := time.NewTicker(min(beat, p.o.Silence/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.send(frameBeat, nil)
		case <-p.end:
			return
		case <-l.done:
			return
		}
	}
}

func lostText(rank int, reason string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(rank)), reason...)
}

func readLost(payload []byte) (rank int, reason string) {
	if len(payload) < 4 {
		return 0, "stopped"
	}
	return int(binary.LittleEndian.Uint32(payload)), string(payload[4:])
}
