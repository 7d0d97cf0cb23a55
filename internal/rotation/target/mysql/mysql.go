// Package mysql rotates passwords of MariaDB and MySQL accounts: kind mysql/password.
//
// Beside the password it reads variable url (host, host:port, or a URL with scheme mysql
// or mariadb; parameter sslmode) and username. TLS is verified unless the url or
// annotation sslmode says otherwise; annotation ca names a variable with the authority
// to trust. Annotation account-host is the host part of the account's name, % if not
// given, for an administrator who changes it.
//
// With annotation rotation/grace, a MySQL of 8.0.14 or later keeps the old password beside
// the new one until it is retired. Others have one password for an account, which ends when
// the new one is set.
//
// MariaDB gets the hash of a new password, not the password, unless a plugin of the
// server has to see it to judge it.
//
// It imports target, password, transport and secret.
package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is mysql/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "mysql/password",
		Both:     true,
		Settings: map[string]func(string) error{"sslmode": transport.ParseMode, "ca": nil, "account-host": nil},
		Reads:    transport.Reads,
		Open:     open,
	}
}

type server struct {
	address     transport.Address
	accountHost string
	security    transport.Security
	dial        target.Dial
	keeps       bool // the old password, where the server can
}

// keeper is a server that is to keep the old password.
type keeper struct{ *server }

var _ password.Keeper = keeper{}

// KeepsOld is part of password.Keeper.
func (keeper) KeepsOld() {}

func open(p password.Place) (password.System, error) {
	s := &server{accountHost: p.Settings["account-host"], dial: p.Dial, keeps: p.Grace}
	if s.accountHost == "" {
		s.accountHost = "%"
	}
	var err error
	s.address, err = transport.ParseAddress(p.Values["url"].RevealString(), "3306", "mysql", "mariadb")
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	mode := cmp.Or(p.Settings["sslmode"], s.address.Mode)
	if s.security, err = transport.NewSecurity(mode, p.Values[p.Settings["ca"]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	if s.keeps {
		return keeper{s}, nil
	}
	return s, nil
}

// Address is part of password.System.
func (s *server) Address() string { return "mysql " + s.address.String() + " " + s.security.String() }

// Login is part of password.System.
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	conn, err := s.dial(ctx, "tcp", s.address.String())
	if err != nil {
		return nil, transport.Failure(s.address.String(), err)
	}
	// Whoever waits for the server waits no longer than the context lasts.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	w, err := connect(ctx, conn, s.security, s.address.Host, user, p.RevealString())
	if err == nil {
		// So that quotes and backslashes mean what is assumed below.
		err = w.execute("SET SESSION sql_mode=''")
	}
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, s.loginFailure(err)
	}
	return &session{w, s, user, stop}, nil
}

type session struct {
	wire   *wire
	server *server
	user   string // who is logged in
	stop   func() bool
}

// Set is part of password.Session.
func (s *session) Set(ctx context.Context, c password.Change) error {
	if ctx.Err() != nil {
		return transport.Failure(s.server.address.String(), ctx.Err())
	}
	hashed, shown := s.statements(c)
	if s.dual() {
		// Set once more, the new password would be kept in place of the old one.
		if err := s.server.accepts(ctx, c.User, c.New); target.ClassOf(err) != target.AuthFailed {
			return err
		}
		shown += " RETAIN CURRENT PASSWORD"
	}
	return s.change(c.User, hashed, shown, func(statement string) string { return statement })
}

// Foresee is part of password.Foreseer. MariaDB looks at the privilege and at the password
// when it prepares the statement; nothing is done that is not executed. MySQL looks when it
// is.
func (s *session) Foresee(ctx context.Context, c password.Change) (bool, error) {
	if !s.mariaDB() {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, transport.Failure(s.server.address.String(), ctx.Err())
	}
	hashed, shown := s.statements(c)
	return foreseen(s.change(c.User, hashed, shown, func(statement string) string { return "PREPARE rehearsal FROM " + quote(statement) }))
}

// foreseen is what has become of preparing. That the server has no room for it, or does not
// prepare such a statement, says nothing of executing it.
func foreseen(err error) (bool, error) {
	var refused *serverError
	if errors.As(err, &refused) && (refused.code == tooManyPrepared || refused.code == notPreparable) {
		return false, nil
	}
	return true, err
}

// change has the server take a hash or, if there is none or it wants to judge the password,
// the password.
func (s *session) change(user, hashed, shown string, as func(string) string) error {
	err := errors.New("no statement")
	if hashed != "" {
		err = s.wire.execute(as(hashed))
	}
	var refused *serverError
	if hashed == "" || errors.As(err, &refused) && refused.code == optionPrevents && strings.Contains(refused.message, "strict") {
		err = s.wire.execute(as(shown))
	}
	if err != nil {
		return s.server.statementFailure(user, err)
	}
	return nil
}

func (s *session) mariaDB() bool { return strings.Contains(s.wire.version, "MariaDB") }

// statements set a password.
func (s *session) statements(c password.Change) (hashed, shown string) {
	return statements(s.wire.version, quote(c.User)+"@"+quote(s.server.accountHost), c.Old.Len() > 0, c.New.RevealString())
}

// statements set a password: by its hash, where that can be, and by itself. Who changes
// the own password needs no privilege, and need not know the host part of the account.
func statements(version, account string, self bool, p string) (hashed, shown string) {
	if !strings.Contains(version, "MariaDB") {
		if self {
			account = "USER()"
		}
		return "", "ALTER USER " + account + " IDENTIFIED BY " + quote(p)
	}
	what := "SET PASSWORD FOR " + account
	if self {
		what = "SET PASSWORD"
	}
	one := sha1.Sum([]byte(p))
	two := sha1.Sum(one[:])
	return what + " = '*" + strings.ToUpper(hex.EncodeToString(two[:])) + "'", what + " = PASSWORD(" + quote(p) + ")"
}

// quote makes a literal, for the sql_mode that Login sets.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// End is part of password.Session. An account that is given up gets a password that nobody
// knows, since one without would let anybody in.
func (s *session) End(ctx context.Context, user string, _ secret.Bytes) error {
	if s.server.keeps {
		return s.discard(ctx, user)
	}
	return s.Set(ctx, password.Change{User: user, New: secret.FromString(rand.Text() + "-a1")})
}

// Close is part of password.Session.
func (s *session) Close() {
	s.stop()
	s.wire.conn.Close()
}
