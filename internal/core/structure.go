package core

import (
	"context"
	"encoding/json"
	"slices"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// restructure makes what plan does in a transaction durable, and returns it. While
// plan runs nobody else reads or changes the graph; more adds rows that are not part
// of the structure, without holding it. Both may run more than once.
func (c *Core) restructure(ctx context.Context, plan func(*rbac.Tx) error, more ...func(*row.Set) error) ([]row.Change, error) {
	var changes []row.Change
	err := c.change(ctx, change{
		plan: func(tx *rbac.Tx) error {
			err := plan(tx)
			changes = tx.Changes()
			return err
		},
		finish: func(bool) (*row.Set, error) {
			set := &row.Set{Changes: slices.Clone(changes)}
			for _, add := range more {
				if err := add(set); err != nil {
					return nil, err
				}
			}
			return set, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return changes, nil
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
