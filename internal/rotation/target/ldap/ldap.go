// Package ldap rotates passwords of entries in an LDAP directory by the Password Modify
// extended operation (RFC 3062): kind ldap/password.
//
// Beside the password it reads variable url (ldaps://host:port, or ldap://host:port for
// StartTLS) and username, which is the distinguished name of the entry. TLS is verified
// unless annotation sslmode says otherwise; annotation ca names a variable with the
// authority to trust. Users cannot take turns: a distinguished name has commas.
//
// It imports target, password, transport and secret.
package ldap

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is ldap/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "ldap/password",
		Settings: map[string]func(string) error{"sslmode": transport.ParseMode, "ca": nil},
		Reads:    transport.Reads,
		Open:     open,
		Valid:    valid,
	}
}

func valid(user string, _ secret.Bytes) error {
	if name, err := ldap.ParseDN(user); err != nil || len(name.RDNs) == 0 {
		return target.Errorf(target.Refused, err, "%q is not a distinguished name, such as cn=app,ou=services,dc=example,dc=com", user)
	}
	return nil
}

type server struct {
	host, port string
	startTLS   bool
	security   transport.Security
	dial       target.Dial
}

func open(p password.Place) (password.System, error) {
	u, err := url.Parse(strings.TrimSpace(p.Values["url"].RevealString()))
	if err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, target.Errorf(target.Refused, err, "variable url: it must be ldaps://host:port or ldap://host:port, and no more")
	}
	s := &server{host: u.Hostname(), port: u.Port(), startTLS: u.Scheme == "ldap", dial: p.Dial}
	if s.port == "" {
		s.port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	if s.security, err = transport.NewSecurity(p.Settings["sslmode"], p.Values[p.Settings["ca"]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	if !s.startTLS && !s.security.Encrypted() {
		return nil, target.Errorf(target.Refused, nil, "variable url asks for TLS and annotation sslmode for none: make them agree")
	}
	return s, nil
}

func (s *server) hostPort() string { return net.JoinHostPort(s.host, s.port) }

// Address is part of password.System.
func (s *server) Address() string { return "ldap " + s.hostPort() + " " + s.security.String() }

// Login is part of password.System: a simple bind (RFC 4513, section 5.1.3).
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	conn, err := s.dial(ctx, "tcp", s.hostPort())
	if err != nil {
		return nil, transport.Failure(s.hostPort(), err)
	}
	// Whoever waits for the server waits no longer than the context lasts.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	l, err := s.bind(ctx, conn, user, p)
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, s.loginFailure(err)
	}
	return &session{l, s, stop}, nil
}

func (s *server) bind(ctx context.Context, conn net.Conn, user string, p secret.Bytes) (*ldap.Conn, error) {
	config := s.security.TLS(s.host)
	if config != nil {
		if s.startTLS {
			if err := startTLS(conn); err != nil {
				return nil, err
			}
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	l := ldap.NewConn(conn, config != nil)
	if deadline, ok := ctx.Deadline(); ok {
		l.SetTimeout(max(time.Until(deadline), time.Millisecond))
	}
	l.Start()
	if err := l.Bind(user, p.RevealString()); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

type session struct {
	conn   *ldap.Conn
	server *server
	stop   func() bool
}

// Set is part of password.Session.
func (s *session) Set(ctx context.Context, c password.Change) error {
	if ctx.Err() != nil {
		return transport.Failure(s.server.hostPort(), ctx.Err())
	}
	if bytes.HasPrefix(c.New.Reveal(), []byte("{")) {
		return password.BadValue(nil, "directories take a password that begins with a brace for a hash: use another")
	}
	_, err := s.conn.PasswordModify(ldap.NewPasswordModifyRequest(c.User, c.Old.RevealString(), c.New.RevealString()))
	if err != nil {
		return s.server.changeFailure(c.User, err)
	}
	return nil
}

// End is part of password.Session: an entry gets a password that nobody knows.
func (s *session) End(ctx context.Context, user string, _ secret.Bytes) error {
	return s.Set(ctx, password.Change{User: user, New: secret.FromString(rand.Text() + "-a1")})
}

// Close is part of password.Session.
func (s *session) Close() {
	s.stop()
	s.conn.Close()
}

// code is the server's result; false if it gave none.
func code(err error) (uint16, bool) {
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork {
		return 0, false
	}
	return e.ResultCode, true
}

// loginFailure classifies what went wrong before a change was asked for. The server's
// own words are left out: nothing is known of what they hold.
func (s *server) loginFailure(err error) error {
	result, answered := code(err)
	if !answered {
		var e *ldap.Error
		if errors.As(err, &e) && e.Err != nil {
			err = e.Err
		}
		return transport.Failure(s.hostPort(), err)
	}
	switch result {
	case ldap.LDAPResultInvalidCredentials:
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", s.hostPort())
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return target.Errorf(target.Unreachable, err, "%s does not take logins now: %s", s.hostPort(), ldap.LDAPResultCodeMap[result])
	case ldap.LDAPResultProtocolError, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultStrongAuthRequired:
		return target.Errorf(target.Refused, err, "%s does not let the user in (%s): see whether its TLS is on and wanted, and the account enabled", s.hostPort(), ldap.LDAPResultCodeMap[result])
	}
	return target.Errorf(target.Refused, err, "%s does not let the user in: %s", s.hostPort(), ldap.LDAPResultCodeMap[result])
}

// changeFailure classifies what became of a change.
func (s *server) changeFailure(user string, err error) error {
	result, answered := code(err)
	if !answered {
		return transport.Lost(s.hostPort(), err)
	}
	switch result {
	case ldap.LDAPResultConstraintViolation:
		return password.BadValue(err, s.hostPort()+" refuses this password: it breaks a rule of the directory's")
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return target.Errorf(target.Unreachable, err, "%s does not change the password now: %s", s.hostPort(), ldap.LDAPResultCodeMap[result])
	case ldap.LDAPResultNoSuchObject:
		return target.Errorf(target.Refused, err, "there is no entry %q on %s: create it", user, s.hostPort())
	case ldap.LDAPResultInsufficientAccessRights:
		return target.Errorf(target.Refused, err, "the privilege to change the password of %q on %s is missing", user, s.hostPort())
	}
	return target.Errorf(target.Refused, err, "%s refuses to change the password of %q: %s", s.hostPort(), user, ldap.LDAPResultCodeMap[result])
}
