package mysql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mysqltest"
	"rekey/internal/secret"
)

const prefix = "rotation/mysql/password/"

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	if err := strict.Root("CREATE USER 'barred'@'10.0.0.1' IDENTIFIED BY 'entry-Password-1'; CREATE USER 'socket'@'%' IDENTIFIED VIA unix_socket"); err != nil {
		t.Fatal(err)
	}
	targettest.Suite{
		Kind:   mysql.Kind(),
		Server: "MariaDB",
		Without: targettest.Without{
			targettest.OwnPrivilege: "an account may always change its own password",
			targettest.StatementLog: "that of a server without a plugin that judges passwords has hashes only; with one, it has the passwords",
		},
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account:   strict.Account,
		Login:     strict.Login,
		Foresees:  []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		TakesBack: true,
		Kept:      strict.Kept,
		Users:     []string{`Robert'); DROP USER root; --`, `"quoted" \`, "100%41%", "Größe名", "UPPER", strings.Repeat("x", 70)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]&sslmode=disable",
			"tab\tand\nline 1", strings.Repeat("long1", 15)},
		BadValue: func(string) string { return "tiny" },
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("/pki/ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", strict.Port)), target.Refused, "another host"),
			"a server without TLS":           fails(set("url", plain.URL("")), target.Refused, "has no TLS"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"an account of another plugin": fails(set("username", "socket"), target.Refused, "does not let the user in"),
			"a URL with a password":        fails(set("url", "mysql://some:one@localhost"), target.Refused, "variables of their own"),
			"a URL of something else":      fails(set("url", "https://localhost"), target.Refused, "mysql"),
			"a parameter":                  fails(set("url", "localhost?allowAllFiles=1"), target.Refused, "allowAllFiles"),
			"a mode that falls back":       fails(set("url", "localhost?sslmode=prefer"), target.Refused, "verify-full"),
			"an authority that is none":    fails(set("/pki/ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func bind(t *testing.T, annotations, values map[string]string) target.Target {
	t.Helper()
	return targettest.Bind(t, mysql.Kind(), targettest.Account{Annotations: annotations, Values: values})
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

// Given a server that has to judge passwords, or one that has not, when a user or an
// administrator sets one, or the turn of a user is over, then the log of the first has the
// password, since a hash is refused there, and that of the other has none.
func TestAServerThatDoesNotJudgePasswordsSeesOnlyTheHash(t *testing.T) {
	for _, test := range []struct {
		server *mysqltest.Server
		sees   bool
	}{{plain, false}, {strict, true}} {
		for _, mode := range []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating} {
			user := strings.ReplaceAll("logged "+string(mode), " ", "_")
			a := test.server.Account(t, targettest.Ask{Mode: mode, Users: []string{user, user + "b"}, Password: "old-Password-1"})
			if a.Values["url"] = test.server.URL(""); !test.sees {
				a.Values["url"] = test.server.URL("?sslmode=disable")
			}
			made, current := bind(t, a.Annotations, a.Values), credential("old-Password-1")
			if mode == targettest.Alternating {
				current["username"] = secret.FromString(user)
			}
			next, err := made.Candidate(current)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := made.Apply(within(t, 10*time.Second), current, next); err != nil {
				t.Fatal(err)
			}
			if err := made.Retire(within(t, 10*time.Second), next, current); err != nil {
				t.Fatal(err)
			}
			found := targettest.Leak(test.server.Log(t), []string{next[target.Main].RevealString()})
			if (found != "") != test.sees {
				t.Errorf("%s, where passwords are judged: %v: the log has %q", mode, test.sees, found)
			}
		}
	}
	if log := plain.Log(t); !strings.Contains(log, "SET PASSWORD = '*") || !strings.Contains(log, "SET PASSWORD FOR 'logged_admin'@'%' = '*") || strings.Contains(log, "PASSWORD(") {
		t.Error("the log has not each statement, with a hash")
	}
}

func TestTLSCanBeWeakenedOnPurposeOnly(t *testing.T) {
	strict.Create(t, "weakened", "old-Password-1")
	for name, values := range map[string]map[string]string{
		"the name does not matter": {"url": fmt.Sprintf("mariadb://127.0.0.1:%d?sslmode=verify-ca", strict.Port), "ca": authority.PEM},
		"nothing matters":          {"url": strict.URL("?sslmode=require"), "ca": authority.PEM},
		"no TLS":                   {"url": strict.URL("?sslmode=disable"), "ca": authority.PEM},
	} {
		values["username"] = "weakened"
		if err := bind(t, map[string]string{prefix + "ca": "ca"}, values).Probe(within(t, 10*time.Second), credential("old-Password-1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAccountOfAnotherHostIsNamed(t *testing.T) {
	if err := plain.Root("CREATE USER 'hosted'@'127.0.0.1' IDENTIFIED BY 'old-Password-1'"); err != nil {
		t.Fatal(err)
	}
	annotations := map[string]string{prefix + "admin-username": "au", prefix + "admin-password": "ap"}
	values := map[string]string{"url": plain.URL("?sslmode=disable"), "username": "hosted", "au": "rk admin", "ap": "admin-Password-1"}
	_, err := bind(t, annotations, values).Apply(within(t, 10*time.Second), nil, credential("new-Password-1"))
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "account-host") {
		t.Errorf("without its host: %v", err)
	}
	annotations[prefix+"account-host"] = "127.0.0.1"
	made := bind(t, annotations, values)
	if _, err := made.Apply(within(t, 10*time.Second), nil, credential("new-Password-1")); err != nil {
		t.Error(err)
	}
	if err := made.Probe(within(t, 10*time.Second), credential("new-Password-1")); err != nil {
		t.Error(err)
	}
}

func TestTheNewPasswordIsNotSent(t *testing.T) {
	for _, mode := range []targettest.Mode{targettest.Self, targettest.Admin} {
		a := plain.Account(t, targettest.Ask{Mode: mode, Users: []string{"overheard_" + string(mode)}, Password: "old-Password-1"})
		a.Values["url"] = plain.URL("?sslmode=disable")
		targettest.SendsAVerifier(t, mysql.Kind(), a)
	}
}
