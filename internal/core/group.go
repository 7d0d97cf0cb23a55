package core

import (
	"context"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// AddGroupMember makes a user, host or group a member of a group. The caller needs
// create on the branch of the group, and to see both.
func (c *Core) AddGroupMember(ctx context.Context, caller Caller, account, group string, member Subject) error {
	return c.changeGroup(ctx, caller, audit.Create, "create", account, group, member, func(g *rbac.Role, m *rbac.Role, tx *rbac.Tx) error {
		if c.graph.Membership(g.ID, m.ID, false) != nil {
			return fault.New(fault.Conflict, "CONJ00180W '/%s' (kind='%s') is already a member of '%s'", m.ID.Identifier(), m.ID.Kind(), g.ID)
		}
		tx.InsertMembership(row.Membership{Role: g.ID, Member: m.ID, Policy: g.Policy})
		return nil
	})
}

// RemoveGroupMember takes a member out of a group, however it got there. The caller
// needs update on the branch of the group, and to see both. That a group is held by
// who owns it is no such membership.
func (c *Core) RemoveGroupMember(ctx context.Context, caller Caller, account, group string, member Subject) error {
	return c.changeGroup(ctx, caller, audit.Revoke, "update", account, group, member, func(g *rbac.Role, m *rbac.Role, tx *rbac.Tx) error {
		edge := c.graph.Membership(g.ID, m.ID, false)
		if edge == nil {
			return fault.New(fault.NotFound, "CONJ00181W '%s' (kind='%s') isn't a member of '/%s'", m.ID.Identifier(), m.ID.Kind(), g.ID.Identifier())
		}
		tx.DeleteMembership(edge)
		return nil
	})
}

func (c *Core) changeGroup(ctx context.Context, caller Caller, verb audit.Operation, privilege, account, path string, member Subject, change func(g, m *rbac.Role, tx *rbac.Tx) error) error {
	group := Subject{"group", path}.in(account)
	err := checkMember(account, group, member)
	var changes []row.Change
	if err == nil {
		changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
			parent, _ := splitPath(group.Identifier())
			if _, err := c.permitted(caller, privilege, ident.New(account, "policy", parent)); err != nil {
				return hides(err, ident.New(account, "branch", parent))
			}
			g, err := c.visibleRole(caller, group)
			if err != nil {
				return err
			}
			m, err := c.visibleRole(caller, member.in(account))
			if fault.Is(err, fault.NotFound) {
				return &fault.Error{Kind: fault.Invalid, Message: notFound(member.in(account)).Message, Cause: err}
			}
			if err != nil {
				return err
			}
			return change(g, m, tx)
		})
	}
	named := "membership of " + member.Kind + " " + member.ID + " in group " + group.Identifier()
	return c.operated(caller, operation{"membership", verb, named, member}, changes, err)
}

func checkMember(account string, group ident.ID, member Subject) error {
	var f flaws
	f.subject(member, "member", "host", "user", "group")
	f.fits(member.ID)
	if err := f.err(); err != nil {
		return err
	}
	if member.in(account) == group {
		return fault.New(fault.Invalid, "CONJ00191W The value in the Member ID parameter is not valid. Error: The '%s' group cannot be a member of itself", group.Identifier())
	}
	return nil
}
