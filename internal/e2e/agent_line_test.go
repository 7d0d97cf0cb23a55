package e2e

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// line is what lies between agents and a server: it has one address, whichever server
// is behind it now, and while it is bad it drops, delays and cuts.
type line struct {
	listener net.Listener
	server   atomic.Pointer[string] // host:port
	bad      atomic.Bool
	tally    *tally
	mutex    sync.Mutex
	rng      *rand.Rand
}

func newLine(t *testing.T, rng *rand.Rand, y *tally) *line {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, rng: rng, tally: y}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(conn)
		}
	}()
	return l
}

func (l *line) url() string { return "http://" + l.listener.Addr().String() }

// chance is true so many times in a thousand, while the line is bad.
func (l *line) chance(of int, what string) bool {
	if !l.bad.Load() {
		return false
	}
	l.mutex.Lock()
	hit := l.rng.IntN(1000) < of
	l.mutex.Unlock()
	if hit {
		l.tally.add(what, 1)
	}
	return hit
}

func (l *line) delay() {
	l.mutex.Lock()
	d := time.Duration(l.rng.IntN(60)) * time.Millisecond
	l.mutex.Unlock()
	time.Sleep(d)
}

func (l *line) carry(from net.Conn) {
	defer from.Close()
	if l.chance(20, "connections refused") {
		return
	}
	to, err := net.Dial("tcp", *l.server.Load())
	if err != nil {
		return
	}
	defer to.Close()
	go l.copy(from, to, func(chunk []byte) bool {
		if l.chance(40, "requests lost") {
			return false
		}
		_, err := to.Write(chunk)
		if l.chance(40, "cut after the request was sent") {
			time.Sleep(10 * time.Millisecond) // in which the server may do it
			return false
		}
		return err == nil
	})
	l.copy(to, from, func(chunk []byte) bool {
		if l.chance(20, "answers cut in the middle") {
			chunk = chunk[:len(chunk)/2]
			_, _ = from.Write(chunk) // the connection ends here either way
			return false
		}
		_, err := from.Write(chunk)
		return err == nil
	})
}

// copy hands on what comes, piece by piece, until hand is false; then it ends the
// connection on both sides.
func (l *line) copy(from, to net.Conn, hand func([]byte) bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if l.chance(50, "pieces delayed") {
				l.delay()
			}
			if l.chance(5, "pieces stuck") {
				time.Sleep(2 * time.Second) // longer than anybody lives here
			}
			if !hand(buffer[:n]) {
				return
			}
		}
		if err != nil && err != io.EOF || n == 0 {
			return
		}
	}
}
