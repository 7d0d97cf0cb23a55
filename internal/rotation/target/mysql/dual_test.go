package mysql_test

import (
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mysqltest"
)

func startDual(t *testing.T, version string) *mysqltest.Dual {
	t.Helper()
	d, err := mysqltest.StartPlainDual(targettest.At(t), version)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Given a MySQL that can, and a grace, then the old password goes on until it is retired.
func TestMySQLKeepsTheOldPasswordForTheGrace(t *testing.T) {
	d, err := mysqltest.StartDual(targettest.At(t), "8.0.14")
	if err != nil {
		t.Fatal(err)
	}
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind: mysql.Kind(), Modes: []targettest.Mode{targettest.Self, targettest.Admin}, Keeps: true, Account: d.Account,
		Subject:   "`mysql/password`, two passwords at a time",
		Server:    "a server of our own that speaks the protocol, asks for logins as MySQL does by default, and keeps two passwords as MySQL documents it; no MySQL",
		Without:   targettest.Without{targettest.StatementLog: "a server of our own has none"},
		Login:     d.Login,
		Users:     []string{`Robert'); DROP USER root; --`, `"quoted" \`},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, "Größe-Ключ-鍵-1"},
		BadValue:  func(string) string { return "tiny" },
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"a server without TLS":           fails(set("url", startDual(t, "8.0.14").URL("")), target.Refused, "has no TLS"),
			// What has not been seen would have to be shown.
			"a certificate that nobody checks": fails(set("url", d.URL("?sslmode=require")), target.Refused, "verify-full"),
		},
	}.Run(t)
	if d.Shown() == 0 {
		t.Error("no password was ever shown: that is not how such a server works")
	}
}

// Given a server that cannot, or no grace, or users who take turns, then nothing is kept, and
// nothing that works is ended.
func TestNothingIsKeptWhereItCannotBe(t *testing.T) {
	for _, test := range []struct {
		name, version, grace string
		keeps                bool
	}{
		{"a version that can", "8.4.3-cloud", "PT1H", true}, {"a newer one", "9.1.0", "PT1H", true}, {"no grace", "8.4.3", "", false},
		{"an older version", "8.0.13", "PT1H", false}, {"a much older one", "5.7.44-log", "PT1H", false}, {"a version that is none", "new.est", "PT1H", false},
	} {
		d := startDual(t, test.version)
		d.Create("app", "old-Password-1", true)
		annotations := map[string]string{}
		if test.grace != "" {
			annotations["rotation/grace"] = test.grace
		}
		made := bind(t, annotations, map[string]string{"url": d.URL("?sslmode=disable"), "username": "app"})
		old, next := credential("old-Password-1"), credential("new-Password-1")
		if _, err := made.Apply(within(t, 5*time.Second), old, next); err != nil {
			t.Fatal(err)
		}
		if err := made.Probe(within(t, 5*time.Second), old); (err == nil) != test.keeps {
			t.Errorf("%s: the old one: %v, said %v", test.name, err, d.Said())
		}
		if err := made.Retire(within(t, 5*time.Second), next, old); err != nil || made.Probe(within(t, 5*time.Second), next) != nil || made.Probe(within(t, 5*time.Second), old) == nil {
			t.Errorf("%s: retired: %v", test.name, err)
		}
	}
}

func TestAUserWhoMayNotKeepTheOldPasswordIsTold(t *testing.T) {
	d := startDual(t, "8.4.3")
	d.Create("app", "old-Password-1", false)
	made := bind(t, map[string]string{"rotation/grace": "PT1H"}, map[string]string{"url": d.URL("?sslmode=disable"), "username": "app"})
	_, err := made.Apply(within(t, 5*time.Second), credential("old-Password-1"), credential("new-Password-1"))
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "APPLICATION_PASSWORD_ADMIN") {
		t.Error(err)
	}
}

// MariaDB has one password for an account, grace or not: a password that somebody has set
// back is not ended in the name of the old one.
func TestAMariaDBKeepsNothing(t *testing.T) {
	plain.Create(t, "graceful", "old-Password-1")
	annotations := map[string]string{"rotation/grace": "PT1H", prefix + "admin-username": "au", prefix + "admin-password": "ap"}
	made := bind(t, annotations, map[string]string{"url": plain.URL("?sslmode=disable"), "username": "graceful", "au": "rk admin", "ap": "admin-Password-1"})
	old, next := credential("old-Password-1"), credential("new-Password-1")
	for _, c := range []target.Credential{next, old} {
		if _, err := made.Apply(within(t, 10*time.Second), nil, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := made.Retire(within(t, 10*time.Second), next, old); err != nil || !plain.Login(t, "graceful", "old-Password-1") {
		t.Errorf("retired: %v", err)
	}
}
