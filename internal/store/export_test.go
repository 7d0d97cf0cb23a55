package store

// Queued is the number of sets that wait for their turn.
func Queued(c *Committer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// Closed tells whether Close has begun.
func Closed(c *Committer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
