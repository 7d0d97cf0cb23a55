package redis_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/redis"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/redistest"
	"rekey/internal/secret"
)

// The servers of these tests: one writes down its users, one does not.
var (
	saves, forgets *redistest.Server
	authority      *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		if saves, err = redistest.Start(site); err == nil {
			forgets, err = redistest.StartForgetful(site)
		}
		return err
	})
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
	watched := saves.Watch(t)
	targettest.Suite{
		Kind:      redis.Kind(),
		Server:    "Redis",
		Without:   targettest.Without{targettest.RefusedValue: "Redis has no rules for passwords"},
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account:   saves.Account,
		Login:     saves.Login,
		Keeps:     true,
		TakesBack: true,
		Foresees:  []targettest.Mode{targettest.Admin, targettest.Alternating}, // users may do no dry run
		Kept:      saves.Kept,
		Users:     []string{`o'reilly"`, "100%41%", "Größe名", ">on", "#nopass", strings.Repeat("x", 500)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]", "tab\tand\r\nline 1", strings.Repeat("long1", 200)},
		Log:       watched,
		Trace:     "GETUSER",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", saves.TLS)), target.Refused, "another host"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a URL with a password":     fails(set("url", "redis://:one@localhost"), target.Refused, "variables of their own"),
			"a URL of something else":   fails(set("url", "https://localhost"), target.Refused, "redis"),
			"a parameter":               fails(set("url", "localhost?db=1"), target.Refused, "db"),
			"a mode that falls back":    fails(set("url", "localhost?sslmode=prefer"), target.Refused, "verify-full"),
			"a user with blanks":        fails(set("username", "a b"), target.Refused, "blanks"),
			"an authority that is none": fails(set("ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func bind(t *testing.T, s *redistest.Server, user string) target.Target {
	t.Helper()
	return targettest.Bind(t, redis.Kind(), targettest.Account{Values: map[string]string{"url": fmt.Sprintf("127.0.0.1:%d?sslmode=disable", s.Port), "username": user}})
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

// A Redis waits for the end of the line that it takes TLS for.
func TestAPortWithoutTLSIsToldNothing(t *testing.T) {
	made := targettest.Bind(t, redis.Kind(), targettest.Account{Values: map[string]string{"url": fmt.Sprintf("localhost:%d", saves.Port), "username": "default"}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := made.Probe(ctx, credential(redistest.Password)); target.ClassOf(err) != target.Unreachable {
		t.Error(err)
	}
}

func TestANewPasswordOutlivesARestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	saves.Create(t, "durable", "old-Password-1")
	made := bind(t, saves, "durable")
	if _, err := made.Apply(ctx, credential("old-Password-1"), credential("Shibboleth-4711")); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(saves.Users)
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

func TestTheNewPasswordIsNotSent(t *testing.T) {
	for _, mode := range []targettest.Mode{targettest.Self, targettest.Admin} {
		a := saves.Account(t, targettest.Ask{Mode: mode, Users: []string{"overheard_" + string(mode)}, Password: "old-Password-1"})
		a.Values["url"] = fmt.Sprintf("localhost:%d?sslmode=disable", saves.Port)
		targettest.SendsAVerifier(t, redis.Kind(), a)
	}
}
