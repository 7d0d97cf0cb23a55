package ssh

import (
	"context"
	"crypto/rand"
	"strings"
	"unicode"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/secret"
)

// maxPassword is what PAM and crypt(3) take, in bytes.
const maxPassword = 511

// Password is ssh/password.
func Password() target.Kind {
	return password.Kind{
		Kind:  "ssh/password",
		Reads: func(map[string]string) []string { return []string{address, hostKey} },
		Open: func(p password.Place) (password.System, error) {
			s, err := newServer(p.Values, p.Dial)
			if err != nil {
				return nil, err
			}
			return passwords{s}, nil
		},
		Valid: validPassword,
	}
}

func validPassword(user string, p secret.Bytes) error {
	if err := validUser(user); err != nil {
		return err
	}
	if p.Len() > maxPassword {
		return password.BadValue(nil, "the password is longer than the 511 bytes that hosts take")
	}
	for _, b := range p.Reveal() {
		if b < ' ' || b == 0x7f {
			return password.BadValue(nil, "the password has a control character, which cannot be typed where it is asked for")
		}
	}
	return nil
}

// validUser refuses names that the files of a host cannot hold, and those by which its
// commands would understand something else.
func validUser(user string) error {
	if user == "" || strings.ContainsAny(user, ":/") || strings.ContainsAny(user[:1], "-#+~") || strings.ContainsFunc(user, unicode.IsControl) {
		return target.Errorf(target.Refused, nil, "%q is not the name of an account on a host", user)
	}
	return nil
}

// passwords is a host as one that keeps passwords.
type passwords struct{ *server }

// Login is part of password.System.
func (s passwords) Login(ctx context.Context, user string, value secret.Bytes) (password.Session, error) {
	p, err := newProof(value)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "%s", err)
	}
	c, err := s.login(ctx, user, p)
	if err != nil {
		return nil, err
	}
	return session{c}, nil
}

type session struct{ *client }

// Set is part of password.Session. An administrator sends a hash: the host never sees
// the password before somebody logs in with it.
func (s session) Set(ctx context.Context, c password.Change) error {
	if c.Old.Len() > 0 {
		return s.passwd(ctx, c)
	}
	hashed, err := hash(rand.Reader, c.New)
	if err != nil {
		return target.Errorf(target.Refused, err, "no salt could be made")
	}
	return s.chpasswd(ctx, c.User, c.User+":"+hashed+"\n")
}

// Foresee is part of password.Foreseer: chpasswd changes the passwords that it is told, so
// none without. Whether passwd would do it, it says to the new password only.
func (s session) Foresee(ctx context.Context, c password.Change) (bool, error) {
	if c.Old.Len() > 0 {
		return false, nil
	}
	return true, s.chpasswd(ctx, c.User, "")
}

func (s session) chpasswd(ctx context.Context, user, lines string) error {
	r, err := s.asRoot(ctx, "chpasswd -e", []byte(lines))
	switch {
	case err != nil || r.status == 0:
		return err
	case strings.Contains(r.words, "try again later"):
		return target.Errorf(target.Unreachable, nil, "%s does not change passwords now: somebody else does", s.server.address)
	case strings.Contains(r.words, "does not exist"):
		return target.Errorf(target.Refused, nil, "there is no account %q in the password file of %s: create it", user, s.server.address)
	case r.status == 126 || r.status == 127:
		return target.Errorf(target.Refused, nil, "%s has no command chpasswd, or no sudo", s.server.address)
	}
	return target.Errorf(target.Refused, nil, "the privilege to change the password of %q on %s is missing: log in as root, or allow chpasswd -e in sudoers", user, s.server.address)
}

// End is part of password.Session: an account gets a password that nobody knows. To lock
// it would keep its keys out, too.
func (s session) End(ctx context.Context, user string, _ secret.Bytes) error {
	return s.Set(ctx, password.Change{User: user, New: secret.FromString(rand.Text())})
}
