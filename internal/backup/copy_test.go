package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"rekey/internal/backup"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

func targetIn(t *testing.T, dir string) store.Target {
	t.Helper()
	target, err := sqlite.OpenTarget(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	return target
}

// many adds rows to a store, so that a copy of it has several portions.
func many(t *testing.T, to store.Store, n int) {
	t.Helper()
	set := &row.Set{}
	for i := range n {
		set.Add(row.Insert, row.Role{ID: ident.ID(fmt.Sprintf("acme:user:u%05d", i))})
	}
	if results, err := to.Commit(ctx, []*row.Set{set}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
}

func copied(t *testing.T, from store.Store, into store.Target, root *seal.Root) (backup.Copied, error) {
	t.Helper()
	return backup.Copy(ctx, from, into, root, false, nil)
}

func TestACopyIsTheSame(t *testing.T) {
	from, root := filled(t)
	_, wrote := written(t, from, root)
	dir := t.TempDir()
	target := targetIn(t, dir)
	if _, err := copied(t, from, target, newRoot(t, "another")); !fault.Is(err, fault.Invalid) {
		t.Errorf("with another root key: %v", err)
	}
	for i, earlier := range []int{0, wrote.Rows} { // doing it again compares
		got, err := copied(t, from, target, root)
		if err != nil || got.Digest != wrote.Digest || got.Rows != wrote.Rows || got.Earlier != earlier {
			t.Errorf("time %d: %+v, %v", i, got, err)
		}
	}
	many(t, from, 1)
	if _, err := copied(t, from, target, root); !fault.Is(err, fault.Conflict) {
		t.Errorf("into a store with something else: %v", err)
	}
	if _, err := copied(t, newStore(t), targetIn(t, t.TempDir()), root); !fault.Is(err, fault.NotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

var errDied = errors.New("died")

// mortal is a target whose process dies before or after what it has been given to live
// for.
type mortal struct {
	store.Target
	left int // portions that are still stored
	puts int // rows that were put
	late bool
}

func (m *mortal) die() error {
	if m.left--; m.left < 0 {
		return errDied
	}
	return nil
}

func (m *mortal) Put(ctx context.Context, rows []row.Row, was, is []byte) error {
	err := m.die()
	if err != nil && !m.late {
		return err
	}
	m.puts += len(rows)
	return errors.Join(m.Target.Put(ctx, rows, was, is), err)
}

func (m *mortal) End(ctx context.Context, was []byte) error {
	err := m.die()
	if err != nil && !m.late {
		return err
	}
	return errors.Join(m.Target.End(ctx, was), err)
}

// Given copies that die again and again, before or after a portion is stored: in the end
// everything is there, and no row was stored twice.
func TestACopyThatDiedGoesOn(t *testing.T) {
	from, root := filled(t)
	many(t, from, 4500)
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		dir := t.TempDir()
		target := targetIn(t, dir)
		puts, earlier := 0, 0
		for {
			m := &mortal{Target: target, left: random.IntN(3), late: random.IntN(2) == 0}
			got, err := copied(t, from, m, root)
			puts += m.puts
			if err == nil {
				if got.Earlier < earlier || puts != got.Rows {
					t.Errorf("%d rows were put, %d of them earlier, of %d", puts, got.Earlier, got.Rows)
				}
				break
			}
			if !errors.Is(err, errDied) {
				t.Fatal(err)
			}
		}
		if err := target.Close(); err != nil {
			t.Fatal(err)
		}
		into, err := sqlite.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(rows(t, into), rows(t, from)) {
			t.Error("the rows are others")
		}
		if err := into.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What was changed between two attempts is noticed, and nothing is mixed.
func TestACopyOfAnotherSourceDoesNotGoOn(t *testing.T) {
	from, root := filled(t)
	many(t, from, 2500)
	dir := t.TempDir()
	target := targetIn(t, dir)
	if _, err := copied(t, from, &mortal{Target: target, left: 1}, root); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	before, err := target.Progress(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set := &row.Set{}
	set.Add(row.Update, row.Secret{Resource: idle, Version: 1, Sealed: []byte("another")})
	if results, err := from.Commit(ctx, []*row.Set{set}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	if _, err := copied(t, from, target, root); !fault.Is(err, fault.Conflict) {
		t.Errorf("got %v", err)
	}
	if after, err := target.Progress(ctx); err != nil || string(after) != string(before) {
		t.Errorf("the progress was %s, and is %s, %v", before, after, err)
	}
	if got, err := backup.Copy(ctx, from, target, root, true, nil); err != nil || got.Earlier != 0 {
		t.Errorf("from the beginning: %+v, %v", got, err)
	}
}

// busy is a store that is written to while it is read for the nth time.
type busy struct {
	store.Store
	t     *testing.T
	reads int
	at    int
}

func (s *busy) Export(ctx context.Context, visit func(row.Row) error) error {
	err := s.Store.Export(ctx, visit)
	if s.reads++; s.reads == s.at {
		set := &row.Set{}
		set.Add(row.Insert, row.Role{ID: "acme:user:late"})
		if _, failed := s.Commit(ctx, []*row.Set{set}); failed != nil {
			s.t.Error(failed)
		}
	}
	return err
}

func TestACopyOfAStoreThatIsServedIsRefused(t *testing.T) {
	for at := 1; at <= 2; at++ {
		from, root := filled(t)
		dir := t.TempDir()
		target := targetIn(t, dir)
		if _, err := copied(t, &busy{Store: from, t: t, at: at}, target, root); !fault.Is(err, fault.Conflict) {
			t.Errorf("at the end of read %d: %v", at, err)
		}
		if err := target.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(dir); !errors.Is(err, store.ErrUnfinished) {
			t.Errorf("what is left opens: %v", err)
		}
	}
}

// changing is a target that keeps something else than it was given.
type changing struct {
	store.Target
	change func(row.Row) []row.Row
}

func (c changing) Put(ctx context.Context, rows []row.Row, was, is []byte) error {
	var changed []row.Row
	for _, r := range rows {
		changed = append(changed, c.change(r)...)
	}
	return c.Target.Put(ctx, changed, was, is)
}
