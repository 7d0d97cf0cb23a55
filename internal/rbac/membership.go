package rbac

import (
	"cmp"
	"slices"
)

// SortMembers sorts edges by member, ownership first.
func SortMembers(edges []*Membership) {
	slices.SortFunc(edges, func(a, b *Membership) int {
		if c := cmp.Compare(a.Member.ID, b.Member.ID); c != 0 {
			return c
		}
		return ownershipFirst(a, b)
	})
}

// SortHeld sorts edges by the role held, ownership first.
func SortHeld(edges []*Membership) {
	slices.SortFunc(edges, func(a, b *Membership) int {
		if c := cmp.Compare(a.Role.ID, b.Role.ID); c != 0 {
			return c
		}
		return ownershipFirst(a, b)
	})
}

func ownershipFirst(a, b *Membership) int {
	switch {
	case a.Ownership == b.Ownership:
		return 0
	case a.Ownership:
		return -1
	}
	return 1
}

// Edge is an edge of a role graph: Child is a member of Parent.
type Edge struct{ Parent, Child *Role }

// Neighbourhood returns the edges around a role: those between all that it holds, the
// direct members of each of these, and those between all that hold it. Distinct,
// ordered by parent, then child.
func (g *Graph) Neighbourhood(r *Role) []Edge {
	seen := map[Edge]struct{}{}
	for _, held := range g.All(r) {
		for _, m := range held.Members {
			seen[Edge{held, m.Member}] = struct{}{}
		}
	}
	visited := map[*Role]struct{}{r: {}}
	for queue := []*Role{r}; len(queue) > 0; queue = queue[1:] {
		for _, m := range queue[0].Members {
			seen[Edge{queue[0], m.Member}] = struct{}{}
			if _, ok := visited[m.Member]; !ok {
				visited[m.Member] = struct{}{}
				queue = append(queue, m.Member)
			}
		}
	}
	edges := make([]Edge, 0, len(seen))
	for e := range seen {
		edges = append(edges, e)
	}
	slices.SortFunc(edges, func(a, b Edge) int {
		if c := cmp.Compare(a.Parent.ID, b.Parent.ID); c != 0 {
			return c
		}
		return cmp.Compare(a.Child.ID, b.Child.ID)
	})
	return edges
}
