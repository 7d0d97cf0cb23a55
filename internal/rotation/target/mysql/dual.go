package mysql

import (
	"context"
	"strconv"
	"strings"

	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// MySQL's dual passwords (MySQL Reference Manual, "Password Management"): an account has
// a second password, the one before, until it is discarded.

// dual tells whether the old password is to be kept, and can be.
func (s *session) dual() bool { return s.server.keeps && hasDual(s.wire.version) }

// hasDual tells whether a server of a version keeps a second password. MariaDB does not,
// whatever its version.
func hasDual(version string) bool {
	if strings.Contains(version, "MariaDB") {
		return false
	}
	number, _, _ := strings.Cut(version, "-")
	parts := strings.Split(number, ".")
	if len(parts) != 3 {
		return false
	}
	rank := 0
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 999 {
			return false
		}
		rank = rank*1000 + n
	}
	return rank >= 8_000_014
}

// accepts tells by an error of class AuthFailed that a password does not work; nil means
// that it does.
func (s *server) accepts(ctx context.Context, user string, p secret.Bytes) error {
	session, err := s.Login(ctx, user, p)
	if err != nil {
		return err
	}
	session.Close()
	return nil
}

// discard ends the old password of a user. Where there is no second one, what works is the
// only one, and nobody's to end.
func (s *session) discard(ctx context.Context, user string) error {
	if !s.dual() {
		return nil
	}
	if ctx.Err() != nil {
		return transport.Failure(s.server.address.String(), ctx.Err())
	}
	account := quote(user) + "@" + quote(s.server.accountHost)
	if s.user == user {
		account = "USER()"
	}
	if err := s.wire.execute("ALTER USER " + account + " DISCARD OLD PASSWORD"); err != nil {
		return s.server.statementFailure(user, err)
	}
	return nil
}
