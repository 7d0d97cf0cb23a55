package rbac

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// lines are the rows that a graph stands for, in the form of the oracle's.
func (g *Graph) lines() []string {
	var lines []string
	add := func(r row.Row) { lines = append(lines, line(r)) }
	for _, a := range g.Accounts() {
		add(a)
	}
	for _, keys := range g.keys {
		for _, k := range keys {
			add(k)
		}
	}
	for _, r := range g.roles {
		add(r.Role)
		for _, m := range r.Members {
			add(m.Row())
		}
		if r.Key != nil {
			add(*r.Key)
		}
		if r.Staged != nil {
			add(*r.Staged)
		}
		if r.Old != nil {
			add(*r.Old)
		}
		if r.KeyUsed != 0 {
			add(row.KeyUse{Role: r.ID, UsedAt: time.UnixMilli(r.KeyUsed).UTC()})
		}
		if r.Password != nil {
			add(*r.Password)
		}
		if r.Networks != nil {
			add(row.Restriction{Role: r.ID, Networks: r.Networks})
		}
	}
	for _, x := range g.resources {
		add(x.Resource)
		for _, p := range x.Permissions {
			add(p.Row())
		}
		for _, a := range x.Annotations {
			add(a.Row())
		}
		for _, s := range x.Secrets {
			secret := row.Secret{Resource: x.ID, Version: s.Version}
			if s.ExpiresAt != 0 {
				secret.ExpiresAt = time.UnixMilli(s.ExpiresAt)
			}
			add(secret)
		}
		for _, version := range x.Loads {
			add(row.PolicyVersion{Policy: x.ID, Version: version})
		}
		if x.Switch != nil {
			add(*x.Switch)
		}
	}
	for _, t := range g.tokens {
		add(t.HostFactoryToken)
	}
	slices.Sort(lines)
	return lines
}

// flaws are what is wrong among the nodes of a graph: every edge stands once in each
// list that it belongs to, at the place that it remembers, and nowhere else.
func (g *Graph) flaws() []string {
	var flaws []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			flaws = append(flaws, fmt.Sprintf(format, args...))
		}
	}
	type count struct{ members, held, byResource, byRole, owned, tokens int }
	var n count
	byPolicy := map[ident.ID]int{}
	declare := func(policy ident.ID, found bool, what string) {
		if policy != "" {
			byPolicy[policy]++
			check(found, "%s is not among what %s declared", what, policy)
		}
	}
	declared := func(policy ident.ID) *declared {
		if d := g.policies[policy]; d != nil {
			return d
		}
		return &declared{}
	}
	for id, r := range g.roles {
		check(r.ID == id, "role %s is kept as %s", r.ID, id)
		check(r.Resource == g.resources[id], "role %s has a wrong resource", id)
		declare(r.Policy, at(declared(r.Policy).roles, r.policyAt, r), "role "+string(id))
		for i, m := range r.Members {
			what := fmt.Sprintf("membership %v", m.Row())
			check(m.Role == r && int(m.roleAt) == i, "%s is misplaced in its role", what)
			check(g.roles[m.Member.ID] == m.Member && at(m.Member.Held, m.memberAt, m), "%s is misplaced in its member", what)
			declare(m.Policy, at(declared(m.Policy).memberships, m.policyAt, m), what)
		}
		n.members += len(r.Members)
		n.held += len(r.Held)
		n.byRole += len(r.Permissions)
		n.owned += len(r.Owned)
	}
	for id, x := range g.resources {
		check(x.ID == id, "resource %s is kept as %s", x.ID, id)
		check(x.Role == g.roles[id], "resource %s has a wrong role", id)
		check(x.OwnerNode == g.roles[x.Owner] && at(x.OwnerNode.Owned, x.ownedAt, x), "resource %s is misplaced in its owner", id)
		declare(x.Policy, at(declared(x.Policy).resources, x.policyAt, x), "resource "+string(id))
		for i, p := range x.Permissions {
			what := fmt.Sprintf("permission %v", p.Row())
			check(p.Resource == x && int(p.resourceAt) == i, "%s is misplaced in its resource", what)
			check(g.roles[p.Role.ID] == p.Role && at(p.Role.Permissions, p.roleAt, p), "%s is misplaced in its role", what)
			declare(p.Policy, at(declared(p.Policy).permissions, p.policyAt, p), what)
		}
		for _, a := range x.Annotations {
			what := fmt.Sprintf("annotation %v", a.Row())
			check(a.Resource == x && x.Annotation(a.Name) == a, "%s is misplaced", what)
			declare(a.Policy, at(declared(a.Policy).annotations, a.policyAt, a), what)
		}
		for i, t := range x.Tokens {
			check(t.Factory == x && int(t.factoryAt) == i && t.HostFactoryToken.Factory == id && g.tokens[t.Digest] == t, "token %x is misplaced", t.Digest)
		}
		check(slices.IsSortedFunc(x.Secrets, func(a, b SecretVersion) int { return a.Version - b.Version }), "versions of %s: %v", id, x.Secrets)
		check(slices.IsSorted(x.Loads), "loads of %s: %v", id, x.Loads)
		n.byResource += len(x.Permissions)
		n.tokens += len(x.Tokens)
	}
	check(n.members == n.held && n.byResource == n.byRole && n.owned == len(g.resources) && n.tokens == len(g.tokens), "lists differ: %+v", n)
	for policy, d := range g.policies {
		rows := len(d.roles) + len(d.resources) + len(d.memberships) + len(d.permissions) + len(d.annotations)
		check(rows == byPolicy[policy] && rows > 0, "%s declared %d rows, %d are listed", policy, byPolicy[policy], rows)
	}
	ordered := 0
	g.Ascend("", func(x *Resource) bool {
		ordered++
		check(g.resources[x.ID] == x, "%s is in the order but not a resource", x.ID)
		return true
	})
	check(ordered == len(g.resources), "%d resources in order of %d", ordered, len(g.resources))
	for account, keys := range g.keys {
		check(slices.IsSortedFunc(keys, func(a, b row.SigningKey) int { return a.CreatedAt.Compare(b.CreatedAt) }), "keys of %s: %v", account, keys)
	}
	return flaws
}

func at[T comparable](list []T, place int32, x T) bool {
	return int(place) < len(list) && list[place] == x
}

// indexed are the words and resources of the search index, as the oracle's.
func (g *Graph) indexed() []string {
	var lines []string
	for word, found := range g.search.of {
		for x := range found {
			lines = append(lines, word+" "+string(x.ID))
		}
	}
	slices.Sort(lines)
	return lines
}

// requireEqual fails the test unless a graph is, in all that can be observed, what
// the rows of the oracle say.
func requireEqual(t *testing.T, g *Graph, o *oracle, when string) {
	t.Helper()
	if d := difference(g.lines(), o.lines()); d != "" {
		t.Fatalf("%s: the graph differs from the rows:\n%s", when, d)
	}
	if flaws := g.flaws(); flaws != nil {
		t.Fatalf("%s: %v", when, flaws)
	}
	if g.Searchable() {
		if d := difference(g.indexed(), o.index()); d != "" {
			t.Fatalf("%s: the index differs from one made anew:\n%s", when, d)
		}
	}
}

// load makes a graph of the rows as at start.
func load(t testing.TB, rows []row.Row) *Graph {
	t.Helper()
	g := New()
	for _, r := range rows {
		if err := g.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return g
}
