package postgres_test

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
)

// next are the migrations of a later program: those of this one, and some more.
func next(t *testing.T, scripts ...string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(postgres.Migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(postgres.Migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	for i, script := range scripts {
		files[fmt.Sprintf("migrations/%04d_later.sql", len(names)+i+1)] = &fstest.MapFile{Data: []byte(script)}
	}
	return files
}

// adds is a migration as the rules want it.
const adds = `ALTER TABLE rekey.secrets ADD COLUMN note bytea NOT NULL DEFAULT '';
	CREATE TABLE rekey.notes (id bigint PRIMARY KEY, secret bytea NOT NULL); CREATE INDEX notes_secret ON rekey.notes (secret)`

// Given a program that reads and writes all the while: when a later one raises the schema
// and writes, too, both go on, both see what the other stores, and nothing is lost.
func TestAnOldAndANewProgramWorkSideBySide(t *testing.T) {
	if why := notPlain(adds); why != "" {
		t.Error(why)
	}
	url := server.Database(t)
	old := open(t, url)
	defer old.Close()
	variable := row.Resource{ID: "acme:variable:v", Owner: user("owner").ID}
	if results, err := old.Commit(ctx, []*row.Set{inserts(user("owner"), variable, row.Secret{Resource: variable.ID, Version: 1, Sealed: []byte("x")})}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	var mu sync.Mutex
	stored := 0
	works := func(name string, s *postgres.Store, ended chan struct{}) {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
			}
			results, err := s.Commit(ctx, []*row.Set{inserts(user(fmt.Sprint(name, i))), updates(row.Secret{Resource: variable.ID, Version: 1, Sealed: []byte(name)})})
			if err != nil || results[0] != nil || results[1] != nil {
				t.Error(name, i, results, err)
			}
			if sealed, err := s.Secret(ctx, variable.ID, 1); err != nil || len(sealed) == 0 {
				t.Error(name, i, sealed, err)
			}
			mu.Lock()
			stored++
			mu.Unlock()
		}
	}
	ended := make(chan struct{})
	var nodes sync.WaitGroup
	nodes.Go(func() { works("old", old, ended) })
	time.Sleep(50 * time.Millisecond)
	later, err := postgres.OpenAs(ctx, url, next(t, adds), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if err := connectAndRun(t, url, "UPDATE rekey.secrets SET note = 'kept'"); err != nil {
		t.Fatal(err)
	}
	nodes.Go(func() { works("new", later, ended) })
	time.Sleep(300 * time.Millisecond)
	again := open(t, url) // an old program that starts now
	defer again.Close()
	close(ended)
	nodes.Wait()

	var seen [3][]row.Row
	for i, s := range []*postgres.Store{old, later, again} {
		if err := s.Export(ctx, func(r row.Row) error { seen[i] = append(seen[i], r); return nil }); err != nil {
			t.Fatal(err)
		}
		if entries, _, err := s.Follow(ctx, store.Position{}); err != nil || len(entries) != min(stored+1, 500) {
			t.Errorf("%d entries after %d sets: %v", len(entries), stored+1, err)
		}
	}
	if len(seen[0]) != stored+3 || !reflect.DeepEqual(seen[0], seen[1]) || !reflect.DeepEqual(seen[0], seen[2]) {
		t.Errorf("%d sets, and %d, %d and %d rows", stored, len(seen[0]), len(seen[1]), len(seen[2]))
	}
	if err := connectAndRun(t, url, "DO $$ BEGIN ASSERT (SELECT note = 'kept' FROM rekey.secrets); END $$"); err != nil {
		t.Errorf("an update by the old program has taken what it does not know: %v", err)
	}
}

func connectAndRun(t *testing.T, url, sql string) error {
	t.Helper()
	_, err := connect(t, url).Exec(ctx, sql).ReadAll()
	return err
}

// Given programs that run: when a later one needs what they do not know, they store and
// read nothing any more, say why, and do not start again.
func TestAProgramThatIsTooOldStops(t *testing.T) {
	url := server.Database(t)
	old := open(t, url)
	defer old.Close()
	reader, err := postgres.OpenReadOnly(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	at, err := old.LoadAt(ctx, func(row.Row) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	migrations := next(t, adds)
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	later, err := postgres.OpenAs(ctx, url, migrations, int64(len(names)))
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	_, errCommit := old.Commit(ctx, []*row.Set{inserts(user("a"))})
	_, _, errFollow := old.Follow(ctx, at)
	_, _, errReader := reader.Follow(ctx, at)
	_, errOpen := postgres.Open(ctx, url)
	_, errOpenReader := postgres.OpenReadOnly(ctx, url)
	_, errTarget := postgres.OpenTarget(ctx, url)
	for what, err := range map[string]error{"a commit": errCommit, "following": errFollow, "a reader": errReader, "a start": errOpen,
		"a start of a reader": errOpenReader, "a copy": errTarget} {
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(err), "too old for the database") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if results, err := later.Commit(ctx, []*row.Set{inserts(user("b"))}); err != nil || results[0] != nil {
		t.Errorf("the later one: %v, %v", results, err)
	}
	if entries, _, err := later.Follow(ctx, at); err != nil || len(entries) != 2 {
		t.Errorf("the later one passes over what stops others: %d entries, %v", len(entries), err)
	}
	if got := roles(t, later); len(got) != 1 {
		t.Errorf("roles %v", got)
	}
}

// Given a transaction that reads for long, such as a backup: a migration which needs the
// table does not make those wait who work meanwhile.
func TestAMigrationThatHasToWaitLetsOthersWork(t *testing.T) {
	url := server.Database(t)
	old := open(t, url)
	defer old.Close()
	backup := connect(t, url)
	if _, err := backup.Exec(ctx, "BEGIN; SELECT * FROM rekey.secrets").ReadAll(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		later, err := postgres.OpenAs(ctx, url, next(t, adds), 1)
		if err == nil {
			err = later.Close()
		}
		opened <- err
	}()
	for i := range 3 {
		time.Sleep(300 * time.Millisecond) // it waits, or pauses
		if results, err := old.Commit(ctx, []*row.Set{inserts(user(fmt.Sprint(i)))}); err != nil || results[0] != nil {
			t.Error(results, err)
		}
		if _, err := old.Secret(ctx, "acme:variable:none", 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a read: %v", err)
		}
	}
	select {
	case err := <-opened:
		t.Errorf("the migration has not waited: %v", err)
	default:
	}
	if _, err := backup.Exec(ctx, "COMMIT").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
