package rbac

import (
	"slices"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// plan is a graph that is made by a Tx, in the short form of a test.
type plan struct{ *Tx }

func (p plan) role(ids ...ident.ID) {
	for _, id := range ids {
		p.InsertRole(row.Role{ID: id})
	}
}

func (p plan) resource(id, owner ident.ID, policy ...ident.ID) {
	x := row.Resource{ID: id, Owner: owner}
	if policy != nil {
		x.Policy = policy[0]
	}
	p.InsertResource(x)
}

func (p plan) record(id, owner ident.ID) {
	p.role(id)
	p.resource(id, owner)
}

func (p plan) left() []string {
	var left []string
	for id := range p.g.roles {
		left = append(left, "role "+string(id))
	}
	for id := range p.g.resources {
		left = append(left, "resource "+string(id))
	}
	slices.Sort(left)
	return left
}

func TestDeletesCascade(t *testing.T) {
	const admin, app, ops, db = ident.ID("a:user:admin"), ident.ID("a:policy:app"), ident.ID("a:group:ops"), ident.ID("a:variable:db")
	for _, c := range []struct {
		name  string
		given func(plan)
		when  func(plan)
		left  []string // beside the administrator
	}{
		{"a role takes what it owns, each with its role",
			func(p plan) { p.record(app, admin); p.record(ops, app); p.resource(db, ops) },
			func(p plan) { p.DeleteRole(p.g.Role(app)) },
			[]string{"resource a:policy:app"}},
		{"a role leaves the resource of its id, and a resource its role",
			func(p plan) { p.record(ops, admin); p.record(app, admin) },
			func(p plan) { p.DeleteRole(p.g.Role(ops)); p.DeleteResource(p.g.Resource(app)) },
			[]string{"resource a:group:ops", "role a:policy:app"}},
		{"a policy takes what was declared by loading it",
			func(p plan) {
				p.record(app, admin)
				p.resource(db, admin, app)
				p.InsertRole(row.Role{ID: ops, Policy: app})
			},
			func(p plan) { p.DeleteResource(p.g.Resource(app)) },
			[]string{"role a:policy:app"}},
		{"a policy leaves the role of a resource that it declared and does not own",
			func(p plan) { p.record(app, admin); p.role(ops); p.resource(ops, admin, app) },
			func(p plan) { p.DeleteRecord(app) },
			[]string{"role a:group:ops"}},
		{"what is owned and declared at once goes as what is owned, whichever is looked at first",
			func(p plan) { p.record(app, admin); p.role(ops); p.resource(ops, app, app) },
			func(p plan) { p.DeleteRecord(app) },
			nil},
		{"a record is its role and its resource and what they take",
			func(p plan) { p.record(app, admin); p.record(ops, app); p.resource(db, ops) },
			func(p plan) { p.DeleteRecord(app) },
			nil},
		{"a circle of owners goes once",
			func(p plan) { p.role(app, ops); p.resource(app, ops); p.resource(ops, app) },
			func(p plan) { p.DeleteRecord(ops) },
			nil},
		{"a record without a role",
			func(p plan) { p.resource(db, admin) },
			func(p plan) { p.DeleteRecord(db) },
			nil},
		{"a record without a resource, and one that is not there",
			func(p plan) { p.role(ops) },
			func(p plan) { p.DeleteRecord(ops); p.DeleteRecord(db) },
			nil},
		{"what is gone already is left alone",
			func(p plan) { p.record(app, admin); p.record(ops, app) },
			func(p plan) {
				role, resource := p.g.Role(ops), p.g.Resource(ops)
				p.DeleteRecord(app)
				p.record(ops, admin)
				p.DeleteRole(role)
				p.DeleteResource(resource)
			},
			[]string{"resource a:group:ops", "role a:group:ops"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := New()
			p := plan{g.Begin()}
			p.record(admin, admin)
			c.given(p)
			c.when(p)
			want := append([]string{"resource a:user:admin", "role a:user:admin"}, c.left...)
			slices.Sort(want)
			if got := p.left(); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if flaws := g.flaws(); flaws != nil {
				t.Error(flaws)
			}
			if p.Rollback(); len(p.left()) > 0 {
				t.Errorf("left after rolling back: %v", p.left())
			}
		})
	}
}

func TestTheAdministratorWhoOwnsItselfCanBeDeleted(t *testing.T) {
	p := plan{New().Begin()}
	p.record("a:user:admin", "a:user:admin")
	p.record("a:policy:root", "a:user:admin")
	p.role("a:user:left")
	p.DeleteRecord("a:user:admin")
	if got := p.left(); !slices.Equal(got, []string{"role a:user:left"}) {
		t.Error(got)
	}
}

func TestDeletingAnAccountTakesWhatItsRolesOwnedElsewhere(t *testing.T) {
	p := plan{New().Begin()}
	p.record("a:user:admin", "a:user:admin")
	p.record("a-b:user:admin", "a-b:user:admin")
	p.role("a:user:without-resource")
	p.resource("a-b:variable:mine", "a:user:without-resource")
	p.resource("a-b:variable:theirs", "a-b:user:admin")
	p.InsertMembership(row.Membership{Role: "a-b:user:admin", Member: "a:user:admin"})
	p.DeleteAccount("a")
	want := []string{"resource a-b:user:admin", "resource a-b:variable:theirs", "role a-b:user:admin"}
	if got := p.left(); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if n := len(p.g.Role("a-b:user:admin").Members); n != 1 {
		t.Errorf("%d members are left", n)
	}
}

func TestOwnershipIsMirroredInTheRoles(t *testing.T) {
	g := New()
	p := plan{g.Begin()}
	p.role("a:user:one", "a:user:two", "a:group:x")
	p.resource("a:group:x", "a:user:one", "")
	m := g.Membership("a:group:x", "a:user:one", true)
	if m == nil || !m.Admin {
		t.Fatalf("the owner's membership is %+v", m)
	}
	p.SetOwner(g.Resource("a:group:x"), g.Role("a:user:two"))
	if g.Membership("a:group:x", "a:user:one", true) != nil || g.Membership("a:group:x", "a:user:two", true) == nil {
		t.Error("the new owner has not taken the place of the old one")
	}
	p.DeleteResource(g.Resource("a:group:x"))
	if n := len(g.Role("a:group:x").Members); n != 0 {
		t.Errorf("%d members are left of a role without a resource", n)
	}
	p.resource("a:group:y", "a:user:one")
	p.role("a:group:y")
	if g.Membership("a:group:y", "a:user:one", true) == nil {
		t.Error("a role that comes after its resource is not held by the owner")
	}
}

func TestAChangeThatChangesNothingIsNone(t *testing.T) {
	g := New()
	p := plan{g.Begin()}
	p.record("a:user:admin", "a:user:admin")
	p.InsertAnnotation(row.Annotation{Resource: "a:user:admin", Name: "n", Value: "v"})
	n := len(p.Changes())
	p.SetOwner(g.Resource("a:user:admin"), g.Role("a:user:admin"))
	p.SetAdmin(g.Membership("a:user:admin", "a:user:admin", true), true)
	p.SetAnnotation(g.Resource("a:user:admin").Annotation("n"), "v")
	if len(p.Changes()) != n {
		t.Errorf("%v", p.Changes()[n:])
	}
}
