package core

import (
	"context"
	"fmt"
	"time"

	"rekey/internal/fault"
	"rekey/internal/rbac"
	"rekey/internal/store"
)

// loadStore fills the graph and starts the committer.
func (c *Core) loadStore(ctx context.Context) error {
	shared, ok := c.store.(store.Shared)
	if !ok {
		c.committer = store.NewCommitter(c.store, c.apply)
		return c.store.Load(ctx, c.graph.Add)
	}
	at, err := shared.LoadAt(ctx, c.graph.Add)
	c.reached = at.Number
	c.changes.begin(at)
	c.committer = store.NewFollowing(shared, at, store.Memory{Apply: c.take, Reload: c.reload})
	return err
}

// catchUpPatience is for how long a request waits until the node knows what others have
// stored: first for a query that is under way, which may fail slowly, then for its own.
const catchUpPatience = 8 * time.Second

// CatchUp has to be called when a request has come, before anything is decided about it.
// Where other nodes share the store it returns when memory has everything that any of
// them has acknowledged before, or after eight seconds with an error. Answers may be older
// if Config.Staleness says so; then it costs nothing, and fails only if the store has not
// been heard of for longer than that. Its errors are Unavailable and ctx's.
func (c *Core) CatchUp(ctx context.Context) error {
	if c.alone {
		return nil
	}
	if c.config.Staleness == 0 {
		patient, cancel := context.WithTimeout(ctx, catchUpPatience)
		defer cancel()
		err := c.committer.CatchUp(patient)
		switch {
		case err == nil:
			return nil
		case patient.Err() != nil && ctx.Err() == nil:
			return &fault.Error{Kind: fault.Unavailable, Message: "this server has not been able to reach the database, or to read all that is new in it, in time",
				Advice: "try again, or ask another one", Log: fmt.Sprintf("catching up: not within %s", catchUpPatience)}
		}
		return unavailable(err, "catching up")
	}
	if age := c.Age(); age > c.config.Staleness {
		message := "this server has not reached the database for longer than its answers may be old"
		if c.config.ReadOnly {
			message = "this read-only server has not heard of the nodes that write for longer than its answers may be old"
		}
		return &fault.Error{Kind: fault.Unavailable, Message: message,
			Log: fmt.Sprintf("for %s, but may for %s", age.Round(time.Millisecond), c.config.Staleness)}
	}
	return nil
}

// followEvery is how often a node looks for what others have stored when nobody asks: for
// rotations that come due, for those who listen, and so that the next request has little
// to wait for.
const followEvery = time.Second

// follow looks for what other nodes have stored, until Close.
func (c *Core) follow() {
	if _, shared := c.store.(store.Shared); !shared {
		return
	}
	pause := followEvery
	if c.config.Staleness > 0 {
		pause = min(pause, c.config.Staleness/4)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-c.ended:
			return
		case <-timer.C:
		}
		err := c.committer.CatchUp(context.Background())
		if err != nil && !failing {
			c.log.Warn("what other nodes have stored cannot be read", "error", err)
		}
		failing = err != nil
		timer.Reset(pause)
	}
}

// beat leaves the time in the store for those who read a replica of it, until Close.
func (c *Core) beat() {
	shared, ok := c.store.(store.Shared)
	if !ok || c.config.ReadOnly {
		return
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-c.ended:
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), followEvery) // the next one is better than a late one
		err := shared.Beat(ctx)
		cancel()
		if err != nil && !failing {
			c.log.Warn("the time cannot be left in the database for replicas", "error", err)
		}
		failing = err != nil
	}
}

// reload replaces the graph by what the store has: the log does not reach back to where
// this node is, or the database has lost what this node has seen.
func (c *Core) reload(ctx context.Context) (store.Position, error) {
	c.log.Warn("this node is too far behind to follow, so it loads everything again")
	fresh := rbac.New()
	c.mu.RLock()
	fresh.Succeed(c.graph)
	c.mu.RUnlock()
	at, err := c.store.(store.Shared).LoadAt(ctx, fresh.Add)
	if err != nil {
		return at, err
	}
	ring, err := c.store.DataKeys(ctx)
	if err != nil {
		return at, err
	}
	for _, k := range ring {
		if err := learn(c.root, c.ring, 0, k); err != nil {
			return at, err
		}
	}
	c.mu.Lock()
	old := c.graph
	c.graph, c.reached = fresh, at.Number
	if err := c.refreshSigners(); err != nil {
		c.graph = old
		c.mu.Unlock()
		return at, err
	}
	c.due.clear()
	c.changes.loseAll(at)
	c.mu.Unlock()
	c.RescheduleRotations()
	c.background.Go(c.buildSearch)
	return at, nil
}
