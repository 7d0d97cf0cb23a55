package store

import "time"

// Queued is the number of sets that wait for their turn.
func Queued(c *Committer) int {
	n, _ := c.queued()
	return n
}

// Gather puts the next transaction off, as where processes share the store.
func Gather(c *Committer, enough int, pause, most time.Duration) { c.gather(enough, pause, most) }

// Closed tells whether Close has begun.
func Closed(c *Committer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
