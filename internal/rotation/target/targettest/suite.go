// Package targettest is what every kind of target promises, as tests that run against a
// server: Suite for passwords, Issuing for keys that the target makes; and what such tests
// need: servers as processes, certificates, and a network that fails when it is told to.
//
// Only tests import it.
package targettest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// Mode is who changes the password.
type Mode string

// The modes.
const (
	Self        Mode = "self"
	Admin       Mode = "admin"
	Alternating Mode = "alternating users"
)

// Suite is a kind and its server.
type Suite struct {
	Kind  target.Kind
	Modes []Mode

	// Server is what the kind is tested against, and Without what is left out there, as
	// docs/rotation.md says it; so is Subject, where it is not the kind as a whole.
	Server  string
	Without Without
	Subject string

	// Account makes the users of an account on the server, all with one password.
	Account func(t *testing.T, ask Ask) Account

	// Login tells whether the server accepts a password, by a client that shares no
	// code with the kind.
	Login func(t *testing.T, user, password string) bool

	// Credential makes what the kind takes for a password; nil if it is the password.
	Credential func(t *testing.T, password string) target.Credential

	// Misspelt are annotations of which one is wrong; nil for those of passwords.
	Misspelt []Misspelt

	// Foresees: a rehearsal tells whether the privilege is there, in these modes.
	Foresees []Mode

	// TakesBack: a rehearsal asks for a change that the server must not carry out, whatever
	// happens to the network meanwhile.
	TakesBack bool

	// Kept is what the server keeps of a user's passwords, if another client can see it: a
	// rehearsal must leave it as it is.
	Kept func(t *testing.T, user string) string

	// Keeps: the old password of a user works until it is retired.
	Keeps bool

	// Users and Passwords are hostile ones that the server can hold.
	Users, Passwords []string

	// BadValue is a password that a rule of the server refuses for a user.
	BadValue func(user string) string

	// Untrusted are accounts whose server must not be trusted, Elsewhere those whose server
	// or values are not what is needed, with the words that have to be in the error.
	Untrusted, Elsewhere map[string]Elsewhere

	// Log is all that the server has written down of what it was asked, and Trace is in it
	// if it is the right one. No password is that the kind has made.
	Log   func(t *testing.T) string
	Trace string

	made *generated
}

// Ask is what an account has to be like.
type Ask struct {
	Mode     Mode
	Users    []string // two if they alternate
	Password string
	Weak     bool // whoever makes the change lacks the privilege
}

// Account is what a variable and its folder say about an account.
type Account struct {
	Annotations map[string]string
	Values      map[string]string
}

// Elsewhere is a change to an account that makes it fail.
type Elsewhere struct {
	Change func(Account)
	Class  target.Class
	Words  string
}

// Misspelt is a set of annotations with one mistake.
type Misspelt struct {
	Name        string
	Annotations map[string]string // without the prefix of the kind
	At          string
}

// ofPasswords are those of kinds whose credential is a password of their own making.
var ofPasswords = []Misspelt{
	{"an unknown one", map[string]string{"lenght": "20"}, "lenght"},
	{"a length that is none", map[string]string{"length": "long"}, "length"},
	{"a length too short", map[string]string{"length": "3"}, "length"},
	{"an unknown charset", map[string]string{"charset": "runes"}, "charset"},
	{"half an administrator", map[string]string{"admin-username": "admin/username"}, "admin-username"},
	{"one user who takes turns", map[string]string{"users": "a", "admin-username": "u", "admin-password": "p"}, "users"},
	{"turns without administrator", map[string]string{"users": "a,b"}, "users"},
}

// Fails makes an Elsewhere.
func Fails(change func(Account), class target.Class, words string) Elsewhere {
	return Elsewhere{Change: change, Class: class, Words: words}
}

// Run runs the whole suite.
func (s Suite) Run(t *testing.T) {
	s.made = &generated{}
	admins := slices.ContainsFunc(s.Modes, func(m Mode) bool { return m != Self })
	has := func(c Case, given bool) bool { return s.Without.has(t, c, given) }
	refusedValue, users, passwords := has(RefusedValue, s.BadValue != nil), has(HostileUsers, len(s.Users) > 0), has(HostilePasswords, len(s.Passwords) > 0)
	admin, own := has(AdminPrivilege, admins), has(OwnPrivilege, s.Without[OwnPrivilege] == "")
	network, log := has(NetworkFaults, s.Without[NetworkFaults] == ""), has(StatementLog, s.Log != nil)
	has(UntrustedServer, len(s.Untrusted) > 0)
	Documented(t, s.Kind, s.Subject, s.Server, s.Without)
	for _, mode := range s.Modes {
		t.Run(string(mode), func(t *testing.T) {
			run := func(name string, wanted bool, test func(*testing.T, Mode)) {
				if wanted {
					t.Run(name, func(t *testing.T) { test(t, mode) })
				}
			}
			run("rotates", true, s.rotates)
			run("hostile names", users, s.hostileUsers)
			run("hostile passwords", passwords, s.hostilePasswords)
			run("wrong password", true, s.wrongPassword)
			run("changed behind our back", true, s.changedElsewhere)
			run("refused value", refusedValue, s.refusedValue)
			run("privilege missing", mode != Self && admin || mode == Self && own, s.privilege)
			run("privilege missing in the end", mode != Self && admin, s.privilegeToRetire)
			run("unreachable", network, s.unreachable)
			run("silent server", network, s.silent)
			run("faults while applying", network, s.faultsOfApply)
			run("faults while retiring", network, s.faultsOfRetire)
			run("rehearses", true, s.rehearses)
			run("retires its own only", true, s.retiresOwn)
			run("needs no current password", mode != Self, s.reconciles)
			run("administrator's password wrong", mode != Self, s.wrongAdmin)
		})
	}
	for _, each := range []map[string]Elsewhere{s.Untrusted, s.Elsewhere} {
		for name, e := range each {
			t.Run(name, func(t *testing.T) { s.elsewhere(t, e) })
		}
	}
	if network {
		t.Run("faults while probing", func(t *testing.T) { s.faultsOfProbe(t, s.Modes[0]) })
	}
	t.Run("annotations", s.annotations)
	t.Run("missing values", s.missing)
	if log {
		t.Run("the target's own log", s.log)
	}
}

var serial atomic.Int64

// rig is an account under test.
type rig struct {
	t       *testing.T
	suite   Suite
	account Account
	users   []string
	current target.Credential
	secrets []string
}

func (s Suite) rig(t *testing.T, mode Mode, change ...func(*Ask)) *rig {
	t.Helper()
	n := serial.Add(1)
	ask := Ask{Mode: mode, Users: []string{fmt.Sprintf("rk%d_%d", os.Getpid(), n)}, Password: fmt.Sprintf("first%dPassword", n)}
	if mode == Alternating {
		ask.Users = append(ask.Users, ask.Users[0]+"b")
	}
	for _, c := range change {
		c(&ask)
	}
	r := &rig{t: t, suite: s, account: s.Account(t, ask), users: ask.Users}
	r.current = r.credential(ask.Users[0], ask.Password)
	for name, v := range r.account.Values {
		if strings.Contains(name, "password") {
			r.secrets = append(r.secrets, v)
		}
	}
	return r
}

// credential makes one and remembers that its password is a secret.
func (r *rig) credential(user, password string) target.Credential {
	c := target.Credential{target.Main: secret.FromString(password)}
	if r.suite.Credential != nil {
		c = r.suite.Credential(r.t, password)
	}
	r.secrets = append(r.secrets, c[target.Main].RevealString())
	if len(r.users) == 2 {
		c["username"] = secret.FromString(user)
	}
	return c
}

// target binds the account, through a network.
func (r *rig) target(dial target.Dial) target.Target {
	r.t.Helper()
	made, err := r.bind(dial)
	if err != nil {
		r.t.Fatalf("bind: %v", err)
	}
	return made
}

func (r *rig) bind(dial target.Dial) (target.Target, error) {
	if dial == nil {
		var d net.Dialer
		dial = d.DialContext
	}
	values := map[string]secret.Bytes{}
	for name, v := range r.account.Values {
		values[name] = secret.FromString(v)
	}
	return r.suite.Kind.Bind(target.Binding{Annotations: r.account.Annotations, Values: values, Dial: dial, Rand: rand.Reader})
}

// next is a candidate of the account's.
func (r *rig) next() target.Credential {
	r.t.Helper()
	c, err := r.target(nil).Candidate(r.current)
	if err != nil {
		r.t.Fatalf("candidate: %v", err)
	}
	r.secrets = append(r.secrets, c[target.Main].RevealString())
	r.suite.made.add(c[target.Main].RevealString())
	return c
}

func (r *rig) user(c target.Credential) string {
	if u, ok := c["username"]; ok {
		return u.RevealString()
	}
	return r.users[0]
}

// accepts asks the server by a foreign client.
func (r *rig) accepts(c target.Credential) bool {
	r.t.Helper()
	return r.suite.Login(r.t, r.user(c), c[target.Main].RevealString())
}

// works and fails are what the kind and the foreign client have to agree on.
func (r *rig) works(what string, c target.Credential) {
	r.t.Helper()
	err, accepted := r.target(nil).Probe(r.context(), c), r.accepts(c)
	if err != nil || !accepted {
		r.t.Errorf("%s password: probe says %v, another client gets in: %v; want it to work", what, err, accepted)
	}
}

func (r *rig) fails(what string, c target.Credential) {
	r.t.Helper()
	err := r.target(nil).Probe(r.context(), c)
	r.class(what, err, target.AuthFailed)
	if r.accepts(c) {
		r.t.Errorf("%s password still works", what)
	}
}

func (r *rig) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

// class checks how a call failed, and that its words hold no secret.
func (r *rig) class(what string, err error, want ...target.Class) {
	r.t.Helper()
	if err == nil {
		r.t.Errorf("%s: no error, want %v", what, want)
		return
	}
	r.discreet(what, err)
	got := target.ClassOf(err)
	for _, w := range want {
		if got == w {
			return
		}
	}
	r.t.Errorf("%s: %v, want %v", what, err, want)
}

// discreet checks that an error tells no secret, in no encoding.
func (r *rig) discreet(what string, err error) {
	r.t.Helper()
	for _, s := range r.secrets {
		if len(s) < 4 {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s), hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s))} {
			if strings.Contains(err.Error(), form) {
				r.t.Errorf("%s: the error tells a secret: %v", what, err)
			}
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		r.t.Errorf("%s: the error has more than one line: %q", what, err)
	}
}

func (r *rig) apply(next target.Credential) {
	r.t.Helper()
	got, err := r.target(nil).Apply(r.context(), r.current, next)
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	if !got[target.Main].Equal(next[target.Main]) || len(got) != len(next) {
		r.t.Error("apply does not return the credential that it was given")
	}
}

func (r *rig) retire(current, old target.Credential) {
	r.t.Helper()
	if err := r.target(nil).Retire(r.context(), current, old); err != nil {
		r.t.Fatalf("retire: %v", err)
	}
}
