package postgresql

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
)

// The conditions that matter here (PostgreSQL, appendix A, error codes).
const (
	invalidPassword   = "28P01"
	adminShutdown     = "57P01"
	crashShutdown     = "57P02"
	cannotConnectNow  = "57P03"
	queryCanceled     = "57014"
	readOnly          = "25006"
	undefinedObject   = "42704"
	noPrivilege       = "42501"
	invalidValue      = "22023"
	notNow            = "53" // class: insufficient resources
	transactionFailed = "40" // class: rolled back, such as by a deadlock
	objectInUse       = "55" // class
)

// loginFailure classifies what went wrong before any statement was sent.
func (s *server) loginFailure(ctx context.Context, err error) error {
	var refusal *pgconn.PgError
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		return transport.Failure(s.address.String(), ctx.Err())
	case errors.As(err, &refusal):
	case strings.Contains(text, "server refused TLS"):
		return target.Errorf(target.Refused, err, "%s has no TLS: turn it on there, or set annotation sslmode to disable on purpose", s.address)
	case strings.Contains(text, "require_auth"):
		return target.Errorf(target.Refused, err, "%s does not ask for the password in a way that protects it: set method scram-sha-256 in its pg_hba.conf", s.address)
	default:
		return transport.Failure(s.address.String(), err)
	}
	class := refusal.Code[:min(2, len(refusal.Code))]
	switch {
	case refusal.Code == invalidPassword:
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", s.address)
	case refusal.Code == cannotConnectNow, refusal.Code == adminShutdown, refusal.Code == crashShutdown, class == notNow:
		return target.Errorf(target.Unreachable, err, "%s does not take connections now (%s)", s.address, refusal.Code)
	}
	return target.Errorf(target.Refused, err, "%s does not let the user in: %s", s.address, words(refusal))
}

// statementFailure classifies what became of a statement.
func (s *server) statementFailure(user string, err error) error {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return transport.Lost(s.address.String(), err)
	}
	class := refusal.Code[:min(2, len(refusal.Code))]
	switch {
	case refusal.Code == adminShutdown, refusal.Code == crashShutdown:
		return target.Errorf(target.Uncertain, err, "%s was shut down while it changed the password", s.address)
	case refusal.Code == queryCanceled, refusal.Code == cannotConnectNow, refusal.Code == readOnly,
		class == notNow, class == transactionFailed, class == objectInUse:
		return target.Errorf(target.Unreachable, err, "%s does not change the password now: %s", s.address, words(refusal))
	case refusal.Code == undefinedObject:
		return target.Errorf(target.Refused, err, "there is no role %q on %s: create it", user, s.address)
	case refusal.Code == noPrivilege:
		return target.Errorf(target.Refused, err, "the privilege to change role %q on %s is missing: %s. Grant CREATEROLE to the administrator and, since PostgreSQL 16, the role itself WITH ADMIN OPTION", user, s.address, words(refusal))
	case refusal.Code == invalidValue:
		return password.BadValue(err, s.address.String()+" refuses this password: "+words(refusal))
	}
	return target.Errorf(target.Refused, err, "%s refuses to change the password: %s", s.address, words(refusal))
}

// words is the server's message and its code. Nothing that is sent to it holds a
// password; a verifier that it may quote is cut off all the same.
func words(e *pgconn.PgError) string {
	message, _, _ := strings.Cut(e.Message, "SCRAM-SHA-256$")
	return message + " (" + e.Code + ")"
}
