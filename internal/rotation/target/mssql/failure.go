package mssql

import (
	"errors"

	sqlserver "github.com/microsoft/go-mssqldb"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
)

// The errors that matter here (SQL Server, "Database Engine events and errors").
const (
	deadlock         = 1205
	shutdown         = 6005
	lockedOut        = 15113
	tooRecent        = 15114
	firstPolicy      = 15115 // up to lastPolicy: the password breaks a rule
	lastPolicy       = 15119
	cannotAlter      = 15151
	loginFailed      = 18456
	loginLocked      = 18486
	passwordExpired  = 18487
	passwordMustBe   = 18488
	databaseNotReady = 40613
)

// loginFailure classifies what went wrong before a change was asked for.
func (s *server) loginFailure(l *line, err error) error {
	at := s.address.String()
	var refused sqlserver.Error
	switch {
	case l.trust != nil:
		return transport.Failure(at, l.trust)
	case l.ctx.Err() != nil:
		return transport.Failure(at, l.ctx.Err())
	case errors.As(err, &refused):
	case l.failure() != nil:
		return transport.Failure(at, l.failure())
	default:
		return target.Errorf(target.Refused, err, "%s does not speak the protocol of SQL Server under TLS: see whether it is the right one, and has a certificate", at)
	}
	switch refused.Number {
	case loginFailed:
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", at)
	case passwordExpired, passwordMustBe:
		return target.Errorf(target.Refused, err, "%s wants the password to be changed by hand first (error %d): turn CHECK_EXPIRATION and MUST_CHANGE off for the login", at, refused.Number)
	case loginLocked:
		return target.Errorf(target.Refused, err, "%s has locked the login after wrong passwords: see who tries them, and ALTER LOGIN ... WITH PASSWORD = ... UNLOCK", at)
	case shutdown, databaseNotReady:
		return target.Errorf(target.Unreachable, err, "%s does not take logins now (error %d)", at, refused.Number)
	}
	return target.Errorf(target.Refused, err, "%s does not let the login in (error %d)", at, refused.Number)
}

// changeFailure classifies what became of a change. The server's own words are left out:
// they may quote the statement.
func (s *server) changeFailure(user string, l *line, err error) error {
	at := s.address.String()
	var refused sqlserver.Error
	switch {
	case l.ctx.Err() != nil:
		return transport.Lost(at, l.ctx.Err())
	case l.failure() != nil:
		return transport.Lost(at, l.failure())
	case !errors.As(err, &refused):
		return transport.Lost(at, err)
	}
	switch n := refused.Number; {
	case n == deadlock:
		return target.Errorf(target.Unreachable, err, "%s does not change the password now", at)
	case n == shutdown:
		return target.Errorf(target.Uncertain, err, "%s was shut down while it changed the password", at)
	case n == lockedOut:
		return target.Errorf(target.Refused, err, "%s has locked the login %q after wrong passwords: see who tries them, and ALTER LOGIN ... WITH PASSWORD = ... UNLOCK", at, user)
	case n == tooRecent:
		return target.Errorf(target.Refused, err, "%s does not let the password of %q be changed again so soon: see the least age of passwords in its policy", at, user)
	case n >= firstPolicy && n <= lastPolicy:
		return password.BadValue(err, at+" refuses this password: it breaks a rule of the server's")
	case n == cannotAlter:
		return target.Errorf(target.Refused, err, "%s has no login %q, or does not let its password be changed: create it, or grant ALTER ANY LOGIN to the administrator", at, user)
	}
	return target.Errorf(target.Refused, err, "%s refuses to change the password of %q (error %d)", at, user, refused.Number)
}
