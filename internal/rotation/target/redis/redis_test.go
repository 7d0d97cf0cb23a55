package redis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/redis"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/redis/password/"

// The servers of these tests: one writes down its users, one does not.
var (
	saves, forgets *server
	authority      *targettest.Authority
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
	users := "user default on >boss-Password-1 ~* &* +@all\nuser rk-admin on >admin-Password-1 +acl +auth\nuser rk-weak on >admin-Password-1 +ping\n"
	if err := targettest.WriteFile(dir, "users.acl", users); err != nil {
		return 0, err
	}
	if saves, err = start(dir, "--aclfile", "users.acl"); err != nil {
		return 0, err
	}
	defer saves.stop()
	if forgets, err = start(dir, "--requirepass", "boss-Password-1"); err != nil {
		return 0, err
	}
	defer forgets.stop()
	return m.Run(), nil
}

type server struct {
	dir       string
	port, tls int
	stop      func()
}

func start(dir string, options ...string) (*server, error) {
	s := &server{dir: dir}
	var err error
	if s.port, err = targettest.Port(); err != nil {
		return nil, err
	}
	if s.tls, err = targettest.Port(); err != nil {
		return nil, err
	}
	c, err := targettest.Command(dir, "redis-server", append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--dir", dir,
		"--tls-port", strconv.Itoa(s.tls), "--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-ca-cert-file", "server.crt",
		"--tls-auth-clients", "no"}, options...)...)
	if err != nil {
		return nil, err
	}
	s.stop, err = targettest.Start(c, targettest.Listens(s.tls))
	return s, err
}

// cli runs a command by Redis's own client, and gives its answer.
func (s *server) cli(user, password string, words ...string) string {
	c := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.port), "--no-auth-warning", "--user", user, "--pass", password}, words...)...)
	out, err := c.CombinedOutput()
	return strings.TrimSpace(fmt.Sprint(string(out), err))
}

func (s *server) create(t *testing.T, user, password string) {
	t.Helper()
	if got := s.cli("default", "boss-Password-1", "ACL", "SETUSER", user, "on", ">"+password, "+ping", "+acl|setuser", "+acl|getuser", "+acl|save"); got != "OK<nil>" && got != "OK\n<nil>" {
		t.Fatal(got)
	}
}

func account(t *testing.T, ask targettest.Ask) targettest.Account {
	for _, user := range ask.Users {
		saves.create(t, user, ask.Password)
	}
	a := targettest.Account{
		Annotations: map[string]string{prefix + "ca": "ca"},
		Values:      map[string]string{"url": fmt.Sprintf("localhost:%d", saves.tls), "ca": authority.PEM},
	}
	if ask.Mode == targettest.Alternating {
		a.Annotations[prefix+"users"] = strings.Join(ask.Users, ",")
	} else {
		a.Values["username"] = ask.Users[0]
	}
	if ask.Mode != targettest.Self {
		a.Annotations[prefix+"admin-username"], a.Annotations[prefix+"admin-password"] = "admin-username", "admin-password"
		a.Values["admin-username"], a.Values["admin-password"] = "rk-admin", "admin-Password-1"
		if ask.Weak {
			a.Values["admin-username"] = "rk-weak"
		}
	}
	return a
}

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind:    redis.Kind(),
		Modes:   []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account: account,
		Login: func(t *testing.T, user, password string) bool {
			return strings.Contains(saves.cli(user, password, "PING"), "PONG")
		},
		Keeps:     true,
		Users:     []string{`o'reilly"`, "100%41%", "Größe名", ">on", "#nopass", strings.Repeat("x", 500)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]", "tab\tand\r\nline 1", strings.Repeat("long1", 200)},
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", saves.tls)), target.Refused, "another host"),
			"a URL with a password":          fails(set("url", "redis://:one@localhost"), target.Refused, "variables of their own"),
			"a URL of something else":        fails(set("url", "https://localhost"), target.Refused, "redis"),
			"a parameter":                    fails(set("url", "localhost?db=1"), target.Refused, "db"),
			"a mode that falls back":         fails(set("url", "localhost?sslmode=prefer"), target.Refused, "verify-full"),
			"a user with blanks":             fails(set("username", "a b"), target.Refused, "blanks"),
			"an authority that is none":      fails(set("ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func bind(t *testing.T, s *server, user string) target.Target {
	t.Helper()
	var d net.Dialer
	made, err := redis.Kind().Bind(target.Binding{Dial: d.DialContext, Rand: rand.Reader, Values: map[string]secret.Bytes{
		"url": secret.FromString(fmt.Sprintf("127.0.0.1:%d?sslmode=disable", s.port)), "username": secret.FromString(user)}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

func TestANewPasswordOutlivesARestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	saves.create(t, "durable", "old-Password-1")
	made := bind(t, saves, "durable")
	if _, err := made.Apply(ctx, credential("old-Password-1"), credential("Shibboleth-4711")); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(saves.dir, "users.acl"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(file), "Shibboleth") || strings.Count(string(file[strings.Index(string(file), "user durable"):]), "#") < 2 {
		t.Error("the file of users does not have the hashes of both passwords")
	}
}

func TestAServerThatWouldForgetIsRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	made := bind(t, forgets, "default")
	_, err := made.Apply(ctx, credential("boss-Password-1"), credential("new-Password-1"))
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "forget") {
		t.Errorf("%v", err)
	}
	if err := made.Probe(ctx, credential("new-Password-1")); target.ClassOf(err) != target.AuthFailed {
		t.Errorf("the new password: %v", err)
	}
}
