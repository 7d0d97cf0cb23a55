package postgres_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
	"rekey/internal/store/storetest"
)

// The suite passes through a pooler that gives a connection to another client after each
// transaction, and has only a few; and where all transactions are serializable, whatever
// they ask for. All that is said is plain SQL.
func TestConformanceThroughAPooler(t *testing.T) {
	dir, err := targettest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	port, err := targettest.Port()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"users.txt": fmt.Sprintf("%q %q\n", postgrestest.User, postgrestest.Password),
		"pgbouncer.ini": fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 3
max_client_conn = 500
`, server.Port, port, filepath.Join(dir, "users.txt")),
	} {
		if err := targettest.WriteFile(dir, name, content); err != nil {
			t.Fatal(err)
		}
	}
	c, err := targettest.Command(dir, "pgbouncer", "pgbouncer.ini")
	if err != nil {
		t.Fatal(err)
	}
	stop, err := targettest.Start(c, targettest.Listens(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	tap := postgrestest.NewTap(t, port)
	tap.Serializable = true
	crowd := postgrestest.URL(tap.Port, server.Name(server.Database(t)))
	var starts sync.WaitGroup
	for range 8 { // at once, and one makes the schema
		starts.Go(func() {
			s, err := postgres.Open(ctx, crowd)
			if err == nil {
				err = s.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	urls := map[store.Store]string{}
	through := func(t *testing.T, url string) store.Store {
		s, err := postgres.Open(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		urls[s] = url
		return s
	}
	storetest.Run(t,
		func(t *testing.T) store.Store {
			return through(t, postgrestest.URL(tap.Port, server.Name(server.Database(t))))
		},
		func(t *testing.T, old store.Store) store.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return through(t, urls[old])
		})
	storetest.RunTargets(t, func(t *testing.T) storetest.Place {
		return place(postgrestest.URL(tap.Port, server.Name(server.Database(t))))
	})
	said := tap.Said()
	if len(said) < 100 {
		t.Errorf("only %d statements were noted", len(said))
	}
	for _, sql := range said {
		if why := notPlain(sql); why != "" {
			t.Errorf("%s: %s", why, sql)
		}
	}
}
