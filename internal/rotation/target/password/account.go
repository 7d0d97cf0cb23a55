package password

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// System is where the account lives.
type System interface {
	// Address says where and how it is reached: what an operator would want to know
	// to have changed, with no secret.
	Address() string
	// Login opens a session. It fails as target.Target's Probe does.
	Login(ctx context.Context, user string, password secret.Bytes) (Session, error)
}

// Session is somebody logged in: the user or an administrator.
type Session interface {
	// Set makes a password work for its user. It fails as target.Target's Apply does.
	Set(ctx context.Context, c Change) error
	// End makes a password of a user cease to work, and no other. Systems with one
	// password for each user are asked only when another user has taken over: they
	// leave this one with none.
	End(ctx context.Context, user string, old secret.Bytes) error
	// Close ends the session. Nothing is at stake any more, so nothing is reported.
	Close()
}

// Keeper is a System that holds two passwords for a user, so that Set leaves the old
// one alive until End.
type Keeper interface{ KeepsOld() }

// Foreseer is a Session that can tell whether Set would be refused to it.
type Foreseer interface {
	// Foresee asks the system, changes nothing there, and fails as Set does. told is false
	// where it cannot tell for sure; then it is no error.
	Foresee(ctx context.Context, c Change) (told bool, err error)
}

// Change is what a session sets.
type Change struct {
	User string
	Old  secret.Bytes // empty if an administrator does it
	New  secret.Bytes
}

type login struct {
	user     string
	password secret.Bytes
}

// account is a user of a system, or two who take turns.
type account struct {
	system System
	users  []string
	admin  *login // nil: the user changes the own password
	recipe Recipe
	rand   io.Reader
	valid  func(string, secret.Bytes) error
}

var (
	_ target.Resetter  = (*account)(nil)
	_ target.Rehearser = (*account)(nil)
)

// Resets is part of target.Resetter: an administrator needs to know no password of the
// user's.
func (a *account) Resets() bool { return a.admin != nil }

// parseUsers reads the names of two users who take turns. Blanks belong to the names.
func parseUsers(list string) ([]string, error) {
	a, b, found := strings.Cut(list, ",")
	if !found || a == "" || b == "" || a == b || strings.Contains(b, ",") {
		return nil, errors.New("it must be the names of two different users with a comma between")
	}
	return []string{a, b}, nil
}

// Identity is part of target.Target.
func (a *account) Identity() string {
	quoted := make([]string, len(a.users))
	for i, u := range a.users {
		quoted[i] = strconv.Quote(u)
	}
	return a.system.Address() + " user " + strings.Join(quoted, " or ")
}

// Candidate is part of target.Target.
func (a *account) Candidate(current target.Credential) (target.Credential, error) {
	made, err := a.recipe.Make(a.rand)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "no password could be made: %s", err)
	}
	next := target.Credential{target.Main: made}
	if len(a.users) == 2 {
		turn := a.users[0]
		if current[Username].RevealString() == turn {
			turn = a.users[1]
		}
		next[Username] = secret.FromString(turn)
	}
	return next, nil
}

// Apply is part of target.Target.
func (a *account) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	to, err := a.login(next)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(a.users, to.user) {
		return nil, target.Errorf(target.Refused, nil, "%q is not one of the users who take turns", to.user)
	}
	change := Change{User: to.user, New: to.password}
	by := a.admin
	if by == nil {
		from, err := a.login(current)
		if err != nil {
			return nil, err
		}
		by, change.Old = &from, from.password
	}
	session, err := a.system.Login(ctx, by.user, by.password)
	if err != nil {
		// The user may have changed the password in an earlier attempt.
		if a.admin == nil && target.ClassOf(err) == target.AuthFailed && a.accepts(ctx, to) {
			return next, nil
		}
		return nil, a.asAdmin(err)
	}
	defer session.Close()
	if err := session.Set(ctx, change); err != nil {
		// A system that remembers old passwords refuses the present one, too.
		if target.ClassOf(err) == target.Refused && a.accepts(ctx, to) {
			return next, nil
		}
		return nil, err
	}
	return next, nil
}

// Rehearse is part of target.Rehearser.
func (a *account) Rehearse(ctx context.Context, current target.Credential) (told bool, err error) {
	by, old := a.admin, secret.Bytes{}
	if by == nil {
		from, err := a.login(current)
		if err != nil {
			return false, err
		}
		by, old = &from, from.password
	}
	session, err := a.system.Login(ctx, by.user, by.password)
	if err != nil {
		return false, a.asAdmin(err)
	}
	defer session.Close()
	foreseer, ok := session.(Foreseer)
	if !ok {
		return false, nil
	}
	for _, user := range a.users {
		if told, err = a.foresee(ctx, foreseer, user, old); err != nil || !told {
			return told, err
		}
	}
	return true, nil
}

// foresee asks about a user, as often as a rotation would if it is about the password.
func (a *account) foresee(ctx context.Context, f Foreseer, user string, old secret.Bytes) (told bool, err error) {
	for range tries {
		made, err := a.recipe.Make(a.rand)
		if err != nil {
			return false, target.Errorf(target.Refused, err, "no password could be made: %s", err)
		}
		told, err = f.Foresee(ctx, Change{User: user, Old: old, New: made})
		var e *target.Error
		switch {
		case !errors.As(err, &e):
			return told, err
		case e.Class == target.Uncertain:
			return false, target.Errorf(target.Unreachable, err, "the connection was lost while it was asked whether the password may be changed")
		case !e.BadValue:
			return told, err
		}
	}
	return told, err
}

// tries is how many passwords a system may refuse before it is said to refuse them all.
const tries = 3

// Probe is part of target.Target.
func (a *account) Probe(ctx context.Context, c target.Credential) error {
	l, err := a.login(c)
	if err != nil {
		return err
	}
	session, err := a.system.Login(ctx, l.user, l.password)
	if err != nil {
		return err
	}
	session.Close()
	return nil
}

// Retire is part of target.Target.
func (a *account) Retire(ctx context.Context, current, old target.Credential) error {
	now, err := a.login(current)
	if err != nil {
		return err
	}
	was, err := a.login(old)
	if err != nil || !slices.Contains(a.users, was.user) {
		return err // whoever is not one of our users is left alone
	}
	if _, keeps := a.system.(Keeper); was.user == now.user && (!keeps || was.password.Equal(now.password)) {
		return nil
	}
	// What does not work any more has ended, and what works in its place is not ours.
	session, err := a.system.Login(ctx, was.user, was.password)
	if target.ClassOf(err) == target.AuthFailed {
		return nil
	} else if err != nil {
		return err
	}
	session.Close()
	by := a.admin
	if by == nil {
		by = &now
	}
	if session, err = a.system.Login(ctx, by.user, by.password); err != nil {
		return a.asAdmin(err)
	}
	defer session.Close()
	return session.End(ctx, was.user, was.password)
}

// login is the user and the password of a credential, if the system can hold them.
func (a *account) login(c target.Credential) (login, error) {
	l := login{a.users[0], c[target.Main]}
	if len(a.users) == 2 {
		l.user = c[Username].RevealString()
	}
	if l.password.Len() == 0 {
		return l, target.Errorf(target.Refused, nil, "there is no password for %q: set the variable to one that works", l.user)
	}
	return l, a.check(l.user, l.password)
}

// check refuses what no system, or not this one, can hold.
func (a *account) check(user string, p secret.Bytes) error {
	if strings.ContainsRune(user, 0) {
		return target.Errorf(target.Refused, nil, "the user name holds a NUL character")
	}
	if slices.Contains(p.Reveal(), 0) {
		return BadValue(nil, "the password holds a NUL character")
	}
	if a.valid == nil {
		return nil
	}
	return a.valid(user, p)
}

// accepts tells whether a login surely works.
func (a *account) accepts(ctx context.Context, l login) bool {
	session, err := a.system.Login(ctx, l.user, l.password)
	if err != nil {
		return false
	}
	session.Close()
	return true
}

// asAdmin says whose password was wrong. The administrator's says nothing about the
// rotated one, and asking again does not mend it.
func (a *account) asAdmin(err error) error {
	if a.admin == nil || target.ClassOf(err) != target.AuthFailed {
		return err
	}
	return target.Errorf(target.Refused, err, "the administrator %q cannot log in: correct the variables that admin-username and admin-password name", a.admin.user)
}

// BadValue is a refusal of a password that another password may not meet.
func BadValue(cause error, message string) error {
	e := target.Errorf(target.Refused, cause, "%s", message)
	e.BadValue = true
	return e
}
