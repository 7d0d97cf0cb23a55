package postgres_test

import (
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/fault"
	"rekey/internal/store/postgres"
)

func connect(t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(ctx) })
	return c
}

func program(scripts ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i, script := range scripts {
		files["migrations/000"+string(rune('1'+i))+"_x.sql"] = &fstest.MapFile{Data: []byte(script)}
	}
	return files
}

const (
	one = "CREATE TABLE rekey.log_head (id bigint, number bigint, chained bigint); CREATE TABLE rekey.log (number bigint, mark bytea, at bigint, body bytea);" +
		"CREATE TABLE rekey.a (x bigint NOT NULL); INSERT INTO rekey.a (x) VALUES (1)"
	two   = "UPDATE rekey.a SET x = x + 1; -- a comment at the end"
	three = "UPDATE rekey.a SET x = x * 10"
)

func value(t *testing.T, c *pgconn.PgConn) string {
	t.Helper()
	results, err := c.Exec(ctx, "SELECT x FROM rekey.a").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

func TestMigrationsRunOnceThoughManyProcessesStart(t *testing.T) {
	url := server.Database(t)
	for step, want := range []struct {
		program fstest.MapFS
		value   string
	}{{program(one), "1"}, {program(one, two), "2"}, {program(one, two), "2"}, {program(one, two, three), "20"}} {
		var wg sync.WaitGroup
		for range 8 {
			c := connect(t, url)
			wg.Go(func() {
				if err := postgres.Migrate(ctx, c, want.program, 1); err != nil {
					t.Error(step, err)
				}
			})
		}
		wg.Wait()
		if got := value(t, connect(t, url)); got != want.value {
			t.Fatalf("step %d: %s, want %s", step, got, want.value)
		}
	}
}

func TestAnOlderProgramRunsBesideANewerOneUnlessThatSaysNo(t *testing.T) {
	c := connect(t, server.Database(t))
	if err := postgres.Migrate(ctx, c, program(one, two), 1); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(ctx, c, program(one), 1); err != nil {
		t.Errorf("an older program is refused: %v", err)
	}
	if err := postgres.Migrate(ctx, c, program(one, two, three), 3); err != nil {
		t.Fatal(err)
	}
	err := postgres.Migrate(ctx, c, program(one, two), 1)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "version 3") {
		t.Errorf("an incompatible one is not: %v", err)
	}
	if got := value(t, c); got != "20" {
		t.Errorf("the rows are %s", got)
	}
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	c := connect(t, server.Database(t))
	if err := postgres.Migrate(ctx, c, program(one), 1); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(ctx, c, program(one, two, "UPDATE rekey.none SET x = 1"), 1); err == nil || !strings.Contains(err.Error(), "0003_x.sql") {
		t.Errorf("got %v", err)
	}
	if got := value(t, c); got != "1" {
		t.Errorf("the rows are %s", got)
	}
	if err := postgres.Migrate(ctx, c, program(one, two), 1); err != nil || value(t, c) != "2" {
		t.Errorf("mended: %v, %s", err, value(t, c))
	}
}
