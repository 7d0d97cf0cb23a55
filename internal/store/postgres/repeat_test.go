package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

// Where all is serializable, processes that write at the same time have to repeat their
// transactions. Every set is stored all the same, once.
func TestWritersWhereAllIsSerializable(t *testing.T) {
	tap := postgrestest.NewTap(t, server.Port)
	tap.Serializable = true
	url := postgrestest.URL(tap.Port, server.Name(server.Database(t)))
	const writers, each = 4, 15
	var wg sync.WaitGroup
	attempts, mu := 0, sync.Mutex{}
	tap.Fail(func(sql string) (string, bool) {
		if strings.HasPrefix(sql, "BEGIN") {
			mu.Lock()
			defer mu.Unlock()
			attempts++
		}
		return "", false
	})
	for w := range writers {
		s := open(t, url)
		defer s.Close()
		wg.Go(func() {
			for i := range each {
				if results, err := s.Commit(ctx, []*row.Set{inserts(user(fmt.Sprintf("%d-%02d", w, i)))}); err != nil || results[0] != nil {
					t.Error(w, i, results, err)
				}
			}
		})
	}
	wg.Wait()
	tap.Fail(nil)
	s := open(t, url)
	defer s.Close()
	if got := roles(t, s); len(got) != writers*each {
		t.Errorf("%d of %d sets are stored", len(got), writers*each)
	}
	mu.Lock()
	defer mu.Unlock()
	if t.Logf("%d transactions for %d sets", attempts, writers*each); attempts <= writers*each+writers {
		t.Error("no transaction had to be repeated")
	}
}

// given is a store with a few rows, behind a tap, and what is asked of it.
type given struct {
	*postgres.Store
	tap *postgrestest.Tap
	url string
}

func tapped(t *testing.T) *given {
	t.Helper()
	tap := postgrestest.NewTap(t, server.Port)
	url := postgrestest.URL(tap.Port, server.Name(server.Database(t)))
	s := open(t, url)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	variable := row.Resource{ID: "acme:variable:v", Owner: user("owner").ID}
	if results, err := s.Commit(ctx, []*row.Set{inserts(user("owner"), variable, row.Secret{Resource: variable.ID, Version: 1, Sealed: []byte("x")})}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	return &given{s, tap, url}
}

// Whichever statement the database wants to have repeated, or refuses because it stops, or
// leaves open what has become of: the caller does not notice, and what is stored is stored
// once.
func TestEveryStatementMayHaveToBeRepeated(t *testing.T) {
	g := tapped(t)
	into, empty := server.Database(t), server.Database(t)
	behind := map[string]*pgconn.PgConn{into: connect(t, into), empty: connect(t, empty)}
	run := func(url, sql string) error {
		_, err := behind[url].Exec(ctx, sql).ReadAll()
		return err
	}
	target, err := postgres.OpenTarget(ctx, postgrestest.URL(g.tap.Port, server.Name(into)))
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	n := 0
	for name, do := range map[string]func() error{
		"commit": func() error {
			n++
			id := user(fmt.Sprint("u", n))
			results, err := g.Commit(ctx, []*row.Set{inserts(id, row.APIKey{Role: id.ID, Digest: [32]byte{1}}), updates(row.Role{ID: "acme:user:none"})})
			if err == nil && (results[0] != nil || !errors.Is(results[1], store.ErrChanged)) {
				err = errors.Join(append(results, errors.New("decided otherwise"))...)
			}
			return err
		},
		"read": func() error {
			_, err := g.Secret(ctx, "acme:variable:v", 1)
			return err
		},
		"follow": func() error {
			entries, _, err := g.Follow(ctx, store.Position{})
			if err == nil && len(entries) != n+1 {
				err = fmt.Errorf("%d entries after %d sets", len(entries), n+1)
			}
			return err
		},
		"beat": func() error { return g.Beat(ctx) },
		"open": func() error {
			s, err := postgres.Open(ctx, postgrestest.URL(g.tap.Port, server.Name(empty)))
			if err == nil {
				err = errors.Join(s.Close(), run(empty, "DROP SCHEMA rekey CASCADE"))
			}
			return err
		},
		"copy": func() error {
			return errors.Join(target.Begin(ctx, []byte("0")), target.Put(ctx, []row.Row{user("a")}, []byte("0"), []byte("1")),
				target.End(ctx, []byte("1")), run(into, "DELETE FROM rekey.roles"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			statements := 0
			for ; ; statements++ {
				code := []string{"40001", "40003", "57P01", "08006"}[statements%4]
				came := g.tap.FailNth(statements, code)
				err := do()
				g.tap.Fail(nil)
				if err != nil {
					t.Errorf("statement %d fails with %s: %v", statements, code, err)
				}
				if !came() {
					break
				}
			}
			if statements == 0 {
				t.Error("nothing was asked of the database")
			}
		})
	}
	if got := roles(t, g.Store); len(got) != n+1 {
		t.Errorf("%d sets are stored %d times", n, len(got)-1)
	}
}

// What a database says with COMMIT of a transaction of which it does not know whether it
// was stored is not believed in either direction.
func TestACommitOfWhichTheDatabaseIsNotSure(t *testing.T) {
	g := tapped(t)
	for i, after := range []bool{false, true, true} {
		done := false
		g.tap.Fail(func(sql string) (string, bool) {
			if sql != "COMMIT" || done {
				return "", false
			}
			done = true
			return "40003", after
		})
		id := user(fmt.Sprint("u", i))
		if results, err := g.Commit(ctx, []*row.Set{inserts(id)}); err != nil || results[0] != nil {
			t.Errorf("stored %t: %v, %v", after, results, err)
		}
		g.tap.Fail(nil)
		if !done || !slices.Contains(roles(t, g.Store), string(id.ID)) {
			t.Errorf("it is not stored: %v", roles(t, g.Store))
		}
	}
	if entries, _, err := g.Follow(ctx, store.Position{}); err != nil || len(entries) != 4 {
		t.Errorf("%d entries in the log, %v", len(entries), err)
	}
}

func updates(rows ...row.Row) *row.Set {
	s := &row.Set{}
	for _, r := range rows {
		s.Add(row.Update, r)
	}
	return s
}
