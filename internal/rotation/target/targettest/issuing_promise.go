package targettest

import (
	"maps"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// rotates: over three keys, the one before each time working until it is retired.
func (s Issuing) rotates(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode})
	identity := d.target(nil).Identity()
	for range 3 {
		old := d.Current
		d.has("current", old)
		next := d.issue(d.intent())
		d.has("new", next)
		d.has("previous, not yet retired", old)
		again, err := d.target(nil).Apply(d.context(), old, next)
		if err != nil || !again.Equal(next) {
			t.Errorf("applied again: %v, another one: %v", err, !again.Equal(next))
		}
		d.only("before it is retired", d.ID(old), d.ID(next))
		for range 2 {
			d.retire(next, old)
			d.lacks("retired", old)
			d.has("new, after the old one was retired", next)
		}
		d.retire(next, next)
		d.only("after it is retired", d.ID(next))
		d.Current = s.published(d, next)
	}
	if got := d.target(nil).Identity(); got != identity {
		t.Errorf("the identity changed from %s to %s", identity, got)
	}
	for _, s := range d.secrets {
		if s != "" && strings.Contains(identity, s) {
			t.Error("the identity holds a secret")
		}
	}
	if r, ok := d.target(nil).(target.Rehearser); ok {
		if told, err := r.Rehearse(d.context(), d.Current); told || err != nil {
			t.Errorf("a rehearsal tells of the privilege: %v, %v", told, err)
		}
		d.only("after a rehearsal", d.ID(d.Current))
	}
	if resetter, ok := d.target(nil).(target.Resetter); !ok || resetter.Resets() != (mode == Admin) {
		t.Error("it does not say whether it resets")
	}
}

// published is what is left of a credential when it is current.
func (s Issuing) published(d *desk, c target.Credential) target.Credential {
	kept := target.Credential{target.Main: c[target.Main]}
	for _, name := range s.Kind.Siblings(d.account.Annotations).Writes {
		kept[name] = c[name]
	}
	return kept
}

// settles: probing a new key waits until it is known, and retiring by it too.
func (s Issuing) settles(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode, Delay: 2})
	next := d.issue(d.intent())
	d.has("new", next)
	d.retire(next, d.Current)
	d.only("in the end", d.ID(next))

	d = s.desk(t, IssuingAsk{Mode: mode, Delay: 1 << 30})
	next = d.issue(d.intent())
	d.class("probe of a key that is never known", d.target(nil).Probe(d.brief(), next), target.AuthFailed)
	d.retire(d.Current, next) // as one that is given up
	d.only("in the end", d.ID(d.Current))
	d.has("current", d.Current)
}

func (s Issuing) wrong(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode})
	right, wrong := d.Current, d.Wrong
	d.lacks("wrong", wrong)
	if mode == Self {
		d.Current = wrong
		intent, err := d.survey(d.context(), nil)
		if _, looks := d.target(nil).(target.Surveyor); looks {
			d.class("survey with a wrong key", err, target.AuthFailed)
		}
		_, err = d.target(nil).Apply(d.context(), wrong, intent)
		d.class("apply with a wrong key", err, target.AuthFailed)
	}
	d.Current = right
	for name := range right {
		less := maps.Clone(right)
		delete(less, name)
		nonsense := maps.Clone(right)
		nonsense[name] = secret.FromString("a\x00\r\nb")
		for what, c := range map[string]target.Credential{"without " + name: less, "with nonsense in " + name: nonsense} {
			// A login may need less than all of a credential.
			if err := d.target(nil).Probe(d.context(), c); err != nil || name == target.Main {
				d.class("probe "+what, err, target.Refused, target.AuthFailed)
			}
		}
	}
	d.only("in the end", d.ID(right))
	d.has("current", right)
}

func (s Issuing) weak(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode, Weak: true})
	_, err := d.target(nil).Apply(d.context(), d.Current, d.intent())
	d.class("apply without privilege", err, target.Refused)
	d.only("in the end", d.ID(d.Current))
	d.has("current", d.Current)
}

// foreign: a key of somebody else's is never deleted, whenever it was made.
func (s Issuing) foreign(t *testing.T, mode Mode) {
	t.Run("made before", func(t *testing.T) {
		d := s.desk(t, IssuingAsk{Mode: mode})
		s.declare(d)
		id := d.Foreign()
		if s.Full {
			_, err := d.survey(d.context(), nil)
			d.class("survey of a full account", err, target.Refused)
			d.tells(err, id)
			_, err = d.target(nil).Apply(d.context(), d.Current, nil)
			d.class("apply to a full account", err, target.Refused)
			d.only("in the end", d.ID(d.Current), id)
			return
		}
		next := d.issue(d.intent())
		d.retire(next, d.Current)
		d.only("in the end", d.ID(next), id)
	})
	t.Run("made in between", func(t *testing.T) {
		d := s.desk(t, IssuingAsk{Mode: mode})
		intent := d.intent()
		id := d.Foreign()
		if _, looks := d.target(nil).(target.Surveyor); !looks { // the kind knows its own
			next := d.issue(intent)
			d.retire(next, d.Current)
			d.only("in the end", d.ID(next), id)
			return
		}
		_, err := d.target(nil).Apply(d.context(), d.Current, intent)
		d.class("apply with a key that may be lost", err, target.Refused)
		d.tells(err, id)
		d.only("after that", d.ID(d.Current), id)
		d.Remove(id)
		d.has("next", d.issue(intent))
	})
	t.Run("lost, as is declared", func(t *testing.T) {
		d := s.desk(t, IssuingAsk{Mode: mode})
		if !s.declare(d) {
			return // the faults while issuing show it
		}
		intent := d.intent()
		d.Foreign()
		next := d.issue(intent)
		d.only("in the end", d.ID(d.Current), d.ID(next))
	})
	t.Run("retired", func(t *testing.T) {
		d := s.desk(t, IssuingAsk{Mode: mode})
		next := d.issue(d.intent())
		d.retire(next, d.Current)
		id := d.Foreign()
		d.retire(next, d.Current)
		d.only("in the end", d.ID(next), id)
	})
}

func (d *desk) tells(err error, words string) {
	d.t.Helper()
	if err != nil && !strings.Contains(err.Error(), words) {
		d.t.Errorf("%v does not say %s", err, words)
	}
}

func (s Issuing) elsewhere(t *testing.T, e Elsewhere) {
	d := s.desk(t, IssuingAsk{Mode: s.Modes[0]})
	before, identity := d.Keys(), d.account
	d.account.Annotations, d.account.Values = maps.Clone(identity.Annotations), maps.Clone(identity.Values)
	e.Change(d.account)
	check := func(what string, err error) {
		d.class(what, err, e.Class)
		d.tells(err, e.Words)
	}
	made, err := d.bind(nil)
	if err != nil {
		check("bind", err)
		return
	}
	_, err = made.Apply(d.context(), d.Current, nil)
	check("apply", err)
	d.only("in the end", before...)
}

func (s Issuing) annotations(t *testing.T) {
	prefix := "rotation/" + s.Kind.Name() + "/"
	for _, mode := range s.Modes {
		if problems := s.Kind.Check(s.desk(t, IssuingAsk{Mode: mode}).account.Annotations); len(problems) > 0 {
			t.Errorf("%s: %v", mode, problems)
		}
	}
	for _, test := range []struct{ name, value string }{
		{"endpiont", "https://localhost"}, {s.Endpoint, "http://localhost"}, {s.Endpoint, "localhost"}, {s.Endpoint, "https://localhost/path"}, {s.Endpoint, "https://u:p@localhost"}, {"lost-keys", "keep"},
	} {
		full := map[string]string{"rotation/rotator": s.Kind.Name(), "rotation/ttl": "P1D", "description": "any", prefix + test.name: test.value}
		problems := s.Kind.Check(full)
		if len(problems) != 1 || problems[0].Annotation != prefix+test.name || problems[0].Message == "" || problems[0].Advice == "" {
			t.Errorf("%s: %s: %+v, want one problem", test.name, test.value, problems)
		}
		d := s.desk(t, IssuingAsk{Mode: s.Modes[0]})
		d.annotate(s.Kind, test.name, test.value)
		_, err := d.bind(nil)
		d.class("bind with "+test.name, err, target.Refused)
	}
	if lasting, ok := s.Kind.(target.Lasting); !ok || !lasting.Lasts() {
		t.Error("the old key does not last by itself")
	}
}

func (s Issuing) missing(t *testing.T) {
	for _, mode := range s.Modes {
		d := s.desk(t, IssuingAsk{Mode: mode})
		values := d.account.Values
		for _, name := range s.Kind.Siblings(d.account.Annotations).Reads {
			if strings.HasSuffix(name, "?") {
				continue
			}
			d.account.Values = maps.Clone(values)
			delete(d.account.Values, name)
			_, err := d.bind(nil)
			d.class("bind without "+name, err, target.Refused)
			d.tells(err, name)
		}
	}
}
