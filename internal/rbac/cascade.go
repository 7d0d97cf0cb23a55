package rbac

import (
	"slices"
	"strings"

	"rekey/internal/ident"
)

// cascade collects the roles and resources that have to go, before any of them does:
// with a role every resource that it owns, each together with the role of the same
// id; with a policy every role and resource that was declared by loading it. So the
// outcome does not depend on the order of anything, and circles of ownership end.
type cascade struct {
	roles     []*Role
	resources []*Resource
	seen      map[any]struct{} // the nodes above
}

func (c *cascade) add(r *Role, x *Resource) {
	if r != nil && !c.has(r) {
		c.roles = append(c.roles, r)
	}
	if x != nil && !c.has(x) {
		c.resources = append(c.resources, x)
	}
}

func (c *cascade) has(node any) bool {
	if _, ok := c.seen[node]; ok {
		return true
	}
	c.seen[node] = struct{}{}
	return false
}

// spread follows what was added until there is nothing new.
func (c *cascade) spread(g *Graph) {
	for r, x := 0, 0; r < len(c.roles) || x < len(c.resources); {
		for ; r < len(c.roles); r++ {
			for _, owned := range c.roles[r].Owned {
				c.add(owned.Role, owned)
			}
		}
		for ; x < len(c.resources); x++ {
			d := g.policies[c.resources[x].ID]
			if d == nil {
				continue
			}
			for _, declared := range d.resources {
				c.add(nil, declared)
			}
			for _, declared := range d.roles {
				c.add(declared, nil)
			}
		}
	}
}

// delete removes the edges of everything in a cascade, then the nodes.
func (t *Tx) delete(c cascade) {
	c.spread(t.g)
	for _, r := range c.roles {
		for len(r.Members) > 0 {
			t.DeleteMembership(r.Members[0])
		}
		for len(r.Held) > 0 {
			t.DeleteMembership(r.Held[0])
		}
		for len(r.Permissions) > 0 {
			t.DeletePermission(r.Permissions[0])
		}
	}
	for _, x := range c.resources {
		for len(x.Permissions) > 0 {
			t.DeletePermission(x.Permissions[0])
		}
		for len(x.Annotations) > 0 {
			t.DeleteAnnotation(x.Annotations[0])
		}
		t.deleteOwnership(x)
		if d := t.g.policies[x.ID]; d != nil {
			t.deleteDeclaredEdges(d)
		}
	}
	for _, x := range c.resources {
		t.unlinkResource(x)
	}
	for _, r := range c.roles {
		t.unlinkRole(r)
	}
}

func (t *Tx) deleteDeclaredEdges(d *declared) {
	for len(d.memberships) > 0 {
		t.DeleteMembership(d.memberships[0])
	}
	for len(d.permissions) > 0 {
		t.DeletePermission(d.permissions[0])
	}
	for len(d.annotations) > 0 {
		t.DeleteAnnotation(d.annotations[0])
	}
}

func newCascade() cascade { return cascade{seen: map[any]struct{}{}} }

// DeleteRole removes a role with its memberships on either side, the permissions that
// it holds, its credentials, and every resource that it owns, together with the role
// of such a resource. A role that is gone already is left alone.
func (t *Tx) DeleteRole(r *Role) {
	if t.g.roles[r.ID] == r {
		c := newCascade()
		c.add(r, nil)
		t.delete(c)
	}
}

// DeleteResource removes a resource with its permissions, annotations and values, the
// membership that mirrors its ownership and, if it is a policy, every row that was
// declared by loading it. A resource that is gone already is left alone.
func (t *Tx) DeleteResource(x *Resource) {
	if t.g.resources[x.ID] == x {
		c := newCascade()
		c.add(nil, x)
		t.delete(c)
	}
}

// DeleteRecord removes what a delete statement names: the resource and the role of an
// id, whichever there are, with all that goes with them.
func (t *Tx) DeleteRecord(id ident.ID) {
	c := newCascade()
	c.add(t.g.roles[id], t.g.resources[id])
	t.delete(c)
}

// DeleteAccount removes every role and resource of an account. Whatever roles of
// other accounts owned or held there goes as well.
func (t *Tx) DeleteAccount(name string) {
	c := newCascade()
	t.g.Ascend(name+":", func(x *Resource) bool {
		c.add(nil, x)
		return true
	})
	// Roles have no order of their own, because nothing but this asks for it.
	for id, r := range t.g.roles {
		if id.Account() == name {
			c.add(r, nil)
		}
	}
	slices.SortFunc(c.roles, func(a, b *Role) int { return strings.Compare(string(a.ID), string(b.ID)) })
	t.delete(c)
}
