package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/rotation/target/targettest"
)

// postgres is a PostgreSQL server of a test's own, on loopback and without TLS.
type postgres struct{ port int }

const bossPassword = "boss-Password-1"

func newPostgres(t *testing.T) postgres {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	home, err := targettest.Dir()
	must(err)
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	data := filepath.Join(home, "data")
	must(targettest.WriteFile(home, "boss", bossPassword))
	must(targettest.Run(home, "initdb", "-D", data, "-U", "boss", "--pwfile=boss", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"))
	p := postgres{}
	p.port, err = targettest.Port()
	must(err)
	c, err := targettest.Command(home, "postgres", "-D", data, "-p", strconv.Itoa(p.port), "-h", "127.0.0.1", "-k", home,
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "shared_buffers=16MB", "-c", "autovacuum=off")
	must(err)
	stop, err := targettest.Start(c, func() error { return p.exec("boss", bossPassword, "SELECT 1") })
	must(err)
	t.Cleanup(stop)
	return p
}

// exec runs statements as a user.
func (p postgres) exec(user, password, sql string) error {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres sslmode=disable", p.port))
	if err != nil {
		return err
	}
	config.User, config.Password = user, password
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql).ReadAll()
	return errors.Join(err, conn.Close(ctx))
}

// accepts tells whether a login works; anything but yes and no is an error.
func (p postgres) accepts(t *testing.T, user, password string) bool {
	t.Helper()
	err := p.exec(user, password, "SELECT 1")
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == "28P01" {
		return false
	}
	if err != nil {
		t.Errorf("login of %s: %v", user, err)
	}
	return err == nil
}
