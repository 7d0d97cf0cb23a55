package core

import (
	"context"
	"errors"
	"time"

	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/store"
)

// Changes of the structure are planned one after the other, each in the state that all
// before it lead to, and made durable together: nobody waits for the disk before the
// next may plan. A set on its way stands in the line; whoever plans next assumes the
// line, plans, takes both back, and submits a set that is stored after those or not at
// all. So the graph that requests see is what is durable, and what a change was planned
// on is what is durable when it is.

// longestLine bounds the changes that are on their way when another change is planned:
// it has to make and take back all of them.
const longestLine = 1024

// flight is a set on its way.
type flight struct {
	set    *row.Set
	stored *store.Pending // set by whoever is inside the gate
	lost   []row.Rotation // that are under way, and end with the set
}

// change is a change of the structure. Its functions may run more than once.
type change struct {
	// prepare does, before anything is planned, what takes long and needs no graph; nil
	// for nothing.
	prepare func()
	// plan makes the changes in a transaction. Nobody else reads or changes the graph.
	plan func(*rbac.Tx) error
	// finish makes a set of what was planned; nothing in it is nothing to do. On top of
	// sets that are on their way it may refuse with errAlone.
	finish func(onTop bool) (*row.Set, error)
}

// errAlone is of a change that cannot be planned on top of those on their way.
var errAlone = errors.New("the change has to wait until those before it are stored")

// change carries a change of the structure out.
func (c *Core) change(ctx context.Context, do change) error {
	// What was planned in vain, because rows changed or because a set on which it built
	// was not stored, is planned anew when nothing is on its way.
	return c.insist(func(again bool) (bool, error) { return c.tryChange(ctx, do, again) })
}

// insist tries until there is no reason to try again: a number of times or, where nodes
// share the store, whose planners do not wait for each other, as long as a planner's
// patience lasts.
func (c *Core) insist(once func(again bool) (more bool, err error)) error {
	begun := time.Now()
	for n := 0; n < attempts || !c.alone && time.Since(begun) < c.structure.patience; n++ {
		if more, err := once(n > 0); !more {
			return err
		}
	}
	if !c.alone {
		return errBusy()
	}
	return errTooFast()
}

// replan is insist for whoever is alone inside the gate.
func (c *Core) replan(once func() error) error {
	return c.insist(func(bool) (bool, error) {
		err := once()
		return errors.Is(err, store.ErrChanged), err
	})
}

func (c *Core) tryChange(ctx context.Context, do change, alone bool) (again bool, err error) {
	own, before, err := c.order(ctx, do, alone)
	switch {
	case own != nil:
		if err = c.arrival(ctx, own); err == nil {
			err = c.givenUp(own.lost)
		}
		return errors.Is(err, store.ErrChanged), err
	case errors.Is(err, errAlone):
		return true, nil
	case before != nil:
		// The answer, an error or that there is nothing to do, is true if those before
		// are stored, and must not be given before they are.
		if failed := c.await(ctx, before.stored); failed != nil {
			return false, failed
		}
		return before.stored.Err() != nil, err
	}
	return false, err
}

// order plans a change in its turn and submits what it leads to: own, or nil if that is
// nothing or an error. before is the set on its way on top of which it was planned last.
func (c *Core) order(ctx context.Context, do change, alone bool) (own, before *flight, err error) {
	if err := c.structure.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer c.structure.leave()
	if do.prepare != nil {
		do.prepare()
	}
	if err := c.settle(ctx, alone); err != nil {
		return nil, nil, err
	}
	if before, err = c.planned(do.plan); err != nil {
		return nil, before, err
	}
	set, err := do.finish(before != nil)
	if err != nil || len(set.Changes) == 0 {
		return nil, before, err
	}
	if err := c.writable(); err != nil {
		return nil, before, err
	}
	return c.depart(set, before), before, nil
}

// enterAlone enters the gate and waits until nothing is on its way. leave must follow.
func (c *Core) enterAlone(ctx context.Context) error {
	err := c.structure.enter(ctx)
	if err != nil {
		return err
	}
	if err = c.settle(ctx, true); err != nil {
		c.structure.leave()
	}
	return err
}

// settle waits until the line is short enough, or empty. The caller is inside the gate.
func (c *Core) settle(ctx context.Context, empty bool) error {
	c.mu.RLock()
	var last *flight
	length := 0
	for _, f := range c.line {
		last = f
		length += len(f.set.Changes)
	}
	c.mu.RUnlock()
	if last == nil {
		return nil
	}
	if empty || length > longestLine {
		if err := c.await(ctx, last.stored); err != nil {
			return err
		}
	}
	select {
	case <-last.stored.Settled():
	default:
		return nil
	}
	// What was stored has left the line; what is in it was not, and never will be.
	c.mu.Lock()
	c.line = nil
	c.mu.Unlock()
	return nil
}

// planned plans on top of the line and takes everything back. before is the last of the
// line.
func (c *Core) planned(plan func(*rbac.Tx) error) (before *flight, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = c.reached
	assumed := c.graph.Begin()
	defer assumed.Rollback()
	for _, f := range c.line {
		if assumed.Assume(f.set) != nil {
			return nil, errAlone // it will not be stored
		}
		before = f
	}
	tx := c.graph.Begin()
	defer tx.Rollback()
	return before, plan(tx)
}

// depart submits a set on top of the line. The caller is inside the gate.
func (c *Core) depart(set *row.Set, before *flight) *flight {
	set.Chained, set.Base = true, c.base
	f := &flight{set: set}
	c.mu.Lock()
	f.lost = c.losing(set)
	c.line = append(c.line, f)
	c.mu.Unlock()
	var after *store.Pending
	if before != nil {
		after = before.stored
	}
	f.stored = c.committer.Enqueue(set, after)
	return f
}

// arrived takes a set that has become durable out of the line. The caller holds the
// graph.
func (c *Core) arrived(set *row.Set) {
	if len(c.line) > 0 && c.line[0].set == set {
		c.line[0] = nil
		c.line = c.line[1:]
	}
}

// arrival waits until the caller's own set is durable and applied.
func (c *Core) arrival(ctx context.Context, own *flight) error {
	patient, cancel := context.WithTimeoutCause(ctx, c.structure.patience, errBusy())
	defer cancel()
	err := own.stored.Wait(patient)
	switch {
	case err == nil, errors.Is(err, store.ErrChanged):
		return err
	case patient.Err() != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return context.Cause(patient)
	}
	return unavailable(err, "commit")
}

// await waits until the outcome of somebody else's set is known.
func (c *Core) await(ctx context.Context, p *store.Pending) error {
	timer := time.NewTimer(c.structure.patience)
	defer timer.Stop()
	select {
	case <-p.Settled():
		return nil
	case <-timer.C:
		return errBusy()
	case <-ctx.Done():
		return errGone(ctx)
	}
}
