package targettest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
)

// Issuing is a kind whose target makes the credentials itself, and its server.
type Issuing struct {
	Kind  target.Kind
	Modes []Mode // of Self and Admin

	// Server is what the kind is tested against, and Without what is left out there, as
	// docs/rotation.md says it.
	Server  string
	Without Without

	// Account makes an account with one key on the server.
	Account func(t *testing.T, ask IssuingAsk) IssuingAccount

	// Full: an account has room for two keys only.
	Full bool

	// Endpoint is an annotation that names an endpoint, by what follows the prefix.
	Endpoint string

	// Untrusted are accounts whose server must not be trusted, Elsewhere those whose server
	// or values are not what is needed, and Hostile those of whose names one is hostile, with
	// the words that have to be in the error.
	Untrusted, Elsewhere, Hostile map[string]Elsewhere
}

// IssuingAsk is what an account has to be like.
type IssuingAsk struct {
	Mode  Mode
	Weak  bool // whoever issues lacks the privilege
	Delay int  // how often a new key is refused until it is known
}

// IssuingAccount is an account on the server, and what is known there of its keys.
type IssuingAccount struct {
	Account
	Current target.Credential
	Wrong   target.Credential // the same key, with another secret
	ID      func(target.Credential) string
	Holds   func(target.Credential) bool // the server would accept it now
	Keys    func() []string              // ids of the account's keys
	Foreign func() string                // somebody makes a key by hand, and this is its id
	Remove  func(id string)              // by hand
}

// Run runs the whole suite.
func (s Issuing) Run(t *testing.T) {
	for c, given := range map[Case]bool{
		// What a target makes itself breaks no rule of its own, and nobody chooses it. That
		// whatever else is stored is refused is one of the tests.
		RefusedValue: false, HostilePasswords: true, NetworkFaults: true, OwnPrivilege: true, StatementLog: false,
		AdminPrivilege: slices.Contains(s.Modes, Admin), UntrustedServer: len(s.Untrusted) > 0, HostileUsers: len(s.Hostile) > 0,
	} {
		s.Without.has(t, c, given)
	}
	Documented(t, s.Kind, "", s.Server, s.Without)
	for _, mode := range s.Modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Run("rotates", func(t *testing.T) { s.rotates(t, mode) })
			t.Run("new key that is not known at once", func(t *testing.T) { s.settles(t, mode) })
			t.Run("wrong credential", func(t *testing.T) { s.wrong(t, mode) })
			t.Run("privilege missing", func(t *testing.T) { s.weak(t, mode) })
			t.Run("keys of others", func(t *testing.T) { s.foreign(t, mode) })
			t.Run("unreachable", func(t *testing.T) { s.unreachable(t, mode) })
			t.Run("silent server", func(t *testing.T) { s.silent(t, mode) })
			t.Run("faults while issuing", func(t *testing.T) { s.faultsOfApply(t, mode) })
			t.Run("faults while looking and probing", func(t *testing.T) { s.faultsOfReading(t, mode) })
			t.Run("faults while retiring", func(t *testing.T) { s.faultsOfRetire(t, mode) })
		})
	}
	for _, each := range []map[string]Elsewhere{s.Untrusted, s.Elsewhere, s.Hostile} {
		for name, e := range each {
			t.Run(name, func(t *testing.T) { s.elsewhere(t, e) })
		}
	}
	t.Run("annotations", s.annotations)
	t.Run("missing values", s.missing)
}

// desk is an account under test whose keys are issued.
type desk struct {
	*rig
	IssuingAccount
}

func (s Issuing) desk(t *testing.T, ask IssuingAsk) *desk {
	t.Helper()
	a := s.Account(t, ask)
	d := &desk{&rig{t: t, suite: Suite{Kind: s.Kind}, account: a.Account}, a}
	d.keep(a.Current)
	d.keep(a.Wrong)
	for name, value := range a.Values {
		if strings.Contains(name, "secret") || strings.Contains(name, "key") {
			d.secrets = append(d.secrets, value)
		}
	}
	return d
}

// keep remembers the secret of a credential, and what is long in it.
func (d *desk) keep(c target.Credential) {
	value := c[target.Main].RevealString()
	d.secrets = append(d.secrets, value)
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == '"' || r == '\\' }) {
		if len(part) > 60 {
			d.secrets = append(d.secrets, part)
		}
	}
}

// survey is the intent, which may be nil.
func (d *desk) survey(ctx context.Context, dial target.Dial) (target.Credential, error) {
	d.t.Helper()
	made := d.target(dial)
	if looks, ok := made.(target.Surveyor); ok {
		intent, err := looks.Survey(ctx, d.Current)
		if err == nil && intent[target.Main].Len() > 0 {
			d.t.Error("an intent looks like a credential")
		}
		return intent, err
	}
	intent, err := made.Candidate(d.Current)
	if err != nil || intent[target.Main].Len() > 0 {
		d.t.Errorf("candidate %v, %v; want an intent at most, since the target issues it", intent, err)
	}
	return intent, nil
}

// intent is that of a survey that works.
func (d *desk) intent() target.Credential {
	d.t.Helper()
	intent, err := d.survey(d.context(), nil)
	if err != nil {
		d.t.Fatalf("survey: %v", err)
	}
	return intent
}

// issue has a key issued.
func (d *desk) issue(intent target.Credential) target.Credential {
	d.t.Helper()
	made, err := d.target(nil).Apply(d.context(), d.Current, intent)
	if err != nil {
		d.t.Fatalf("apply: %v", err)
	}
	d.keep(made)
	return made
}

func (d *desk) has(what string, c target.Credential) {
	d.t.Helper()
	if err := d.target(nil).Probe(d.context(), c); err != nil || !d.Holds(c) {
		d.t.Errorf("%s key: probe says %v, the server holds it: %v; want it to work", what, err, d.Holds(c))
	}
}

func (d *desk) lacks(what string, c target.Credential) {
	d.t.Helper()
	d.class(what, d.target(nil).Probe(d.context(), c), target.AuthFailed)
	if d.Holds(c) {
		d.t.Errorf("%s key still works", what)
	}
}

// only wants the account to have these keys and no other.
func (d *desk) only(what string, want ...string) {
	d.t.Helper()
	got := d.Keys()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.t.Errorf("%s: the account has keys %v, want %v", what, got, want)
	}
}

func (d *desk) annotate(kind target.Kind, name, value string) {
	d.account.Annotations = maps.Clone(d.account.Annotations)
	d.account.Annotations["rotation/"+kind.Name()+"/"+name] = value
}

// declare lets keys be deleted that were lost, where the kind cannot tell whose they are.
func (s Issuing) declare(d *desk) (declared bool) {
	if _, declared = d.target(nil).(target.Surveyor); declared {
		d.annotate(s.Kind, "lost-keys", "delete")
	}
	return declared
}
