package core

import (
	"context"
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

// Line is how many changes of the structure are on their way.
func (c *Core) Line() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.line)
}

// Change carries a change of the structure out.
func (c *Core) Change(ctx context.Context, plan func(*rbac.Tx) error) error {
	_, err := c.restructure(ctx, plan)
	return err
}

// View looks at the graph.
func (c *Core) View(look func(*rbac.Graph)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	look(c.graph)
}
