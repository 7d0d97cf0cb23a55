package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A network may swallow everything without a word: a cable is pulled, a firewall forgets
// its connections, a machine is gone. No error tells of that, so nothing here waits for
// one: each attempt has its time, for the connection as well as for the answer, and the
// system gives up a connection from whose other end it has not heard for a while.

// silence is for how long the other end may leave unacknowledged what was sent, or not
// answer a question whether it is there, which is asked when nothing has come for a third
// of that.
const silence = 9 * time.Second

// dialer connects to the database.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence / 3, Count: 2},
		Control:         givesUp,
	}
}

// connections says how the pool's connections are made and kept.
func connections(config *pgxpool.Config) {
	config.ConnConfig.DialFunc = dialer().DialContext
	// Whether one works is seen when it is used, and all uses try again. The pool's question
	// takes a round trip and has no time of its own.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
}

// borrow takes a connection from the pool; giveBack must follow.
func (s *Store) borrow(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return s.pool.Acquire(ctx)
}

// giveBack gives a connection back. One that broke has to be taken leave of, which takes
// up to fifteen seconds if nobody answers; its place in the pool is free meanwhile.
func giveBack(c *pgxpool.Conn) {
	if c.Conn().IsClosed() {
		c.Hijack()
		return
	}
	c.Release() // which closes one that is in a transaction
}

// with lends a connection to f.
func (s *Store) with(ctx context.Context, f func(*pgxpool.Conn) error) error {
	c, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer giveBack(c)
	return f(c)
}
