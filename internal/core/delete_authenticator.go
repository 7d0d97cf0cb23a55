package core

import (
	"context"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// DeleteAuthenticator removes an authenticator with its policy and all that is in it.
// The caller needs to see the webservice and delete on the policy. Of the one of type
// gcp the policy stays.
func (c *Core) DeleteAuthenticator(ctx context.Context, caller Caller, account, suffix, name string) error {
	changes, err := c.deleteAuthenticator(ctx, caller, account, suffix, name)
	return c.operated(caller, operation{"authn-" + suffix, audit.Delete, "authn-" + suffix + " " + name, nil}, changes, err)
}

func (c *Core) deleteAuthenticator(ctx context.Context, caller Caller, account, suffix, name string) ([]row.Change, error) {
	a, _, err := c.visibleAuthenticator(caller, account, suffix, name)
	if err != nil {
		return nil, err
	}
	path := a.kind.path(name)
	return c.restructure(ctx, func(tx *rbac.Tx) error {
		_, x, err := c.visible(caller, ident.New(account, "webservice", path))
		if fault.Is(err, fault.NotFound) {
			return noAuthenticator(account, name)
		}
		if err != nil {
			return err
		}
		id := ident.New(account, "policy", path)
		if _, err := c.permitted(caller, "delete", id); err != nil {
			if fault.Is(err, fault.NotFound) {
				return lacks(caller, "delete", id)
			}
			return err
		}
		gone := []ident.ID{id, x.ID}
		if a.kind.single() {
			gone = nil
			for _, kind := range []string{"group", "webservice"} {
				for _, part := range []string{"", "/operators", "/apps", "/status"} {
					gone = append(gone, ident.New(account, kind, path+part))
				}
			}
		}
		if _, err := c.goesAlong(gone); err != nil {
			return err
		}
		for _, each := range gone {
			tx.DeleteRecord(each)
		}
		return nil
	})
}
