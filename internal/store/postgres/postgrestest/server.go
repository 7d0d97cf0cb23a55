// Package postgrestest starts PostgreSQL servers for tests: real ones, on loopback,
// which end with the tests. It imports rotation/target/targettest.
package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"rekey/internal/rotation/target/targettest"
)

// The superuser of a server.
const (
	User     = "boss"
	Password = "boss-Password-1"
)

// Server is a server.
type Server struct {
	Port int
	Data string // its directory
	Stop func() // as kill -9 would

	Host   string                  // where clients find it; loopback, unless a test has a network of its own
	Launch func(c *exec.Cmd) error // starts its process, there; nil for here

	home      string
	settings  []string
	databases atomic.Int64
}

// New makes the directory data for a server beneath home, which belongs to the servers'
// user, with rules in the form of pg_hba.conf beside those that let everybody in who is
// on this machine and has a password.
func New(home, data, rules string) (*Server, error) {
	s := &Server{Data: filepath.Join(home, data), Host: "127.0.0.1", home: home}
	if err := targettest.WriteFile(home, User, Password); err != nil {
		return nil, err
	}
	if err := targettest.Run(home, "initdb", "-D", s.Data, "-U", User, "--pwfile="+User, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"); err != nil {
		return nil, err
	}
	return s, targettest.WriteFile(s.Data, "pg_hba.conf", rules+"local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n")
}

// Start starts it at a free port, with settings of the form name=value.
func (s *Server) Start(settings ...string) (err error) {
	if s.Port, err = targettest.Port(); err != nil {
		return err
	}
	s.settings = settings
	return s.Restart()
}

// Standby starts a server that follows this one, which must let it in.
func (s *Server) Standby(data string, settings ...string) (*Server, error) {
	return s.StandbyBy(nil, data, settings...)
}

// StandbyBy is Standby with a function that starts the process.
func (s *Server) StandbyBy(launch func(*exec.Cmd) error, data string, settings ...string) (*Server, error) {
	standby := &Server{Data: filepath.Join(s.home, data), Host: "127.0.0.1", Launch: launch, home: s.home}
	if err := targettest.Run(s.home, "pg_basebackup", "-D", standby.Data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", s.URL("postgres")+"&application_name=standby"); err != nil {
		return nil, err
	}
	return standby, standby.Start(settings...)
}

// Restart starts it again after Stop, at the same port.
func (s *Server) Restart() error {
	arguments := []string{"-D", s.Data, "-p", strconv.Itoa(s.Port), "-h", "127.0.0.1", "-k", s.home}
	for _, setting := range s.settings {
		arguments = append(arguments, "-c", setting)
	}
	c, err := targettest.Command(s.home, "postgres", arguments...)
	if err != nil {
		return err
	}
	launch := s.Launch
	if launch == nil {
		launch = (*exec.Cmd).Start
	}
	s.Stop, err = targettest.StartBy(c, launch, func() error { return s.Run("SELECT 1") })
	return err
}

// Run runs statements by PostgreSQL's own client, as the superuser.
func (s *Server) Run(sql string) error { return s.RunAs(User, Password, sql) }

// RunAs runs them as somebody else.
func (s *Server) RunAs(user, password, sql string) error {
	return s.psql("postgres", user, password, sql)
}

// RunIn runs them in another database, as the superuser.
func (s *Server) RunIn(database, sql string) error { return s.psql(database, User, Password, sql) }

// Name is the name of a database by its URL.
func (s *Server) Name(url string) string {
	_, rest, _ := strings.Cut(url, strconv.Itoa(s.Port)+"/")
	name, _, _ := strings.Cut(rest, "?")
	return name
}

func (s *Server) psql(database, user, password, sql string) error {
	c := exec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", s.home, "-p", strconv.Itoa(s.Port), "-d", database, "-U", user)
	c.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCLIENTENCODING=UTF8")
	c.Stdin = strings.NewReader(sql)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// URL is that of a database.
func (s *Server) URL(database string) string { return url(s.Host, s.Port, database) }

// URL is that of a database behind a port on loopback.
func URL(port int, database string) string { return url("127.0.0.1", port, database) }

func url(host string, port int, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", User, Password, host, port, database)
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if err := s.Run("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return s.URL(name)
}

// Started is a server of its own for a test.
func Started(t testing.TB, settings ...string) *Server {
	t.Helper()
	dir, err := targettest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := New(dir, "data", "")
	if err == nil {
		err = s.Start(settings...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// Main runs the tests of a package with a server of their own.
func Main(m *testing.M, use func(*Server)) {
	os.Exit(run(m, use))
}

func run(m *testing.M, use func(*Server)) int {
	dir, err := targettest.Dir()
	if err == nil {
		defer os.RemoveAll(dir)
		var s *Server
		if s, err = New(dir, "data", ""); err == nil {
			if err = s.Start("fsync=off", "max_connections=200"); err == nil {
				defer func() { s.Stop() }()
				use(s)
				return m.Run()
			}
		}
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return 1
}
