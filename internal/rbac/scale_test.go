package rbac

import (
	"fmt"
	"strings"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// company is an account as they are found: an administrator owns policies, each policy
// owns hosts, variables, a layer of all its hosts and a group that may read the
// variables and has the layer as a member. The texts are fresh copies, as a store
// hands them out.
func company(t testing.TB, policies, hosts, variables int) *Graph {
	t.Helper()
	g := New()
	add := func(r row.Row) {
		if err := g.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	id := func(format string, args ...any) ident.ID { return ident.ID(fmt.Sprintf(format, args...)) }
	policy := func() ident.ID { return ident.ID(strings.Clone("acme:policy:root")) }
	record := func(name, owner ident.ID, isRole bool) {
		if isRole {
			add(row.Role{ID: ident.ID(strings.Clone(string(name))), Policy: policy()})
		}
		add(row.Resource{ID: ident.ID(strings.Clone(string(name))), Owner: ident.ID(strings.Clone(string(owner))), Policy: policy()})
		if isRole {
			add(row.Membership{Role: name, Member: owner, Ownership: true, Admin: true, Policy: policy()})
		}
	}
	add(row.Account{Name: "acme"})
	record("acme:user:admin", "acme:user:admin", true)
	record("acme:policy:root", "acme:user:admin", true)
	record("acme:user:nobody", "acme:policy:root", true)
	for p := range policies {
		app := id("acme:policy:app-%04d", p)
		record(app, "acme:policy:root", true)
		layer, readers := id("acme:layer:app-%04d/hosts", p), id("acme:group:app-%04d/readers", p)
		record(layer, app, true)
		record(readers, app, true)
		add(row.Membership{Role: readers, Member: layer, Policy: policy()})
		for i := range hosts {
			host := id("acme:host:app-%04d/node-%06d", p, i)
			record(host, app, true)
			add(row.Membership{Role: layer, Member: host, Policy: policy()})
		}
		for i := range variables {
			variable := id("acme:variable:app-%04d/secret-%06d", p, i)
			record(variable, app, false)
			for _, privilege := range []string{"read", "execute"} {
				add(row.Permission{Resource: variable, Role: readers, Privilege: strings.Clone(privilege), Policy: policy()})
			}
		}
	}
	return g
}

// Given a role that holds far more than a small closure, and one that far more hold
// than a short walk: the usual limits are passed in both directions.
func TestLargeFanOutsAreAnsweredLikeSmallOnes(t *testing.T) {
	g := company(t, 3, 700, 300)
	admin, nobody := g.Role("acme:user:admin"), g.Role("acme:user:nobody")
	host, stranger := g.Role("acme:host:app-0001/node-000123"), g.Role("acme:host:app-0002/node-000123")
	layer, readers := g.Role("acme:layer:app-0001/hosts"), g.Role("acme:group:app-0001/readers")
	variable := g.Resource("acme:variable:app-0001/secret-000001")

	t.Run("who holds whom", func(t *testing.T) {
		for _, c := range []struct {
			holder, held *Role
			want         bool
		}{
			{admin, host, true}, {admin, readers, true}, {host, readers, true}, {stranger, readers, false},
			{host, admin, false}, {admin, nobody, true}, {nobody, admin, false}, {nobody, layer, false},
		} {
			if got := g.Holds(c.holder, c.held); got != c.want {
				t.Errorf("%s holds %s: %v", c.holder.ID, c.held.ID, got)
			}
		}
	})
	t.Run("a large closure is complete", func(t *testing.T) {
		roles, _ := g.Len()
		if got := len(g.All(admin)); got != roles {
			t.Errorf("the administrator holds %d of %d roles", got, roles)
		}
		if got := len(g.All(host)); got != 3 {
			t.Errorf("a host holds %d roles", got)
		}
	})
	t.Run("a walk that grows long gives way to the large closure", func(t *testing.T) {
		// Two thousand members up from the group, and the holder is none of them.
		boss := New()
		boss.limits.small = 2
		for _, id := range []ident.ID{"a:user:boss", "a:group:x", "a:group:y", "a:group:z", "a:group:crowd"} {
			must(t, boss.Add(row.Role{ID: id}))
		}
		for _, id := range []ident.ID{"a:group:x", "a:group:y", "a:group:z"} {
			must(t, boss.Add(row.Membership{Role: id, Member: "a:user:boss"}))
		}
		for i := range 2000 {
			id := ident.ID(fmt.Sprintf("a:user:%d", i))
			must(t, boss.Add(row.Role{ID: id}))
			must(t, boss.Add(row.Membership{Role: "a:group:crowd", Member: id}))
		}
		r := boss.Role("a:user:boss")
		if boss.Holds(r, boss.Role("a:group:crowd")) {
			t.Error("the boss holds the crowd's group")
		}
		if c := r.closure.p.Load(); !c.whole || len(c.list) != 4 {
			t.Errorf("the kept closure is %+v", c)
		}
		must(t, boss.Add(row.Membership{Role: "a:group:crowd", Member: "a:group:z"}))
		if !boss.Holds(r, boss.Role("a:group:crowd")) {
			t.Error("a new membership is not seen")
		}
	})
	t.Run("a resource that very many may use", func(t *testing.T) {
		for i := range 700 {
			host := ident.ID(fmt.Sprintf("acme:host:app-0001/node-%06d", i))
			must(t, g.Add(row.Permission{Resource: "acme:policy:root", Role: host, Privilege: "ping"}))
		}
		root := g.Resource("acme:policy:root")
		if !g.Allowed(host, "ping", root) || g.Allowed(host, "read", root) || g.Allowed(stranger, "ping", root) || !g.Visible(host, root) || g.Visible(stranger, root) {
			t.Error("the permissions are not those of their roles")
		}
		if got := len(g.RolesThatCan("ping", root)); got != 703 { // and what owns them: their policy, the root policy, the administrator
			t.Errorf("%d roles can", got)
		}
	})
	t.Run("a list follows what is visible", func(t *testing.T) {
		for _, c := range []struct {
			viewer *Role
			query  Query
			want   int
		}{
			{admin, Query{Account: "acme", Kind: "variable"}, 900},
			{host, Query{}, 301}, // and the policy that it may ping
			{host, Query{Kind: "variable"}, 300},
			{stranger, Query{Account: "acme"}, 300},
			{nobody, Query{}, 0},
			{admin, Query{Owner: g.Role("acme:policy:app-0001"), Kind: "host"}, 700},
			{admin, Query{Owner: nobody}, 0},
		} {
			n := 0
			g.List(c.viewer, c.query, func(*Resource) bool { n++; return true })
			if n != c.want {
				t.Errorf("%s sees %d of %+v, want %d", c.viewer.ID, n, c.query, c.want)
			}
		}
	})
	t.Run("what was granted is gone when it is revoked", func(t *testing.T) {
		if !g.Allowed(host, "read", variable) {
			t.Fatal("the host may not read to begin with")
		}
		must(t, g.Apply(&row.Set{Changes: []row.Change{{Op: row.Delete, Row: row.Membership{Role: layer.ID, Member: host.ID}}}}))
		if g.Allowed(host, "read", variable) || g.Holds(host, readers) {
			t.Error("the host still may")
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
