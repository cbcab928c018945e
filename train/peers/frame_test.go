package peers

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

// frame is how send writes it.
func frame(kind byte, payload []byte) []byte {
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	return append(head, payload...)
}

// What comes from the network is taken as a frame within the bounds or refused, and what is
// taken is all that was there.
func FuzzFrame(f *testing.F) {
	f.Add(frame(frameHello, helloText(1, 2)))
	f.Add(frame(frameHello, helloText(-1, 1<<31)))
	f.Add(frame(frameLost, lostText(1, "has gone")))
	f.Add(frame(frameLost, nil))
	f.Add(frame(frameReady, nil)[:3])
	f.Add([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 64
		in := bytes.NewReader(data)
		kind, payload, err := readFrame(in, most)
		if err != nil {
			if payload != nil {
				t.Errorf("%v, and a payload of %d bytes", err, len(payload))
			}
			return
		}
		if len(payload) > most {
			t.Errorf("a payload of %d bytes", len(payload))
		}
		if used := data[:len(data)-in.Len()]; !bytes.Equal(frame(kind, payload), used) {
			t.Errorf("%q was read as %q, %q", used, kind, payload)
		}
		if rank, size, ok := readHello(payload); ok && !bytes.Equal(helloText(rank, size), payload) {
			t.Errorf("%q was read as process %d of %d", payload, rank, size)
		}
		readLost(payload)
	})
}

// A frame that says that it is long is refused before there is room for it.
func TestLongFrame(t *testing.T) {
	head := binary.LittleEndian.AppendUint32([]byte{frameHello}, 1<<32-1)
	if _, _, err := readFrame(bytes.NewReader(head), helloBytes); err != errLong {
		t.Errorf("error %v", err)
	}
	errs := together(t.Context(), 2, Options{Address: freeAddress(t)}, func(p *Peers) error {
		if p.Rank() == 0 {
			_, err := p.Broadcast(make([]byte, maxFrame))
			return err
		}
		_, err := p.Broadcast(nil)
		return err
	})
	wantErrors(t, errs, "a message of 67108864 bytes", "process 0 of 2 stopped: group: a message of 67108864 bytes")
}

// A process that is alive and takes nothing does not keep process 0 for ever.
func TestTakesNothing(t *testing.T) {
	address := freeAddress(t)
	left := make(chan struct{})
	defer close(left)
	go func() {
		conn := dialUntil(t, address)
		if conn == nil {
			return
		}
		defer conn.Close()
		conn.Write(frame(frameHello, helloText(1, 2)))
		for { // beats, and reads nothing
			select {
			case <-left:
				return
			case <-time.After(50 * time.Millisecond):
				conn.Write(frame(frameBeat, nil))
			}
		}
	}()
	p, err := Join(t.Context(), Options{Size: 2, Address: address, Silence: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(nil)
	for range 8 { // more than the system keeps for who does not read
		if _, err = p.Broadcast(make([]byte, 16<<20)); err != nil {
			break
		}
	}
	if err == nil {
		<-p.Lost()
		err = p.Err()
	}
	if !strings.Contains(err.Error(), "process 1 of 2 hangs: it has taken nothing that was sent to it for 500ms") {
		t.Error(err)
	}
}

// dialUntil connects to a listener that may come later.
func dialUntil(t *testing.T, address string) net.Conn {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn
		}
	}
	t.Errorf("nobody listens at %s", address)
	return nil
}
