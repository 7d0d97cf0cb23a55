package core

import (
	"context"
	"slices"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/ident"
	"rekey/internal/rbac"
)

// DeleteWorkload removes a host that the caller sees, in a branch on which it needs
// update. What the host owns goes along: on that the caller needs update as well.
func (c *Core) DeleteWorkload(ctx context.Context, caller Caller, account, path string) error {
	path = strings.TrimPrefix(path, "/")
	id := ident.New(account, "host", path)
	changes, err := c.restructure(ctx, func(tx *rbac.Tx) error {
		if _, err := c.changeableWorkload(caller, account, path); err != nil {
			return err
		}
		along, err := c.goesAlong([]ident.ID{id})
		if err != nil {
			return err
		}
		along = slices.DeleteFunc(along, func(other ident.ID) bool { return other == id })
		if err := c.mayUpdate(caller, along); err != nil {
			return err
		}
		tx.DeleteRecord(id)
		return nil
	})
	return c.operated(caller, operation{"workload", audit.Revoke, "workload " + path, nil}, changes, err)
}
