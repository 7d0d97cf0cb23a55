package ldap_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/ldap"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/ldaptest"
	"rekey/internal/secret"
)

var (
	directory *ldaptest.Server
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		directory, err = ldaptest.Start(site)
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
	targettest.Suite{
		Kind:      ldap.Kind(),
		Server:    "OpenLDAP's slapd",
		Without:   targettest.Without{},
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin},
		Account:   directory.Account,
		Login:     directory.Login,
		Users:     []string{`Doe, "John" + <j>; #1 \`, "100%41%", "Größe名", "a=b", "*)(cn=*", strings.Repeat("x", 150)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]", strings.Repeat("long1", 100)},
		BadValue: func(user string) string {
			return "tiny"
		},
		Log:   func(t *testing.T) string { return directory.Log(t) },
		Trace: "PASSMOD",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign":  fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":      fails(set("url", fmt.Sprintf("ldaps://127.0.0.1:%d", directory.TLS)), target.Refused, "another host"),
			"the same, when TLS begins later": fails(set("url", fmt.Sprintf("ldap://127.0.0.1:%d", directory.Plain)), target.Refused, "another host"),
			"no TLS where there should be":    fails(set("url", fmt.Sprintf("ldaps://localhost:%d", directory.Plain)), target.Unreachable, "connection"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a URL with a password":     fails(set("url", "ldap://a:b@localhost"), target.Refused, "url"),
			"a URL with a search":       fails(set("url", "ldap://localhost/dc=test??sub"), target.Refused, "url"),
			"a name that is none":       fails(set("username", "john"), target.Refused, "distinguished"),
			"an anonymous name":         fails(set("username", " "), target.Refused, "distinguished"),
			"an authority that is none": fails(set("ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func TestAPasswordThatADirectoryWouldTakeForAHashIsRefused(t *testing.T) {
	a := directory.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"hashed"}, Password: "old-Password-1"})
	values := map[string]secret.Bytes{}
	for name, v := range a.Values {
		values[name] = secret.FromString(v)
	}
	var d net.Dialer
	made, err := ldap.Kind().Bind(target.Binding{Annotations: a.Annotations, Values: values, Dial: d.DialContext, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	current := target.Credential{target.Main: secret.FromString("old-Password-1")}
	_, err = made.Apply(ctx, current, target.Credential{target.Main: secret.FromString("{SSHA}not-a-hash")})
	if e, ok := err.(*target.Error); !ok || e.Class != target.Refused || !e.BadValue {
		t.Errorf("%v, want a refusal of the value", err)
	}
	if err := made.Probe(ctx, current); err != nil {
		t.Error(err)
	}
}
