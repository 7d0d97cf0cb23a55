package rbac

import (
	"slices"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
)

func TestListsAreInTheByteOrderOfIDs(t *testing.T) {
	var g *Graph
	listed := func(q Query, limit int) (ids []ident.ID) {
		g.List(g.Role("a:user:u"), q, func(x *Resource) bool {
			ids = append(ids, x.ID)
			return len(ids) != limit
		})
		return ids
	}
	all := []ident.ID{"a-b:host:x", "a-b:variable:x", "a1:host:x", "a:host:x", "a:host:x/y", "a:host_factory:x", "a:user:u", "ab:host:x"}
	for _, few := range []int{0, 100} { // through the order, and by sorting
		g = New()
		g.limits.few = few
		must(t, g.Add(row.Role{ID: "a:user:u"}))
		for _, id := range all {
			must(t, g.Add(row.Resource{ID: id, Owner: "a:user:u"}))
		}
		for _, c := range []struct {
			name  string
			query Query
			limit int
			want  []ident.ID
		}{
			{"everything", Query{}, 0, all},
			{"the first two", Query{}, 2, all[:2]},
			{"an account", Query{Account: "a"}, 0, all[3:7]},
			{"an account's kind, not one that it is the beginning of", Query{Account: "a", Kind: "host"}, 0, []ident.ID{"a:host:x", "a:host:x/y"}},
			{"a kind in all accounts", Query{Kind: "host"}, 0, []ident.ID{"a-b:host:x", "a1:host:x", "a:host:x", "a:host:x/y", "ab:host:x"}},
			{"the first two of a kind", Query{Kind: "host"}, 2, []ident.ID{"a-b:host:x", "a1:host:x"}},
			{"an account that is not there", Query{Account: "b"}, 0, nil},
			{"a kind that is not there", Query{Kind: "layer"}, 0, nil},
		} {
			if got := listed(c.query, c.limit); !slices.Equal(got, c.want) {
				t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
			}
		}
	}
}

func TestEdgesAreSorted(t *testing.T) {
	g := New()
	for _, id := range []ident.ID{"a:group:g", "a:user:x", "a:user:y", "a:user:z"} {
		must(t, g.Add(row.Role{ID: id}))
	}
	for _, m := range []row.Membership{
		{Role: "a:user:x", Member: "a:group:g"}, {Role: "a:group:g", Member: "a:user:z"}, {Role: "a:group:g", Member: "a:user:y"},
		{Role: "a:group:g", Member: "a:user:y", Ownership: true}, {Role: "a:group:g", Member: "a:group:g"},
		{Role: "a:user:z", Member: "a:user:y"}, {Role: "a:user:x", Member: "a:user:y", Ownership: true}, {Role: "a:user:x", Member: "a:user:y"},
	} {
		must(t, g.Add(m))
	}
	type row struct {
		id    ident.ID
		owned bool
	}
	var got []row
	members := slices.Clone(g.Role("a:group:g").Members)
	SortMembers(members)
	for _, m := range members {
		got = append(got, row{m.Member.ID, m.Ownership})
	}
	held := slices.Clone(g.Role("a:user:y").Held)
	SortHeld(held)
	for _, m := range held {
		got = append(got, row{m.Role.ID, m.Ownership})
	}
	want := []row{
		{"a:group:g", false}, {"a:user:y", true}, {"a:user:y", false}, {"a:user:z", false},
		{"a:group:g", true}, {"a:group:g", false}, {"a:user:x", true}, {"a:user:x", false}, {"a:user:z", false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	// Around z: what it holds (g, x) with all direct members, and who holds z (y).
	var edges []string
	for _, e := range g.Neighbourhood(g.Role("a:user:z")) {
		edges = append(edges, e.Parent.ID.Identifier()+e.Child.ID.Identifier())
	}
	if want := []string{"gg", "gy", "gz", "xg", "xy", "zy"}; !slices.Equal(edges, want) {
		t.Errorf("got %v, want %v", edges, want)
	}
}
