package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// Query selects resources that a role sees.
type Query struct {
	Account string // "" for all
	Kind    string // "" for all
	Match   *Match // nil for no search
	Owner   *Role  // nil for any; else resources owned by a role that Owner holds
}

// List visits the resources that a role sees and that a query selects, in the byte
// order of their ids, until visit returns false. What it costs follows the shortest
// way to the answer: through all resources of the account and kind, through what a
// search found, or through what the few roles that the viewer holds own or may use.
func (g *Graph) List(viewer *Role, q Query, visit func(*Resource) bool) {
	selected := func(x *Resource) bool {
		return (q.Match == nil || q.Match.Has(x)) &&
			(q.Owner == nil || g.Holds(q.Owner, x.OwnerNode)) &&
			g.Visible(viewer, x)
	}
	if few, ok := g.candidates(viewer, q); ok {
		for _, x := range few {
			if selected(x) && !visit(x) {
				return
			}
		}
		return
	}
	if q.Account == "" && q.Kind != "" {
		g.eachAccount(func(account string) bool {
			more := true
			g.Ascend(account+":"+q.Kind+":", func(x *Resource) bool {
				more = !selected(x) || visit(x)
				return more
			})
			return more
		})
		return
	}
	prefix := ""
	if q.Account != "" {
		prefix = q.Account + ":"
		if q.Kind != "" {
			prefix += q.Kind + ":"
		}
	}
	g.Ascend(prefix, func(x *Resource) bool { return !selected(x) || visit(x) })
}

// eachAccount visits the accounts that have resources, in the byte order of ids: the
// colon counts, so that "a-b" comes before "a".
func (g *Graph) eachAccount(visit func(account string) bool) {
	for from := ""; ; {
		account, found := "", false
		g.from(from, func(x *Resource) bool {
			account, found = x.ID.Account(), true
			return false
		})
		if !found || !visit(account) {
			return
		}
		from = account + ";" // the byte after the colon
	}
}

// candidates returns, in order, a small superset of what the query selects, if there
// is one at hand.
func (g *Graph) candidates(viewer *Role, q Query) ([]*Resource, bool) {
	bound := len(g.resources)/16 + g.limits.few
	var few []*Resource
	ok := false
	if q.Match != nil {
		if least := q.Match.smallest(); len(least) <= bound {
			ok = true
			for x := range least {
				few = append(few, x)
			}
		}
	}
	if c := g.closureOf(viewer, g.limits.small); !ok && c.whole {
		n := 0
		for _, r := range c.list {
			n += len(r.Owned) + len(r.Permissions)
		}
		if n <= bound {
			ok = true
			for _, r := range c.list {
				few = append(few, r.Owned...)
				for _, p := range r.Permissions {
					few = append(few, p.Resource)
				}
			}
		}
	}
	if !ok {
		return nil, false
	}
	few = slices.DeleteFunc(few, func(x *Resource) bool { return !q.inScope(x) })
	slices.SortFunc(few, func(a, b *Resource) int { return cmp.Compare(a.ID, b.ID) })
	return slices.Compact(few), true
}

func (q Query) inScope(x *Resource) bool {
	account, rest, _ := strings.Cut(string(x.ID), ":")
	kind, _, _ := strings.Cut(rest, ":")
	return (q.Account == "" || q.Account == account) && (q.Kind == "" || q.Kind == kind)
}
