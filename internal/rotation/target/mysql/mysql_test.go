package mysql_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/targettest"
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
		Kind:      mysql.Kind(),
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
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("/pki/ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", strict.Port)), target.Refused, "another host"),
			"a server without TLS":           fails(set("url", plain.URL("")), target.Refused, "has no TLS"),
			"an account of another plugin":   fails(set("username", "socket"), target.Refused, "does not let the user in"),
			"a URL with a password":          fails(set("url", "mysql://some:one@localhost"), target.Refused, "variables of their own"),
			"a URL of something else":        fails(set("url", "https://localhost"), target.Refused, "mysql"),
			"a parameter":                    fails(set("url", "localhost?allowAllFiles=1"), target.Refused, "allowAllFiles"),
			"a mode that falls back":         fails(set("url", "localhost?sslmode=prefer"), target.Refused, "verify-full"),
			"an authority that is none":      fails(set("/pki/ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func bind(t *testing.T, annotations, values map[string]string) target.Target {
	t.Helper()
	secrets := map[string]secret.Bytes{}
	for name, v := range values {
		secrets[name] = secret.FromString(v)
	}
	var d net.Dialer
	made, err := mysql.Kind().Bind(target.Binding{Annotations: annotations, Values: secrets, Dial: d.DialContext, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

func TestAServerThatDoesNotJudgePasswordsSeesOnlyTheHash(t *testing.T) {
	plain.Create(t, "logged", "old-Password-1")
	made := bind(t, nil, map[string]string{"url": plain.URL("?sslmode=disable"), "username": "logged"})
	if _, err := made.Apply(within(t, 10*time.Second), credential("old-Password-1"), credential("Shibboleth-4711")); err != nil {
		t.Fatal(err)
	}
	if !plain.Login(t, "logged", "Shibboleth-4711") {
		t.Error("the new password does not let in")
	}
	log := plain.Log(t)
	if !strings.Contains(log, "SET PASSWORD") {
		t.Error("the log does not have the statement")
	}
	if strings.Contains(log, "Shibboleth") {
		t.Error("the log has the password")
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
