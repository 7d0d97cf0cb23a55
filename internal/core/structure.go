package core

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/store"
)

// restructure makes what plan does in a transaction durable, and returns it. While
// plan runs nobody else reads or changes the graph; more adds rows that are not part
// of the structure, without holding it.
func (c *Core) restructure(ctx context.Context, plan func(*rbac.Tx) error, more ...func(*row.Set) error) ([]row.Change, error) {
	if err := c.structure.enter(ctx); err != nil {
		return nil, err
	}
	defer c.structure.leave()
	var changes []row.Change
	var refused error // by plan, whatever it is
	err := c.replan(func() error {
		var base int64
		if changes, base, refused = c.planned(plan); refused != nil {
			return nil
		}
		set := &row.Set{Changes: changes[:len(changes):len(changes)], Chained: true, Base: base}
		for _, add := range more {
			if err := add(set); err != nil {
				return err
			}
		}
		if len(set.Changes) == 0 {
			return nil
		}
		return c.commit(ctx, set)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// replan plans and commits; again, if rows have changed meanwhile: where nodes share the
// store, whose planners do not wait for each other, as long as a planner's patience lasts.
// The caller is inside the gate.
func (c *Core) replan(once func() error) error {
	if c.alone {
		return retry(once)
	}
	begun := time.Now()
	for {
		err := once()
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
		if time.Since(begun) > c.structure.patience {
			return fault.New(fault.Busy, "Concurrent policy load in progress, please retry")
		}
	}
}

// planned returns what a plan changes, and the number of the change that it was made on.
func (c *Core) planned(plan func(*rbac.Tx) error) ([]row.Change, int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tx := c.graph.Begin()
	defer tx.Rollback()
	if err := plan(tx); err != nil {
		return nil, 0, err
	}
	return tx.Changes(), c.reached, nil
}

// operation is a use case on a resource of the protocol's second version, for the
// audit.
type operation struct {
	kind  string // of the resource
	verb  audit.Operation
	named string // the resource in words
	body  any    // what was asked for, without secrets; nil for nothing
}

// operated records an operation and the rows that it has changed, and returns the
// operation's error; failing to record is an error of its own.
func (c *Core) operated(caller Caller, op operation, changes []row.Change, err error) error {
	body := ""
	if op.body != nil {
		text, failed := json.Marshal(op.body)
		if failed != nil {
			return fault.Wrap(failed, "the request cannot be written for the audit")
		}
		body = string(text)
	}
	var records []*audit.Record
	if err == nil {
		records = policyRecords(c.by(caller), "", 0, changes)
	}
	records = append(records, c.by(caller).Operated(op.kind, op.verb, op.named, caller.Path, body, err))
	if failed := c.record(records...); failed != nil {
		return failed
	}
	return err
}

// hides turns a missing privilege into the answer that the record is not there.
func hides(err error, id ident.ID) error {
	if err == nil || !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.NotFound) {
		return err
	}
	missing := notFound(id)
	missing.Log = err.Error()
	return missing
}
