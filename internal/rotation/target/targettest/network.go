package targettest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Fault is what happens on the network, and when.
type Fault struct {
	At        int  // the client's how manieth message, over all connections; 0 for never
	Delivered bool // it still reaches the server, whose answer is lost
	Hang      bool // nothing moves any more; otherwise the connection is cut
}

// Network carries connections to real servers until its fault strikes. From then on it
// is down.
type Network struct {
	fault Fault

	mu    sync.Mutex
	sent  int
	down  bool
	conns []net.Conn
}

// NewNetwork makes one.
func NewNetwork(fault Fault) *Network { return &Network{fault: fault} }

// Sent is how many messages clients have sent.
func (n *Network) Sent() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}

// Close cuts all that is left.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	for _, c := range n.conns {
		c.Close()
	}
}

// Dial is a target.Dial.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	if down && n.fault.Hang {
		<-ctx.Done()
		return nil, ctx.Err()
	} else if down {
		return nil, errors.New("the network is down")
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	client, inside, err := pair()
	if err != nil {
		server.Close()
		return nil, err
	}
	n.mu.Lock()
	n.conns = append(n.conns, server, inside)
	n.mu.Unlock()
	l := &link{network: n, inside: inside, server: server, answered: make(chan struct{}, 1)}
	go l.up()
	go l.downwards()
	return client, nil
}

// pair is both ends of a connection on loopback.
func pair() (net.Conn, net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	b, err := l.Accept()
	return a, b, err
}

type link struct {
	network        *Network
	inside, server net.Conn
	answered       chan struct{}
}

// strikes counts a message and tells whether it is the one.
func (n *Network) strikes() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	if n.sent == n.fault.At {
		n.down = true
		return true
	}
	return false
}

func (n *Network) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// up carries what the client says.
func (l *link) up() {
	defer l.server.Close()
	defer l.inside.Close()
	buffer := make([]byte, 1<<16)
	for {
		size, err := l.inside.Read(buffer)
		if err != nil {
			return
		}
		strikes := l.network.strikes()
		if strikes && !l.network.fault.Delivered || !strikes && l.network.isDown() {
			if !l.network.fault.Hang {
				return
			}
			continue // swallowed
		}
		if _, err := l.server.Write(buffer[:size]); err != nil {
			return
		}
		if strikes && !l.network.fault.Hang {
			// The server shall have done what it was asked.
			select {
			case <-l.answered:
			case <-time.After(150 * time.Millisecond):
			}
			return
		}
	}
}

// downwards carries what the server says.
func (l *link) downwards() {
	buffer := make([]byte, 1<<16)
	for {
		size, err := l.server.Read(buffer)
		if l.network.isDown() {
			select {
			case l.answered <- struct{}{}:
			default:
			}
			// A connection that was made in the moment of the fault is cut, too, else a
			// client that waits for the server to speak first waits in vain.
			if err != nil || !l.network.fault.Hang {
				l.inside.Close()
				return
			}
			continue // lost
		}
		if err != nil {
			l.inside.Close()
			return
		}
		if _, err := l.inside.Write(buffer[:size]); err != nil {
			return
		}
	}
}
