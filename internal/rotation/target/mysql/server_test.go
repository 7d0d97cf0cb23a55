package mysql_test

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

// The servers of these tests: one has TLS and judges passwords, one has neither.
var (
	strict, plain *server
	authority     *targettest.Authority
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
	if err := authority.Issue(dir, "localhost"); err != nil {
		return 0, err
	}
	strict, err = start(dir, "strict", "--ssl-cert="+dir+"/server.crt", "--ssl-key="+dir+"/server.key",
		"--plugin-load-add=simple_password_check", "--simple-password-check-minimal-length=8",
		"--simple-password-check-digits=0", "--simple-password-check-letters-same-case=0", "--simple-password-check-other-characters=0")
	if err != nil {
		return 0, err
	}
	defer strict.stop()
	if plain, err = start(dir, "plain", "--skip-ssl"); err != nil {
		return 0, err
	}
	defer plain.stop()
	return m.Run(), nil
}

// server is a MariaDB server that writes down every statement.
type server struct {
	port   int
	socket string
	logged string
	stop   func()
}

func start(dir, name string, options ...string) (*server, error) {
	data := filepath.Join(dir, name)
	if err := targettest.Run(dir, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return nil, err
	}
	port, err := targettest.Port()
	if err != nil {
		return nil, err
	}
	s := &server{port: port, socket: data + ".sock", logged: data + ".log"}
	c, err := targettest.Command(dir, "mariadbd", append([]string{"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port),
		"--bind-address=127.0.0.1", "--socket=" + s.socket, "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
		"--max-connect-errors=100000", "--general-log", "--general-log-file=" + s.logged}, options...)...)
	if err != nil {
		return nil, err
	}
	if s.stop, err = targettest.Start(c, func() error { return s.root("SELECT 1") }); err != nil {
		return nil, err
	}
	return s, s.root(`DELETE FROM mysql.global_priv WHERE User=''; FLUSH PRIVILEGES;
		CREATE USER 'rk admin'@'%' IDENTIFIED BY 'admin-Password-1'; GRANT CREATE USER ON *.* TO 'rk admin'@'%'; GRANT UPDATE ON mysql.* TO 'rk admin'@'%';
		CREATE USER 'rk weak'@'%' IDENTIFIED BY 'admin-Password-1';`)
}

// client runs statements by MariaDB's own client.
func client(sql string, env []string, options ...string) error {
	c := exec.Command("mariadb", append([]string{"--no-defaults", "--default-character-set=utf8mb4", "--connect-timeout=10"}, options...)...)
	c.Env = append(os.Environ(), env...)
	c.Stdin = strings.NewReader(sql)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb: %w: %s", err, out)
	}
	return nil
}

func (s *server) root(sql string) error { return client(sql, nil, "-u", "root", "--socket="+s.socket) }

func (s *server) login(user, password string) error {
	return client("SELECT 1", []string{"MYSQL_PWD=" + password}, "--protocol=tcp", "-h", "127.0.0.1", "-P", strconv.Itoa(s.port), "--user="+user)
}

func (s *server) create(t *testing.T, user, password string) {
	t.Helper()
	if err := s.root("CREATE USER " + quote(user) + "@'%' IDENTIFIED BY " + quote(password)); err != nil {
		t.Fatal(err)
	}
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

func (s *server) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.logged)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *server) url(parameters string) string {
	return fmt.Sprintf("localhost:%d%s", s.port, parameters)
}
