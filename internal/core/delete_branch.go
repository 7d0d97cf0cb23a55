package core

import (
	"cmp"
	"context"
	"slices"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// DeleteBranch removes a branch with everything beneath it, and what goes with that:
// what is owned by a role in it and what was declared by loading a policy in it. The
// caller needs update on all of that, except users.
func (c *Core) DeleteBranch(ctx context.Context, caller Caller, account, path string) error {
	path = branchPath(path)
	changes, err := c.deleteBranch(ctx, caller, account, path)
	return c.operated(caller, operation{"branch", audit.Revoke, "branch " + path, nil}, changes, err)
}

func (c *Core) deleteBranch(ctx context.Context, caller Caller, account, path string) ([]row.Change, error) {
	id := ident.New(account, "policy", path)
	return c.restructure(ctx, func(tx *rbac.Tx) error {
		if _, _, err := c.visible(caller, id); err != nil {
			return hides(err, ident.New(account, "branch", path))
		}
		if id == rootPolicy(account) {
			return fault.New(fault.Invalid, "The root branch holds the account together and cannot be deleted: delete the account instead")
		}
		var beneath []ident.ID
		for _, kind := range c.graph.Kinds(account) {
			if kind != "user" {
				c.graph.Ascend(string(ident.New(account, kind, path+"/")), func(x *rbac.Resource) bool {
					beneath = append(beneath, x.ID)
					return true
				})
			}
		}
		if err := c.mayDelete(caller, append(beneath, id)); err != nil {
			return err
		}
		for _, each := range append(beneath, id) {
			tx.DeleteRecord(each)
		}
		return nil
	})
}

// mayDelete wants update on everything that would go along with some records, except
// users, who are not in branches.
func (c *Core) mayDelete(caller Caller, records []ident.ID) error {
	resources, err := c.goesAlong(records)
	if err != nil {
		return err
	}
	return c.mayUpdate(caller, resources)
}

// mayUpdate wants update on all of some resources that are no users.
func (c *Core) mayUpdate(caller Caller, resources []ident.ID) error {
	// The deepest one that the caller may not change is the one to be named.
	slices.SortFunc(resources, func(a, b ident.ID) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for _, id := range resources {
		if id.Kind() == "user" {
			continue
		}
		if _, err := c.permitted(caller, "update", id); err != nil {
			return hides(err, id)
		}
	}
	return nil
}

// goesAlong lists the resources that would be deleted with some records, these
// included. What holds an account together must not be among them.
func (c *Core) goesAlong(records []ident.ID) (resources []ident.ID, err error) {
	trial := c.graph.Begin()
	defer trial.Rollback()
	for _, id := range records {
		trial.DeleteRecord(id)
	}
	for _, change := range trial.Changes() {
		x, ok := change.Row.(row.Resource)
		if !ok {
			continue
		}
		if account := x.ID.Account(); x.ID == rootPolicy(account) || x.ID == admin(account) {
			return nil, fault.New(fault.Invalid, "'%s' would be deleted along with what owns it: give it another owner first", x.ID)
		}
		resources = append(resources, x.ID)
	}
	return resources, nil
}
