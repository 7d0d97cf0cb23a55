package rbac

import (
	"cmp"
	"slices"

	"rekey/internal/ident"
)

// Each edge stands in several unordered lists and knows its place in each, so that it
// comes and goes at a cost that does not depend on how long the lists are.
//
// A store hands out a fresh copy of each text. What is linked takes over the text of
// what it refers to, so that an id is in memory once.

func push[T any](list *[]T, x T, at *int32) {
	*at = int32(len(*list))
	*list = append(*list, x)
}

func drop[T any](list *[]T, at int32, place func(T) *int32) {
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[at] = moved
	*place(moved) = at
	var zero T
	(*list)[last] = zero
	*list = (*list)[:last]
	if last == 0 {
		*list = nil
	}
}

func (g *Graph) declared(policy ident.ID) *declared {
	d := g.policies[policy]
	if d == nil {
		d = &declared{policy: policy}
		g.policies[policy] = d
	}
	return d
}

// undeclare forgets a policy when nothing that it declared is left.
func (g *Graph) undeclare(policy ident.ID, d *declared) {
	if len(d.roles)+len(d.resources)+len(d.memberships)+len(d.permissions)+len(d.annotations) == 0 {
		delete(g.policies, policy)
	}
}

func (g *Graph) linkRole(r *Role) {
	if x := g.resources[r.ID]; x != nil {
		r.Resource, x.Role = x, r
		r.ID = x.ID
	}
	g.roles[r.ID] = r
	g.roleKinds.add(r.ID, 1)
	if r.Policy != "" {
		d := g.declared(r.Policy)
		r.Policy = d.policy
		push(&d.roles, r, &r.policyAt)
	}
}

func (g *Graph) unlinkRole(r *Role) {
	delete(g.roles, r.ID)
	g.roleKinds.add(r.ID, -1)
	if r.Policy != "" {
		d := g.declared(r.Policy)
		drop(&d.roles, r.policyAt, func(r *Role) *int32 { return &r.policyAt })
		g.undeclare(r.Policy, d)
	}
	if r.Resource != nil {
		r.Resource.Role, r.Resource = nil, nil
	}
}

func (g *Graph) linkResource(x *Resource) {
	if r := g.roles[x.ID]; r != nil {
		r.Resource, x.Role = x, r
		x.ID = r.ID
	}
	x.Owner = x.OwnerNode.ID
	g.resources[x.ID] = x
	g.resourceKinds.add(x.ID, 1)
	g.ordered.Set(x)
	if x.Policy != "" {
		d := g.declared(x.Policy)
		x.Policy = d.policy
		push(&d.resources, x, &x.policyAt)
	}
	push(&x.OwnerNode.Owned, x, &x.ownedAt)
	for _, t := range x.Tokens {
		g.tokens[t.Digest] = t
	}
	g.texts++
	g.search.addID(x)
}

func (g *Graph) unlinkResource(x *Resource) {
	delete(g.resources, x.ID)
	g.resourceKinds.add(x.ID, -1)
	g.ordered.Delete(x)
	if x.Policy != "" {
		d := g.declared(x.Policy)
		drop(&d.resources, x.policyAt, func(x *Resource) *int32 { return &x.policyAt })
		g.undeclare(x.Policy, d)
	}
	if x.Role != nil {
		x.Role.Resource, x.Role = nil, nil
	}
	drop(&x.OwnerNode.Owned, x.ownedAt, func(x *Resource) *int32 { return &x.ownedAt })
	for _, t := range x.Tokens {
		delete(g.tokens, t.Digest)
	}
	g.texts++
	g.search.removeID(x)
}

func (g *Graph) setOwner(x *Resource, owner *Role) {
	drop(&x.OwnerNode.Owned, x.ownedAt, func(x *Resource) *int32 { return &x.ownedAt })
	x.OwnerNode, x.Owner = owner, owner.ID
	push(&owner.Owned, x, &x.ownedAt)
}

func (g *Graph) linkMembership(m *Membership) {
	push(&m.Role.Members, m, &m.roleAt)
	push(&m.Member.Held, m, &m.memberAt)
	if m.Policy != "" {
		d := g.declared(m.Policy)
		m.Policy = d.policy
		push(&d.memberships, m, &m.policyAt)
	}
	g.epoch++
}

func (g *Graph) unlinkMembership(m *Membership) {
	drop(&m.Role.Members, m.roleAt, func(m *Membership) *int32 { return &m.roleAt })
	drop(&m.Member.Held, m.memberAt, func(m *Membership) *int32 { return &m.memberAt })
	if m.Policy != "" {
		d := g.declared(m.Policy)
		drop(&d.memberships, m.policyAt, func(m *Membership) *int32 { return &m.policyAt })
		g.undeclare(m.Policy, d)
	}
	g.epoch++
}

func (g *Graph) linkPermission(p *Permission) {
	push(&p.Resource.Permissions, p, &p.resourceAt)
	push(&p.Role.Permissions, p, &p.roleAt)
	if p.Policy != "" {
		d := g.declared(p.Policy)
		p.Policy = d.policy
		push(&d.permissions, p, &p.policyAt)
	}
}

func (g *Graph) unlinkPermission(p *Permission) {
	drop(&p.Resource.Permissions, p.resourceAt, func(p *Permission) *int32 { return &p.resourceAt })
	drop(&p.Role.Permissions, p.roleAt, func(p *Permission) *int32 { return &p.roleAt })
	if p.Policy != "" {
		d := g.declared(p.Policy)
		drop(&d.permissions, p.policyAt, func(p *Permission) *int32 { return &p.policyAt })
		g.undeclare(p.Policy, d)
	}
}

func (x *Resource) annotationAt(name string) (int, bool) {
	return slices.BinarySearchFunc(x.Annotations, name, func(a *Annotation, name string) int { return cmp.Compare(a.Name, name) })
}

func (g *Graph) linkAnnotation(a *Annotation) {
	x := a.Resource
	at, _ := x.annotationAt(a.Name)
	x.Annotations = slices.Insert(x.Annotations, at, a)
	if a.Policy != "" {
		d := g.declared(a.Policy)
		a.Policy = d.policy
		push(&d.annotations, a, &a.policyAt)
	}
	g.texts++
	g.search.add(x, a.Value)
}

func (g *Graph) unlinkAnnotation(a *Annotation) {
	x := a.Resource
	at, _ := x.annotationAt(a.Name)
	x.Annotations = slices.Delete(x.Annotations, at, at+1)
	if a.Policy != "" {
		d := g.declared(a.Policy)
		drop(&d.annotations, a.policyAt, func(a *Annotation) *int32 { return &a.policyAt })
		g.undeclare(a.Policy, d)
	}
	g.texts++
	g.search.remove(x, a.Value)
}

func (g *Graph) setAnnotation(a *Annotation, value string) {
	g.search.remove(a.Resource, a.Value)
	a.Value = value
	g.texts++
	g.search.add(a.Resource, value)
}
