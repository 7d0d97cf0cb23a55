package targettest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
)

// rotates: from the first credential over three more, each step done twice.
func (s Suite) rotates(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	identity := r.target(nil).Identity()
	for range 3 {
		old, next := r.current, r.next()
		r.works("current", old)
		r.apply(next)
		r.works("new", next)
		if mode == Alternating || s.Keeps {
			r.works("previous, not yet retired", old)
		} else {
			r.fails("replaced", old)
		}
		r.apply(next)
		r.works("new, applied again", next)
		r.retire(next, old)
		r.fails("retired", old)
		r.works("new, after the old one was retired", next)
		r.retire(next, old)
		r.works("new, after the old one was retired again", next)
		r.current = next
	}
	if got := r.target(nil).Identity(); got != identity {
		t.Errorf("the identity changed from %s to %s", identity, got)
	}
	for _, s := range r.secrets {
		if strings.Contains(identity, s) {
			t.Error("the identity holds a secret")
		}
	}
	if !strings.Contains(identity, r.users[0]) {
		t.Errorf("the identity %q does not name user %q", identity, r.users[0])
	}
}

func (s Suite) hostileUsers(t *testing.T, mode Mode) {
	for _, user := range s.Users {
		t.Run("user "+user, func(t *testing.T) {
			r := s.rig(t, mode, func(a *Ask) {
				for i := range a.Users {
					a.Users[i] = user + a.Users[i]
				}
			})
			next := r.next()
			if made, ok := r.target(nil).(target.Rehearser); ok {
				if told, err := made.Rehearse(r.context(), r.current); err != nil || told != slices.Contains(s.Foresees, mode) {
					t.Errorf("a rehearsal tells of the privilege: %v, %v", told, err)
				}
			}
			r.apply(next)
			r.works("new", next)
			r.retire(next, r.current)
			r.fails("old", r.current)
		})
	}
}

func (s Suite) hostilePasswords(t *testing.T, mode Mode) {
	for _, password := range s.Passwords {
		t.Run("password "+password[:min(len(password), 20)], func(t *testing.T) {
			r := s.rig(t, mode, func(a *Ask) { a.Password = password })
			r.works("current", r.current)
			next := r.next()
			r.apply(next)
			r.retire(next, r.current)
			r.current = next
			back := r.credential(r.users[0], password)
			r.apply(back)
			r.works("hostile", back)
			r.retire(back, next)
			r.fails("old", next)
		})
	}
}

func (s Suite) wrongPassword(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	wrong := r.credential(r.users[0], "wrong-Password-1")
	r.fails("wrong", wrong)
	r.fails("wrong and long", r.credential(r.users[0], strings.Repeat("long-Password-1", 8)))
	if mode == Self {
		next := r.next()
		_, err := r.target(nil).Apply(r.context(), wrong, next)
		r.class("apply with a wrong password", err, target.AuthFailed)
		r.fails("never applied", next)
	}
	r.works("current", r.current)
	empty := r.credential(r.users[0], "")
	r.class("probe without a password", r.target(nil).Probe(r.context(), empty), target.Refused)
	nul := r.credential(r.users[0], "has\x00nul-in-it")
	_, err := r.target(nil).Apply(r.context(), r.current, nul)
	r.class("apply of NUL", err, target.Refused)
	r.works("current", r.current)
}

func (s Suite) refusedValue(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	user := r.user(r.next())
	bad := r.credential(user, s.BadValue(user))
	r.secrets = r.secrets[:len(r.secrets)-1] // it may well be the user name
	_, err := r.target(nil).Apply(r.context(), r.current, bad)
	r.class("apply of a bad value", err, target.Refused)
	if e, ok := err.(*target.Error); ok && !e.BadValue {
		t.Errorf("%v is not said to be because of the value", err)
	}
	if r.accepts(bad) {
		t.Error("the bad value works")
	}
	r.works("current", r.current)
	next := r.next()
	r.apply(next)
	r.works("another", next)
}

func (s Suite) privilege(t *testing.T, mode Mode) {
	r := s.rig(t, mode, func(a *Ask) { a.Weak = true })
	next := r.next()
	if slices.Contains(s.Foresees, mode) {
		told, err := r.rehearse(r.target(nil))
		r.class("a rehearsal without privilege", err, target.Refused)
		if !told {
			t.Error("a privilege that is missing is not said to be told")
		}
	}
	_, err := r.target(nil).Apply(r.context(), r.current, next)
	r.class("apply without privilege", err, target.Refused)
	if e, ok := err.(*target.Error); ok && e.BadValue {
		t.Errorf("%v is said to be because of the value", err)
	}
	r.fails("never applied", next)
	r.works("current", r.current)
}

// privilegeToRetire: an administrator who loses the privilege after the change does not end
// the old password, and says so.
func (s Suite) privilegeToRetire(t *testing.T, mode Mode) {
	if mode != Alternating && !s.Keeps {
		return // there is nothing to end
	}
	r, weak := s.rig(t, mode), s.rig(t, mode, func(a *Ask) { a.Weak = true })
	old, next := r.current, r.next()
	r.apply(next)
	strong := maps.Clone(r.account.Values)
	maps.Copy(r.account.Values, administrator(weak.account))
	r.class("retire without privilege", r.target(nil).Retire(r.context(), next, old), target.Refused)
	for name := range administrator(r.account) {
		r.account.Values[name] = "not-the-one-of-the-administrator"
	}
	r.class("retire with a wrong administrator", r.target(nil).Retire(r.context(), next, old), target.Refused)
	r.account.Values = strong
	r.works("old, not yet ended", old)
	r.retire(next, old)
	r.fails("old", old)
	r.works("new", next)
}

// administrator are the values that an account has of its administrator.
func administrator(a Account) map[string]string {
	values := map[string]string{}
	for annotation, variable := range a.Annotations {
		if strings.HasSuffix(annotation, "/admin-username") || strings.HasSuffix(annotation, "/admin-password") {
			values[variable] = a.Values[variable]
		}
	}
	return values
}

// reconciles: an administrator needs to know nothing of the user.
func (s Suite) reconciles(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	next := r.next()
	r.current = target.Credential{}
	r.apply(next)
	r.works("new", next)
}

// changedElsewhere: when nobody knows the password any more, an administrator sets a new
// one, and says so beforehand; a user who does it alone changes nothing.
func (s Suite) changedElsewhere(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	was := r.current
	foreign := r.credential(r.users[0], "foreign-Password-8")
	r.apply(foreign)
	if r.current = was; s.Keeps {
		r.retire(foreign, was)
	}
	r.fails("known", was)
	next, made := r.next(), r.target(nil)
	resetter, ok := made.(target.Resetter)
	if resets := ok && resetter.Resets(); resets != (mode != Self) {
		t.Errorf("it says that it resets: %v", resets)
	}
	if mode != Self {
		r.apply(next)
		r.works("new", next)
		return
	}
	_, err := made.Apply(r.context(), was, next)
	r.class("apply by a user with a wrong password", err, target.AuthFailed)
	r.works("foreign", foreign)
	r.fails("new", next)
}

func (s Suite) wrongAdmin(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	next := r.next()
	for name, variable := range r.account.Annotations {
		if strings.HasSuffix(name, "/admin-password") {
			r.account.Values[variable] = "not-the-one-of-the-administrator"
		}
	}
	_, err := r.rehearse(r.target(nil))
	r.class("a rehearsal with a wrong administrator", err, target.Refused)
	_, err = r.target(nil).Apply(r.context(), r.current, next)
	r.class("apply with a wrong administrator", err, target.Refused)
	r.works("current", r.current)
}

// retiresOwn: what somebody else has set since is left alone.
func (s Suite) retiresOwn(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	first, second := r.current, r.next()
	r.apply(second)
	// Somebody gives the user of the first credential another password.
	foreign := target.Credential{}
	maps.Copy(foreign, first)
	foreign[target.Main] = r.credential(r.users[0], "foreign-Password-7")[target.Main]
	r.current = second
	r.apply(foreign)
	current := second
	if mode != Alternating {
		current = foreign
	}
	r.retire(current, first)
	r.retire(current, first)
	r.works("foreign", foreign)
	if mode == Alternating || s.Keeps {
		r.works("second", second)
	}
}

func (s Suite) elsewhere(t *testing.T, e Elsewhere) {
	r := s.rig(t, s.Modes[0])
	next := r.next()
	e.Change(r.account)
	check := func(what string, err error) {
		r.class(what, err, e.Class)
		if err != nil && !strings.Contains(err.Error(), e.Words) {
			t.Errorf("%s: %v does not say %q", what, err, e.Words)
		}
	}
	made, err := r.bind(nil)
	if err != nil {
		check("bind", err)
		return
	}
	check("probe", made.Probe(r.context(), r.current))
	_, err = made.Apply(r.context(), r.current, next)
	check("apply", err)
	if r.accepts(next) || !r.accepts(r.current) {
		t.Error("something has changed all the same")
	}
}

func (s Suite) annotations(t *testing.T) {
	prefix := "rotation/" + s.Kind.Name() + "/"
	for _, mode := range s.Modes {
		if problems := s.Kind.Check(s.rig(t, mode).account.Annotations); len(problems) > 0 {
			t.Errorf("%s: %v", mode, problems)
		}
	}
	cases := s.Misspelt
	if cases == nil {
		cases = ofPasswords
	}
	for _, test := range cases {
		full := map[string]string{"rotation/rotator": s.Kind.Name(), "rotation/ttl": "P1D", "description": "any"}
		for name, v := range test.Annotations {
			full[prefix+name] = v
		}
		problems := s.Kind.Check(full)
		if len(problems) != 1 || problems[0].Annotation != prefix+test.At || problems[0].Message == "" || problems[0].Advice == "" {
			t.Errorf("%s: %+v, want one problem of %s", test.Name, problems, prefix+test.At)
		}
	}
}

func (s Suite) missing(t *testing.T) {
	for _, mode := range s.Modes {
		r := s.rig(t, mode)
		values := r.account.Values
		for _, name := range s.Kind.Siblings(r.account.Annotations).Reads {
			if strings.HasSuffix(name, "?") {
				continue
			}
			r.account.Values = maps.Clone(values)
			delete(r.account.Values, name)
			_, err := r.bind(nil)
			r.class("bind without "+name, err, target.Refused)
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name variable %s", err, name)
			}
		}
	}
}
