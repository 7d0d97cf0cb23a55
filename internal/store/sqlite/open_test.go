package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store/sqlite"
)

var ctx = context.Background()

// roles stores roles of these names in one set.
func roles(names ...string) *row.Set {
	set := &row.Set{}
	for _, name := range names {
		set.Add(row.Insert, row.Role{ID: ident.New("acme", "user", name)})
	}
	return set
}

// isFault fails unless err is a fault of this kind whose words contain all of parts
// and that says what to do.
func isFault(t *testing.T, err error, kind fault.Kind, parts ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want a fault of kind %d", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error()+f.Advice, part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if f.Advice == "" {
		t.Errorf("%q does not say what to do", err)
	}
}

func TestOpenCreatesWhatOnlyTheOwnerCanRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "odd ?#%20name")
	s := open(t, dir)
	commit(t, s, roles("a"))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("want the database, its log, its index and the lock: %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file.Name(), info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "rekey.db-wal")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Close leaves a log behind: %v", err)
	}
}

func TestOneProcessUsesADirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := sqlite.Open(dir)
	isFault(t, err, fault.Conflict, dir, fmt.Sprint("process ", os.Getpid()))
	commit(t, s, roles("a")) // the second attempt has not disturbed the first
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := open(t, dir).Close(); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

// edit changes the database of a closed store.
func edit(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "rekey.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// filled is a directory with a closed store of some rows.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 20 {
		commit(t, s, roles(fmt.Sprintf("a%d", i), strings.Repeat("long", 900)+fmt.Sprint(i)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestForeignAndNewerDatabasesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		parts     []string
	}{
		"newer":                      {"PRAGMA user_version = 4711", []string{"version 4711", "up to"}},
		"another program's":          {"PRAGMA application_id = 1", []string{"not one of rekey's"}},
		"another program's, no mark": {"PRAGMA application_id = 0", []string{"not one of rekey's"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			edit(t, dir, c.statement)
			before := content(t, dir)
			_, err := sqlite.Open(dir)
			isFault(t, err, fault.Invalid, c.parts...)
			if !bytes.Equal(before, content(t, dir)) {
				t.Error("the refused file was changed")
			}
			_, err = sqlite.Open(dir) // the lock was released
			isFault(t, err, fault.Invalid)
		})
	}
}

func content(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "rekey.db"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestADamagedFileIsAClearFault(t *testing.T) {
	t.Run("not a database", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "rekey.db"), bytes.Repeat([]byte("garbage "), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sqlite.Open(dir)
		isFault(t, err, fault.Internal, "damaged", dir, "backup")
	})
	t.Run("damaged pages", func(t *testing.T) {
		dir := filled(t)
		b := content(t, dir)
		for i := 4096; i < len(b); i += 7 {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(filepath.Join(dir, "rekey.db"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(dir)
		if err == nil { // the schema was spared
			err = s.Load(ctx, func(row.Row) error { return nil })
			defer s.Close()
		}
		isFault(t, err, fault.Internal, "damaged", dir, "backup")
	})
	t.Run("values of another type", func(t *testing.T) {
		dir := filled(t)
		edit(t, dir, `PRAGMA writable_schema = ON;
			UPDATE sqlite_schema SET sql = 'CREATE TABLE roles (id PRIMARY KEY, created_at, policy) WITHOUT ROWID' WHERE name = 'roles'`)
		edit(t, dir, "UPDATE roles SET created_at = NULL")
		s := open(t, dir)
		defer s.Close()
		isFault(t, s.Load(ctx, func(row.Row) error { return nil }), fault.Internal, "damaged", "roles", "backup")
	})
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := sqlite.Open(dir)
		isFault(t, err, fault.Unavailable, dir)
	}
}

// A secret that was deleted is nowhere in the files once the log was moved into the
// database.
func TestDeletedSecretsAreOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	marker := []byte("sealed-bytes-that-must-vanish")
	secret := row.Secret{Resource: policy, Version: 1, Sealed: bytes.Repeat(marker, 1000)}
	set := &row.Set{}
	set.Add(row.Insert, row.Role{ID: policy})
	set.Add(row.Insert, row.Resource{ID: policy, Owner: policy})
	set.Add(row.Insert, secret)
	set.Add(row.Insert, row.APIKey{Role: policy, Sealed: marker})
	commit(t, s, set)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content(t, dir), marker) {
		t.Fatal("the marker is not found where it must be")
	}
	s = open(t, dir)
	set = &row.Set{}
	set.Add(row.Delete, secret)
	set.Add(row.Delete, row.APIKey{Role: policy})
	commit(t, s, set)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content(t, dir), marker) {
		t.Error("the deleted bytes are still in the file")
	}
}
