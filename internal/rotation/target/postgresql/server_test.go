package postgresql_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store/postgres/postgrestest"
)

// The servers of these tests: one with TLS, one without.
var tls, plain *server

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := targettest.Dir()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	if tls, err = start(filepath.Join(dir, "tls"), dir, "on"); err != nil {
		return 0, err
	}
	defer tls.stop()
	if plain, err = start(filepath.Join(dir, "plain"), dir, "off"); err != nil {
		return 0, err
	}
	defer plain.stop()
	return m.Run(), nil
}

var authority *targettest.Authority

// server is a PostgreSQL server that writes down every statement.
type server struct {
	*postgrestest.Server
	port int
	data string
	stop func()
}

func start(data, home, ssl string) (*server, error) {
	name, err := filepath.Rel(home, data)
	if err != nil {
		return nil, err
	}
	rules := "host all clear 127.0.0.1/32 password\nhost all trusted 127.0.0.1/32 trust\nhost all barred 127.0.0.1/32 reject\n"
	made, err := postgrestest.New(home, name, rules)
	if err != nil {
		return nil, err
	}
	if err := authority.Issue(data, "localhost"); err != nil {
		return nil, err
	}
	if err := made.Start("ssl="+ssl, "ssl_cert_file=server.crt", "ssl_key_file=server.key", "fsync=off",
		"shared_preload_libraries=passwordcheck", "log_statement=all", "log_min_duration_statement=0",
		"log_connections=on", "logging_collector=on", "log_directory=log", "log_filename=all.log"); err != nil {
		return nil, err
	}
	s := &server{Server: made, port: made.Port, data: data, stop: made.Stop}
	return s, s.Run(`
		CREATE ROLE "rk admin" LOGIN CREATEROLE PASSWORD 'admin-Password-1';
		CREATE ROLE "rk weak" LOGIN PASSWORD 'admin-Password-1';
		CREATE ROLE clear LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE trusted LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE barred LOGIN PASSWORD 'entry-Password-1';`)
}

// must runs statements as the superuser.
func (s *server) must(t *testing.T, sql string) {
	t.Helper()
	if err := s.Run(sql); err != nil {
		t.Fatal(err)
	}
}

// create makes a role by its SQL names.
func (s *server) create(t *testing.T, user, password string) {
	t.Helper()
	name, literal := strings.ReplaceAll(user, `"`, `""`), strings.ReplaceAll(password, "'", "''")
	s.must(t, `CREATE ROLE "`+name+`" LOGIN PASSWORD '`+literal+`'`)
}

// log is all that the server has written down.
func (s *server) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.data, "log", "all.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *server) url(parameters string) string {
	return fmt.Sprintf("localhost:%d/postgres%s", s.port, parameters)
}
