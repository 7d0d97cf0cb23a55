package postgrestest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server, and can cut the connection at a COMMIT.
type Proxy struct {
	Port int

	mu    sync.Mutex
	next  Cut
	Cuts  int // that have happened; guarded by mu
	conns map[net.Conn]bool
	ice   chan struct{} // open while nothing moves; nil otherwise
}

// Cut is what happens to the next COMMIT.
type Cut int

// The cuts.
const (
	Whole   Cut = iota // nothing
	Before             // the server does not get it any more
	After              // the server does, and its answer is lost
	Swallow            // the server gets it late, long after the client has lost the connection
)

// NewProxy starts a proxy for a server's port, until the test ends.
func NewProxy(t testing.TB, port int) *Proxy {
	t.Helper()
	p := &Proxy{conns: map[net.Conn]bool{}}
	t.Cleanup(p.CutAll)
	p.Port = between(t, port, p.serve)
	return p
}

// between listens at a free port until the test ends, and has each client served with the
// address of the server whose port it is given.
func between(t testing.TB, port int, serve func(client net.Conn, server string)) (own int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it is open
	server := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	go func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go serve(client, server.String())
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// CutNext says what happens to the next COMMIT.
func (p *Proxy) CutNext(c Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = c
}

// Freeze makes the network swallow everything, without cutting a connection, until thaw.
func (p *Proxy) Freeze() (thaw func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ice = make(chan struct{})
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ice != nil {
			close(p.ice)
		}
		p.ice = nil
	})
}

// Forget ends a freeze for new connections. Those that have said something meanwhile stay
// as they are, as if a firewall had forgotten them.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ice = nil
}

// pass waits while nothing moves.
func (p *Proxy) pass() {
	p.mu.Lock()
	ice := p.ice
	p.mu.Unlock()
	if ice != nil {
		<-ice
	}
}

// CutAll cuts all connections.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

func (p *Proxy) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	answered := make(chan struct{}, 1)
	mute := make(chan struct{})
	go func() {
		defer client.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			p.pass()
			select {
			case <-mute:
				select {
				case answered <- struct{}{}:
				default:
				}
			default:
				_, _ = client.Write(buffer[:n]) // the client may have gone
			}
			if err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		p.pass()
		if err != nil {
			return
		}
		cut := Whole
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) {
			p.mu.Lock()
			if cut = p.next; cut != Whole {
				p.next = Whole
				p.Cuts++
			}
			p.mu.Unlock()
		}
		switch cut {
		case Before:
			return
		case After, Swallow:
			close(mute)
			if cut == Swallow {
				client.Close()
				time.Sleep(300 * time.Millisecond)
			}
			_, _ = server.Write(buffer[:n])
			select {
			case <-answered:
			case <-time.After(5 * time.Second):
			}
			return
		}
		if _, err := io.Copy(server, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}
