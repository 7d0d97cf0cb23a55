package core

import (
	"context"
	"errors"
	"sync"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/store"
)

const (
	// useAccuracy is how much later than a use that is remembered others may be that
	// are not, so that the store has at most one write an hour for each role.
	useAccuracy = time.Hour
	// usePause gathers uses for one write.
	usePause = time.Second
	// useBatch is how many of them one set has at most.
	useBatch = 1000
)

// uses gathers when keys were used, until that is written down.
type uses struct {
	mu      sync.Mutex
	pending map[ident.ID]time.Time
	some    chan struct{} // full while there are any
	ended   chan struct{} // closed by Close
}

func newUses() *uses {
	return &uses{pending: map[ident.ID]time.Time{}, some: make(chan struct{}, 1), ended: make(chan struct{})}
}

// unused tells whether a use of the role's key is worth remembering: it is the first
// one of this key, or of this hour. A read-only node remembers none. The caller of this
// holds the graph.
func (c *Core) unused(r *rbac.Role) bool {
	return !c.config.ReadOnly && (r.KeyUsed < r.Key.RotatedAt.UnixMilli() || c.clock().UnixMilli()-r.KeyUsed >= useAccuracy.Milliseconds())
}

func (u *uses) note(id ident.ID, at time.Time) {
	u.mu.Lock()
	u.pending[id] = at.UTC().Truncate(time.Millisecond)
	u.mu.Unlock()
	select {
	case u.some <- struct{}{}:
	default:
	}
}

// last is when the key of a role was used, as far as it is known; zero for never. The
// caller of this holds the graph.
func (u *uses) last(r *rbac.Role) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.pending[r.ID]; ok {
		return at
	}
	if r.KeyUsed == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.KeyUsed).UTC()
}

func (u *uses) take() map[ident.ID]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.pending
	u.pending = map[ident.ID]time.Time{}
	return taken
}

// writeUses writes down what was gathered, beside the requests, until Close. What a
// crash loses is a second of it.
func (c *Core) writeUses() {
	for {
		select {
		case <-c.uses.some:
		case <-c.uses.ended:
			c.storeUses(c.uses.take())
			return
		}
		select {
		case <-time.After(usePause):
		case <-c.uses.ended:
		}
		c.storeUses(c.uses.take())
	}
}

func (c *Core) storeUses(taken map[ident.ID]time.Time) {
	batch := make([]row.KeyUse, 0, min(len(taken), useBatch))
	for id, at := range taken {
		if batch = append(batch, row.KeyUse{Role: id, UsedAt: at}); len(batch) == useBatch {
			c.storeBatch(batch)
			batch = batch[:0]
		}
	}
	c.storeBatch(batch)
}

// storeBatch stores uses together or, if a role among them has changed, one by one. A
// use that cannot be stored is forgotten: the next one is noted again.
func (c *Core) storeBatch(batch []row.KeyUse) {
	set := c.useSet(batch)
	if len(set.Changes) == 0 {
		return
	}
	err := c.commit(context.Background(), set)
	switch {
	case errors.Is(err, store.ErrChanged) && len(batch) > 1:
		for i := range batch {
			c.storeBatch(batch[i : i+1])
		}
	case err != nil && !errors.Is(err, store.ErrChanged):
		c.log.Warn("when API keys were used could not be stored", "keys", len(batch), "error", err)
	}
}

func (c *Core) useSet(batch []row.KeyUse) *row.Set {
	set := &row.Set{}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, use := range batch {
		switch r := c.graph.Role(use.Role); {
		case r == nil || r.Key == nil:
		case r.KeyUsed == 0:
			set.Add(row.Insert, use)
		default:
			set.Add(row.Update, use)
		}
	}
	return set
}
