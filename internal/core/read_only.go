package core

import (
	"time"

	"rekey/internal/fault"
)

// writable refuses, as ReadOnly, on a node that changes nothing. Everything that is stored
// comes by here, when it is known that the caller may do it.
func (c *Core) writable() error {
	if !c.config.ReadOnly {
		return nil
	}
	e := fault.New(fault.ReadOnly, "this node is read-only: it answers from a replica of the database, and changes nothing")
	e.Advice = "send the request to a node that is not read-only"
	if c.config.Leader != "" {
		e.Message += "; " + c.config.Leader + " takes changes"
		e.Advice = "send the request to " + c.config.Leader
	}
	return e
}

// ReadOnly tells whether this node changes nothing.
func (c *Core) ReadOnly() bool { return c.config.ReadOnly }

// Age is how old answers may be at the moment: what nodes have acknowledged since then may
// be missing in them.
func (c *Core) Age() time.Duration { return max(0, time.Since(c.committer.Fresh())) }

// Unaudited tells whether the audit cannot be written, so that requests are refused. After
// a record that could not be it tries with another, since nobody may send requests any more
// by which that would be found out.
func (c *Core) Unaudited() bool {
	return c.audit.Err() != nil && c.record(c.from(Origin{}, "server").AuditResume()) != nil
}

// TooOld tells whether that is more than it may be, so that requests are refused. A node
// that waits for the store with each request looks every second besides, so it has not
// reached it for as long as a request waits.
func (c *Core) TooOld() bool {
	if c.config.Staleness > 0 {
		return c.Age() > c.config.Staleness
	}
	return c.Age() > catchUpPatience
}
