package peers

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whoever connects without being one of the group neither ends it, nor takes a rank, nor
// keeps it waiting, and is sent away in the end.
func TestStrangers(t *testing.T) {
	before := runtime.NumGoroutine()
	address := freeAddress(t)
	words := [][]byte{
		nil, nil, nil, // port scanners that say nothing and stay
		[]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		[]byte("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"),
		{frameHello, 0xff, 0xff, 0xff, 0xff},
		{frameHello, 0xff, 0xff, 0xff, 0x03},
		frame(frameHello, []byte("ultrafast group 0\x01\x00\x00\x00\x02\x00\x00\x00")),
		frame(frameData, helloText(1, 2)),
		frame(frameHello, helloText(1, 2))[:8],
	}
	var strangers sync.WaitGroup
	connected := make(chan struct{}, len(words))
	for _, w := range words {
		strangers.Go(func() {
			conn := dialUntil(t, address)
			connected <- struct{}{}
			if conn == nil {
				return
			}
			defer conn.Close()
			conn.Write(w)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the stranger that said %q was left standing: %v", w, err)
			}
		})
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	join := func(rank int) {
		p, err := Join(t.Context(), Options{Rank: rank, Size: 2, Address: address})
		if err == nil {
			err = p.Sum([]float64{1})
			p.Close(err)
		}
		errs[rank] = err
	}
	wg.Go(func() { join(0) })
	for range words {
		<-connected
	}
	start := time.Now()
	wg.Go(func() { join(1) })
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > firstWord/2 {
		t.Errorf("strangers delayed the group by %v", d)
	}
	strangers.Wait()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

// A process that was stopped and started again while the others were coming is taken in;
// two that are there with one rank are not.
func TestComesAgain(t *testing.T) {
	p := &Peers{o: Options{Size: 3}, links: make([]*link, 3)}
	comes := func() (theirs net.Conn, err error) {
		ours, theirs := net.Pipe()
		return theirs, p.greet(guest{newLink(0, ours, 50*time.Millisecond), 1, 3})
	}
	first, err := comes()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	before := p.links[1]
	if _, err := comes(); err != nil || p.links[1] == before || p.links[1].rank != 1 || p.missing()[0] != "process 2" {
		t.Fatalf("another one instead of who has gone: %v, link %+v, missing %v", err, p.links[1], p.missing())
	}
	if _, err := comes(); err == nil || err.Error() != "two processes have RANK 1" {
		t.Errorf("another one beside who is there: %v", err)
	}

	errs := make([]error, 3)
	address := freeAddress(t)
	var wg sync.WaitGroup
	for i, rank := range []int{0, 1, 1} {
		wg.Go(func() {
			_, errs[i] = Join(t.Context(), Options{Rank: rank, Size: 3, Address: address, Start: 10 * time.Second})
		})
	}
	wg.Wait()
	wantErrors(t, errs, "two processes have RANK 1", "two processes have RANK 1", "two processes have RANK 1")
}

// Who finds another service at the address is told so.
func TestAnotherService(t *testing.T) {
	for _, greeting := range []string{"SSH-2.0-OpenSSH_9.6\r\n", "220 mail ESMTP\r\n", "x\x00\x00\x00\x00"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err == nil {
				defer conn.Close()
				io.WriteString(conn, greeting)
				io.Copy(io.Discard, conn)
			}
		}()
		_, err = Join(t.Context(), Options{Rank: 1, Size: 2, Address: l.Addr().String(), Start: 5 * time.Second})
		if err == nil || !strings.Contains(err.Error(), "is no process of this training: MASTER_PORT is in use") {
			t.Errorf("%q: %v", greeting, err)
		}
		l.Close()
	}
}
