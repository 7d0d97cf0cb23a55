// Package postgresql rotates passwords of PostgreSQL roles: kind postgresql/password.
//
// Beside the password it reads variable url, in the form of what may follow '@' in a
// libpq URI, and username. TLS is verified unless the url or annotation sslmode says
// otherwise; annotation ca names a variable with the authority to trust. A server that
// asks for the password in clear, or for none, is refused. The server gets a SCRAM
// verifier of the new password, never the password, so nothing in its logs is secret.
//
// It imports target, password, transport and secret.
package postgresql

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is postgresql/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "postgresql/password",
		Settings: map[string]func(string) error{"sslmode": transport.ParseMode, "ca": nil},
		Reads:    transport.Reads,
		Open:     open,
	}
}

// server is a PostgreSQL server, or several of which one takes writes.
type server struct {
	address  address
	security transport.Security
	dial     target.Dial
}

func open(p password.Place) (password.System, error) {
	a, err := parseAddress(p.Values["url"].RevealString())
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	mode := p.Settings["sslmode"]
	if mode == "" {
		mode = a.sslmode
	}
	security, err := transport.NewSecurity(mode, p.Values[p.Settings["ca"]])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	return &server{a, security, p.Dial}, nil
}

func (s *server) Address() string {
	return "postgresql " + s.address.String() + " " + s.security.String()
}

// Login is part of password.System.
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	// Without TLS, lines in a name would be commands to a server that is none of PostgreSQL.
	if !s.security.Encrypted() && strings.ContainsFunc(user, unicode.IsControl) {
		return nil, target.Errorf(target.Refused, nil, "the name of the role has a control character, as %q has: use TLS, or another name", user)
	}
	config, err := s.config(ctx, user, p)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "%s: the connection cannot be configured", s.address)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, s.loginFailure(ctx, err)
	}
	return &session{conn, s}, nil
}

// nothing gives all settings that the library would else take from the environment.
const nothing = "host=localhost port=5432 user=x password=x dbname=x passfile='' connect_timeout=0 " +
	"sslmode=disable sslkey='' sslcert='' sslcertmode=disable sslrootcert='' sslpassword='' sslnegotiation=postgres " +
	"target_session_attrs=any options='' min_protocol_version=3.0 max_protocol_version=3.0 channel_binding=prefer require_auth=''"

// config is made of what the variables say, and of nothing in this process's
// environment or home directory, where libpq would look too.
func (s *server) config(ctx context.Context, user string, p secret.Bytes) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig(nothing)
	if err != nil {
		return nil, err
	}
	c.User, c.Password, c.Database = user, p.RevealString(), s.address.database
	if c.Database == "" {
		c.Database = user
	}
	c.DialFunc = pgconn.DialFunc(s.dial)
	// Names are resolved by whoever dials, who has to judge the address anyway.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	// A login without password, or by a password that the server may read, proves nothing.
	c.RequireAuth = "scram-sha-256,md5"
	c.RuntimeParams = map[string]string{"application_name": "rekey", "client_min_messages": "error"}
	if deadline, ok := ctx.Deadline(); ok {
		// The server gives up together with us.
		c.RuntimeParams["statement_timeout"] = strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10)
	}
	c.ConnectTimeout = 0
	c.Fallbacks = nil
	for i, h := range s.address.hosts {
		if i == 0 {
			c.Host, c.Port, c.TLSConfig = h.name, h.port, s.security.TLS(h.name)
		} else {
			c.Fallbacks = append(c.Fallbacks, &pgconn.FallbackConfig{Host: h.name, Port: h.port, TLSConfig: s.security.TLS(h.name)})
		}
	}
	c.ValidateConnect = nil
	if len(s.address.hosts) > 1 {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return c, nil
}

// session is a connection to the server.
type session struct {
	conn   *pgconn.PgConn
	server *server
}

// Set is part of password.Session.
func (s *session) Set(ctx context.Context, c password.Change) error {
	statement, err := setting(c)
	if err != nil {
		return err
	}
	return s.exec(ctx, c.User, statement)
}

// setting is the statement that sets a password.
func setting(c password.Change) (string, error) {
	v, err := verifier(c.New, rand.Reader)
	if errors.Is(err, errNormal) {
		return "", password.BadValue(err, err.Error())
	} else if err != nil {
		return "", target.Errorf(target.Refused, err, "a verifier of the new password cannot be made")
	}
	return alter(c.User, "'"+v+"'"), nil // a verifier has no quote
}

// End is part of password.Session: a role has one password, so ending it leaves none.
func (s *session) End(ctx context.Context, user string, _ secret.Bytes) error {
	return s.exec(ctx, user, alter(user, "NULL"))
}

// Foresee is part of password.Foreseer: statements about roles are transactional, so Set's
// is tried and taken back. It is one message: whatever becomes of the connection, the
// server has it in full or not at all, and undoes what it does not come to undo.
func (s *session) Foresee(ctx context.Context, c password.Change) (bool, error) {
	statement, err := setting(c)
	if err != nil {
		return true, err
	}
	return true, s.exec(ctx, c.User, "BEGIN; "+statement+"; ROLLBACK")
}

func alter(user, literal string) string {
	return "ALTER ROLE " + pgx.Identifier{user}.Sanitize() + " PASSWORD " + literal
}

func (s *session) exec(ctx context.Context, user, statement string) error {
	if ctx.Err() != nil {
		return transport.Failure(s.server.address.String(), ctx.Err())
	}
	if _, err := s.conn.Exec(ctx, statement).ReadAll(); err != nil {
		return s.server.statementFailure(user, err)
	}
	return nil
}

// Close is part of password.Session.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = s.conn.Close(ctx) // the work is done or has failed: a farewell changes neither
}
