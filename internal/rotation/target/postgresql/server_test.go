package postgresql_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rekey/internal/rotation/target/targettest"
)

// The servers of these tests: one with TLS, one without.
var tls, plain *server

const (
	boss         = "boss"
	bossPassword = "boss-Password-1"
)

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
	port int
	data string
	stop func()
}

func start(data, home, ssl string) (*server, error) {
	if err := targettest.WriteFile(home, "boss", bossPassword); err != nil {
		return nil, err
	}
	if err := targettest.Run(home, "initdb", "-D", data, "-U", boss, "--pwfile=boss", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	if err := authority.Issue(data, "localhost"); err != nil {
		return nil, err
	}
	rules := "host all clear 127.0.0.1/32 password\nhost all trusted 127.0.0.1/32 trust\nhost all barred 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n"
	if err := targettest.WriteFile(data, "pg_hba.conf", rules); err != nil {
		return nil, err
	}
	port, err := targettest.Port()
	if err != nil {
		return nil, err
	}
	s := &server{port: port, data: data}
	c, err := targettest.Command(home, "postgres", "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", home,
		"-c", "ssl="+ssl, "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key", "-c", "fsync=off",
		"-c", "shared_preload_libraries=passwordcheck", "-c", "log_statement=all", "-c", "log_min_duration_statement=0",
		"-c", "log_connections=on", "-c", "logging_collector=on", "-c", "log_directory=log", "-c", "log_filename=all.log")
	if err != nil {
		return nil, err
	}
	s.stop, err = targettest.Start(c, func() error { return s.psql(boss, bossPassword, "SELECT 1") })
	if err != nil {
		return nil, err
	}
	return s, s.psql(boss, bossPassword, `
		CREATE ROLE "rk admin" LOGIN CREATEROLE PASSWORD 'admin-Password-1';
		CREATE ROLE "rk weak" LOGIN PASSWORD 'admin-Password-1';
		CREATE ROLE clear LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE trusted LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE barred LOGIN PASSWORD 'entry-Password-1';`)
}

// psql runs statements by PostgreSQL's own client.
func (s *server) psql(user, password, sql string) error {
	c := exec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-d", "postgres", "-U", user)
	c.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCLIENTENCODING=UTF8")
	c.Stdin = strings.NewReader(sql)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// must runs statements as the superuser.
func (s *server) must(t *testing.T, sql string) {
	t.Helper()
	if err := s.psql(boss, bossPassword, sql); err != nil {
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
