package ldap_test

import (
	"context"
	"fmt"
	"io"
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
	made := targettest.Bind(t, ldap.Kind(), a)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	current := target.Credential{target.Main: secret.FromString("old-Password-1")}
	_, err := made.Apply(ctx, current, target.Credential{target.Main: secret.FromString("{SSHA}not-a-hash")})
	if e, ok := err.(*target.Error); !ok || e.Class != target.Refused || !e.BadValue {
		t.Errorf("%v, want a refusal of the value", err)
	}
	if err := made.Probe(ctx, current); err != nil {
		t.Error(err)
	}
}

// A directory without TLS, or somebody on the way who says so, is not told the password.
func TestADirectoryThatRefusesTLSIsToldNothingMore(t *testing.T) {
	const refusal = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00" // protocolError
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go targettest.Accept(l, func(conn net.Conn) {
		request := make([]byte, 1024)
		n, err := conn.Read(request)
		if err == nil {
			_, err = io.WriteString(conn, refusal)
		}
		rest, _ := io.ReadAll(conn) // until the other side goes
		heard <- fmt.Sprintf("%q %v %q", request[:n], err, rest)
	})
	a := targettest.Reached{Kind: "ldap/password", Values: map[string]string{"url": "ldap://" + l.Addr().String()}}.Account(targettest.Ask{Mode: targettest.Self, Users: []string{"cn=app,dc=test"}})
	err = targettest.Bind(t, ldap.Kind(), a).Probe(t.Context(), target.Credential{target.Main: secret.FromString("old-Password-1")})
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "TLS") {
		t.Error(err)
	}
	if got := <-heard; !strings.Contains(got, "1.3.6.1.4.1.1466.20037") || strings.Contains(got, "old-Password") || !strings.HasSuffix(got, ` <nil> ""`) {
		t.Errorf("it heard %s", got)
	}
}
