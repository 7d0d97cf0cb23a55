package rbac

import (
	"slices"
	"sync/atomic"
)

// A role holds itself and every role that it reaches from member to role. Most roles
// hold few others: their closure is computed once and kept until some membership
// changes. A role that holds very many (an administrator) is answered from the other
// end: who holds the role in question, upwards from it, is nearly always a short
// walk; only when that walk grows long is the large closure computed.

// limits are the sizes at which one way to an answer gives place to another. They
// belong to the graph so that tests can take every way on a small one.
type limits struct {
	small int // roles in a closure that is computed for any question
	walk  int // edges looked at before a walk upwards is given up
	scan  int // roles in a closure that is scanned rather than looked up in
	many  int // permissions on a resource, for each role held, that are not gone through
	few   int // resources that a list always may take out of order and sort
}

var usual = limits{small: 256, walk: 512, scan: 12, many: 4, few: 64}

type closure struct {
	epoch uint64
	list  []*Role // itself first
	set   map[*Role]struct{}
	whole bool // false: there are more than limits.small
}

type closureSlot struct{ p atomic.Pointer[closure] }

func (c *closure) has(r *Role) bool {
	if c.set != nil {
		_, ok := c.set[r]
		return ok
	}
	for _, held := range c.list {
		if held == r {
			return true
		}
	}
	return false
}

// closureOf returns the closure of a role as far as limit; it is kept on the node.
func (g *Graph) closureOf(r *Role, limit int) *closure {
	c := r.closure.p.Load()
	if c != nil && c.epoch == g.epoch && (c.whole || limit <= g.limits.small) {
		return c
	}
	c = &closure{epoch: g.epoch, list: append(make([]*Role, 0, 4), r), whole: true}
walk:
	for i := 0; i < len(c.list); i++ {
		for _, m := range c.list[i].Held {
			if c.has(m.Role) {
				continue
			}
			if len(c.list) >= limit {
				c.whole = false
				break walk
			}
			c.list = append(c.list, m.Role)
			if c.set != nil {
				c.set[m.Role] = struct{}{}
			} else if len(c.list) > g.limits.scan {
				c.set = make(map[*Role]struct{}, 2*len(c.list))
				for _, held := range c.list {
					c.set[held] = struct{}{}
				}
			}
		}
	}
	r.closure.p.Store(c)
	return c
}

// All returns the role itself and every role that it holds; itself first, otherwise
// in no order. The result is shared: do not change it.
func (g *Graph) All(r *Role) []*Role {
	return g.closureOf(r, len(g.roles)+1).list
}

// Holds tells whether role r is, or transitively holds, role other.
func (g *Graph) Holds(r, other *Role) bool {
	if r == other {
		return true
	}
	c := g.closureOf(r, g.limits.small)
	if c.has(other) {
		return true
	}
	if c.whole {
		return false
	}
	if held, sure := g.walkUp(other, r); sure {
		return held
	}
	return g.closureOf(r, len(g.roles)+1).has(other)
}

// walkUp looks for holder among those that hold r, for as long as the walk is short.
func (g *Graph) walkUp(r, holder *Role) (held, sure bool) {
	seen := map[*Role]struct{}{r: {}}
	queue := []*Role{r}
	for edges := 0; len(queue) > 0; queue = queue[1:] {
		if edges += len(queue[0].Members); edges > g.limits.walk {
			return false, false
		}
		for _, m := range queue[0].Members {
			if m.Member == holder {
				return true, true
			}
			if _, ok := seen[m.Member]; !ok {
				seen[m.Member] = struct{}{}
				queue = append(queue, m.Member)
			}
		}
	}
	return false, true
}

// Allowed tells whether a role may do something to a resource: it holds the owner, or
// a role that has this very privilege on it. No privilege implies another.
func (g *Graph) Allowed(r *Role, privilege string, x *Resource) bool {
	return g.reaches(r, x, func(p *Permission) bool { return p.Privilege == privilege })
}

// Visible tells whether a role holds the owner of a resource or a role that has any
// privilege on it.
func (g *Graph) Visible(r *Role, x *Resource) bool {
	return g.reaches(r, x, func(*Permission) bool { return true })
}

// reaches tells whether a role holds the owner of a resource or a role that has a
// permission on it which counts.
func (g *Graph) reaches(r *Role, x *Resource, counts func(*Permission) bool) bool {
	if g.Holds(r, x.OwnerNode) {
		return true
	}
	c := g.closureOf(r, g.limits.small)
	if c.whole && len(x.Permissions) > g.limits.many*len(c.list) {
		// A resource that very many may use: look from the few roles instead.
		return slices.ContainsFunc(c.list, func(held *Role) bool { return permitted(held, x, counts) })
	}
	for _, p := range x.Permissions {
		if counts(p) && g.Holds(r, p.Role) {
			return true
		}
	}
	return false
}

// permitted looks for a permission in the shorter of the two lists that it would be in.
func permitted(r *Role, x *Resource, counts func(*Permission) bool) bool {
	edges := r.Permissions
	if len(x.Permissions) < len(edges) {
		edges = x.Permissions
	}
	for _, p := range edges {
		if p.Role == r && p.Resource == x && counts(p) {
			return true
		}
	}
	return false
}

// RolesThatCan returns the roles that may do something to a resource: its owner,
// those with the privilege, and all that hold one of these. In no order.
func (g *Graph) RolesThatCan(privilege string, x *Resource) []*Role {
	seen := map[*Role]struct{}{x.OwnerNode: {}}
	found := []*Role{x.OwnerNode}
	add := func(r *Role) {
		if _, ok := seen[r]; !ok {
			seen[r] = struct{}{}
			found = append(found, r)
		}
	}
	for _, p := range x.Permissions {
		if p.Privilege == privilege {
			add(p.Role)
		}
	}
	for i := 0; i < len(found); i++ {
		for _, m := range found[i].Members {
			add(m.Member)
		}
	}
	return found
}
