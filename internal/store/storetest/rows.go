package storetest

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"rekey/internal/row"
)

// loaded is a row as Load returns it.
func loaded(r row.Row) row.Row {
	switch r := r.(type) {
	case row.APIKey:
		r.Sealed = nil
		return r
	case row.Secret:
		r.Sealed = nil
		return r
	case row.PolicyVersion:
		r.Text = ""
		return r
	case row.Credential:
		r.Sealed = nil
		return r
	}
	return r
}

func loadedAll(rows []row.Row) []row.Row {
	var all []row.Row
	for _, r := range rows {
		all = append(all, loaded(r))
	}
	return all
}

// everyType has two states of one row of each type but DataKey, in the order of Load.
func everyType() [][2]row.Row {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	later := now.Add(time.Hour)
	return [][2]row.Row{
		{row.Account{Name: "other", CreatedAt: now}, row.Account{Name: "other", CreatedAt: later}},
		{row.SigningKey{Account: "acme", KeyID: "k1", Sealed: []byte{1, 0, 2}, CreatedAt: now},
			row.SigningKey{Account: "acme", KeyID: "k1", Sealed: []byte{3}, CreatedAt: now, RetiredAt: later}},
		{row.Role{ID: "acme:host:new", CreatedAt: now}, row.Role{ID: "acme:host:new", CreatedAt: later, Policy: policy}},
		{row.Resource{ID: "acme:variable:new", Owner: admin, CreatedAt: now},
			row.Resource{ID: "acme:variable:new", Owner: group, CreatedAt: later, Policy: policy}},
		{row.Membership{Role: group, Member: alice}, row.Membership{Role: group, Member: alice, Admin: true, Policy: policy}},
		{row.Membership{Role: group, Member: alice, Ownership: true},
			row.Membership{Role: group, Member: alice, Ownership: true, Admin: true, Policy: policy}},
		{row.Permission{Resource: variable, Role: group, Privilege: "execute"},
			row.Permission{Resource: variable, Role: group, Privilege: "execute", Policy: policy}},
		{row.Annotation{Resource: variable, Name: "description", Value: "the key"},
			row.Annotation{Resource: variable, Name: "description", Value: "", Policy: policy}},
		{row.APIKey{Role: alice, Digest: [32]byte{1, 31: 2}, Sealed: []byte{4}, RotatedAt: now},
			row.APIKey{Role: alice, Digest: [32]byte{3}, Sealed: []byte{5, 6}, RotatedAt: later, Form: row.KeyGrace, Request: [32]byte{1, 31: 9}}},
		{row.StagedKey{Role: admin, Digest: [32]byte{4}, Sealed: []byte{1, 2}, StagedAt: now, LapsesAt: later, Grace: time.Minute, Request: [32]byte{5}},
			row.StagedKey{Role: admin, Digest: [32]byte{6}, Sealed: []byte{3}, StagedAt: later, LapsesAt: later}},
		{row.OldKey{Role: admin, Digest: [32]byte{7}, ValidUntil: later}, row.OldKey{Role: admin, Digest: [32]byte{8}, ValidUntil: now}},
		{row.KeyUse{Role: admin, UsedAt: now}, row.KeyUse{Role: admin, UsedAt: later}},
		{row.Password{Role: alice, Sealed: []byte{7}, ChangedAt: now}, row.Password{Role: alice, Sealed: []byte{8, 9}, ChangedAt: later}},
		{row.Restriction{Role: alice, Networks: networks}, row.Restriction{Role: alice, Networks: networks[1:]}},
		{row.Secret{Resource: variable, Version: 1, Sealed: []byte{10}, CreatedAt: now},
			row.Secret{Resource: variable, Version: 1, Sealed: []byte{11}, CreatedAt: now, ExpiresAt: later}},
		{row.PolicyVersion{Policy: policy, Version: 1, Role: alice, CreatedAt: now, FinishedAt: later, ClientIP: "127.0.0.1", SHA256: "ab", Text: "- !user a"},
			row.PolicyVersion{Policy: policy, Version: 1, Role: admin, CreatedAt: later, SHA256: "cd", Text: "- !user b"}},
		{row.HostFactoryToken{Digest: [32]byte{9}, Factory: factory, Sealed: []byte{12}, Networks: networks, ExpiresAt: later},
			row.HostFactoryToken{Digest: [32]byte{9}, Factory: factory, Sealed: []byte{13}, ExpiresAt: now}},
		{row.Authenticator{Resource: variable, Enabled: true}, row.Authenticator{Resource: variable}},
		{row.Rotation{Variable: variable, Revision: 1, State: "idle"},
			row.Rotation{Variable: variable, Revision: 1 << 40, State: "uncertain", ID: "r1", Identity: "db:5432", Version: 7,
				Candidate: true, Sent: true, Unsure: true, Acked: true, Previous: true, Discarded: true, Attempts: 3, AuthFailures: 2, BadValues: 1,
				StartedAt: now, LastSuccess: later, RetryAt: now.Add(1e6), RetireAt: now.Add(2e6), RequestedAt: now.Add(3e6), RequestedBy: alice, Reconcile: true,
				PausedAt: now.Add(4e6), PausedBy: admin, PauseReason: "holidays", ErrorClass: "refused", ErrorMessage: "no", ErrorAt: now.Add(5e6),
				Holder: "node", LeaseUntil: now.Add(6e6), Events: 1 << 41, CheckedAt: now.Add(7e6), Awaited: "host/app alice", RetireBy: now.Add(8e6)}},
		{row.Credential{Variable: variable, Slot: row.Candidate, Sealed: []byte{14}}, row.Credential{Variable: variable, Slot: row.Candidate, Sealed: []byte{15, 0}}},
	}
}

func eachRowType(f *fixture) {
	f.base()
	before := f.load()
	for _, pair := range everyType() {
		first, second := pair[0], pair[1]
		f.must(inserts(first))
		f.restart()
		if !f.has(loaded(first)) {
			f.Errorf("inserted, but not loaded: %#v", first)
		}
		f.must(updates(second))
		f.restart()
		same := reflect.DeepEqual(loaded(first), loaded(second)) // but for what does not load
		if !f.has(loaded(second)) || f.has(loaded(first)) && !same {
			f.Errorf("updated, but not loaded so: %#v", second)
		}
		f.must(deletes(second))
		f.restart()
		f.same(f.load(), before)
	}

	old := row.DataKey{ID: 1, Wrapped: []byte{1}, Active: true, CreatedAt: now}
	next := row.DataKey{ID: 2, Wrapped: []byte{2}, Active: true, CreatedAt: now}
	f.must(inserts(old))
	retired := old
	retired.Active = false
	s := updates(retired)
	s.Add(row.Insert, next)
	f.must(s)
	f.restart()
	if keys, err := f.store.DataKeys(ctx); err != nil || !reflect.DeepEqual(keys, []row.DataKey{retired, next}) {
		f.Errorf("data keys: %+v, %v", keys, err)
	}
	f.must(deletes(retired))
	if keys, err := f.store.DataKeys(ctx); err != nil || !reflect.DeepEqual(keys, []row.DataKey{next}) {
		f.Errorf("data keys after one was deleted: %+v, %v", keys, err)
	}
	f.same(f.load(), before)
}

// loadOrder stores rows in the reverse of the order in which they must load.
func loadOrder(f *fixture) {
	want := []row.Row{
		row.Account{Name: "a", CreatedAt: now}, row.Account{Name: "b"},
		row.SigningKey{Account: "a", KeyID: "1", Sealed: []byte{1}}, row.SigningKey{Account: "b", KeyID: "1", Sealed: []byte{1}},
		row.Role{ID: "a:user:Z"}, row.Role{ID: "a:user:a"}, row.Role{ID: "a:user:ä"},
		row.Resource{ID: "a:variable:B", Owner: "a:user:a"}, row.Resource{ID: "a:variable:a", Owner: "a:user:a"},
		row.Resource{ID: "a:variable:a/b", Owner: "a:user:a"}, row.Resource{ID: "a:variable:ä", Owner: "a:user:a"},
		row.Membership{Role: "a:user:a", Member: "a:user:Z"},
		row.Permission{Resource: "a:variable:a", Role: "a:user:a", Privilege: "read"},
		row.Annotation{Resource: "a:variable:a", Name: "x", Value: "y"},
		row.APIKey{Role: "a:user:a", Digest: [32]byte{1}},
		row.StagedKey{Role: "a:user:a", Digest: [32]byte{2}, Sealed: []byte{1}},
		row.OldKey{Role: "a:user:a", Digest: [32]byte{3}},
		row.KeyUse{Role: "a:user:a", UsedAt: now},
		row.Password{Role: "a:user:a", Sealed: []byte{1}},
		row.Restriction{Role: "a:user:a", Networks: []netip.Prefix{netip.MustParsePrefix("::/0")}},
		row.Secret{Resource: "a:variable:B", Version: 2}, row.Secret{Resource: "a:variable:a", Version: 1},
		row.Secret{Resource: "a:variable:a", Version: 2}, row.Secret{Resource: "a:variable:a", Version: 10},
		row.PolicyVersion{Policy: "a:variable:a", Version: 9}, row.PolicyVersion{Policy: "a:variable:a", Version: 10},
		row.HostFactoryToken{Digest: [32]byte{1}, Factory: "a:variable:a", Sealed: []byte{1}},
		row.Authenticator{Resource: "a:variable:a", Enabled: true}, row.Authenticator{Resource: "a:variable:a/b"},
		row.Rotation{Variable: "a:variable:B", Revision: 1, State: "idle"}, row.Rotation{Variable: "a:variable:a", Revision: 2, State: "idle"},
		row.Credential{Variable: "a:variable:a", Slot: row.Candidate}, row.Credential{Variable: "a:variable:a", Slot: row.Previous},
	}
	reversed := slices.Clone(want)
	slices.Reverse(reversed)
	f.must(inserts(reversed...))
	f.same(f.load(), want)
}

func loadSnapshot(f *fixture) {
	f.base()
	before := f.load()
	var seen []row.Row
	err := f.store.Load(ctx, func(r row.Row) error {
		if seen = append(seen, r); len(seen) == 1 {
			f.must(inserts(row.Role{ID: "acme:user:late"}, row.Resource{ID: "acme:variable:late", Owner: "acme:user:late"}))
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.same(seen, before)
	if len(f.load()) != len(before)+2 {
		f.Error("a load after the commit does not see it")
	}

	stop := errors.New("stop")
	visits := 0
	err = f.store.Load(ctx, func(row.Row) error { visits++; return stop })
	if err != stop || visits != 1 {
		f.Errorf("got %v after %d visits, want the visitor's error after 1", err, visits)
	}
}
