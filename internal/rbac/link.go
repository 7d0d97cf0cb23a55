package rbac

import (
	"cmp"
	"slices"

	"rekey/internal/ident"
)

// Each edge stands in several unordered lists and knows its place in each, so that it
// comes and goes at a cost that does not depend on how long the lists are.

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
		d = &declared{}
		g.policies[policy] = d
	}
	return d
}

func (g *Graph) linkRole(r *Role) {
	g.roles[r.ID] = r
	if r.Policy != "" {
		push(&g.declared(r.Policy).roles, r, &r.policyAt)
	}
	if x := g.resources[r.ID]; x != nil {
		r.Resource, x.Role = x, r
	}
}

func (g *Graph) unlinkRole(r *Role) {
	delete(g.roles, r.ID)
	if r.Policy != "" {
		drop(&g.declared(r.Policy).roles, r.policyAt, func(r *Role) *int32 { return &r.policyAt })
	}
	if r.Resource != nil {
		r.Resource.Role, r.Resource = nil, nil
	}
	g.epoch++
}

func (g *Graph) linkResource(x *Resource) {
	g.resources[x.ID] = x
	g.ordered.Set(x)
	if x.Policy != "" {
		push(&g.declared(x.Policy).resources, x, &x.policyAt)
	}
	if r := g.roles[x.ID]; r != nil {
		r.Resource, x.Role = x, r
	}
	push(&x.OwnerNode.Owned, x, &x.ownedAt)
	g.texts++
	g.search.add(x)
}

func (g *Graph) unlinkResource(x *Resource) {
	delete(g.resources, x.ID)
	g.ordered.Delete(x)
	if x.Policy != "" {
		drop(&g.declared(x.Policy).resources, x.policyAt, func(x *Resource) *int32 { return &x.policyAt })
	}
	if x.Role != nil {
		x.Role.Resource, x.Role = nil, nil
	}
	drop(&x.OwnerNode.Owned, x.ownedAt, func(x *Resource) *int32 { return &x.ownedAt })
	for _, t := range x.Tokens {
		delete(g.tokens, t.Digest)
	}
	g.texts++
	g.search.remove(x)
}

// relinkTokens undoes what unlinkResource did to the tokens of a host factory.
func (g *Graph) relinkTokens(x *Resource) {
	for _, t := range x.Tokens {
		g.tokens[t.Digest] = t
	}
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
		push(&g.declared(m.Policy).memberships, m, &m.policyAt)
	}
	g.epoch++
}

func (g *Graph) unlinkMembership(m *Membership) {
	drop(&m.Role.Members, m.roleAt, func(m *Membership) *int32 { return &m.roleAt })
	drop(&m.Member.Held, m.memberAt, func(m *Membership) *int32 { return &m.memberAt })
	if m.Policy != "" {
		drop(&g.declared(m.Policy).memberships, m.policyAt, func(m *Membership) *int32 { return &m.policyAt })
	}
	g.epoch++
}

func (g *Graph) linkPermission(p *Permission) {
	push(&p.Resource.Permissions, p, &p.resourceAt)
	push(&p.Role.Permissions, p, &p.roleAt)
	if p.Policy != "" {
		push(&g.declared(p.Policy).permissions, p, &p.policyAt)
	}
}

func (g *Graph) unlinkPermission(p *Permission) {
	drop(&p.Resource.Permissions, p.resourceAt, func(p *Permission) *int32 { return &p.resourceAt })
	drop(&p.Role.Permissions, p.roleAt, func(p *Permission) *int32 { return &p.roleAt })
	if p.Policy != "" {
		drop(&g.declared(p.Policy).permissions, p.policyAt, func(p *Permission) *int32 { return &p.policyAt })
	}
}

func (x *Resource) annotationAt(name string) (int, bool) {
	return slices.BinarySearchFunc(x.Annotations, name, func(a *Annotation, name string) int { return cmp.Compare(a.Name, name) })
}

func (g *Graph) linkAnnotation(a *Annotation) {
	x := a.Resource
	g.search.remove(x)
	at, _ := x.annotationAt(a.Name)
	x.Annotations = slices.Insert(x.Annotations, at, a)
	if a.Policy != "" {
		push(&g.declared(a.Policy).annotations, a, &a.policyAt)
	}
	g.texts++
	g.search.add(x)
}

func (g *Graph) unlinkAnnotation(a *Annotation) {
	x := a.Resource
	g.search.remove(x)
	at, _ := x.annotationAt(a.Name)
	x.Annotations = slices.Delete(x.Annotations, at, at+1)
	if a.Policy != "" {
		drop(&g.declared(a.Policy).annotations, a.policyAt, func(a *Annotation) *int32 { return &a.policyAt })
	}
	g.texts++
	g.search.add(x)
}

func (g *Graph) setAnnotation(a *Annotation, value string) {
	g.search.remove(a.Resource)
	a.Value = value
	g.texts++
	g.search.add(a.Resource)
}
