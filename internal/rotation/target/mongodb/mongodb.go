// Package mongodb rotates passwords of MongoDB users: kind mongodb/password.
//
// Beside the password it reads variable url and username. The url has the hosts of a
// server or of all the members of a replica set: host, host:port, several of these with
// commas between, or a URL with scheme mongodb, as mongodb://h1,h2/?authSource=app. Of
// several, the one that is the primary is asked; it never goes where the url does not
// say. TLS is verified unless annotation sslmode says otherwise; annotation ca names a
// variable with the authority to trust.
//
// Logins are by SCRAM-SHA-256 (RFC 7677), in which the server proves that it knows the
// user. The server makes the hash of a new password itself, so it sees it: without TLS
// nothing is done.
//
// The wire is this package's own, since a login and one command on one connection are all
// that is needed, and since the official driver, which connects again and again in the
// background, does not tell whether a command had left when a connection broke. It is
// what the tests ask, too.
//
// It imports target, password, transport and secret.
package mongodb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is mongodb/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "mongodb/password",
		Settings: map[string]func(string) error{"sslmode": encrypted, "ca": nil},
		Reads:    transport.Reads,
		Open:     open,
		Valid:    valid,
	}
}

// encrypted refuses a mode without TLS.
func encrypted(mode string) error {
	if mode == transport.Disable {
		return errors.New("MongoDB sees the new password itself, so there has to be TLS")
	}
	return transport.ParseMode(mode)
}

// valid refuses what clients could not log in with.
func valid(user string, p secret.Bytes) error {
	if user == "" {
		return target.Errorf(target.Refused, nil, "the user name is empty")
	}
	if _, err := prepare(p); p.Len() > 0 && err != nil {
		return password.BadValue(err, "the password has characters that SASLprep (RFC 4013) does not allow")
	}
	return nil
}

// server is a server, or the members of a replica set.
type server struct {
	address
	security transport.Security
	dial     target.Dial
}

func open(p password.Place) (password.System, error) {
	s := &server{dial: p.Dial}
	var err error
	if s.address, err = parseAddress(p.Values["url"].RevealString()); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	if s.security, err = transport.NewSecurity(p.Settings["sslmode"], p.Values[p.Settings["ca"]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	return s, nil
}

// Address is part of password.System.
func (s *server) Address() string {
	return fmt.Sprintf("mongodb %s set %q users of %q %s", s.address, s.set, s.source, s.security)
}

// Login is part of password.System. A set has one member that can change anything, and
// knows what is true now: the primary.
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	var failures []error
	for i, h := range s.hosts {
		made, err := s.login(ctx, h, len(s.hosts)-i, user, p)
		if err == nil {
			return made, nil
		}
		failures = append(failures, err)
		if target.ClassOf(err) == target.AuthFailed || ctx.Err() != nil {
			return nil, err // the primary has said so
		}
	}
	// What is wrong for good is told rather than what may pass.
	for _, err := range failures {
		if target.ClassOf(err) == target.Refused {
			return nil, err
		}
	}
	return nil, failures[0]
}

// login tries one host, the first of so many that are left. One that is silent leaves the
// others their share of the time.
func (s *server) login(ctx context.Context, h transport.Address, left int, user string, p secret.Bytes) (*session, error) {
	share, cancel := context.WithCancel(ctx)
	defer cancel()
	if end, ok := ctx.Deadline(); ok {
		share, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	conn, err := s.dial(share, "tcp", h.String())
	if err != nil {
		return nil, transport.Failure(h.String(), err)
	}
	// Whoever waits for the server waits no longer than the context lasts.
	hangUp := func() { _ = conn.SetDeadline(time.Unix(1, 0)) } // a closed one needs none
	stop := context.AfterFunc(share, hangUp)
	w, err := connect(share, conn, s.security.TLS(h.Host))
	if err == nil {
		err = s.authenticate(w, user, p)
	}
	if !stop() && err == nil {
		err = context.DeadlineExceeded // the connection is no good any more
	}
	if err != nil {
		conn.Close()
		if share.Err() != nil {
			err = share.Err()
		}
		return nil, loginFailure(h.String(), err)
	}
	return &session{wire: w, host: h.String(), source: s.source, stop: context.AfterFunc(ctx, hangUp)}, nil
}

// authenticate finds out whether it is the right server, and logs in.
func (s *server) authenticate(w *wire, user string, p secret.Bytes) error {
	var hello struct {
		Primary    bool     `bson:"isWritablePrimary"`
		Set        string   `bson:"setName"`
		Mechanisms []string `bson:"saslSupportedMechs"`
	}
	if err := w.command("admin", bson.D{{Key: "hello", Value: 1}, {Key: "saslSupportedMechs", Value: s.source + "." + user}}, &hello); err != nil {
		return err
	}
	switch {
	case s.set != "" && hello.Set != s.set:
		return errOtherSet
	case !hello.Primary:
		return errNotPrimary
	case len(hello.Mechanisms) > 0 && !slices.Contains(hello.Mechanisms, mechanism):
		return errMechanism
	}
	return w.login(s.source, user, p)
}

type session struct {
	wire         *wire
	host, source string
	stop         func() bool
}

// Set is part of password.Session. The change is durable on most members when it is
// answered, so that a change of the primary does not undo it.
func (s *session) Set(ctx context.Context, c password.Change) error {
	if ctx.Err() != nil {
		return transport.Failure(s.host, ctx.Err())
	}
	err := s.wire.command(s.source, bson.D{
		{Key: "updateUser", Value: c.User}, {Key: "pwd", Value: c.New.RevealString()},
		{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}},
	}, nil)
	if err != nil {
		return changeFailure(s.host, c.User, s.source, err)
	}
	return nil
}

// End is part of password.Session. A user has one password, so it gets one that nobody
// knows.
func (s *session) End(ctx context.Context, user string, _ secret.Bytes) error {
	return s.Set(ctx, password.Change{User: user, New: secret.FromString(rand.Text())})
}

// Close is part of password.Session.
func (s *session) Close() {
	s.stop()
	s.wire.conn.Close()
}
