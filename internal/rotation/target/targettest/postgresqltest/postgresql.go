// Package postgresqltest starts PostgreSQL servers as rotations know them: real ones, on
// loopback, with roles of many kinds. It imports rotation/target/targettest and
// store/postgres/postgrestest, which starts servers for all else.
package postgresqltest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store/postgres/postgrestest"
)

// Server is a server that writes down every statement.
type Server struct {
	*postgrestest.Server
	site *targettest.Site
}

// Start starts one with TLS.
func Start(site *targettest.Site) (*Server, error) { return start(site, "tls", "on") }

// StartPlain starts one without.
func StartPlain(site *targettest.Site) (*Server, error) { return start(site, "plain", "off") }

func start(site *targettest.Site, name, ssl string) (*Server, error) {
	rules := "host all clear 127.0.0.1/32 password\nhost all trusted 127.0.0.1/32 trust\nhost all barred 127.0.0.1/32 reject\n"
	made, err := postgrestest.New(site.Dir, name, rules)
	if err != nil {
		return nil, err
	}
	if err := site.Authority.Issue(made.Data, "localhost"); err != nil {
		return nil, err
	}
	if err := made.Start("ssl="+ssl, "ssl_cert_file=server.crt", "ssl_key_file=server.key", "fsync=off",
		"shared_preload_libraries=passwordcheck", "log_statement=all", "log_min_duration_statement=0",
		"log_connections=on", "logging_collector=on", "log_directory=log", "log_filename=all.log"); err != nil {
		return nil, err
	}
	site.End(func() { made.Stop() })
	s := &Server{made, site}
	return s, s.Run(`
		CREATE ROLE "rk admin" LOGIN CREATEROLE PASSWORD 'admin-Password-1';
		CREATE ROLE "rk weak" LOGIN PASSWORD 'admin-Password-1';
		CREATE ROLE clear LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE trusted LOGIN PASSWORD 'entry-Password-1';
		CREATE ROLE barred LOGIN PASSWORD 'entry-Password-1';`)
}

// Must runs statements as the superuser.
func (s *Server) Must(t testing.TB, sql string) {
	t.Helper()
	if err := s.Run(sql); err != nil {
		t.Fatal(err)
	}
}

// Create makes a role, whatever its name is.
func (s *Server) Create(t testing.TB, user, password string) {
	t.Helper()
	name, literal := strings.ReplaceAll(user, `"`, `""`), strings.ReplaceAll(password, "'", "''")
	s.Must(t, `CREATE ROLE "`+name+`" LOGIN PASSWORD '`+literal+`'`)
}

// Login tells whether PostgreSQL's own client gets in.
func (s *Server) Login(_ *testing.T, user, password string) bool {
	return s.RunAs(user, password, "SELECT 1") == nil
}

// Kept is what it keeps of a role.
func (s *Server) Kept(t *testing.T, user string) (kept string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), "SELECT a::text FROM pg_authid a WHERE rolname = $1", user).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	return kept
}

// Log is all that it has written down.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Data, "log", "all.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Address is that of the database postgres, with parameters that begin with "?" if there
// are any.
func (s *Server) Address(parameters string) string {
	return fmt.Sprintf("localhost:%d/postgres%s", s.Port, parameters)
}

// Account makes the roles of an account and says how they are reached.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	for _, user := range ask.Users {
		s.Create(t, user, ask.Password)
	}
	return targettest.Reached{Kind: "postgresql/password", Annotations: map[string]string{"ca": "ca"}, Admin: "rk admin", Weak: "rk weak",
		Values: map[string]string{"url": s.Address(""), "ca": s.site.Authority.PEM}}.Account(ask)
}
