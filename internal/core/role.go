package core

import (
	"context"
	"slices"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// RoleView is all that a client may learn of a role.
type RoleView struct {
	row.Role
	Members []row.Membership // direct ones, by member
}

// Edge is an edge of a role graph: Child is a member of Parent.
type Edge struct{ Parent, Child ident.ID }

// MemberQuery selects memberships of a role.
type MemberQuery struct {
	Kinds  []string // nil for all
	Search *string
	Filter []string // short or full ids of the roles wanted; nil for all
	Limit  int      // 0 for no limit
	Offset int
}

// visibleRole finds a role that the caller sees, which is to see the resource of the
// same id. The caller of this holds the graph.
func (c *Core) visibleRole(caller Caller, id ident.ID) (*rbac.Role, error) {
	_, x, err := c.visible(caller, id)
	if err != nil {
		return nil, err
	}
	if x.Role == nil {
		return nil, notFound(id)
	}
	return x.Role, nil
}

// Role shows a role with its direct members.
func (c *Core) Role(_ context.Context, caller Caller, id ident.ID) (RoleView, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.visibleRole(caller, id)
	if err != nil {
		return RoleView{}, err
	}
	members := slices.Clone(r.Members)
	rbac.SortMembers(members)
	return RoleView{Role: r.Role, Members: rows(members)}, nil
}

func rows(edges []*rbac.Membership) []row.Membership {
	all := make([]row.Membership, len(edges))
	for i, m := range edges {
		all[i] = m.Row()
	}
	return all
}

// wanted reads a list of short or full ids; nil means no wish.
func wanted(account string, filter []string) (map[ident.ID]bool, error) {
	if filter == nil {
		return nil, nil
	}
	want := map[ident.ID]bool{}
	for _, f := range filter {
		id, err := ident.Qualify(account, f)
		if err != nil {
			return nil, err
		}
		want[id] = true
	}
	return want, nil
}

// AllRoles lists a role and all that it holds, in the order of their ids.
func (c *Core) AllRoles(_ context.Context, caller Caller, id ident.ID, filter []string) ([]ident.ID, error) {
	want, err := wanted(id.Account(), filter)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.visibleRole(caller, id)
	if err != nil {
		return nil, err
	}
	all := ids(c.graph.All(r))
	if want != nil {
		all = slices.DeleteFunc(all, func(id ident.ID) bool { return !want[id] })
	}
	return all, nil
}

// Members lists the direct members of a role, in the order of their ids.
func (c *Core) Members(_ context.Context, caller Caller, id ident.ID, q MemberQuery) ([]row.Membership, error) {
	edges, err := c.members(caller, id, q)
	members := rows(paged(edges, q))
	return members, c.decided(err, c.by(caller).Members(memberParameters(id, q), err))
}

// CountMembers counts what Members would list without paging.
func (c *Core) CountMembers(_ context.Context, caller Caller, id ident.ID, q MemberQuery) (int, error) {
	edges, err := c.members(caller, id, q)
	return len(edges), c.decided(err, c.by(caller).Members(memberParameters(id, q), err))
}

func paged(edges []*rbac.Membership, q MemberQuery) []*rbac.Membership {
	edges = edges[min(q.Offset, len(edges)):]
	if q.Limit > 0 {
		edges = edges[:min(q.Limit, len(edges))]
	}
	return edges
}

func (c *Core) members(caller Caller, id ident.ID, q MemberQuery) ([]*rbac.Membership, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.visibleRole(caller, id)
	if err != nil {
		return nil, err
	}
	edges := c.selected(r.Members, q, func(m *rbac.Membership) *rbac.Role { return m.Member })
	rbac.SortMembers(edges)
	return edges, nil
}

// Memberships lists the roles that a role holds directly, in the order of their ids.
func (c *Core) Memberships(_ context.Context, caller Caller, id ident.ID, q MemberQuery) ([]row.Membership, error) {
	memberships, err := c.memberships(caller, id, q)
	return memberships, c.decided(err, c.by(caller).Memberships(memberParameters(id, q), err))
}

func (c *Core) memberships(caller Caller, id ident.ID, q MemberQuery) ([]row.Membership, error) {
	want, err := wanted(id.Account(), q.Filter)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.visibleRole(caller, id)
	if err != nil {
		return nil, err
	}
	edges := c.selected(r.Held, q, func(m *rbac.Membership) *rbac.Role { return m.Role })
	if want != nil {
		edges = slices.DeleteFunc(edges, func(m *rbac.Membership) bool { return !want[m.Role.ID] })
	}
	rbac.SortHeld(edges)
	return rows(edges), nil
}

// selected copies the edges whose far end is of a wanted kind and is found.
func (c *Core) selected(edges []*rbac.Membership, q MemberQuery, end func(*rbac.Membership) *rbac.Role) []*rbac.Membership {
	var found *rbac.Match
	if q.Search != nil {
		m := c.graph.Find(*q.Search)
		found = &m
	}
	picked := make([]*rbac.Membership, 0, len(edges))
	for _, m := range edges {
		r := end(m)
		if q.Kinds != nil && !slices.Contains(q.Kinds, r.ID.Kind()) {
			continue
		}
		if found != nil && (r.Resource == nil || !found.Has(r.Resource)) {
			continue
		}
		picked = append(picked, m)
	}
	return picked
}

// RoleGraph lists the edges around a role whose parents the caller sees.
func (c *Core) RoleGraph(_ context.Context, caller Caller, id ident.ID) ([]Edge, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.visibleRole(caller, id)
	if err != nil {
		return nil, err
	}
	viewer, err := c.role(caller)
	if err != nil {
		return nil, err
	}
	edges := []Edge{}
	for _, e := range c.graph.Neighbourhood(r) {
		if x := e.Parent.Resource; x != nil && c.graph.Visible(viewer, x) {
			edges = append(edges, Edge{e.Parent.ID, e.Child.ID})
		}
	}
	return edges, nil
}

// AddMember grants a role to another one, by a caller with create on the policy that
// the role belongs to. Granting what is granted already changes nothing.
func (c *Core) AddMember(ctx context.Context, caller Caller, role, member ident.ID) error {
	return c.changeMember(ctx, caller, "create", role, func(r *rbac.Role, tx *rbac.Tx) error {
		if !c.mayAskFor(caller, member) {
			return notFound(member)
		}
		if c.graph.Membership(role, member, false) == nil {
			tx.InsertMembership(row.Membership{Role: role, Member: member})
		}
		return nil
	})
}

// RemoveMember takes a role away from another one, by a caller with update on the
// policy that the role belongs to. What somebody holds because it owns it can only be
// taken by giving it another owner.
func (c *Core) RemoveMember(ctx context.Context, caller Caller, role, member ident.ID) error {
	return c.changeMember(ctx, caller, "update", role, func(r *rbac.Role, tx *rbac.Tx) error {
		if m := c.graph.Membership(role, member, false); m != nil {
			tx.DeleteMembership(m)
			return nil
		}
		if c.graph.Membership(role, member, true) != nil {
			return fault.New(fault.Invalid, "'%s' holds '%s' because it owns it: give it another owner by policy", member, role)
		}
		return notFound(member)
	})
}

func (c *Core) changeMember(ctx context.Context, caller Caller, privilege string, role ident.ID, plan func(*rbac.Role, *rbac.Tx) error) error {
	changes, err := c.restructure(ctx, func(tx *rbac.Tx) error {
		r, err := c.changeable(caller, privilege, role)
		if err != nil {
			return err
		}
		return plan(r, tx)
	})
	if err != nil {
		return err
	}
	return c.record(policyRecords(c.by(caller), "", 0, changes)...)
}

// changeable finds a role whose members the caller may change. The caller of this
// holds the graph.
func (c *Core) changeable(caller Caller, privilege string, role ident.ID) (*rbac.Role, error) {
	r, err := c.visibleRole(caller, role)
	if err != nil {
		return nil, err
	}
	if r.Policy == "" {
		return nil, fault.New(fault.Invalid, "'%s' belongs to no policy: its members cannot be changed here", role)
	}
	holder, err := c.role(caller)
	if err != nil {
		return nil, err
	}
	if x := c.graph.Resource(r.Policy); x == nil || !c.graph.Allowed(holder, privilege, x) {
		return nil, lacks(caller, privilege, r.Policy)
	}
	return r, nil
}
