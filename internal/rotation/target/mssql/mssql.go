// Package mssql rotates passwords of SQL Server logins: kind mssql/password.
//
// Beside the password it reads variable url (host, host:port, or a URL with scheme
// sqlserver; parameter sslmode) and username. TLS is verified unless the url or annotation
// sslmode says otherwise, and never left out: the protocol shows the server the password at
// each login. Annotation ca names a variable with the authority to trust.
//
// A statement cannot be given a password as a parameter, and a hash of it is refused for
// logins whose policy is checked, which is the default; so the password is in the statement.
// SQL Server leaves such statements out of its traces.
//
// It imports target, password, transport and secret.
package mssql

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	sqlserver "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Kind is mssql/password.
func Kind() target.Kind {
	return password.Kind{
		Kind:     "mssql/password",
		Settings: map[string]func(string) error{"sslmode": encrypted, "ca": nil},
		Reads:    transport.Reads,
		Open:     open,
		Valid:    valid,
	}
}

// encrypted refuses a mode without TLS.
func encrypted(mode string) error {
	if mode == transport.Disable {
		return errors.New("SQL Server is shown the password itself, so there has to be TLS")
	}
	return transport.ParseMode(mode)
}

// longest is how long names and passwords may be, in characters.
const longest = 128

// valid refuses what SQL Server cannot hold, or the driver cannot say: it counts characters
// beyond the basic plane wrongly, and takes a backslash in a name for a domain of Windows. A
// backslash before a line break would mean something in a literal, so control characters are
// refused.
func valid(user string, p secret.Bytes) error {
	if user == "" || !holds(user) || strings.Contains(user, `\`) {
		return target.Errorf(target.Refused, nil, "the name of a SQL Server login has 1 to %d characters, with no control characters, emoji or backslashes among them; the password of a login of Windows is the domain's", longest)
	}
	if !holds(p.RevealString()) {
		return password.BadValue(nil, "a password of SQL Server has "+strconv.Itoa(longest)+" characters at most, with no control characters or emoji among them")
	}
	return nil
}

func holds(text string) bool {
	return utf8.RuneCountInString(text) <= longest && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || c > 0xffff })
}

type server struct {
	address  transport.Address
	port     uint64
	security transport.Security
	dial     target.Dial
}

func open(p password.Place) (password.System, error) {
	s := &server{dial: p.Dial}
	var err error
	if s.address, err = transport.ParseAddress(p.Values["url"].RevealString(), "1433", "sqlserver", "mssql"); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	if s.port, err = strconv.ParseUint(s.address.Port, 10, 16); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: the port is no number")
	}
	mode := cmp.Or(p.Settings["sslmode"], s.address.Mode)
	if s.security, err = transport.NewSecurity(mode, p.Values[p.Settings["ca"]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "sslmode or ca: %s", err)
	}
	if !s.security.Encrypted() {
		return nil, target.Errorf(target.Refused, nil, "variable url: %s", encrypted(transport.Disable))
	}
	return s, nil
}

// Address is part of password.System.
func (s *server) Address() string { return "mssql " + s.address.String() + " " + s.security.String() }

// line is a connection as the driver gets it. It remembers what went wrong below the
// driver, which does not always tell.
type line struct {
	net.Conn
	dial  target.Dial
	ctx   context.Context
	trust error // in the certificate
	stop  func() bool

	mu     sync.Mutex // the driver reads in a goroutine of its own
	broken error      // what went wrong first on the network
}

// note remembers what goes wrong first.
func (l *line) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = cmp.Or(l.broken, err)
}

// failure is what has gone wrong first on the network; nil if nothing has.
func (l *line) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// DialContext is what the driver asks.
func (l *line) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	if l.Conn != nil {
		err := target.Errorf(target.Refused, nil, "the server sends the login elsewhere: name the server in the url to which it does")
		l.mu.Lock()
		defer l.mu.Unlock()
		l.broken = err // whatever the driver did to the first connection
		return nil, err
	}
	conn, err := l.dial(l.ctx, network, address)
	if err != nil {
		l.note(err)
		return nil, err
	}
	l.Conn = conn
	// Whoever waits for the server waits no longer than the context lasts.
	l.stop = context.AfterFunc(l.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	return l, nil
}

// HostName has the driver leave names to the dialer.
func (l *line) HostName() string { return "" }

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.note(err)
	return n, err
}

func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	l.note(err)
	return n, err
}

// close ends the connection, if there is one.
func (l *line) close() {
	if l.Conn != nil {
		l.stop()
		l.Conn.Close()
	}
}

// verified is the client's side of TLS, where what is wrong with a certificate is kept: the
// driver makes text of it.
func (l *line) verified(config *tls.Config, host string) *tls.Config {
	check := config.VerifyConnection
	if !config.InsecureSkipVerify {
		config.InsecureSkipVerify = true
		check = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: host, Intermediates: x509.NewCertPool()}
			for _, i := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(i)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if check != nil {
			l.trust = check(state)
		}
		return l.trust
	}
	return config
}

// Login is part of password.System.
func (s *server) Login(ctx context.Context, user string, p secret.Bytes) (password.Session, error) {
	l := &line{dial: s.dial, ctx: ctx}
	connector := sqlserver.NewConnectorConfig(msdsn.Config{
		Host: s.address.Host, Port: s.port, User: user, Password: p.RevealString(), AppName: "rekey", Workstation: "rekey",
		Encryption: msdsn.EncryptionRequired, TLSConfig: l.verified(s.security.TLS(s.address.Host), s.address.Host),
		Protocols: []string{"tcp"}, DisableRetry: true, DialTimeout: -1, NoTraceID: true,
	})
	connector.Dialer = l
	conn, err := connector.Connect(ctx)
	if err != nil {
		l.close()
		return nil, s.loginFailure(l, err)
	}
	return &session{conn, l, s}, nil
}

type session struct {
	conn   driver.Conn
	line   *line
	server *server
}

// Set is part of password.Session.
func (s *session) Set(ctx context.Context, c password.Change) error {
	if ctx.Err() != nil {
		return transport.Failure(s.server.address.String(), ctx.Err())
	}
	statement := "ALTER LOGIN " + name(c.User) + " WITH PASSWORD = " + literal(c.New.RevealString())
	if c.Old.Len() > 0 {
		statement += " OLD_PASSWORD = " + literal(c.Old.RevealString())
	}
	prepared, err := s.conn.Prepare(statement) // which sends nothing
	if err == nil {
		_, err = prepared.(driver.StmtExecContext).ExecContext(ctx, nil)
	}
	if err != nil {
		return s.server.changeFailure(c.User, s.line, err)
	}
	return nil
}

// name and literal quote for Transact-SQL.
func name(s string) string    { return "[" + strings.ReplaceAll(s, "]", "]]") + "]" }
func literal(s string) string { return "N'" + strings.ReplaceAll(s, "'", "''") + "'" }

// End is part of password.Session. A login has one password, so it gets one that nobody
// knows.
func (s *session) End(ctx context.Context, user string, _ secret.Bytes) error {
	return s.Set(ctx, password.Change{User: user, New: secret.FromString(rand.Text() + "-a1")})
}

// Close is part of password.Session.
func (s *session) Close() { s.line.close() }
