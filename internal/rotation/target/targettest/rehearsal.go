package targettest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
)

// rehearse rehearses.
func (r *rig) rehearse(made target.Target) (told bool, err error) {
	r.t.Helper()
	return made.(target.Rehearser).Rehearse(r.context(), r.current)
}

// kept is what the server keeps of the passwords of all users.
func (r *rig) kept() string {
	var all strings.Builder
	for _, user := range r.users {
		if r.suite.Kept != nil {
			all.WriteString(r.suite.Kept(r.t, user) + "\n")
		}
	}
	return all.String()
}

// rehearses: what a rehearsal finds is what Apply meets, before and after; and nothing
// changes, whatever happens to the network meanwhile.
func (s Suite) rehearses(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	if _, ok := r.target(nil).(target.Rehearser); !ok {
		if len(s.Foresees) > 0 {
			t.Error("it cannot rehearse")
		}
		return
	}
	before := r.kept()
	unchanged := func(t *testing.T) {
		t.Helper()
		if after := r.kept(); after != before {
			t.Errorf("a rehearsal has changed what the server keeps from\n%s\nto\n%s", before, after)
		}
	}
	told, err := r.rehearse(r.target(nil))
	if err != nil || told != slices.Contains(s.Foresees, mode) {
		t.Errorf("a rehearsal tells of the privilege: %v, %v", told, err)
	}
	unchanged(t)
	r.works("current, after a rehearsal,", r.current)
	if mode == Self {
		was := r.current
		r.current = r.credential(r.users[0], "wrong-Password-3")
		_, err := r.rehearse(r.target(nil))
		r.class("a rehearsal with a wrong password", err, target.AuthFailed)
		r.current = was
	}
	if s.TakesBack && mode == s.Modes[len(s.Modes)-1] {
		sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
			r := *r
			r.t = t
			err := r.timely(ctx, func() error {
				_, err := r.target(n.Dial).(target.Rehearser).Rehearse(ctx, r.current)
				return err
			})
			if err != nil {
				r.class("a rehearsal", err, target.Unreachable)
			}
		})
		unchanged(t)
		r.works("current, after rehearsals that were cut off,", r.current)
	}
	next := r.next()
	r.apply(next)
	r.works("new", next)
	if r.current = next; r.suite.Kept != nil && r.kept() == before {
		t.Error("what the server keeps does not tell that there is a new password")
	}
}
