// Package mysqltest starts servers of MySQL's kind for tests, on loopback: real MariaDB
// servers, and one of our own that keeps two passwords as MySQL 8 does. It imports
// rotation/target/targettest.
package mysqltest

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

// Server is a server that writes down every statement.
type Server struct {
	Port int

	site   *targettest.Site
	socket string
	logged string
}

// Start starts one that has TLS and judges passwords.
func Start(site *targettest.Site) (*Server, error) {
	return start(site, "strict", "--ssl-cert="+site.Dir+"/server.crt", "--ssl-key="+site.Dir+"/server.key",
		"--plugin-load-add=simple_password_check", "--simple-password-check-minimal-length=8",
		"--simple-password-check-digits=0", "--simple-password-check-letters-same-case=0", "--simple-password-check-other-characters=0")
}

// StartPlain starts one that has neither.
func StartPlain(site *targettest.Site) (*Server, error) { return start(site, "plain", "--skip-ssl") }

func start(site *targettest.Site, name string, options ...string) (*Server, error) {
	data := filepath.Join(site.Dir, name)
	if err := targettest.Run(site.Dir, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return nil, err
	}
	port, err := targettest.Port()
	if err != nil {
		return nil, err
	}
	s := &Server{Port: port, site: site, socket: data + ".sock", logged: data + ".log"}
	if err := site.Serve(func() error { return s.Root("SELECT 1") }, "mariadbd", append([]string{"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port),
		"--bind-address=127.0.0.1", "--socket=" + s.socket, "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
		"--max-connect-errors=100000", "--general-log", "--general-log-file=" + s.logged}, options...)...); err != nil {
		return nil, err
	}
	return s, s.Root(`DELETE FROM mysql.global_priv WHERE User=''; FLUSH PRIVILEGES;
		CREATE USER 'rk admin'@'%' IDENTIFIED BY 'admin-Password-1'; GRANT CREATE USER ON *.* TO 'rk admin'@'%'; GRANT UPDATE ON mysql.* TO 'rk admin'@'%';
		CREATE USER 'rk weak'@'%' IDENTIFIED BY 'admin-Password-1';`)
}

// client runs statements by MariaDB's own client.
func client(sql string, env []string, options ...string) error {
	_, err := output(sql, env, options...)
	return err
}

func output(sql string, env []string, options ...string) (string, error) {
	c := exec.Command("mariadb", append([]string{"--no-defaults", "--default-character-set=utf8mb4", "--connect-timeout=10"}, options...)...)
	c.Env = append(os.Environ(), env...)
	c.Stdin = strings.NewReader(sql)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mariadb: %w: %s", err, out)
	}
	return string(out), nil
}

// Kept is what it keeps of an account.
func (s *Server) Kept(t *testing.T, user string) string {
	t.Helper()
	kept, err := output("SELECT * FROM mysql.global_priv WHERE User = "+quote(user), nil, "-u", "root", "--socket="+s.socket)
	if err != nil || kept == "" {
		t.Fatalf("%q %v", kept, err)
	}
	return kept
}

// Root runs statements as the superuser.
func (s *Server) Root(sql string) error { return client(sql, nil, "-u", "root", "--socket="+s.socket) }

// Login tells whether MariaDB's own client gets in.
func (s *Server) Login(_ *testing.T, user, password string) bool {
	return login(s.Port, user, password)
}

func login(port int, user, password string) bool {
	return client("SELECT 1", []string{"MYSQL_PWD=" + password}, "--protocol=tcp", "-h", "127.0.0.1", "-P", strconv.Itoa(port), "--user="+user) == nil
}

// Create makes a user.
func (s *Server) Create(t testing.TB, user, password string) {
	t.Helper()
	if err := s.Root("CREATE USER " + quote(user) + "@'%' IDENTIFIED BY " + quote(password)); err != nil {
		t.Fatal(err)
	}
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

// Log is all that it has written down.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(s.logged)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// URL is that of the server, with parameters that begin with "?" if there are any.
func (s *Server) URL(parameters string) string {
	return fmt.Sprintf("localhost:%d%s", s.Port, parameters)
}

// Account makes the users of an account.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	for _, user := range ask.Users {
		s.Create(t, user, ask.Password)
	}
	return targettest.Reached{Kind: "mysql/password", Annotations: map[string]string{"ca": "/pki/ca"}, Admin: "rk admin", Weak: "rk weak",
		Values: map[string]string{"url": s.URL(""), "/pki/ca": s.site.Authority.PEM}}.Account(ask)
}
