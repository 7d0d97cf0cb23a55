package postgres_test

import (
	"errors"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
	"rekey/internal/store/storetest"
)

func place(url string) storetest.Place {
	return storetest.Place{
		Store:  func() (store.Store, error) { return postgres.Open(ctx, url) },
		Target: func() (store.Target, error) { return postgres.OpenTarget(ctx, url) },
	}
}

func TestTargets(t *testing.T) {
	storetest.RunTargets(t, func(t *testing.T) storetest.Place { return place(server.Database(t)) })
}

// Given a process that has the empty database open when a copy into it begins: it stores
// nothing before the copy ends, and then loads everything.
func TestWhoHadATargetOpenStoresNothing(t *testing.T) {
	url := server.Database(t)
	node := open(t, url)
	defer node.Close()
	before, err := node.LoadAt(ctx, func(row.Row) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	target, err := postgres.OpenTarget(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := errors.Join(target.Begin(ctx, []byte("0")), target.Put(ctx, []row.Row{user("a")}, []byte("0"), []byte("1"))); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Commit(ctx, []*row.Set{inserts(user("b"))}); !errors.Is(err, store.ErrUnfinished) || !fault.Is(err, fault.Conflict) {
		t.Errorf("a set: %v", err)
	}
	if err := node.Import(ctx, fillWith(user("b"))); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("an import: %v", err)
	}
	if err := target.End(ctx, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := node.Follow(ctx, before); !errors.Is(err, store.ErrBehind) {
		t.Errorf("following from before: %v", err)
	}
	if results, err := node.Commit(ctx, []*row.Set{inserts(user("b"))}); err != nil || results[0] != nil || len(roles(t, node)) != 2 {
		t.Errorf("afterwards: %v, %v, %v", results, err, roles(t, node))
	}
}

// Portions whose answers are lost are stored once, and the copy goes on.
func TestLostAnswersToACopy(t *testing.T) {
	proxy := postgrestest.NewProxy(t, server.Port)
	for _, cut := range []postgrestest.Cut{postgrestest.Before, postgrestest.After, postgrestest.Swallow} {
		url := postgrestest.URL(proxy.Port, server.Name(server.Database(t)))
		target, err := postgres.OpenTarget(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range []func() error{
			func() error { return target.Begin(ctx, []byte("0")) },
			func() error { return target.Put(ctx, []row.Row{user("a")}, []byte("0"), []byte("1")) },
			func() error { return target.Put(ctx, []row.Row{user("b")}, []byte("1"), []byte("2")) },
			func() error { return target.End(ctx, []byte("2")) },
		} {
			proxy.CutNext(cut)
			if err := step(); err != nil {
				t.Errorf("cut %d at step %d: %v", cut, i, err)
			}
		}
		if err := target.Close(); err != nil {
			t.Error(err)
		}
		s := open(t, url)
		if got := len(roles(t, s)); got != 2 {
			t.Errorf("cut %d: %d rows", cut, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if proxy.Cuts != 12 {
		t.Errorf("%d connections were cut", proxy.Cuts)
	}
}
