package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

// everything is rows of all types with all that they may have, in the order of Export.
func everything() []row.Row {
	long := ident.ID("acme:variable:" + strings.Repeat("x", 5000))
	rows := []row.Row{
		row.DataKey{ID: 1, Wrapped: []byte{1, 2}, CreatedAt: now}, row.DataKey{ID: 2, Wrapped: []byte{3}, Active: true, CreatedAt: now},
		row.Account{Name: "acme", CreatedAt: now}, row.Account{Name: "other", CreatedAt: now},
		row.SigningKey{Account: "acme", KeyID: "k1", Sealed: []byte{3}, CreatedAt: now, RetiredAt: now},
		row.Role{ID: group, CreatedAt: now, Policy: policy}, row.Role{ID: policy, CreatedAt: now}, row.Role{ID: admin, CreatedAt: now}, row.Role{ID: alice, CreatedAt: now, Policy: policy},
		row.Resource{ID: factory, Owner: policy, CreatedAt: now, Policy: policy}, row.Resource{ID: policy, Owner: admin, CreatedAt: now},
		row.Resource{ID: variable, Owner: policy, CreatedAt: now, Policy: policy}, row.Resource{ID: long, Owner: policy, CreatedAt: now},
	}
	for _, pair := range everyType()[4:] { // of those that base does not have
		switch r := pair[1].(type) {
		case row.Secret:
			rows = append(rows, r, row.Secret{Resource: variable, Version: 2, Sealed: []byte{1, 0}, CreatedAt: now}, row.Secret{Resource: long, Version: 1, Sealed: make([]byte, 70_000), CreatedAt: now})
		case row.APIKey:
			rows = append(rows, row.APIKey{Role: admin, Digest: [32]byte{255}, Sealed: []byte{9}, RotatedAt: now}, r)
		default:
			rows = append(rows, r)
		}
	}
	return append(rows,
		row.RotationEvent{Variable: variable, Revision: 1, At: now, ID: "r1", State: "idle", Actor: "scheduler", Event: "rotated", Class: "x", Message: "y", Took: time.Second},
		row.Delivery{ID: "1", Hook: "a", Event: "rotated", Subject: variable, Body: "{}", CreatedAt: now, State: row.Waiting, Attempts: 1, NextAt: now, LastAt: now, Status: 500, Problem: "busy"})
}

func exported(f *fixture, export func(func(row.Row) error) error) (rows []row.Row) {
	f.Helper()
	if err := export(func(r row.Row) error { rows = append(rows, r); return nil }); err != nil {
		f.Fatal("export:", err)
	}
	return rows
}

func (f *fixture) export() []row.Row {
	f.Helper()
	return exported(f, func(visit func(row.Row) error) error { return f.store.Export(ctx, visit) })
}

// exports: everything that is stored leaves, as one snapshot.
func exports(f *fixture) {
	want := everything()
	f.must(inserts(want...))
	f.same(f.export(), want)

	var seen []row.Row
	if err := f.store.Export(ctx, func(r row.Row) error {
		if seen = append(seen, r); len(seen) == 1 {
			f.must(inserts(row.Role{ID: "acme:user:late"}, row.Secret{Resource: variable, Version: 9, Sealed: []byte{1}}))
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	f.same(seen, want)
	if got := len(f.export()); got != len(want)+2 {
		f.Errorf("an export after the commit has %d rows", got)
	}

	stop := errors.New("stop")
	if err := f.store.Export(ctx, func(row.Row) error { return stop }); err != stop {
		f.Errorf("got %v, want the visitor's error", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.store.Export(ended, func(row.Row) error { return nil }); !errors.Is(err, context.Canceled) {
		f.Errorf("got %v", err)
	}
}

// imports: an empty store takes everything or nothing.
func imports(f *fixture) {
	want := everything()
	put := func(into store.Filling) {
		f.Helper()
		for _, r := range want {
			if err := into.Put(r); err != nil {
				f.Fatal(err)
			}
		}
	}
	stop := errors.New("stop")
	err := f.store.Import(ctx, func(into store.Filling) error {
		put(into)
		return stop
	})
	if err != stop || len(f.export()) != 0 {
		f.Fatalf("an import that failed: %v, and %d rows", err, len(f.export()))
	}
	f.restart()
	if err := f.store.Import(ctx, func(into store.Filling) error {
		put(into)
		f.same(exported(f, into.Export), want)
		if err := into.Export(func(row.Row) error { return nil }); err != nil {
			f.Errorf("a second look: %v", err)
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	f.restart()
	f.same(f.export(), want)
	f.must(inserts(row.Role{ID: "acme:user:new"}), deletes(row.Role{ID: "acme:user:new"}))

	if err := f.store.Import(ctx, func(store.Filling) error { f.Error("a store with rows is filled"); return nil }); !errors.Is(err, store.ErrNotEmpty) {
		f.Errorf("got %v, want ErrNotEmpty", err)
	}
	f.same(f.export(), want)
	f.must(inserts(row.Role{ID: "acme:user:new"}))
}

// importsVisitorError: the store stays empty, and usable, when a look at an import fails.
func importsVisitorError(f *fixture) {
	stop := errors.New("stop")
	if err := f.store.Import(ctx, func(into store.Filling) error {
		if err := into.Put(row.Account{Name: "acme"}); err != nil {
			return err
		}
		return into.Export(func(row.Row) error { return stop })
	}); err != stop {
		f.Errorf("got %v, want the visitor's error", err)
	}
	f.base()
}
