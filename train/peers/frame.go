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

// beat is how often a process says that it is alive.
const beat = time.Second

// A link is the connection to one process.
type link struct {
	rank  int
	conn  net.Conn
	in    *bufio.Reader
	write sync.Mutex
	data  chan []byte   // frames of data, in order
	done  chan struct{} // closed when nothing more comes
}

func newLink(rank int, conn net.Conn) *link {
	return &link{rank: rank, conn: conn, in: bufio.NewReader(conn), data: make(chan []byte, 8), done: make(chan struct{})}
}

// send writes a frame. An error need not be looked at: the reader of a broken connection
// says what has become of it.
func (l *link) send(kind byte, payload []byte) error {
	head := append(make([]byte, 0, 5+len(payload)), kind)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	l.write.Lock()
	defer l.write.Unlock()
	_, err := l.conn.Write(append(head, payload...))
	return err
}

// receive reads a frame, which has to begin within a time.
func (l *link) receive(within time.Duration) (kind byte, payload []byte, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a message of %d bytes, more than %d", n, maxFrame)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(l.in, payload)
	return head[0], payload, err
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
		kind, payload, err := l.receive(p.o.Silence)
		if err != nil {
			reason := "has gone (its connection was closed)"
			if errors.Is(err, os.ErrDeadlineExceeded) {
				reason = fmt.Sprintf("hangs: it has given no sign of life for %v", p.o.Silence)
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
