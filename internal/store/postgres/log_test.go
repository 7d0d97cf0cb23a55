package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
)

// hold takes the place in the queue as a process does that stops then.
func hold(t *testing.T, url string) {
	t.Helper()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(ctx) })
	for _, sql := range postgres.Queue {
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhoIsTooFarBehindIsTold(t *testing.T) {
	url := server.Database(t)
	s := open(t, url)
	defer s.Close()
	var at []store.Position
	for i := range 10 {
		_, p, err := s.CommitAt(ctx, postgres.NewMark(), []*row.Set{inserts(user(fmt.Sprint(i)))})
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, p)
	}
	follow := func(p store.Position) (int, error) {
		entries, _, err := s.Follow(ctx, p)
		return len(entries), err
	}
	if n, err := follow(at[2]); n != 7 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if n, err := follow(at[9]); n != 0 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := postgres.TrimTo(s, 5, 100, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, err := follow(at[0]); n != 9 || err != nil {
		t.Errorf("young entries were trimmed: %d, %v", n, err)
	}
	if err := postgres.TrimTo(s, 5, 100, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, err := follow(at[5]); n != 4 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	forked := at[9]
	forked.Mark[0]++
	ahead := store.Position{Number: 11}
	for what, p := range map[string]store.Position{"before what is kept": at[4], "of another history": forked, "of a history that was lost": ahead, "the beginning": {}} {
		if _, err := follow(p); !errors.Is(err, store.ErrBehind) {
			t.Errorf("a position %s: %v", what, err)
		}
	}
	p, err := s.LoadAt(ctx, func(row.Row) error { return nil })
	if err != nil || p != at[9] {
		t.Errorf("a load is at %v, %v", p, err)
	}
}

func TestALongLogComesInPages(t *testing.T) {
	url := server.Database(t)
	s := open(t, url)
	defer s.Close()
	const entries = 1200
	var at store.Position
	for i := range entries + 1 {
		_, p, err := s.CommitAt(ctx, postgres.NewMark(), []*row.Set{inserts(user(fmt.Sprint(i)))})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			at = p
		}
	}
	n, pages := 0, 0
	for more := true; more; pages++ {
		var page []store.Entry
		var err error
		if page, more, err = s.Follow(ctx, at); err != nil {
			t.Fatal(err)
		}
		n += len(page)
		at = page[len(page)-1].At
	}
	if n != entries || pages < 2 {
		t.Errorf("%d entries in %d pages", n, pages)
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	for url, kind := range map[string]fault.Kind{
		"postgres://127.0.0.1:99999/x": fault.Invalid,
		"postgres://%zz":               fault.Invalid,
		server.URL("no_such_database"): fault.Unavailable,
	} {
		_, err := postgres.Open(ctx, url)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != kind || f.Advice == "" {
			t.Errorf("%s: %v", url, err)
		}
	}
}
