package core

import (
	"time"

	"rekey/internal/rbac"
)

// SetPatience says how long a load waits for another one.
func (c *Core) SetPatience(d time.Duration) { c.structure.patience = d }

// EnterStructure holds up all changes of the structure until leave is called.
func (c *Core) EnterStructure() (leave func()) {
	c.structure.turn <- struct{}{}
	return c.structure.leave
}

// View looks at the graph.
func (c *Core) View(look func(*rbac.Graph)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	look(c.graph)
}
