// Package redistest starts Redis servers for tests: real ones, on loopback. It imports
// rotation/target/targettest.
package redistest

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

// Password is the one of user default.
const Password = "boss-Password-1"

// Server is a server with user default.
type Server struct {
	Port, TLS int
	Users     string // the file that has its users, if it keeps them

	site *targettest.Site
}

// Start starts a server that writes down its users, among them an administrator.
func Start(site *targettest.Site) (*Server, error) {
	users := "user default on >" + Password + " ~* &* +@all\nuser rk-admin on >" + targettest.AdminPassword + " +acl +auth\nuser rk-weak on >" + targettest.AdminPassword + " +ping\n"
	if err := targettest.WriteFile(site.Dir, "users.acl", users); err != nil {
		return nil, err
	}
	s, err := start(site, "--aclfile", "users.acl", "--logfile", site.Dir+"/redis.log", "--loglevel", "debug", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000")
	if err == nil {
		s.Users = filepath.Join(site.Dir, "users.acl")
	}
	return s, err
}

// StartForgetful starts one that does not.
func StartForgetful(site *targettest.Site) (*Server, error) {
	return start(site, "--requirepass", Password)
}

func start(site *targettest.Site, options ...string) (*Server, error) {
	s := &Server{site: site}
	var err error
	if s.Port, err = targettest.Port(); err != nil {
		return nil, err
	}
	if s.TLS, err = targettest.Port(); err != nil {
		return nil, err
	}
	return s, site.Serve(targettest.Listens(s.TLS), "redis-server", append([]string{"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--save", "", "--dir", site.Dir,
		"--tls-port", strconv.Itoa(s.TLS), "--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-ca-cert-file", "server.crt",
		"--tls-auth-clients", "no"}, options...)...)
}

// cli runs a command by Redis's own client, and gives its answer.
func (s *Server) cli(user, password string, words ...string) string {
	c := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.Port), "--no-auth-warning", "--user", user, "--pass", password}, words...)...)
	out, err := c.CombinedOutput()
	return strings.TrimSpace(fmt.Sprint(string(out), err))
}

// Create makes a user who may change the password.
func (s *Server) Create(t testing.TB, user, password string) {
	t.Helper()
	s.create(t, user, password, "+acl|setuser", "+acl|getuser", "+acl|save")
}

func (s *Server) create(t testing.TB, user, password string, allowed ...string) {
	t.Helper()
	if got := s.cli("default", Password, append([]string{"ACL", "SETUSER", user, "on", ">" + password, "+ping"}, allowed...)...); got != "OK<nil>" && got != "OK\n<nil>" {
		t.Fatal(got)
	}
}

// Watch gives all that the server lets those see who look on from then on: its commands as
// they come, the slow ones, of which each is one, what it denied, its log and its file of
// users.
func (s *Server) Watch(t *testing.T) func(*testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("redis-cli", "-p", strconv.Itoa(s.Port), "--no-auth-warning", "--user", "default", "--pass", Password, "MONITOR")
	c.Stdout = out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it does not end by itself
		_ = c.Wait()         // it was killed
		out.Close()
	})
	return func(t *testing.T) string {
		t.Helper()
		all := s.cli("default", Password, "SLOWLOG", "GET", "-1") + s.cli("default", Password, "ACL", "LOG")
		if !strings.Contains(all, "(redacted)") {
			t.Error("the log of slow commands has no change")
		}
		for _, name := range []string{path, filepath.Join(s.site.Dir, "redis.log"), s.Users} {
			text, err := os.ReadFile(name)
			if err != nil || len(text) == 0 {
				t.Errorf("%s: %d bytes (%v)", name, len(text), err)
			}
			all += string(text)
		}
		return all
	}
}

// Login tells whether Redis's own client gets in.
func (s *Server) Login(_ *testing.T, user, password string) bool {
	return strings.Contains(s.cli(user, password, "PING"), "PONG")
}

// Kept is what it keeps of a user.
func (s *Server) Kept(_ *testing.T, user string) string {
	return s.cli("default", Password, "ACL", "GETUSER", user)
}

// Account makes the users of an account.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	for _, user := range ask.Users {
		if s.create(t, user, ask.Password); !ask.Weak {
			s.Create(t, user, ask.Password)
		}
	}
	return targettest.Reached{Kind: "redis/password", Annotations: map[string]string{"ca": "ca"}, Admin: "rk-admin", Weak: "rk-weak",
		Values: map[string]string{"url": fmt.Sprintf("localhost:%d", s.TLS), "ca": s.site.Authority.PEM}}.Account(ask)
}
