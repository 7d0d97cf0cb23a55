package rbac

import (
	"fmt"
	"runtime"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// large is an account of 100,000 hosts and 100,000 variables in ten policies.
func large(b *testing.B) *Graph { return company(b, 10, 10_000, 10_000) }

func BenchmarkAllowed(b *testing.B) {
	g := large(b)
	variable := g.Resource("acme:variable:app-0003/secret-000777")
	for _, c := range []struct {
		name, role string
		want       bool
	}{
		{"a host", "acme:host:app-0003/node-004711", true},
		{"a host that may not", "acme:host:app-0004/node-004711", false},
		{"the administrator", "acme:user:admin", true},
		{"a user without anything", "acme:user:nobody", false},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := g.Role(ident.ID(c.role))
			b.ReportAllocs()
			for b.Loop() {
				if g.Allowed(r, "execute", variable) != c.want {
					b.Fatal("a wrong answer")
				}
			}
		})
		b.Run(c.name+", after any change of memberships", func(b *testing.B) {
			r := g.Role(ident.ID(c.role))
			b.ReportAllocs()
			for b.Loop() {
				g.epoch++
				if g.Allowed(r, "execute", variable) != c.want {
					b.Fatal("a wrong answer")
				}
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	g := large(b)
	must(b, g.Add(row.Role{ID: "acme:user:five"}))
	for i := range 5 {
		must(b, g.Add(row.Permission{Resource: ident.ID(fmt.Sprintf("acme:variable:app-000%d/secret-000777", i)), Role: "acme:user:five", Privilege: "read"}))
	}
	if !g.UseSearch(g.NewSearch()) {
		b.Fatal("the index is stale")
	}
	match := g.Find("secret 000777")
	for _, c := range []struct {
		name, viewer string
		query        Query
		limit, want  int
	}{
		{"first 100 of the 10,000 that a host sees", "acme:host:app-0003/node-004711", Query{Account: "acme", Kind: "variable"}, 100, 100},
		{"10,000 that a host sees", "acme:host:app-0003/node-004711", Query{Account: "acme", Kind: "variable"}, 0, 10_000},
		{"5 of 100,000", "acme:user:five", Query{Account: "acme", Kind: "variable"}, 0, 5},
		{"first 100 of an administrator", "acme:user:admin", Query{Account: "acme", Kind: "variable"}, 100, 100},
		{"100,000 of an administrator", "acme:user:admin", Query{Account: "acme", Kind: "variable"}, 0, 100_000},
		{"10 found by a search", "acme:user:admin", Query{Match: &match}, 0, 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			viewer := g.Role(ident.ID(c.viewer))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				g.List(viewer, c.query, func(*Resource) bool { n++; return n != c.limit })
				if n != c.want {
					b.Fatal(n)
				}
			}
		})
	}
}

// What a change costs follows the change, not the account: plan, roll back and apply
// a new host with its membership in a layer, then its deletion.
func BenchmarkHostComesAndGoes(b *testing.B) {
	for _, records := range []int{2_000, 20_000, 200_000} {
		b.Run(fmt.Sprintf("in %d records", records), func(b *testing.B) {
			g := company(b, 10, records/20, records/20)
			if !g.UseSearch(g.NewSearch()) {
				b.Fatal("the index is stale")
			}
			commit := func(plan func(*Tx)) {
				tx := g.Begin()
				plan(tx)
				tx.Rollback()
				must(b, g.Apply(&row.Set{Changes: tx.Changes()}))
			}
			const host, policy = "acme:host:app-0003/new", "acme:policy:app-0003"
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				commit(func(tx *Tx) {
					tx.InsertRole(row.Role{ID: host, Policy: policy})
					tx.InsertResource(row.Resource{ID: host, Owner: policy, Policy: policy})
					tx.InsertMembership(row.Membership{Role: "acme:layer:app-0003/hosts", Member: host, Policy: policy})
				})
				if !g.Allowed(g.Role(host), "read", g.Resource("acme:variable:app-0003/secret-000001")) {
					b.Fatal("the new host may not read")
				}
				commit(func(tx *Tx) { tx.DeleteRecord(host) })
			}
		})
	}
}

// What 100,000 hosts and 100,000 variables take in memory: their rows, then the
// index, then the closures of all hosts.
func BenchmarkResidentBytes(b *testing.B) {
	const records = 200_000
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		g := large(b)
		loaded := heap()
		g.UseSearch(g.NewSearch())
		indexed := heap()
		for _, r := range g.roles {
			g.closureOf(r, g.limits.small)
		}
		asked := heap()
		b.ReportMetric((loaded-before)/records, "bytes/record")
		b.ReportMetric((indexed-loaded)/records, "index-bytes/record")
		b.ReportMetric((asked-indexed)/(records/2), "closure-bytes/host")
		runtime.KeepAlive(g)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		large(b)
	}
}

func BenchmarkNewSearch(b *testing.B) {
	g := large(b)
	for b.Loop() {
		g.NewSearch()
	}
}
