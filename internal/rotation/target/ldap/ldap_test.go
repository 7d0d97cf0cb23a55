package ldap_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/ldap"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const (
	prefix       = "rotation/ldap/password/"
	bossPassword = "boss-Password-1"
)

var (
	directory *server
	authority *targettest.Authority
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
	if directory, err = start(dir); err != nil {
		return 0, err
	}
	defer directory.stop()
	return m.Run(), nil
}

type server struct {
	plain, tls int
	stop       func()
}

// start starts a slapd whose policy wants eight characters, and lets an entry and
// cn=admin change passwords.
func start(dir string) (*server, error) {
	s := &server{}
	var err error
	if s.plain, err = targettest.Port(); err != nil {
		return nil, err
	}
	if s.tls, err = targettest.Port(); err != nil {
		return nil, err
	}
	configuration := strings.ReplaceAll(`
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile DIR/slapd.pid
TLSCertificateFile DIR/server.crt
TLSCertificateKeyFile DIR/server.key
TLSVerifyClient never
database mdb
suffix dc=test
rootdn cn=boss,dc=test
rootpw boss-Password-1
directory DIR
dbnosync
overlay ppolicy
ppolicy_default cn=policy,dc=test
ppolicy_hash_cleartext
access to attrs=userPassword by dn.exact=cn=admin,dc=test write by self write by anonymous auth by * none
access to * by * read
`, "DIR", dir)
	if err := targettest.WriteFile(dir, "slapd.conf", configuration); err != nil {
		return nil, err
	}
	c, err := targettest.Command(dir, "slapd", "-d", "0", "-f", dir+"/slapd.conf", "-h",
		fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.plain, s.tls))
	if err != nil {
		return nil, err
	}
	if s.stop, err = targettest.Start(c, targettest.Listens(s.tls)); err != nil {
		return nil, err
	}
	return s, s.add(`dn: dc=test
objectClass: organization
objectClass: dcObject
o: test

dn: cn=policy,dc=test
objectClass: organizationalRole
objectClass: pwdPolicy
pwdAttribute: userPassword
pwdCheckQuality: 2
pwdMinLength: 8

` + entry("cn=admin,dc=test", "admin-Password-1") + entry("cn=weak,dc=test", "admin-Password-1"))
}

func (s *server) url() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.plain) }

// add adds entries by the tools of OpenLDAP.
func (s *server) add(ldif string) error {
	c := exec.Command("ldapadd", "-x", "-H", s.url(), "-D", "cn=boss,dc=test", "-w", bossPassword)
	c.Stdin = strings.NewReader(ldif)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("ldapadd: %w: %s", err, out)
	}
	return nil
}

// login tells whether OpenLDAP's own client can bind.
func (s *server) login(user, password string) bool {
	c := exec.Command("ldapwhoami", "-x", "-H", s.url(), "-D", dn(user), "-y", "/dev/stdin")
	c.Stdin = strings.NewReader(password)
	return c.Run() == nil
}

func dn(user string) string { return "cn=" + client.EscapeDN(user) + ",dc=test" }

func entry(dn, password string) string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return "dn:: " + b64(dn) + "\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword:: " + b64(password) + "\n\n"
}

func account(t *testing.T, ask targettest.Ask) targettest.Account {
	for _, user := range ask.Users {
		if err := directory.add(entry(dn(user), ask.Password)); err != nil {
			t.Fatal(err)
		}
	}
	a := targettest.Account{
		Annotations: map[string]string{prefix + "ca": "ca"},
		Values:      map[string]string{"url": fmt.Sprintf("ldaps://localhost:%d", directory.tls), "ca": authority.PEM, "username": dn(ask.Users[0])},
	}
	if ask.Mode == targettest.Admin {
		// Where TLS begins later, everything else is the same.
		a.Values["url"] = fmt.Sprintf("ldap://localhost:%d", directory.plain)
		a.Annotations[prefix+"admin-username"], a.Annotations[prefix+"admin-password"] = "admin-username", "admin-password"
		a.Values["admin-username"], a.Values["admin-password"] = "cn=admin,dc=test", "admin-Password-1"
		if ask.Weak {
			a.Values["admin-username"] = "cn=weak,dc=test"
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
		Kind:      ldap.Kind(),
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin},
		Account:   account,
		Login:     func(t *testing.T, user, password string) bool { return directory.login(user, password) },
		Users:     []string{`Doe, "John" + <j>; #1 \`, "100%41%", "Größe名", "a=b", "*)(cn=*", strings.Repeat("x", 150)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]", strings.Repeat("long1", 100)},
		BadValue: func(user string) string {
			return "tiny"
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that did not sign":  fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":      fails(set("url", fmt.Sprintf("ldaps://127.0.0.1:%d", directory.tls)), target.Refused, "another host"),
			"the same, when TLS begins later": fails(set("url", fmt.Sprintf("ldap://127.0.0.1:%d", directory.plain)), target.Refused, "another host"),
			"no TLS where there should be":    fails(set("url", fmt.Sprintf("ldaps://localhost:%d", directory.plain)), target.Unreachable, "connection"),
			"a URL with a password":           fails(set("url", "ldap://a:b@localhost"), target.Refused, "url"),
			"a URL with a search":             fails(set("url", "ldap://localhost/dc=test??sub"), target.Refused, "url"),
			"a name that is none":             fails(set("username", "john"), target.Refused, "distinguished"),
			"an anonymous name":               fails(set("username", " "), target.Refused, "distinguished"),
			"an authority that is none":       fails(set("ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func TestAPasswordThatADirectoryWouldTakeForAHashIsRefused(t *testing.T) {
	a := account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"hashed"}, Password: "old-Password-1"})
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
