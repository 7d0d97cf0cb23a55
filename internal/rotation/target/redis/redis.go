// Package redis rotates passwords of Redis ACL users: kind redis/password.
//
// Beside the password it reads variable url (host, host:port, or a URL with scheme redis
// or rediss; parameter sslmode) and username. TLS is verified unless the url or
// annotation sslmode says otherwise; annotation ca names a variable with the authority
// to trust.
//
// A Redis user can have several passwords: the old one works until it is retired. Who
// changes passwords needs commands ACL GETUSER, SETUSER and SAVE, or CONFIG REWRITE.
// Redis gets the hash of a new password only, and must be able to write it into its
// files, since it would else forget it when it restarts.
//
// It imports target, password, transport and secret.
package redis

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is redis/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "redis/password",
		Both:     true,
		Settings: map[string]func(string) error{"sslmode": transport.ParseMode, "ca": nil},
		Reads:    transport.Reads,
		Open:     open,
		Valid:    valid,
	}
}

func valid(user string, _ secret.Bytes) error {
	if user == "" || strings.ContainsAny(user, " \t\r\n\v\f") {
		return target.Errorf(target.Refused, nil, "the name of a Redis user has no blanks, as %q has", user)
	}
	return nil
}

type server struct {
	address  transport.Address
	security transport.Security
	dial     target.Dial
}

var _ password.Keeper = (*server)(nil)

// KeepsOld is part of password.Keeper.
func (s *server) KeepsOld() {}

func open(p password.Place) (password.System, error) {
	s := &server{dial: p.Dial}
	var err error
	s.address, err = transport.ParseAddress(p.Values["url"].RevealString(), "6379", "redis", "rediss")
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	mode := cmp.Or(p.Settings["sslmode"], s.address.Mode)
	if s.security, err = transport.NewSecurity(mode, p.Values[p.Settings["ca"]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	return s, nil
}

// Address is part of password.System.
func (s *server) Address() string { return "redis " + s.address.String() + " " + s.security.String() }

// Login is part of password.System.
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	// Without TLS, lines in them would be commands to a server that is none of Redis.
	if !s.security.Encrypted() && (strings.ContainsAny(user, "\r\n") || bytes.ContainsAny(p.Reveal(), "\r\n")) {
		return nil, target.Errorf(target.Refused, nil, "the name or the password of the user has a line break: use TLS, or set one that has none")
	}
	conn, err := s.dial(ctx, "tcp", s.address.String())
	if err != nil {
		return nil, transport.Failure(s.address.String(), err)
	}
	// Whoever waits for the server waits no longer than the context lasts.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	w, err := connect(ctx, conn, s.security.TLS(s.address.Host))
	if err == nil {
		_, err = w.command("AUTH", user, p.RevealString())
	}
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, s.failure(err, transport.Failure)
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
	return s.change(ctx, c.User, "#"+hash(c.New))
}

// End is part of password.Session.
func (s *session) End(ctx context.Context, user string, old secret.Bytes) error {
	return s.change(ctx, user, "!"+hash(old))
}

func hash(p secret.Bytes) string {
	sum := sha256.Sum256(p.Reveal())
	return hex.EncodeToString(sum[:])
}

// Foresee is part of password.Foreseer. A rule that takes away a password which the user
// does not have is an error, after which Redis applies none; but whoever may not set rules
// hears of that first. Whether the users may be written down is known to a dry run only,
// which is since Redis 7, and a command of its own to be granted.
func (s *session) Foresee(ctx context.Context, c password.Change) (bool, error) {
	err := s.exists(c.User)
	if err == nil {
		_, err = s.wire.command("ACL", "SETUSER", c.User, "!"+hash(c.New))
	}
	var refused serverError
	if err == nil || errors.As(err, &refused) && refused.code() == "ERR" {
		told, err := s.foreseesPersist()
		if err != nil {
			return told, s.server.failure(err, transport.Failure)
		}
		return told, nil
	}
	return true, s.server.failure(err, transport.Failure)
}

// foreseesPersist is a dry run of persist.
func (s *session) foreseesPersist() (bool, error) {
	for _, command := range [][]string{{"ACL", "SAVE"}, {"CONFIG", "REWRITE"}} {
		may, err := s.wire.agreed(append([]string{"ACL", "DRYRUN", s.user}, command...)...)
		var refused serverError
		if errors.As(err, &refused) {
			return false, nil
		}
		if may || err != nil {
			return may, err
		}
	}
	return true, errForgets
}

// exists refuses a user that does not: SETUSER would make one.
func (s *session) exists(user string) error {
	exists, err := s.wire.command("ACL", "GETUSER", user)
	if err == nil && !exists {
		err = target.Errorf(target.Refused, nil, "there is no user %q on %s: create it", user, s.server.address.String())
	}
	return err
}

// change applies a rule to a user and has it written down.
func (s *session) change(ctx context.Context, user, rule string) error {
	err := s.exists(user)
	// What it cannot write down now, it could not afterwards, and would forget.
	if err == nil {
		err = s.persist()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return s.server.failure(err, transport.Failure)
	}
	if _, err = s.wire.command("ACL", "SETUSER", user, rule); err == nil {
		if err = s.persist(); err != nil {
			return transport.Lost(s.server.address.String(), err)
		}
	}
	if errors.Is(err, errMalformed) {
		return transport.Lost(s.server.address.String(), err)
	} else if err != nil {
		return s.server.failure(err, transport.Lost)
	}
	return nil
}

var errForgets = errors.New("the server cannot write down its users")

// persist has the server write down its users, in whichever of its files they are.
func (s *session) persist() error {
	_, err := s.wire.command("ACL", "SAVE")
	var refused serverError
	if !errors.As(err, &refused) || refused.code() != "ERR" && refused.code() != "NOPERM" {
		return err
	}
	if _, err := s.wire.command("CONFIG", "REWRITE"); !errors.As(err, &refused) {
		return err
	}
	return errForgets
}

// failure classifies; other says what a failure of the network means.
func (s *server) failure(err error, other func(string, error) error) error {
	var refused serverError
	switch {
	case errors.Is(err, errForgets):
		return target.Errorf(target.Refused, err, "%s would forget the new password when it restarts: give it an aclfile or a configuration file that it can write, and allow ACL SAVE or CONFIG REWRITE", s.address.String())
	case errors.Is(err, errMalformed):
		return target.Errorf(target.Refused, err, "%s does not speak the protocol of Redis", s.address.String())
	case !errors.As(err, &refused):
		return other(s.address.String(), err)
	}
	switch code := refused.code(); code {
	case "WRONGPASS":
		return target.Errorf(target.AuthFailed, err, "%s does not accept the password", s.address.String())
	case "LOADING", "MASTERDOWN", "BUSY", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "OOM":
		return target.Errorf(target.Unreachable, err, "%s cannot do it now (%s)", s.address.String(), code)
	case "NOPERM":
		return target.Errorf(target.Refused, err, "%s does not allow it: grant commands ACL GETUSER, SETUSER and SAVE", s.address.String())
	case "ERR":
		if strings.Contains(string(refused), "max number of clients") {
			return target.Errorf(target.Unreachable, err, "%s has too many clients", s.address.String())
		}
		return target.Errorf(target.Refused, err, "%s refuses", s.address.String())
	}
	return target.Errorf(target.Refused, err, "%s refuses, with an error of its own", s.address.String())
}

// Close is part of password.Session.
func (s *session) Close() {
	s.stop()
	s.wire.conn.Close()
}
