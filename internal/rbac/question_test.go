package rbac

import (
	"fmt"
	"slices"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// ask puts one random question to the graph and to the oracle; the error says how
// their answers differ.
func (w *world) ask(g *Graph, o *oracle) error {
	v := o.view()
	id := pick(w, w.ids)
	if len(v.roles) == 0 {
		if g.Role(id) != nil || g.Resource(id) != nil {
			return fmt.Errorf("a graph without roles has %s", id)
		}
		return nil
	}
	r, other := pick(w, v.roles), pick(w, v.roles)
	node := g.Role(r.ID)
	privilege := pick(w, privileges)
	var x row.Resource
	if len(v.resources) > 0 {
		x = pick(w, v.resources)
	}
	question, got, want := "", any(nil), any(nil)
	switch w.Intn(10) {
	case 0, 1:
		question = fmt.Sprintf("does %s hold %s", r.ID, other.ID)
		got, want = g.Holds(node, g.Role(other.ID)), o.all(r.ID)[other.ID]
	case 2, 3, 4, 5:
		if x.ID == "" {
			return nil
		}
		question = fmt.Sprintf("may %s %q %s; see it; who may", r.ID, privilege, x.ID)
		there := g.Resource(x.ID)
		got = fmt.Sprint(g.Allowed(node, privilege, there), g.Visible(node, there), idsOf(g.RolesThatCan(privilege, there)))
		want = fmt.Sprint(o.allowed(r.ID, privilege, x), o.visible(r.ID)[x.ID], o.rolesThatCan(privilege, x).sorted())
	case 6:
		question = "what does " + string(r.ID) + " hold"
		got, want = fmt.Sprint(idsOf(g.All(node))), fmt.Sprint(o.all(r.ID).sorted())
	case 7:
		question = "what is around " + string(r.ID)
		edges := []string{}
		for _, e := range g.Neighbourhood(node) {
			edges = append(edges, string(e.Parent.ID)+" > "+string(e.Child.ID))
		}
		slices.Sort(edges) // "a-b:" and "a:" change places beside " > "; order has a test of its own
		got, want = fmt.Sprint(edges), fmt.Sprint(o.neighbourhood(r.ID))
	case 8:
		return w.askList(g, o)
	case 9:
		return w.askLookups(g, o)
	}
	if got != want {
		return fmt.Errorf("%s?\n got %v\nwant %v", question, got, want)
	}
	return nil
}

func (w *world) askList(g *Graph, o *oracle) error {
	q := request{viewer: pick(w, o.view().roles).ID, limit: w.Intn(4)}
	asked := Query{}
	if w.Intn(2) == 0 {
		q.account = pick(w, append(accountNames, "nobody", "a-"))
		asked.Account = q.account
	}
	if w.Intn(2) == 0 {
		q.kind = pick(w, append(kinds, "nothing", "host_"))
		asked.Kind = q.kind
	}
	if w.Intn(3) == 0 {
		q.owner = pick(w, o.view().roles).ID
		asked.Owner = g.Role(q.owner)
	}
	if g.Searchable() && w.Intn(2) == 0 {
		text := pick(w, searches)
		q.search = &text
		m := g.Find(text)
		asked.Match = &m
	}
	var got []ident.ID
	g.List(g.Role(q.viewer), asked, func(x *Resource) bool {
		got = append(got, x.ID)
		return len(got) != q.limit
	})
	if want := o.list(q); !slices.Equal(got, want) {
		search := "no search"
		if q.search != nil {
			search = *q.search
		}
		return fmt.Errorf("list of %+v (%s)\n got %v\nwant %v", q, search, got, want)
	}
	return nil
}

func (w *world) askLookups(g *Graph, o *oracle) error {
	a, b, owned, privilege := pick(w, w.ids), pick(w, w.ids), w.Intn(2) == 0, pick(w, privileges)
	m, isMember := o.rows[keyOf(row.Membership{Role: a, Member: b, Ownership: owned})]
	if got := g.Membership(a, b, owned); (got != nil) != isMember || isMember && got.Row() != m {
		return fmt.Errorf("membership of %s in %s: got %v, want %v", b, a, got, m)
	}
	p, isPermitted := o.rows[keyOf(row.Permission{Resource: a, Role: b, Privilege: privilege})]
	if got := g.Permission(a, b, privilege); (got != nil) != isPermitted || isPermitted && got.Row() != p {
		return fmt.Errorf("permission of %s on %s: got %v, want %v", b, a, got, p)
	}
	if _, ok := o.role(a); (g.Role(a) != nil) != ok {
		return fmt.Errorf("role %s: want %v", a, ok)
	}
	if _, ok := o.resource(a); (g.Resource(a) != nil) != ok {
		return fmt.Errorf("resource %s: want %v", a, ok)
	}
	if roles, resources := g.Len(); roles != len(o.view().roles) || resources != len(o.view().resources) {
		return fmt.Errorf("%d roles and %d resources, want %d and %d", roles, resources, len(o.view().roles), len(o.view().resources))
	}
	var got, want []string
	for _, r := range g.DeclaredRoles(a) {
		got = append(got, line(r.Role))
	}
	for _, x := range g.DeclaredResources(a) {
		got = append(got, line(x.Resource))
	}
	for _, m := range g.DeclaredMemberships(a) {
		got = append(got, line(m.Row()))
	}
	for _, p := range g.DeclaredPermissions(a) {
		got = append(got, line(p.Row()))
	}
	for _, n := range g.DeclaredAnnotations(a) {
		got = append(got, line(n.Row()))
	}
	for _, r := range o.rows {
		if policyOf(r) == a {
			want = append(want, line(r))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("declared by %s:\n%s", a, difference(got, want))
	}
	return nil
}

func (s idSet) sorted() []ident.ID {
	ids := make([]ident.ID, 0, len(s))
	for id := range s {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func idsOf(roles []*Role) []ident.ID {
	ids := make([]ident.ID, 0, len(roles))
	for _, r := range roles {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}
