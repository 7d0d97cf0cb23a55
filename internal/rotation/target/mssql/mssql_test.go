package mssql_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mssql"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/mssql/password/"

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
		Kind:    mssql.Kind(),
		Server:  "a server of our own that speaks TDS 7 with Microsoft's Go driver, and refuses as SQL Server documents it; no SQL Server",
		Without: targettest.Without{targettest.OwnPrivilege: "a login may always change its own password", targettest.StatementLog: "a server of our own has none"},
		Modes:   []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account: strict.Account,
		Login:   strict.Login,
		Users:   []string{`Robert'); DROP TABLE x; --`, `a]b]]c`, `[quoted] "`, "100%41%", "Größe鍵"},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]&encrypt=disable",
			`'; ALTER LOGIN sa DISABLE; --`, "{}=; clef", strings.Repeat("long1", 15)},
		BadValue: func(string) string { return "tiny" },
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("/pki/ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", strict.Port)), target.Refused, "another host"),
			"a server without TLS":           fails(set("url", plain.URL()), target.Refused, "under TLS"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"no TLS wanted":             fails(set("url", strict.URL()+"?sslmode=disable"), target.Refused, "TLS"),
			"no TLS by annotation":      fails(func(a targettest.Account) { a.Annotations[prefix+"sslmode"] = "disable" }, target.Refused, "TLS"),
			"a URL with a password":     fails(set("url", "sqlserver://some:one@localhost"), target.Refused, "variables of their own"),
			"a URL of something else":   fails(set("url", "https://localhost"), target.Refused, "sqlserver"),
			"a parameter":               fails(set("url", "localhost?TrustServerCertificate=true"), target.Refused, "TrustServerCertificate"),
			"an authority that is none": fails(set("/pki/ca", "trust me"), target.Refused, "PEM"),
			"a login of Windows":        fails(set("username", `DOMAIN\user`), target.Refused, "domain"),
			"a name that is too long":   fails(set("username", strings.Repeat("x", 129)), target.Refused, "128"),
		},
	}.Run(t)
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatAServerSaysHasAClass(t *testing.T) {
	var d net.Dialer
	made, err := mssql.Kind().Bind(target.Binding{Annotations: map[string]string{prefix + "ca": "ca"}, Dial: d.DialContext, Rand: rand.Reader,
		Values: map[string]secret.Bytes{"url": secret.FromString(strict.URL()), "username": secret.FromString("classed"), "ca": secret.FromString(authority.PEM)}})
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[int32]target.Class{1205: target.Unreachable, 6005: target.Uncertain, 15113: target.Refused, 15114: target.Refused, 15115: target.Refused, 15118: target.Refused, 15119: target.Refused, 15151: target.Refused, 102: target.Refused} {
		strict.Create("classed", "old-Password-1")
		strict.Fail(number)
		_, err := made.Apply(within(t, 5*time.Second), credential("old-Password-1"), credential("new-Password-1"))
		if target.ClassOf(err) != want || err == nil || strings.Contains(err.Error(), "in words") {
			t.Errorf("error %d: %v, want %v", number, err, want)
		}
		// Of these another password would meet a rule of the first kind only.
		if e, ok := err.(*target.Error); ok && e.BadValue != (number >= 15115 && number <= 15119) {
			t.Errorf("error %d: because of the value: %v", number, e.BadValue)
		}
	}
	strict.Fail(0)
	for _, bad := range []string{"line\\\nbreak-Password-1", strings.Repeat("x", 129), "emoji-😀-Password-1"} {
		_, err := made.Apply(within(t, 5*time.Second), credential("old-Password-1"), credential(bad))
		if e, ok := err.(*target.Error); !ok || !e.BadValue {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
