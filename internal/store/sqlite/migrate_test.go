package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func migrated(t *testing.T, path string, scripts ...string) (*conn, error) {
	t.Helper()
	files := fstest.MapFS{}
	for i, script := range scripts {
		files["migrations/000"+string(rune('1'+i))+"_x.sql"] = &fstest.MapFile{Data: []byte(script)}
	}
	c, err := connect(path, writerPragmas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c, migrate(c, files)
}

func (c *conn) expect(t *testing.T, want any, sql string) {
	t.Helper()
	if got, err := c.get(sql); err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v", sql, got, err, want)
	}
}

func TestMigrationsRunOnceAndInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	one := "CREATE TABLE a (x); INSERT INTO a VALUES (1)"
	two := "UPDATE a SET x = x + 1; -- a comment at the end"
	three := "UPDATE a SET x = x * 10;\nUPDATE a SET x = x + 1;\n"
	for _, step := range []struct {
		scripts []string
		version int64
		x       int64
	}{
		{[]string{one}, 1, 1}, {[]string{one}, 1, 1}, {[]string{one, two, three}, 3, 21}, {[]string{one, two, three}, 3, 21},
	} {
		c, err := migrated(t, path, step.scripts...)
		if err != nil {
			t.Fatal(err)
		}
		c.expect(t, step.version, "PRAGMA user_version")
		c.expect(t, step.x, "SELECT x FROM a")
	}
}

func TestABrokenMigrationLeavesTheVersionBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	one := "CREATE TABLE a (x)"
	broken := "INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1)"
	c, err := migrated(t, path, one, broken)
	if err == nil || !strings.Contains(err.Error(), "migrations/0002_x.sql") {
		t.Fatalf("got %v, want the name of the broken migration", err)
	}
	if err := c.script("ROLLBACK"); err != nil {
		t.Error(err)
	}
	c, err = migrated(t, path, one)
	if err != nil {
		t.Fatal(err)
	}
	c.expect(t, int64(1), "PRAGMA user_version")
	c.expect(t, int64(0), "SELECT count(*) FROM a")
}

func TestOlderLibrariesAreRecognized(t *testing.T) {
	for _, c := range []struct {
		version, than string
		want          bool
	}{
		{"3.54.1", "3.54.1", false}, {"3.54.0", "3.54.1", true}, {"3.54", "3.54.1", true}, {"3.54.1.2", "3.54.1", false},
		{"3.9.9", "3.54.1", true}, {"3.100.0", "3.54.1", false}, {"4.0.0", "3.54.1", false},
	} {
		if got := older(c.version, c.than); got != c.want {
			t.Errorf("%s is older than %s: %v", c.version, c.than, got)
		}
	}
}
