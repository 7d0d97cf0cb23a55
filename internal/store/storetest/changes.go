package storetest

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

func cascades(f *fixture) {
	f.base()
	before := f.load()
	f.must(inserts(row.Account{Name: "gone"},
		row.SigningKey{Account: "gone", KeyID: "1", Sealed: []byte{1}}, row.SigningKey{Account: "gone", KeyID: "2", Sealed: []byte{1}}))
	f.must(deletes(row.Account{Name: "gone"}))
	f.same(f.load(), before)

	host := row.Role{ID: "acme:host:gone"}
	f.must(inserts(host, row.APIKey{Role: host.ID}, row.Password{Role: host.ID, Sealed: []byte{1}}, row.Restriction{Role: host.ID}))
	f.must(deletes(host))
	f.same(f.load(), before)

	f.must(inserts(host, row.APIKey{Role: host.ID}, row.StagedKey{Role: host.ID, Digest: [32]byte{1}, Sealed: []byte{1}},
		row.OldKey{Role: host.ID, Digest: [32]byte{2}}, row.KeyUse{Role: host.ID}))
	f.must(deletes(row.APIKey{Role: host.ID}))
	f.must(deletes(host))
	f.same(f.load(), before)
	f.must(inserts(host, row.APIKey{Role: host.ID}, row.StagedKey{Role: host.ID, Digest: [32]byte{1}, Sealed: []byte{1}},
		row.OldKey{Role: host.ID, Digest: [32]byte{2}}, row.KeyUse{Role: host.ID}))
	f.must(deletes(host))
	f.same(f.load(), before)

	thing := row.Resource{ID: "acme:policy:gone", Owner: admin}
	f.must(inserts(thing, row.Secret{Resource: thing.ID, Version: 1}, row.Secret{Resource: thing.ID, Version: 2},
		row.PolicyVersion{Policy: thing.ID, Version: 1}, row.HostFactoryToken{Factory: thing.ID},
		row.Authenticator{Resource: thing.ID},
		row.Rotation{Variable: thing.ID}, row.Credential{Variable: thing.ID, Slot: row.Previous}, row.RotationEvent{Variable: thing.ID, Revision: 1}))
	f.must(deletes(thing))
	f.same(f.load(), before)

	// A policy version outlives the role that loaded it.
	loader := row.Role{ID: "acme:user:loader"}
	version := row.PolicyVersion{Policy: policy, Version: 7, Role: loader.ID}
	f.must(inserts(loader, version))
	f.must(deletes(loader))
	if !f.has(version) {
		f.Error("the policy version went with the role that loaded it")
	}
}

func existence(f *fixture) {
	f.base()
	for _, pair := range everyType() {
		r, other := pair[0], pair[1]
		f.refused(updates(r), "does not exist")
		switch r.(type) {
		case row.Secret, row.PolicyVersion: // and RotationEvent, which does not load
			before := f.load()
			f.must(deletes(r)) // trimming what somebody else has trimmed is fine
			f.same(f.load(), before)
		default:
			f.refused(deletes(r), "does not exist")
		}
		f.must(inserts(r))
		f.refused(inserts(other), "exists already")
		f.must(deletes(r))
	}
	f.refused(inserts(row.Role{ID: "acme:user:twice"}, row.Role{ID: "acme:user:twice"}), "acme:user:twice")
}

func references(f *fixture) {
	f.base()
	const none = "acme:user:none"
	for _, r := range []row.Row{
		row.SigningKey{Account: none, KeyID: "1", Sealed: []byte{1}},
		row.Resource{ID: "acme:variable:x", Owner: none},
		row.Membership{Role: none, Member: alice},
		row.Membership{Role: group, Member: none},
		row.Permission{Resource: none, Role: alice, Privilege: "read"},
		row.Permission{Resource: variable, Role: none, Privilege: "read"},
		row.Annotation{Resource: none, Name: "x"},
		row.APIKey{Role: none},
		row.StagedKey{Role: none, Sealed: []byte{1}},
		row.OldKey{Role: none},
		row.KeyUse{Role: none},
		row.Password{Role: none, Sealed: []byte{1}},
		row.Restriction{Role: none},
		row.Secret{Resource: none, Version: 1},
		row.PolicyVersion{Policy: none, Version: 1},
		row.HostFactoryToken{Factory: none},
		row.Authenticator{Resource: none},
		row.Rotation{Variable: none},
		row.Credential{Variable: none, Slot: row.Candidate},
		row.RotationEvent{Variable: none, Revision: 1},
	} {
		f.refused(inserts(r), none)
	}
	f.refused(inserts(row.StagedKey{Role: alice, Sealed: []byte{1}}), string(alice)) // she has no API key
	f.refused(updates(row.Resource{ID: variable, Owner: none}), string(variable), none)

	// What is referred to cannot go alone.
	for _, c := range []struct{ child, parent row.Row }{
		{row.Resource{ID: "acme:variable:x", Owner: alice}, row.Role{ID: alice}},
		{row.Membership{Role: alice, Member: group}, row.Role{ID: alice}},
		{row.Membership{Role: group, Member: alice}, row.Role{ID: alice}},
		{row.Permission{Resource: variable, Role: alice, Privilege: "read"}, row.Role{ID: alice}},
		{row.Permission{Resource: variable, Role: group, Privilege: "read"}, row.Resource{ID: variable}},
		{row.Annotation{Resource: variable, Name: "x"}, row.Resource{ID: variable}},
	} {
		f.must(inserts(c.child))
		switch parent := c.parent.(type) {
		case row.Role:
			f.refused(deletes(parent), string(parent.ID))
		case row.Resource:
			f.refused(deletes(parent), string(parent.ID))
		}
		f.must(deletes(c.child))
	}
}

func orderWithinSet(f *fixture) {
	f.base()
	before := f.load()
	created := []row.Row{
		row.Membership{Role: "acme:group:new", Member: "acme:user:new"},
		row.Permission{Resource: "acme:variable:new", Role: "acme:group:new", Privilege: "read"},
		row.Secret{Resource: "acme:variable:new", Version: 1},
		row.Resource{ID: "acme:variable:new", Owner: "acme:group:new"},
		row.Role{ID: "acme:user:new"},
		row.Role{ID: "acme:group:new"},
	}
	f.must(inserts(created...))
	f.must(deletes( // the parents first; the secret goes with its resource
		row.Role{ID: "acme:group:new"}, row.Role{ID: "acme:user:new"}, row.Resource{ID: "acme:variable:new"},
		created[0], created[1]))
	f.same(f.load(), before)

	// A role may be replaced under what refers to it.
	f.must(inserts(row.Membership{Role: group, Member: alice}, row.APIKey{Role: group}))
	s := deletes(row.Role{ID: group})
	s.Add(row.Insert, row.Role{ID: group, Policy: "acme:policy:other"})
	f.must(s)
	if !f.has(row.Membership{Role: group, Member: alice}) || f.has(row.APIKey{Role: group}) {
		f.Error("replacing a role must keep its memberships and drop its API key")
	}
}

func conditions(f *fixture) {
	f.base()
	key := row.APIKey{Role: alice, Digest: [32]byte{1}}
	f.must(inserts(key, row.Password{Role: alice, Sealed: []byte("p")}, row.Secret{Resource: variable, Version: 1},
		row.Secret{Resource: variable, Version: 10}, row.Secret{Resource: variable, Version: 9}))
	f.must(inserts(row.Rotation{Variable: variable, Revision: 7}))
	f.must(inserts(row.StagedKey{Role: alice, Digest: [32]byte{3}, Sealed: []byte{1}}, row.OldKey{Role: alice, Digest: [32]byte{4}}))
	mark := row.Annotation{Resource: policy, Name: "mark"}
	for _, c := range []struct {
		holds     bool
		condition row.Condition
		names     string
	}{
		{true, row.RoleExists{Role: alice}, ""},
		{false, row.RoleExists{Role: "acme:user:none"}, "acme:user:none"},
		{true, row.ResourceExists{Resource: variable}, ""},
		{false, row.ResourceExists{Resource: alice}, string(alice)},
		{true, row.KeyIs{Role: alice, Digest: key.Digest}, ""},
		{false, row.KeyIs{Role: alice, Digest: [32]byte{2}}, string(alice)},
		{false, row.KeyIs{Role: group}, string(group)},
		{true, row.StagedKeyIs{Role: alice, Digest: [32]byte{3}}, ""},
		{false, row.StagedKeyIs{Role: alice, Digest: [32]byte{4}}, string(alice)},
		{false, row.StagedKeyIs{Role: alice}, string(alice)},
		{true, row.StagedKeyIs{Role: admin}, ""},
		{false, row.StagedKeyIs{Role: admin, Digest: [32]byte{3}}, string(admin)},
		{true, row.OldKeyIs{Role: alice, Digest: [32]byte{4}}, ""},
		{false, row.OldKeyIs{Role: alice, Digest: [32]byte{3}}, string(alice)},
		{false, row.OldKeyIs{Role: alice}, string(alice)},
		{true, row.OldKeyIs{Role: admin}, ""},
		{true, row.PasswordIs{Role: alice, Sealed: []byte("p")}, ""},
		{false, row.PasswordIs{Role: alice, Sealed: []byte("q")}, string(alice)},
		{false, row.PasswordIs{Role: alice}, string(alice)},
		{true, row.PasswordIs{Role: group}, ""},
		{false, row.PasswordIs{Role: group, Sealed: []byte("p")}, string(group)},
		{true, row.LatestVersion{Resource: variable, Version: 10}, ""},
		{false, row.LatestVersion{Resource: variable, Version: 9}, string(variable)},
		{false, row.LatestVersion{Resource: variable}, string(variable)},
		{true, row.LatestVersion{Resource: policy}, ""},
		{false, row.LatestVersion{Resource: policy, Version: 1}, string(policy)},
		{true, row.RotationIs{Variable: variable, Revision: 7}, ""},
		{false, row.RotationIs{Variable: variable, Revision: 6}, string(variable)},
		{false, row.RotationIs{Variable: variable}, string(variable)},
		{true, row.RotationIs{Variable: policy}, ""},
		{false, row.RotationIs{Variable: policy, Revision: 1}, string(policy)},
	} {
		if !c.holds {
			f.refused(requiring(mark, row.RoleExists{Role: admin}, c.condition), c.names)
			continue
		}
		f.must(requiring(mark, c.condition))
		f.must(deletes(mark))
	}
	// A set that only requires.
	f.must(&row.Set{Require: []row.Condition{row.RoleExists{Role: alice}}})
	f.refused(&row.Set{Require: []row.Condition{row.RoleExists{Role: "acme:user:none"}}})
	f.must(&row.Set{})
	f.must()
}

// isolation: in each case the sets run in one transaction; fails says which of them.
func isolation(f *fixture) {
	f.base()
	user := func(name string) row.Role { return row.Role{ID: ident.New("acme", "user", name)} }
	a, b, c := user("a"), user("b"), user("c")
	late := func(first, second row.Row) *row.Set { return inserts(first, second) } // fails after a write, if at second
	missing := row.Membership{Role: group, Member: "acme:user:none"}
	for name, t := range map[string]struct {
		sets  []*row.Set
		fails []int
		want  []row.Row
	}{
		"the first fails before it writes": {[]*row.Set{requiring(a, row.RoleExists{Role: c.ID}), inserts(b)}, []int{0}, []row.Row{b}},
		"the first fails after a write":    {[]*row.Set{late(a, row.Role{ID: admin}), inserts(b)}, []int{0}, []row.Row{b}},
		"the last fails after a write":     {[]*row.Set{inserts(b), late(a, row.Role{ID: admin})}, []int{1}, []row.Row{b}},
		"the middle leaves a dangling row": {[]*row.Set{inserts(a), inserts(missing), inserts(c)}, []int{1}, []row.Row{a, c}},
		"one needs what an earlier stored": {[]*row.Set{inserts(a), requiring(b, row.RoleExists{Role: a.ID})}, nil, []row.Row{a, b}},
		"one needs what a later stores":    {[]*row.Set{requiring(b, row.RoleExists{Role: a.ID}), inserts(a)}, []int{0}, []row.Row{a}},
		"two store the same":               {[]*row.Set{inserts(a, b), inserts(c, b)}, []int{1}, []row.Row{a, b}},
		"one needs what a failed one held": {[]*row.Set{late(a, missing), requiring(b, row.RoleExists{Role: a.ID}), inserts(c)}, []int{0, 1}, []row.Row{c}},
		"all fail":                         {[]*row.Set{late(a, missing), late(b, missing)}, []int{0, 1}, nil},
		"a chain breaks":                   {[]*row.Set{chained(inserts(a)), chained(late(b, missing)), chained(inserts(c))}, []int{1, 2}, []row.Row{a}},
		"a chain breaks for itself alone":  {[]*row.Set{inserts(a), chained(late(b, missing)), inserts(c)}, []int{1}, []row.Row{a, c}},
		"what is no chain breaks none":     {[]*row.Set{chained(inserts(a)), late(b, missing), chained(inserts(c))}, []int{1}, []row.Row{a, c}},
		"a delete is undone":               {[]*row.Set{inserts(a), func() *row.Set { s := deletes(a); s.Add(row.Insert, missing); return s }()}, []int{1}, []row.Row{a}},
	} {
		before := f.load()
		for i, err := range f.commit(t.sets...) {
			if (err != nil) != slices.Contains(t.fails, i) {
				f.Errorf("%s: set %d: %v", name, i, err)
			}
		}
		for _, r := range []row.Role{a, b, c} {
			if f.has(r) != slices.Contains(t.want, row.Row(r)) {
				f.Errorf("%s: %s is stored: %v", name, r.ID, f.has(r))
			}
		}
		for _, r := range t.want {
			f.must(deletes(r))
		}
		f.same(f.load(), before)
	}
}

func chained(s *row.Set) *row.Set {
	s.Chained = true
	return s
}

func oneActiveDataKey(f *fixture) {
	key := func(id uint32, active bool) row.DataKey {
		return row.DataKey{ID: id, Wrapped: []byte{1}, Active: active}
	}
	f.refused(inserts(key(1, false)))
	f.must(inserts(key(1, true)))
	f.refused(inserts(key(2, true)))
	f.refused(updates(key(1, false)))
	f.refused(deletes(key(1, true)))
	rotate := inserts(key(2, true)) // in any order
	rotate.Add(row.Update, key(1, false))
	f.must(rotate)
	f.must(inserts(key(3, false)))
}

func unstorable(f *fixture) {
	f.base()
	x, good := row.Role{ID: "acme:user:x"}, row.Role{ID: "acme:user:good"}
	for name, bad := range map[string]row.Change{
		"an invalid network": {Op: row.Insert, Row: row.Restriction{Role: admin, Networks: []netip.Prefix{{}}}},
		"an unknown op":      {Op: row.Delete + 1, Row: row.Role{ID: admin}},
	} {
		s := inserts(x)
		s.Changes = append(s.Changes, bad)
		results := f.commit(s, inserts(good))
		if results[0] == nil || errors.Is(results[0], store.ErrChanged) || results[1] != nil || !f.has(good) || f.has(x) {
			f.Errorf("%s: %v", name, results)
		}
		f.must(deletes(good))
	}
}

func endedContext(f *fixture) {
	f.base()
	before := f.load()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.store.Commit(ended, []*row.Set{inserts(row.Role{ID: "acme:user:x"})}); !errors.Is(err, context.Canceled) {
		f.Errorf("commit: %v", err)
	}
	if err := f.store.Load(ended, func(row.Row) error { return nil }); !errors.Is(err, context.Canceled) {
		f.Errorf("load: %v", err)
	}
	f.same(f.load(), before)
}
