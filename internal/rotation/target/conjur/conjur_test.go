package conjur_test

import (
	"context"
	"crypto/rand"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/conjur"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/conjurtest"
	"rekey/internal/secret"
)

const prefix = "rotation/conjur/api-key/"

// place is a host on the server, and how its rotation is set up.
type place struct {
	t                    *testing.T
	host, boss, stranger conjurtest.Person
	annotations, values  map[string]string
	old                  bool // the server is a Conjur
	admin                bool
}

// mode is who rotates, where.
type mode struct {
	name       string
	admin, old bool
}

var modes = []mode{{"self", false, false}, {"admin", true, false}, {"self at a Conjur", false, true}, {"admin at a Conjur", true, true}}

func open(t *testing.T, m mode) *place {
	t.Helper()
	p := &place{t: t, old: m.old, admin: m.admin}
	p.host, p.boss, p.stranger = server.Register(t, "app/web-")
	p.annotations = map[string]string{"rotation/rotator": "conjur/api-key", prefix + "ca": "ca"}
	p.values = map[string]string{"url": server.URL, "account": "acme\n", "username": p.host.Login, "ca": authority.PEM}
	if m.old {
		p.values["url"] = server.Old + "/"
	}
	if m.admin {
		p.administrate(p.boss)
	}
	return p
}

func (p *place) administrate(by conjurtest.Person) {
	p.annotations[prefix+"admin-username"], p.annotations[prefix+"admin-api-key"] = "/boss/name", "/boss/key"
	p.values["/boss/name"], p.values["/boss/key"] = by.Login, by.Key
}

func (p *place) bind(dial target.Dial) (target.Target, error) {
	if dial == nil {
		var d net.Dialer
		dial = d.DialContext
	}
	values := map[string]secret.Bytes{}
	for name, v := range p.values {
		values[name] = secret.FromString(v)
	}
	return conjur.Kind().Bind(target.Binding{Annotations: p.annotations, Values: values, Dial: dial, Rand: rand.Reader})
}

func (p *place) target(dial target.Dial) target.Target {
	p.t.Helper()
	made, err := p.bind(dial)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

func (p *place) current() target.Credential {
	return target.Credential{target.Main: secret.FromString(p.host.Key)}
}

func (p *place) intent() target.Credential {
	p.t.Helper()
	intent, err := p.target(nil).Candidate(p.current())
	if err != nil || intent[target.Main].Len() > 0 || len(intent) != 1 {
		p.t.Fatalf("%v %v, want an intent", intent, err)
	}
	return intent
}

// issue has a key made that works from then on.
func (p *place) issue(intent target.Credential) target.Credential {
	p.t.Helper()
	made, err := p.target(nil).Apply(p.context(), p.current(), intent)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

func (p *place) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *place) works(c target.Credential) bool {
	return server.Works(p.host.Login, c[target.Main].RevealString())
}

// class checks how a call failed, and that its words hold no key.
func (p *place) class(what string, err error, want ...target.Class) {
	p.t.Helper()
	if err == nil {
		p.t.Errorf("%s: no error, want %v", what, want)
		return
	}
	for _, key := range []string{p.host.Key, p.boss.Key} {
		if strings.Contains(err.Error(), key) {
			p.t.Errorf("%s: the error tells a key", what)
		}
	}
	for _, w := range want {
		if target.ClassOf(err) == w {
			return
		}
	}
	p.t.Errorf("%s: %v, want %v", what, err, want)
}

func TestWhatItIsTestedAgainstIsDocumented(t *testing.T) {
	targettest.Documented(t, conjur.Kind(), "", "rekey; as a Conjur, rekey without the parameters that Conjur does not know; no Conjur", targettest.Without{
		targettest.RefusedValue: "the server makes the key",
		targettest.OwnPrivilege: "a role may always change its own key",
		targettest.StatementLog: "what the logs of rekey hold is tested with its API",
	})
}

// Given a key that is handed over, when it rotates three times, then the present key goes on
// until the new one is used where the server can stage it, and is over from then on.
func TestItRotates(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m)
			identity := p.target(nil).Identity()
			for range 3 {
				old := p.current()
				if err := p.target(nil).Probe(p.context(), old); err != nil {
					t.Fatal(err)
				}
				next := p.issue(p.intent())
				if staged := !m.admin && !m.old; p.works(old) != staged {
					t.Errorf("the present key works: %v, want %v", !staged, staged)
				}
				if err := p.target(nil).Probe(p.context(), next); err != nil || !p.works(next) {
					t.Errorf("the new key: %v", err)
				}
				p.class("the old key", p.target(nil).Probe(p.context(), old), target.AuthFailed)
				again, err := p.target(nil).Apply(p.context(), old, next)
				if err != nil || !again.Equal(next) {
					t.Errorf("applied again: %v", err)
				}
				published := target.Credential{target.Main: next[target.Main]}
				for range 2 {
					if err := p.target(nil).Retire(p.context(), published, old); err != nil || p.works(old) || !p.works(next) {
						t.Errorf("retired: %v", err)
					}
				}
				_, err = p.target(nil).Apply(p.context(), published, old)
				p.class("setting an old key back", err, target.Refused)
				p.host.Key = next[target.Main].RevealString()
			}
			if got := p.target(nil).Identity(); got != identity || !strings.Contains(got, strings.TrimPrefix(p.host.Login, "host/")) {
				t.Errorf("the identity was %s and is %s", identity, got)
			}
			if resets := p.target(nil).(target.Resetter).Resets(); resets != m.admin {
				t.Errorf("it says that it resets: %v", resets)
			}
		})
	}
}

// Given a grace, then the old key goes on for as long, by the server's clock; asked to end it
// before, the kind says that it cannot.
func TestTheOldKeyGoesOnForTheGrace(t *testing.T) {
	for _, m := range modes[:2] {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m)
			p.annotations["rotation/grace"] = "PT1S"
			old, next := p.current(), p.issue(p.intent())
			if err := p.target(nil).Probe(p.context(), next); err != nil || !p.works(old) {
				t.Fatalf("the old key works: %v (%v)", p.works(old), err)
			}
			published := target.Credential{target.Main: next[target.Main]}
			p.class("retiring too early", p.target(nil).Retire(p.context(), published, old), target.Refused)
			for begin := time.Now(); p.works(old); time.Sleep(20 * time.Millisecond) {
				if time.Since(begin) > 20*time.Second {
					t.Fatal("the old key goes on and on")
				}
			}
			if err := p.target(nil).Retire(p.context(), published, old); err != nil {
				t.Error(err)
			}
		})
	}
	for _, text := range []string{"P31D", "long"} {
		p := open(t, modes[0])
		p.annotations["rotation/grace"] = text
		if _, err := p.bind(nil); target.ClassOf(err) != target.Refused {
			t.Errorf("%s: %v", text, err)
		}
	}
	if problems := conjur.Kind().Check(map[string]string{"rotation/grace": "P31D"}); len(problems) != 1 || problems[0].Annotation != "rotation/grace" {
		t.Error(problems)
	}
}

// Given an answer that is lost, when it is asked again by the same name, then a rekey gives
// the same key, whoever asks.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	for _, m := range modes[:2] {
		p := open(t, m)
		intent := p.intent()
		lost, again := p.issue(intent), p.issue(intent)
		if !lost.Equal(again) || p.issue(p.intent()).Equal(again) {
			t.Errorf("%s: not the same key by the same name, or the same one by another", m.name)
		}
	}
}

// A candidate that was given up is not tried: that would make it the key.
func TestACandidateThatWasGivenUpLapses(t *testing.T) {
	p := open(t, modes[0])
	p.annotations["rotation/grace"] = "PT1H"
	next := p.issue(p.intent())
	if err := p.target(nil).Retire(p.context(), p.current(), next); err != nil || server.Key(t, p.host) != p.host.Key {
		t.Errorf("it has become the key, or %v", err)
	}
}

func TestWhoMayNotIsTold(t *testing.T) {
	p := open(t, modes[0])
	p.class("probe of a wrong key", p.target(nil).Probe(p.context(), target.Credential{target.Main: secret.FromString("not-the-key-of-anybody")}), target.AuthFailed)
	_, err := p.target(nil).Apply(p.context(), target.Credential{target.Main: secret.FromString("not-the-key-of-anybody")}, p.intent())
	p.class("apply with a wrong key", err, target.AuthFailed)
	for _, nonsense := range []string{"", "a\x00b-and-more", "with\r\nHost: line breaks", strings.Repeat("x", 1<<20)} {
		c := target.Credential{target.Main: secret.FromString(nonsense)}
		p.class("probe of nonsense", p.target(nil).Probe(p.context(), c), target.Refused)
		_, err := p.target(nil).Apply(p.context(), c, p.intent())
		p.class("apply with nonsense", err, target.Refused)
	}
	p.administrate(p.stranger)
	_, err = p.target(nil).Apply(p.context(), p.current(), p.intent())
	p.class("apply without privilege", err, target.Refused)
	p.boss.Key = "not-the-key-of-the-boss"
	p.administrate(p.boss)
	_, err = p.target(nil).Apply(p.context(), p.current(), p.intent())
	p.class("apply with a wrong administrator", err, target.Refused)
	if err != nil && !strings.Contains(err.Error(), "admin-api-key") {
		t.Errorf("%v does not name the annotation", err)
	}
	if server.Key(t, p.host) != p.host.Key {
		t.Error("the key is another one")
	}
}

// Given an administrator, then a rehearsal tells whether that one has update on the host, and
// no key changes; without one there is nothing to tell.
func TestARehearsalTellsOfThePrivilege(t *testing.T) {
	for _, m := range modes {
		p := open(t, m)
		rehearse := func() (bool, error) { return p.target(nil).(target.Rehearser).Rehearse(p.context(), p.current()) }
		if told, err := rehearse(); err != nil || told != m.admin {
			t.Errorf("%s: %v, %v", m.name, told, err)
		}
		if !m.admin {
			continue
		}
		p.administrate(p.stranger)
		told, err := rehearse()
		if p.class("a rehearsal without privilege", err, target.Refused); !told || err != nil && !strings.Contains(err.Error(), "grant update") {
			t.Errorf("%s: %v, %v", m.name, told, err)
		}
		p.administrate(conjurtest.Person{Login: p.boss.Login, Key: "not-the-key-of-the-boss"})
		_, err = rehearse()
		if p.class("a rehearsal with a wrong administrator", err, target.Refused); server.Key(t, p.host) != p.host.Key {
			t.Errorf("%s: the key is another one", m.name)
		}
	}
}

func TestAnAdministratorNeedsNoKeyThatWorks(t *testing.T) {
	p := open(t, modes[1])
	made, err := p.target(nil).Apply(p.context(), target.Credential{}, p.intent())
	if err != nil || !p.works(made) {
		t.Error(err)
	}
}

func TestHostileNamesStayNames(t *testing.T) {
	for _, name := range []string{"app/Größe 鍵-", "app/?role=user&x#-", "app/../%2e%2e/", `app/"quoted" \`, "app/it's-"} {
		for _, m := range modes[:2] {
			p := open(t, m)
			p.host, p.boss, _ = server.Register(t, name)
			p.values["username"] = p.host.Login
			if m.admin {
				p.administrate(p.boss)
			}
			next := p.issue(p.intent())
			if err := p.target(nil).Probe(p.context(), next); err != nil || server.Key(t, p.host) != next[target.Main].RevealString() {
				t.Errorf("%s, %s: %v", name, m.name, err)
			}
		}
	}
}

func TestWhatIsSetUpWronglyIsRefused(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, variable, value, words string }{
		{"an authority that did not sign", "ca", other.PEM, "unknown authority"},
		{"an authority that is none", "ca", "trust me", "PEM"},
		{"another host's certificate", "url", strings.Replace(server.URL, "localhost", "127.0.0.1", 1), "another host"},
		{"no TLS", "url", "http://localhost", "https"},
		{"a URL with a password", "url", "https://u:p@localhost", "https"},
		{"an account that is none", "account", "a/b", "account"},
		{"a login name with a colon", "username", "host/a:b", "login name"},
		{"a login name with a line break", "username", "host/a\r\nb", "login name"},
		{"no url", "url", "", "url"},
		{"no account", "account", "", "account"},
		{"no login name", "username", "", "username"},
	} {
		p := open(t, modes[0])
		p.values[test.variable] = test.value
		made, err := p.bind(nil)
		if err == nil {
			_, err = made.Apply(p.context(), p.current(), p.intent())
		}
		p.class(test.name, err, target.Refused)
		if err != nil && !strings.Contains(err.Error(), test.words) || server.Key(t, p.host) != p.host.Key {
			t.Errorf("%s: %v, want %q", test.name, err, test.words)
		}
	}
	p := open(t, modes[0])
	p.administrate(p.host)
	if _, err := p.bind(nil); target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "its own administrator") {
		t.Error(err)
	}
	for name, want := range map[string]string{"admin-usrname": "no such annotation", "admin-username": "nothing without"} {
		if problems := conjur.Kind().Check(map[string]string{prefix + name: "x"}); len(problems) != 1 || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: %v", name, problems)
		}
	}
	first := open(t, modes[1])
	identity := first.target(nil).Identity()
	for name, value := range map[string]string{"url": "https://elsewhere", "account": "other", "username": "somebody", "/boss/name": "anybody", "ca": other.PEM} {
		changed := *first
		changed.values = maps.Clone(first.values)
		changed.values[name] = value
		if got := changed.target(nil).Identity(); got == identity {
			t.Errorf("another %s has the same identity", name)
		}
	}
}
