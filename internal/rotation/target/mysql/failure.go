package mysql

import (
	"errors"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
)

// The errors that matter here (MySQL error reference, MariaDB error codes).
const (
	tooManyConnections = 1040
	accessDenied       = 1045
	shutdown           = 1053
	syntaxError        = 1064
	notPreparable      = 1295
	tooManyPrepared    = 1461
	hostBlocked        = 1129
	noSuchUser         = 1133
	tooManyOfUser      = 1203
	privilegeMissing   = 1227
	lockTimeout        = 1205
	deadlock           = 1213
	optionPrevents     = 1290
	operationFailed    = 1396
	badPassword        = 1819
	readOnly           = 1836
)

// loginFailure classifies what went wrong before a change was asked for.
func (s *server) loginFailure(err error) error {
	var refused *serverError
	var plugin pluginError
	switch {
	case errors.Is(err, errNoTLS):
		return target.Errorf(target.Refused, err, "%s has no TLS: turn it on there, or set annotation sslmode to disable on purpose", s.address.String())
	case errors.Is(err, errNotProven):
		return target.Errorf(target.Refused, err, "%s asks for the password in clear, which it gets only if its certificate is verified: set annotation sslmode to verify-full", s.address.String())
	case errors.Is(err, errMalformed):
		return target.Errorf(target.Refused, err, "%s does not speak the protocol of MySQL", s.address.String())
	case errors.As(err, &plugin):
		return target.Errorf(target.Refused, err, "%s asks for %s, which is not supported: use %s or %s", s.address.String(), plugin, native, caching)
	case !errors.As(err, &refused):
		return transport.Failure(s.address.String(), err)
	}
	switch refused.code {
	case accessDenied:
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", s.address.String())
	case tooManyConnections, tooManyOfUser, hostBlocked, shutdown:
		return target.Errorf(target.Unreachable, err, "%s does not take connections now (error %d)", s.address.String(), refused.code)
	}
	return target.Errorf(target.Refused, err, "%s does not let the user in (error %d)", s.address.String(), refused.code)
}

// statementFailure classifies what became of a change. The server's own words are left
// out: they may quote the statement.
func (s *server) statementFailure(user string, err error) error {
	var refused *serverError
	if !errors.As(err, &refused) {
		return transport.Lost(s.address.String(), err)
	}
	switch refused.code {
	case shutdown:
		return target.Errorf(target.Uncertain, err, "%s was shut down while it changed the password", s.address.String())
	case lockTimeout, deadlock, readOnly, optionPrevents:
		return target.Errorf(target.Unreachable, err, "%s does not change the password now (error %d): it may be read-only", s.address.String(), refused.code)
	case noSuchUser, operationFailed:
		return target.Errorf(target.Refused, err, "there is no account %q with host %q on %s: create it, or name its host by annotation account-host", user, s.accountHost, s.address.String())
	case badPassword:
		return password.BadValue(err, s.address.String()+" refuses this password: it breaks a rule of the server's")
	case privilegeMissing:
		if s.keeps {
			return target.Errorf(target.Refused, err, "%s does not let the old password of %q go on for the grace: grant APPLICATION_PASSWORD_ADMIN to a user who changes the own password and CREATE USER to an administrator, or leave out rotation/grace", s.address.String(), user)
		}
	case syntaxError:
		return target.Errorf(target.Refused, err, "%s does not understand the statement that sets a password", s.address.String())
	}
	return target.Errorf(target.Refused, err, "%s refuses to change the password of %q (error %d): grant CREATE USER on *.* to the administrator, and with MariaDB UPDATE on mysql.*", s.address.String(), user, refused.code)
}
