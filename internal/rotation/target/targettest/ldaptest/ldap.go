// Package ldaptest starts OpenLDAP servers for tests: real ones, on loopback. It imports
// rotation/target/targettest.
package ldaptest

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"rekey/internal/rotation/target/targettest"
)

const bossPassword = "boss-Password-1"

// Server is a slapd whose policy wants eight characters, and lets an entry and cn=admin
// change passwords.
type Server struct {
	Plain, TLS int // ports

	site   *targettest.Site
	logged string
}

// What the directory writes down: whatever can be had but the packets themselves and their
// parts, which hold what RFC 3062 sends.
const (
	packets = 2
	parts   = 16
	level   = 1<<16 - 1 - packets - parts
)

// Start starts one.
func Start(site *targettest.Site) (*Server, error) {
	s := &Server{site: site}
	var err error
	if s.Plain, err = targettest.Port(); err != nil {
		return nil, err
	}
	if s.TLS, err = targettest.Port(); err != nil {
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
access to filter=(description=weak) attrs=userPassword by self auth by anonymous auth by * none
access to attrs=userPassword by dn.exact=cn=admin,dc=test write by self write by anonymous auth by * none
access to * by * read
`, "DIR", site.Dir)
	if err := targettest.WriteFile(site.Dir, "slapd.conf", configuration); err != nil {
		return nil, err
	}
	c, err := targettest.Command(site.Dir, "slapd", "-d", fmt.Sprint(level), "-f", site.Dir+"/slapd.conf", "-h",
		fmt.Sprintf("ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", s.Plain, s.TLS))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(site.Dir + "/slapd.log")
	if err != nil {
		return nil, err
	}
	c.Stderr, s.logged = log, log.Name()
	if err := site.Start(c, targettest.Listens(s.TLS)); err != nil {
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

` + entry("cn=admin,dc=test", targettest.AdminPassword) + entry("cn=weak,dc=test", targettest.AdminPassword))
}

func (s *Server) url() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.Plain) }

// add adds entries by the tools of OpenLDAP.
func (s *Server) add(ldif string) error {
	c := exec.Command("ldapadd", "-x", "-H", s.url(), "-D", "cn=boss,dc=test", "-w", bossPassword)
	c.Stdin = strings.NewReader(ldif)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("ldapadd: %w: %s", err, out)
	}
	return nil
}

// Log is all that it has written down.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(s.logged)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Login tells whether OpenLDAP's own client can bind.
func (s *Server) Login(_ *testing.T, user, password string) bool {
	c := exec.Command("ldapwhoami", "-x", "-H", s.url(), "-D", dn(user), "-y", "/dev/stdin")
	c.Stdin = strings.NewReader(password)
	return c.Run() == nil
}

func dn(user string) string { return "cn=" + client.EscapeDN(user) + ",dc=test" }

func entry(dn, password string) string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	return "dn:: " + b64(dn) + "\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword:: " + b64(password) + "\n\n"
}

// Account makes the entries of an account. Administrators reach it by TLS that begins
// later, all others by TLS from the beginning.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	var names []string
	for _, user := range ask.Users {
		text := entry(dn(user), ask.Password)
		if ask.Weak && ask.Mode == targettest.Self {
			text = strings.TrimSuffix(text, "\n") + "description: weak\n\n"
		}
		if err := s.add(text); err != nil {
			t.Fatal(err)
		}
		names = append(names, dn(user))
	}
	ask.Users = names
	url := fmt.Sprintf("ldaps://localhost:%d", s.TLS)
	if ask.Mode == targettest.Admin {
		url = fmt.Sprintf("ldap://localhost:%d", s.Plain)
	}
	return targettest.Reached{Kind: "ldap/password", Annotations: map[string]string{"ca": "ca"}, Admin: "cn=admin,dc=test", Weak: "cn=weak,dc=test",
		Values: map[string]string{"url": url, "ca": s.site.Authority.PEM}}.Account(ask)
}
