package postgres_test

import (
	"errors"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres/postgrestest"
)

func fillWith(users ...row.Row) func(store.Filling) error {
	return func(into store.Filling) error {
		for _, r := range users {
			if err := into.Put(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// Who has the database open while it is filled has to load everything, and can follow then.
func TestWhoFollowsAnImportLoadsAgain(t *testing.T) {
	url := server.Database(t)
	one, other := open(t, url), open(t, url)
	defer one.Close()
	defer other.Close()
	nothing := func(row.Row) error { return nil }
	before, err := other.LoadAt(ctx, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Import(ctx, fillWith(user("a"), user("b"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Follow(ctx, before); !errors.Is(err, store.ErrBehind) {
		t.Errorf("following from before: %v", err)
	}
	at, err := other.LoadAt(ctx, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if results, err := one.Commit(ctx, []*row.Set{inserts(user("c"))}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	if entries, more, err := other.Follow(ctx, at); err != nil || more || len(entries) != 1 || entries[0].At.Number != at.Number+1 {
		t.Errorf("following from after: %+v, %v, %v", entries, more, err)
	}
}

// Whether an import was stored whose answer was lost is found out.
func TestALostAnswerToAnImportIsFoundOut(t *testing.T) {
	proxy := postgrestest.NewProxy(t, server.Port)
	for _, c := range []struct {
		cut    postgrestest.Cut
		stored bool
	}{{postgrestest.After, true}, {postgrestest.Before, false}, {postgrestest.Swallow, false}} {
		s := open(t, postgrestest.URL(proxy.Port, server.Name(server.Database(t))))
		proxy.CutNext(c.cut)
		err := s.Import(ctx, fillWith(user("a")))
		if got := len(roles(t, s)); (err == nil) != (got == 1) || c.cut != postgrestest.Swallow && (err == nil) != c.stored || err != nil && !fault.Is(err, fault.Unavailable) {
			t.Errorf("cut %d: %v, %d rows", c.cut, err, got)
		}
		if err != nil {
			if err := s.Import(ctx, fillWith(user("a"))); err != nil || len(roles(t, s)) != 1 {
				t.Errorf("cut %d, again: %v", c.cut, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
